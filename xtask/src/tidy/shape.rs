//! The shape of Rust files: each says what it is, and neither it nor its functions grow too long.

use super::Finding;
use super::source::{Source, Token, closing};

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;

/// Checks one file.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.text.starts_with("//!") {
        findings.push(Finding::new(
            source,
            1,
            "header",
            "open the file with `//!` and one sentence on what it is",
        ));
    }
    let lines = source.line_count();
    if lines > MAX_FILE_LINES {
        let advice =
            format!("{lines} lines are more than {MAX_FILE_LINES}; split the file by nouns");
        findings.push(Finding::new(source, lines, "file-length", &advice));
    }
    let tokens = source.tokens();
    let functions = (0..tokens.len()).filter_map(|index| function_lines(source, &tokens, index));
    for (name, line, lines) in functions.filter(|(_, _, lines)| *lines > MAX_FUNCTION_LINES) {
        let advice = format!(
            "`{name}` has {lines} lines, more than {MAX_FUNCTION_LINES}; take a step of it out"
        );
        findings.push(Finding::new(source, line, "function-length", &advice));
    }
    findings
}

/// Name, first line and number of lines of the function whose `fn` is at `index`.
fn function_lines<'a>(
    source: &Source,
    tokens: &[Token<'a>],
    index: usize,
) -> Option<(&'a str, usize, usize)> {
    let name = tokens.get(index + 1)?.text;
    if tokens[index].text != "fn" || name == "(" {
        return None;
    }
    let mut at = index + 2;
    while !matches!(tokens.get(at)?.text, "{" | ";") {
        let opens_group = matches!(tokens[at].text, "(" | "[");
        at = if opens_group {
            closing(tokens, at) + 1
        } else {
            at + 1
        };
    }
    let first = source.line(tokens[index].offset);
    let last = source.line(tokens[closing(tokens, at)].offset);
    Some((name, first, last - first + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        check(&Source::new("src/a.rs", text))
            .iter()
            .map(|finding| finding.rule)
            .collect()
    }

    fn function(lines: usize) -> String {
        let body = "    let brace = \"{\"; // {\n".repeat(lines - 2);
        format!(
            "//! A.\nfn a(b: fn([u8; 3]) -> u8)\nwhere\n    u8: Copy,\n{{\n{body}}}\n\nfn c();\n"
        )
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert_eq!(rules("// A.\n"), ["header"]);
        assert!(rules("//! A.\n").is_empty());
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(
            rules(&"//! A.\n".repeat(MAX_FILE_LINES + 1)),
            ["file-length"]
        );
        assert!(rules(&"//! A.\n".repeat(MAX_FILE_LINES)).is_empty());
    }

    #[test]
    fn a_long_function_is_found() {
        let signature_lines = 3;
        assert!(rules(&function(MAX_FUNCTION_LINES - signature_lines)).is_empty());
        assert_eq!(
            rules(&function(MAX_FUNCTION_LINES - signature_lines + 1)),
            ["function-length"]
        );
    }
}
