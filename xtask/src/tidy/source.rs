//! One Rust file, split into code, literals and comments, and its code cut into tokens.
//!
//! This is no parser: it knows where comments, strings and characters begin and end, raw and nested ones too, and that
//! suffices to find words, paths, and the braces that belong together.

use std::ops::Range;

/// What a byte of the file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Code,
    Literal,
    Comment,
}

/// A word, a `::`, or one other character of code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) offset: usize,
    pub(crate) text: &'a str,
}

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root of the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    kinds: Vec<Kind>,
    line_starts: Vec<usize>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            kinds: Scanner::new(text).kinds(),
            line_starts: [0].into_iter().chain(after_newlines).collect(),
        }
    }

    /// The number, from one, of the line that `offset` lies in.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// How many lines the file has.
    pub(crate) fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// The comments on the lines from `first` to `last`, both included.
    pub(crate) fn comments(&self, first: usize, last: usize) -> String {
        let start = self.line_starts[first.max(1) - 1];
        let end = self
            .line_starts
            .get(last)
            .copied()
            .unwrap_or(self.text.len());
        self.of_kind(start..end, Kind::Comment)
    }

    /// The file without its comments; offsets stay the same.
    pub(crate) fn without_comments(&self) -> String {
        let keep = |(byte, kind): (u8, &Kind)| {
            if *kind == Kind::Comment && byte != b'\n' {
                b' '
            } else {
                byte
            }
        };
        let bytes = self.text.bytes().zip(&self.kinds).map(keep).collect();
        String::from_utf8(bytes).expect("comments begin and end at characters")
    }

    fn of_kind(&self, range: Range<usize>, kind: Kind) -> String {
        let bytes = range
            .filter(|&at| self.kinds[at] == kind)
            .map(|at| self.text.as_bytes()[at]);
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    }

    /// The code cut into tokens.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let bytes = self.text.as_bytes();
        let is_code = |at: usize| self.kinds.get(at) == Some(&Kind::Code);
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if !is_code(at) || bytes[at].is_ascii_whitespace() {
                at += 1;
                continue;
            }
            let mut end = at + 1;
            if is_word(bytes[at]) {
                while end < bytes.len() && is_code(end) && is_word(bytes[end]) {
                    end += 1;
                }
            } else if self.text[at..].starts_with("::") {
                end += 1;
            }
            tokens.push(Token {
                offset: at,
                text: &self.text[at..end],
            });
            at = end;
        }
        tokens
    }
}

/// The index of the token that closes what the token at `open` opens; the last token if none does.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len() - 1
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Walks through the text and says of each byte what it belongs to.
struct Scanner<'a> {
    bytes: &'a [u8],
    kinds: Vec<Kind>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            kinds: Vec::with_capacity(text.len()),
        }
    }

    fn kinds(mut self) -> Vec<Kind> {
        while self.at() < self.bytes.len() {
            let (kind, len) = self.next();
            let end = (self.at() + len).min(self.bytes.len());
            self.kinds.resize(end, kind);
        }
        self.kinds
    }

    fn at(&self) -> usize {
        self.kinds.len()
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at()..]
    }

    /// What begins here, and how long it is.
    fn next(&self) -> (Kind, usize) {
        let rest = self.rest();
        match rest[0] {
            b'/' if rest.starts_with(b"//") => (Kind::Comment, line_len(rest)),
            b'/' if rest.starts_with(b"/*") => (Kind::Comment, block_comment_len(rest)),
            b'"' => (Kind::Literal, quoted_len(rest, b'"')),
            b'\'' => char_len(rest).map_or((Kind::Code, 1), |len| (Kind::Literal, len)),
            byte if is_word(byte) => self.word(),
            _ => (Kind::Code, 1),
        }
    }

    /// A word, or the raw string that it introduces.
    fn word(&self) -> (Kind, usize) {
        let rest = self.rest();
        let len = rest.iter().take_while(|byte| is_word(**byte)).count();
        let is_raw = matches!(&rest[..len], b"r" | b"br" | b"cr");
        match raw_string_len(&rest[len..]) {
            Some(raw_len) if is_raw => (Kind::Literal, len + raw_len),
            _ => (Kind::Code, len),
        }
    }
}

fn line_len(rest: &[u8]) -> usize {
    rest.iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(rest.len())
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of a character literal; none if the quote opens a lifetime.
fn char_len(rest: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(rest).ok()?;
    let mut characters = text.chars().skip(1);
    let first = characters.next()?;
    let is_literal = first == '\\' || characters.next() == Some('\'');
    is_literal.then(|| quoted_len(rest, b'\''))
}

fn raw_string_len(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    let quote = hashes + 1;
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &rest[..hashes]].concat();
    let closed = rest[quote..]
        .windows(end.len())
        .position(|window| window == end);
    Some(closed.map_or(rest.len(), |position| quote + position + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let source = Source::new("src/a.rs", text);
        source
            .tokens()
            .iter()
            .map(|token| token.text)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn comments_and_literals_are_no_tokens() {
        assert_eq!(words("a /* b /* c */ d */ e // f\ng"), "a e g");
        assert_eq!(
            words(r#"a("b \" c", 'd', '\'', b'e', "\\") f"#),
            "a ( , , , b , ) f"
        );
        assert_eq!(words("r\"a\" br##\"b \"# c\"## r#fn d"), "r # fn d");
        assert_eq!(
            words("fn a<'b>(c: &'b str) -> 'é'"),
            "fn a < ' b > ( c : & ' b str ) - >"
        );
        assert_eq!(words("crate::a"), "crate :: a");
    }

    #[test]
    fn an_unclosed_literal_ends_with_the_file() {
        assert_eq!(words("a \"b"), "a");
        assert_eq!(words("a r#\"b"), "a");
        assert_eq!(words("a /* b"), "a");
        assert_eq!(words("a \"b\\"), "a");
    }

    #[test]
    fn comments_are_found_by_line() {
        let source = Source::new("src/a.rs", "// one\nlet a = \"// no\"; // two\n// three");
        assert_eq!(source.comments(1, 2), "// one// two");
        assert_eq!(source.comments(3, 9), "// three");
        assert_eq!(source.line(7), 2);
        assert!(source.without_comments().contains("\"// no\"; "));
    }

    #[test]
    fn brackets_find_their_partner() {
        let source = Source::new("src/a.rs", "a { b(c) { } } d");
        let tokens = source.tokens();
        assert_eq!(tokens[closing(&tokens, 1) + 1].text, "d");
    }
}
