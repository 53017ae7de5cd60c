//! The probe of the command line: any words to its parser, whose answer is held against what can be known without it. Not
//! covered by semantic versioning.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command, CommandFactory as _};
use segwal::Lsn;

use crate::arguments::{Arguments, Refusal};
use crate::quantity;

/// Parses `words`, of which the first comes after the name of the program, and returns what that came to: the verb, or
/// why there is none. Nothing is run.
///
/// # Panics
/// * If a value that is accepted is out of the range that the help names.
/// * If what was understood, written down in full, is understood otherwise.
/// * If a refusal says nothing, holds what a terminal would obey, or gives help to who did not ask for it.
pub fn arguments(words: &[OsString]) -> String {
    for word in words {
        check_values(word);
    }
    match Arguments::parse(line(words)) {
        Ok(arguments) => {
            let full = in_full(&matches(words));
            let again = Arguments::parse(line(&full));
            let again = again.unwrap_or_else(|refusal| panic!("{full:?} refused: {refusal}"));
            assert_eq!(format!("{arguments:?}"), format!("{again:?}"), "{full:?}");
            let verb = matches(words);
            verb.subcommand_name().unwrap_or_default().to_owned()
        }
        Err(refusal) => {
            check_refusal(&refusal, words);
            format!("{:?}", refusal.kind())
        }
    }
}

fn line(words: &[OsString]) -> Vec<OsString> {
    let program = [OsString::from("segwal")];
    program.into_iter().chain(words.iter().cloned()).collect()
}

fn matches(words: &[OsString]) -> ArgMatches {
    let matches = Arguments::command().try_get_matches_from(line(words));
    matches.expect("these words were understood")
}

/// The words that say the same at greater length: each value by the long name of its option, directories last.
fn in_full(matches: &ArgMatches) -> Vec<OsString> {
    let (verb, matches) = matches.subcommand().expect("a verb is required");
    let command = Arguments::command();
    let command = command.find_subcommand(verb).expect("it was understood");
    let mut words = vec![verb.into()];
    let mut places = vec!["--".into()];
    for argument in told(command, matches) {
        let id = argument.get_id().as_str();
        let values: Vec<&OsStr> = matches.get_raw(id).into_iter().flatten().collect();
        for value in &values {
            assert!(
                is_in_range(id, value),
                "{verb}: {} for {id}",
                value.display()
            );
        }
        match argument.get_long() {
            None => places.extend(values.into_iter().map(OsStr::to_owned)),
            Some(long) if matches!(argument.get_action(), ArgAction::SetTrue) => {
                words.push(format!("--{long}").into());
            }
            Some(long) => words.extend(values.into_iter().map(|value| {
                let mut word = OsString::from(format!("--{long}="));
                word.push(value);
                word
            })),
        }
    }
    words.append(&mut places);
    words
}

/// The arguments that were on the command line.
fn told<'a>(
    command: &'a Command,
    matches: &'a ArgMatches,
) -> impl Iterator<Item = &'a clap::Arg> + 'a {
    command
        .get_arguments()
        .filter(|argument| argument.get_id() != "help")
        .filter(|argument| {
            matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
        })
}

/// Whether the help lets this argument have this value, read without the parser's help.
fn is_in_range(id: &str, value: &OsStr) -> bool {
    let Some(text) = value.to_str() else {
        return matches!(id, "dir" | "input" | "source" | "target");
    };
    let number = || text.parse::<i128>();
    match id {
        "threads" => number().is_ok_and(|count| (1..=64).contains(&count)),
        "records" => number().is_ok_and(|count| (1..=i128::from(u64::MAX)).contains(&count)),
        "seed" | "lines" | "count" | "limit_ms" | "starts" => {
            number().is_ok_and(|count| (0..=i128::from(u64::MAX)).contains(&count))
        }
        "head" => number().is_ok_and(|id| (0..=i128::from(u32::MAX)).contains(&id)),
        "seconds" => text
            .parse::<f64>()
            .is_ok_and(|s| (0.01..=3600.0).contains(&s)),
        "sizes" => byte_count(text).is_some_and(|len| (1..=16 << 20).contains(&len)),
        "segment_size" => byte_count(text).is_some(),
        "from" => is_position(text),
        "sync" => {
            matches!(text, "each" | "none")
                || text
                    .strip_prefix("batch:")
                    .is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0))
        }
        "shell" => ["bash", "elvish", "fish", "powershell", "zsh"].contains(&text),
        _ => !text.is_empty(),
    }
}

