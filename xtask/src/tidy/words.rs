//! Words that Rust code may say only in some places, and comments that must stand beside others.

use super::Finding;
use super::paths::paths;
use super::source::{Source, Token, closing};

/// How far above an atomic access its comment may begin.
const ORDERING_COMMENT_LINES: usize = 6;
/// How far above an unsafe block its comment may begin.
const SAFETY_COMMENT_LINES: usize = 8;

const ORDERINGS: [&str; 4] = ["Relaxed", "Acquire", "Release", "AcqRel"];
const ACCESSES: [&str; 5] = [
    "load",
    "store",
    "swap",
    "compare_exchange",
    "compare_exchange_weak",
];
/// What the concurrent core takes from `crate::sync`, so that the model checker sees it.
const FACADE: [[&str; 3]; 5] = [
    ["std", "sync", "atomic"],
    ["core", "sync", "atomic"],
    ["std", "sync", "Mutex"],
    ["std", "sync", "Condvar"],
    ["std", "sync", "RwLock"],
];

/// Checks one file.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let tokens = source.tokens();
    let mut findings = ignored_tests(source, &tokens);
    findings.extend(undocumented_unsafe(source, &tokens));
    if has_limited_unsafe(&source.path) {
        findings.extend(misplaced_unsafe(source, &tokens));
    }
    if source.path.starts_with("src/") {
        findings.extend(strong_fences(source, &tokens));
        findings.extend(unexplained_orderings(source, &tokens));
        findings.extend(model_checker(source));
        findings.extend(sleeps(source));
        findings.extend(outside_the_facade(source));
    }
    findings
}

fn has_limited_unsafe(path: &str) -> bool {
    ["src/", "crates/", "examples/"]
        .iter()
        .any(|directory| path.starts_with(directory))
}

fn ignored_tests(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let advice =
        "no test may be ignored; let it run, or record with `testkit::skip!` why it cannot";
    let is_ignored = |window: &&[Token<'_>]| {
        window[0].text == "#" && window[1].text == "[" && window[2].text == "ignore"
    };
    let ignored = tokens.windows(3).filter(is_ignored);
    ignored
        .map(|window| at(source, window[0], "ignore", advice))
        .collect()
}

fn undocumented_unsafe(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let advice = "say in a comment `SAFETY:` just above which numbered invariant makes this sound";
    let opens = |window: &&[Token<'_>]| {
        window[0].text == "unsafe" && matches!(window[1].text, "{" | "impl")
    };
    let is_explained = |token: Token<'_>| {
        let line = source.line(token.offset);
        source
            .comments(line.saturating_sub(SAFETY_COMMENT_LINES), line)
            .contains("SAFETY:")
    };
    let unexplained = tokens
        .windows(2)
        .filter(opens)
        .filter(|window| !is_explained(window[0]));
    unexplained
        .map(|window| at(source, window[0], "safety", advice))
        .collect()
}

fn misplaced_unsafe(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    if source.path.starts_with("src/sys/") || source.path == "src/segment/bytes.rs" {
        return Vec::new();
    }
    let advice =
        "`unsafe` belongs into src/sys/ or src/segment/bytes.rs; call a safe function of theirs";
    let words = tokens.iter().filter(|token| token.text == "unsafe");
    words
        .map(|token| at(source, *token, "unsafe", advice))
        .collect()
}

fn strong_fences(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let order = tokens.iter().filter(|token| token.text == "SeqCst");
    let order = order.map(|token| {
        at(
            source,
            *token,
            "seqcst",
            "name the pair and use acquire and release",
        )
    });
    let fences = tokens
        .windows(2)
        .filter(|window| window[0].text.ends_with("fence") && window[1].text == "(");
    let fences = fences.map(|window| {
        at(
            source,
            window[0],
            "fence",
            "order through the word itself, not a fence",
        )
    });
    order.chain(fences).collect()
}

fn unexplained_orderings(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, window) in tokens.windows(3).enumerate() {
        let method = window[1].text;
        let is_access = ACCESSES.contains(&method) || method.starts_with("fetch_");
        if window[0].text != "." || !is_access || window[2].text != "(" {
            continue;
        }
        let arguments = &tokens[index + 2..=closing(tokens, index + 2)];
        let is_used = |name: &&str| arguments.iter().any(|token| token.text == *name);
        let used: Vec<&str> = ORDERINGS.into_iter().filter(is_used).collect();
        let line = source.line(window[1].offset);
        let last = source.line(arguments[arguments.len() - 1].offset);
        let comments = source.comments(line.saturating_sub(ORDERING_COMMENT_LINES), last);
        let is_explained = |name: &&str| comments.contains(&format!("{name}:"));
        if let Some(first) = used.first().filter(|_| !used.iter().any(is_explained)) {
            let advice = format!("say in a comment `{first}: …` which access this pairs with");
            findings.push(at(source, window[1], "ordering", &advice));
        }
    }
    findings
}

fn model_checker(source: &Source) -> Vec<Finding> {
    let is_facade = ["src/sync.rs", "src/lib.rs"].contains(&source.path.as_str());
    if is_facade || source.path.starts_with("src/sync/") {
        return Vec::new();
    }
    let advice = "only the facade src/sync.rs and src/lib.rs may name the model checker";
    let text = source.without_comments();
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| super::text::has_word(line, "loom"));
    lines
        .map(|(index, _)| Finding::new(source, index + 1, "loom", advice))
        .collect()
}

