//! [`next`]: what somebody who looks at this log should run now.

use segwal::{Inspection, SegmentState, VerdictKind};

use crate::output;

/// So many segments that hold records make a log that nobody discards from.
const MANY: usize = 32;

/// Commands and remarks, the most urgent first.
pub(super) fn next(seen: &Inspection) -> Vec<String> {
    let dir = shell_word(&output::path(seen.path()));
    let mut next = Vec::new();
    match seen.opening().map(segwal::Verdict::kind) {
        Some(VerdictKind::Clean | VerdictKind::BeingWritten) if seen.problems().is_empty() => {
            next.push(format!(
                "nothing is wrong; the newest records: segwal tail {dir}"
            ));
        }
        Some(VerdictKind::TornTail) => next.push(
            "nothing: the next opening for writing cuts what was never durable, and reports it"
                .to_owned(),
        ),
        Some(VerdictKind::Clean | VerdictKind::BeingWritten) => {
            next.push(format!(
                "the log opens, but is damaged below what is durable: segwal verify {dir}"
            ));
            next.push(
                "if everything up to behind the damage can be discarded, let its owner do that"
                    .to_owned(),
            );
            next.push(format!(
                "otherwise: what a repair would keep and cut, changing nothing: segwal repair {dir}"
            ));
        }
        _ => {
            next.push("do not change the directory; stop who restarts the writer".to_owned());
            next.push(format!("what exactly is wrong: segwal verify {dir}"));
            next.push(format!(
                "what a repair would keep and cut, changing nothing: segwal repair {dir}"
            ));
        }
    }
    let held = |state| matches!(state, SegmentState::Sealed | SegmentState::Active);
    let segments = seen.segments().iter();
    let count = segments.filter(|segment| held(segment.state())).count();
    if count > MANY {
        next.push(format!(
            "{count} segments hold records: the log grows until its owner discards what a checkpoint covers"
        ));
    }
    next
}

/// A path that a shell takes as one word.
fn shell_word(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !path.is_empty() && path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_can_be_pasted() {
        assert_eq!(shell_word("/a/b-wal"), "/a/b-wal");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
