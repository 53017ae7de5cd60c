//! The paths that a file names, from `use` declarations and from the middle of its code, each from the crate's root.

use super::source::{Source, Token, closing};

/// A path such as `crate::lsn::Lsn`, and where it stands.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

impl Path {
    /// Whether this path is `prefix` or leads through it.
    pub(crate) fn leads_through(&self, prefix: &[&str]) -> bool {
        self.segments
            .iter()
            .map(String::as_str)
            .take(prefix.len())
            .eq(prefix.iter().copied())
    }
}

/// Every path of two segments or more; `super` and `self` are replaced by what they stand for in files of `src/`.
pub(crate) fn paths(source: &Source) -> Vec<Path> {
    let tokens = source.tokens();
    let modules = inline_modules(&tokens);
    let home = home(&source.path);
    let mut paths = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let mut found = Vec::new();
        let next = if tokens[index].text == "use" {
            use_tree(&tokens, index + 1, &[], &mut found)
        } else {
            inline_path(&tokens, index, &mut found)
        };
        let here = module_at(&home, &modules, index);
        for segments in found.into_iter().filter(|segments| segments.len() > 1) {
            let line = source.line(tokens[index].offset);
            paths.push(Path {
                line,
                segments: from_root(segments, &here),
            });
        }
        index = next.max(index + 1);
    }
    paths
}

/// The module of a file: `src/log/tail.rs` is `crate::log::tail`.
fn home(path: &str) -> Vec<String> {
    let inner = path
        .strip_prefix("src/")
        .unwrap_or(path)
        .trim_end_matches(".rs");
    let parts = inner
        .split('/')
        .filter(|part| !matches!(*part, "mod" | "lib"));
    ["crate"]
        .into_iter()
        .chain(parts)
        .map(str::to_owned)
        .collect()
}

/// `mod name { … }` as the range of its tokens.
fn inline_modules(tokens: &[Token<'_>]) -> Vec<(usize, usize, String)> {
    let opens = |index: &usize| tokens[*index].text == "mod" && tokens[index + 2].text == "{";
    (0..tokens.len().saturating_sub(2))
        .filter(opens)
        .map(|index| {
            (
                index,
                closing(tokens, index + 2),
                tokens[index + 1].text.to_owned(),
            )
        })
        .collect()
}

fn module_at(home: &[String], modules: &[(usize, usize, String)], index: usize) -> Vec<String> {
    let around = modules
        .iter()
        .filter(|(start, end, _)| (*start..*end).contains(&index));
    home.iter()
        .cloned()
        .chain(around.map(|(_, _, name)| name.clone()))
        .collect()
}

fn from_root(segments: Vec<String>, here: &[String]) -> Vec<String> {
    let climbs = segments
        .iter()
        .take_while(|segment| matches!(segment.as_str(), "super" | "self"))
        .count();
    if climbs == 0 {
        return segments;
    }
    let levels = segments
        .iter()
        .take(climbs)
        .filter(|segment| *segment == "super")
        .count();
    let kept = here.len().saturating_sub(levels).max(1);
    here.iter()
        .take(kept)
        .cloned()
        .chain(segments.into_iter().skip(climbs))
        .collect()
}

/// Reads one branch of a `use` tree that starts at `index`; returns the index after it.
fn use_tree(
    tokens: &[Token<'_>],
    index: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    let mut at = index;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => at += 1,
            "as" => at += 2,
            "{" => return use_group(tokens, at, &path, found),
            "," | "}" | ";" => break,
            "self" if !prefix.is_empty() => at += 1,
            segment => {
                path.push(segment.to_owned());
                at += 1;
            }
        }
    }
    found.push(path);
    at
}

fn use_group(
    tokens: &[Token<'_>],
    open: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let end = closing(tokens, open);
    let mut at = open + 1;
    while at < end {
        at = use_tree(tokens, at, prefix, found).max(at + 1);
        if tokens.get(at).is_some_and(|token| token.text == ",") {
            at += 1;
        }
    }
    end + 1
}

fn inline_path(tokens: &[Token<'_>], index: usize, found: &mut Vec<Vec<String>>) -> usize {
    let is_word = |at: usize| {
        tokens
            .get(at)
            .is_some_and(|token| super::source::is_word(token.text.as_bytes()[0]))
    };
    let is_separator = |at: usize| tokens.get(at).is_some_and(|token| token.text == "::");
    let is_macro_crate = index > 0 && tokens[index - 1].text == "$";
    if !is_word(index) || is_macro_crate {
        return index + 1;
    }
    let mut path = vec![tokens[index].text.to_owned()];
    let mut at = index + 1;
    while is_separator(at) && is_word(at + 1) {
        path.push(tokens[at + 1].text.to_owned());
        at += 2;
    }
    found.push(path);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(path, text);
        paths(&source)
            .iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn use_trees_are_spread_out() {
        let text = "use crate::{lsn::Lsn, log::{self, tail::Tail as T}, sys::*};";
        let expected = [
            "crate::lsn::Lsn",
            "crate::log",
            "crate::log::tail::Tail",
            "crate::sys::*",
        ];
        assert_eq!(found("src/wal/mod.rs", text), expected);
    }

    #[test]
    fn inline_paths_are_found_and_comments_are_not() {
        let text =
            "fn a(b: crate::lsn::Lsn) { // crate::wal\n crate::sys::open::<u8>(\"crate::log\") }";
        assert_eq!(
            found("src/a.rs", text),
            ["crate::lsn::Lsn", "crate::sys::open"]
        );
    }

    #[test]
    fn super_stands_for_the_module_above() {
        assert_eq!(
            found("src/log/tail.rs", "use super::super::sys::A;"),
            ["crate::sys::A"]
        );
        assert_eq!(
            found("src/log/mod.rs", "use super::sys::A;"),
            ["crate::sys::A"]
        );
        assert_eq!(
            found("src/log/tail.rs", "mod tests { use super::B; }"),
            ["crate::log::tail::B"]
        );
        assert_eq!(
            found("src/lsn.rs", "pub use self::inner::C;"),
            ["crate::lsn::inner::C"]
        );
    }

    #[test]
    fn a_path_of_a_macro_is_that_of_its_user() {
        assert!(
            found("src/a.rs", "$crate::log::x()")
                .iter()
                .all(|path| !path.starts_with("crate"))
        );
    }
}