fn sleeps(source: &Source) -> Vec<Finding> {
    if source.path == "src/sys/thread.rs" {
        return Vec::new();
    }
    let advice = "wait on a word or a condition; only src/sys/thread.rs may sleep";
    let is_sleep = |segments: &[String]| {
        segments
            .windows(2)
            .any(|pair| pair[0] == "thread" && pair[1].starts_with("sleep"))
    };
    let sleeps = paths(source)
        .into_iter()
        .filter(|path| is_sleep(&path.segments));
    sleeps
        .map(|path| Finding::new(source, path.line, "sleep", advice))
        .collect()
}

fn outside_the_facade(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/log/") {
        return Vec::new();
    }
    let advice = "take it from `crate::sync`, so that the models run this code";
    let named = paths(source).into_iter().filter(|path| {
        FACADE.iter().any(|prefix| path.leads_through(prefix))
            || path.leads_through(&["std", "thread"])
    });
    named
        .map(|path| Finding::new(source, path.line, "facade", advice))
        .collect()
}

fn at(source: &Source, token: Token<'_>, rule: &'static str, advice: &str) -> Finding {
    Finding::new(source, source.line(token.offset), rule, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::new(path, text))
            .iter()
            .map(|finding| finding.rule)
            .collect()
    }

    #[test]
    fn unsafe_stays_where_it_belongs() {
        let text = "// SAFETY: by R1.\nunsafe { a() }";
        assert!(rules("src/sys/map.rs", text).is_empty());
        assert!(rules("src/segment/bytes.rs", text).is_empty());
        assert_eq!(rules("src/log/tail.rs", text), ["unsafe"]);
        assert_eq!(rules("crates/a/src/lib.rs", text), ["unsafe"]);
        assert!(rules("src/log/tail.rs", "#![deny(unsafe_code)] // unsafe").is_empty());
    }

    #[test]
    fn unsafe_without_its_reason_is_found() {
        assert_eq!(rules("src/sys/map.rs", "unsafe { a() }"), ["safety"]);
        assert_eq!(
            rules("src/sys/map.rs", "unsafe impl Send for A {}"),
            ["safety"]
        );
        let far = format!(
            "// SAFETY: by R1.{}unsafe {{ a() }}",
            "\n".repeat(SAFETY_COMMENT_LINES + 1)
        );
        assert_eq!(rules("src/sys/map.rs", &far), ["safety"]);
        assert!(rules("src/sys/map.rs", "unsafe fn a() {}").is_empty());
    }

    #[test]
    fn strong_order_and_fences_are_found() {
        assert_eq!(
            rules("src/log/a.rs", "let a = Ordering::SeqCst; // SeqCst"),
            ["seqcst"]
        );
        assert_eq!(rules("src/log/a.rs", "compiler_fence(a);"), ["fence"]);
        assert!(rules("benches/a.rs", "fence(SeqCst)").is_empty());
    }

    #[test]
    fn an_ordering_without_its_reason_is_found() {
        assert_eq!(rules("src/a.rs", "a.load(Ordering::Acquire)"), ["ordering"]);
        assert_eq!(
            rules("src/a.rs", "// Release: wakes b\na.load(Acquire)"),
            ["ordering"]
        );
        assert_eq!(
            rules("src/a.rs", "a\n.fetch_add(1,\nRelaxed)"),
            ["ordering"]
        );
        assert_eq!(
            rules("src/a.rs", "a.compare_exchange_weak(1, 2, AcqRel, Relaxed)"),
            ["ordering"]
        );
        assert!(
            rules(
                "src/a.rs",
                "// Acquire: pairs with publish.\na.load(Acquire)"
            )
            .is_empty()
        );
        assert!(
            rules(
                "src/a.rs",
                "a.load(Acquire) // Acquire: pairs with publish."
            )
            .is_empty()
        );
        assert!(rules("src/a.rs", "a.swap(1, 2); b.load(&path); store(Relaxed)").is_empty());
    }

    #[test]
    fn the_model_checker_is_named_in_the_facade_only() {
        assert_eq!(
            rules("src/log/a.rs", "#[cfg(feature = \"loom\")]\nfn a() {}"),
            ["loom"]
        );
        assert!(rules("src/sync.rs", "use loom::sync::Arc;").is_empty());
        assert!(
            rules(
                "src/log/a.rs",
                "// The loom model is there. \nlet bloom = 1;"
            )
            .is_empty()
        );
    }

    #[test]
    fn sleep_is_found_in_calls_and_imports() {
        assert_eq!(rules("src/wal/a.rs", "std::thread::sleep(b)"), ["sleep"]);
        assert_eq!(
            rules("src/wal/a.rs", "use std::thread::{spawn, sleep};"),
            ["sleep"]
        );
        assert!(rules("src/sys/thread.rs", "std::thread::sleep(b)").is_empty());
    }

    #[test]
    fn the_core_takes_its_words_from_the_facade() {
        for bad in [
            "use std::sync::{Arc, Mutex};",
            "use std::thread;",
            "core::sync::atomic::AtomicU64::new(1)",
        ] {
            assert_eq!(rules("src/log/a.rs", bad), ["facade"], "{bad}");
            assert!(rules("src/sys/a.rs", bad).is_empty());
        }
        assert!(rules("src/log/a.rs", "use crate::sync::atomic::AtomicU64;").is_empty());
    }

    #[test]
    fn an_ignored_test_is_found() {
        assert_eq!(
            rules("tests/a.rs", concat!("#[", "ignore = \"slow\"]\nfn a() {}")),
            ["ignore"]
        );
    }
}