/// Digits, and one letter for a power of 1024; less than 2⁶⁴.
fn byte_count(text: &str) -> Option<u128> {
    let end = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(end.len()..)?.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    let digits = end.trim_start_matches('0');
    if end.is_empty() || !end.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() > 20 {
        return None;
    }
    let count = digits
        .bytes()
        .fold(0, |sum: u128, digit| sum * 10 + u128::from(digit - b'0'))
        << shift;
    (count <= u128::from(u64::MAX)).then_some(count)
}

fn is_position(text: &str) -> bool {
    let Some((segment, offset)) = text.split_once(':') else {
        return false;
    };
    let number = |digits: &str| {
        let count = byte_count(digits);
        count.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let segment = number(segment).is_some_and(|id| (1..1 << 32).contains(&id));
    segment && number(offset).is_some_and(|at| at % 8 == 0 && at < 1 << 35)
}

/// What the values of options are made of, whether or not an option has this word for its value.
fn check_values(word: &OsStr) {
    let Some(text) = word.to_str() else { return };
    let count = quantity::parse_bytes(text).ok();
    assert_eq!(count.map(u128::from), byte_count(text), "{text:?}");
    if let Some(count) = count {
        assert!(quantity::bytes(count).contains(' '));
    }
    let lsn = text.parse::<Lsn>().ok();
    assert_eq!(lsn.is_some(), is_position(text), "{text:?}");
    if let Some(lsn) = lsn {
        assert_eq!(lsn.to_string().parse(), Ok(lsn));
    }
}

fn check_refusal(refusal: &Refusal, words: &[OsString]) {
    let text = refusal.to_string();
    assert!(
        !text.trim().is_empty(),
        "{words:?} are refused without a word"
    );
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!text.contains(obeyed), "{text:?} moves the cursor");
    let asks = |word: &OsString| word == "help" || word.as_encoded_bytes().starts_with(b"-");
    let code = refusal.exit_code();
    assert_eq!(code, if refusal.is_wanted() { 0 } else { 64 });
    let is_wanted = !refusal.is_wanted() || words.iter().any(asks);
    assert!(is_wanted, "{words:?} get help without asking");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(line: &str) -> String {
        let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        arguments(&words)
    }

    #[test]
    fn every_way_to_say_a_thing_is_the_same_in_full() {
        let words = ["bench", "-", "--sizes", "1,2K", "--threads=3", "--json"];
        let words = words.map(OsString::from);
        let full = in_full(&matches(&words));
        let expected = [
            "bench",
            "--sizes=1",
            "--sizes=2K",
            "--threads=3",
            "--json",
            "--",
            "-",
        ];
        assert_eq!(full, expected.map(OsString::from));
        assert_eq!(probe("tail log -fn 3"), "tail");
        assert_eq!(probe("append --sync batch:9 -- --json"), "append");
        assert_eq!(probe("bench log --seconds NaN"), "ValueValidation");
        assert_eq!(probe("verify -h"), "DisplayHelp");
        assert_eq!(probe("verify"), "MissingRequiredArgument");
    }

    #[test]
    fn ranges_are_read_without_the_parser() {
        assert!(is_in_range("threads", OsStr::new("64")));
        assert!(!is_in_range("threads", OsStr::new("65")));
        assert!(!is_in_range("seconds", OsStr::new("inf")));
        assert_eq!(byte_count("16M"), Some(16 << 20));
        assert_eq!(byte_count("17179869184G"), None);
        assert!(is_position("7:4096") && !is_position("7:4097") && !is_position("7:8K"));
    }
}
