//! What holds for every text file: no mark of unfinished work, no path that leads out of the repository, and one title
//! in each Markdown file.

use super::Finding;
use super::source::is_word;

/// Marks of unfinished work, each in two halves so that this file does not find itself.
const MARKS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
/// Beginnings of paths that exist on one machine only.
const OUTSIDE: [&str; 2] = [concat!("/wo", "rk/"), concat!("../sha", "red")];

/// Checks one file.
pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line: usize, rule, advice: &str| {
        findings.push(Finding {
            path: path.to_owned(),
            line,
            rule,
            advice: advice.to_owned(),
        });
    };
    for (index, line) in text.lines().enumerate() {
        if let Some(mark) = MARKS.iter().find(|mark| has_word(line, mark)) {
            find(
                index + 1,
                "unfinished",
                &format!("do it now or open an issue; `{mark}` stays nowhere"),
            );
        }
        if OUTSIDE.iter().any(|start| names_path(line, start)) {
            find(
                index + 1,
                "outside-path",
                "name nothing that lies outside the repository",
            );
        }
    }
    let is_markdown = path
        .rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "md");
    let titles = titles(text);
    if is_markdown && titles.len() != 1 {
        let advice = format!(
            "a document has one `# ` title, this one has {}",
            titles.len()
        );
        find(titles.get(1).copied().unwrap_or(1), "title", &advice);
    }
    findings
}

/// Whether `line` contains `word`, not as a part of a longer one.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let bytes = line.as_bytes();
    line.match_indices(word).any(|(start, _)| {
        let before = start.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(start + word.len()).copied();
        [before, after]
            .into_iter()
            .flatten()
            .all(|byte| !is_word(byte))
    })
}

/// Whether `line` names a path that starts like this; in `network/…` it only goes on like this.
fn names_path(line: &str, start: &str) -> bool {
    let goes_on = |byte: &u8| is_word(*byte) || matches!(byte, b'.' | b'-' | b'/' | b'}' | b')');
    let is_absolute = start.starts_with('/');
    line.match_indices(start)
        .any(|(at, _)| !is_absolute || !line.as_bytes()[..at].last().is_some_and(goes_on))
}

/// The lines with a title, outside fenced blocks.
fn titles(text: &str) -> Vec<usize> {
    let mut fence: Option<&str> = None;
    let mut titles = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) if line.starts_with("# ") => titles.push(index + 1),
            _ => {}
        }
    }
    titles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(path, text)
            .iter()
            .map(|finding| finding.rule)
            .collect()
    }

    #[test]
    fn a_mark_of_unfinished_work_is_found_as_a_word() {
        for mark in MARKS {
            assert_eq!(
                rules("a.toml", &format!("b = 1 # {mark}: later")),
                ["unfinished"]
            );
        }
        assert!(rules("a.toml", &format!("{}_LIST = 1", MARKS[0])).is_empty());
    }

    #[test]
    fn a_path_out_of_the_repository_is_found() {
        for start in OUTSIDE {
            assert_eq!(
                rules("a.rs", &format!("see {start}/notes")),
                ["outside-path"]
            );
        }
        assert!(rules("a.rs", &format!("frame{}x", OUTSIDE[0])).is_empty());
    }

    #[test]
    fn a_document_has_one_title_outside_fences() {
        assert!(rules("a.md", "# A\n```sh\n# comment\n```\n## B\n").is_empty());
        assert_eq!(rules("a.md", "# A\n# B\n"), ["title"]);
        assert_eq!(rules("a.md", "~~~\n# A\n```\n~~~\n"), ["title"]);
        assert!(rules("a.txt", "").is_empty());
    }
}
