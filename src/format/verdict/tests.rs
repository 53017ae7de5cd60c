//! Tests of the decision table.

use super::*;

/// Replaces each element by one with either value.
fn vary<T: Copy>(all: &[Findings], values: &[T], set: impl Fn(&mut Findings, T)) -> Vec<Findings> {
    let with = |findings: &Findings, value| {
        let mut findings = *findings;
        set(&mut findings, value);
        findings
    };
    all.iter()
        .flat_map(|findings| values.iter().map(move |&value| with(findings, value)))
        .collect()
}

fn every_finding() -> Vec<Findings> {
    let reach = [Reach::Reached, Reach::Short];
    let identity = [Identity::Known, Identity::Lost, Identity::Newer];
    let files = [Files::Ours, Files::Unusable, Files::Foreign];
    let cookie = [
        CookieState::Valid,
        CookieState::Unborn,
        CookieState::WithoutHead,
        CookieState::Missing,
    ];
    let all = vary(
        &[SOUND],
        &[Reading::Complete, Reading::Failed],
        |f, value| f.reading = value,
    );
    let all = vary(&all, &identity, |f, value| f.identity = value);
    let all = vary(&all, &[Kept::Known, Kept::Unknown], |f, value| {
        f.kept = value;
    });
    let all = vary(&all, &files, |f, value| f.files = value);
    let all = vary(&all, &cookie, |f, value| f.cookie = value);
    let all = vary(&all, &[Chain::Whole, Chain::Broken], |f, value| {
        f.chain = value;
    });
    let all = vary(&all, &reach, |f, value| f.head = value);
    let all = vary(&all, &reach, |f, value| f.durable = value);
    let all = vary(&all, &[StopKind::Clean, StopKind::Torn], |f, value| {
        f.stop = value;
    });
    vary(&all, &[Behind::Nothing, Behind::Frames], |f, value| {
        f.behind = value;
    })
}

#[test]
fn exactly_one_row_matches_whatever_is_found() {
    let all = every_finding();
    assert_eq!(all.len(), 4608);
    for findings in all {
        let rows: Vec<_> = ROWS
            .iter()
            .filter(|row| (row.matches)(findings))
            .map(|row| row.letter)
            .collect();
        assert_eq!(rows.len(), 1, "{findings:?}: {rows:?}");
        assert_eq!(judge(findings).letter, rows[0]);
    }
}

#[test]
fn every_row_is_reached_and_has_its_letter() {
    let mut letters: Vec<_> = every_finding()
        .iter()
        .map(|&findings| judge(findings).letter)
        .collect();
    letters.sort_unstable();
    letters.dedup();
    assert_eq!(
        letters,
        ROWS.iter().map(|row| row.letter).collect::<Vec<_>>()
    );
    assert_eq!(letters, ('A'..='O').collect::<Vec<_>>());
}

#[test]
fn nothing_below_the_durable_position_is_accepted_or_cut() {
    for findings in every_finding() {
        let kept = findings.durable == Reach::Reached && findings.head == Reach::Reached;
        let sound = findings.reading == Reading::Complete && findings.chain == Chain::Whole;
        let ours = findings.identity == Identity::Known && findings.files == Files::Ours;
        let told = findings.kept == Kept::Known && findings.cookie == CookieState::Valid;
        if !(kept && sound && ours && told) {
            assert!(
                matches!(judge(findings).action, Action::Refuse(_)),
                "{findings:?}"
            );
        }
    }
}

#[test]
fn refusal_names_its_row_and_what_was_found() {
    let error = row_named('J').unwrap().refuse("it is gone");
    assert_eq!((error.row(), error.kind()), (Some('J'), ErrorKind::Corrupt));
    assert!(
        error
            .to_string()
            .contains("row J: MANIFEST is missing or damaged: it is gone"),
        "{error}"
    );
}

#[test]
fn what_is_there_beside_the_log_has_its_row() {
    let row = |findings: Findings| judge(findings).letter;
    let identity = |identity| Findings { identity, ..SOUND };
    assert_eq!(row(identity(Identity::Lost)), 'J');
    assert_eq!(row(identity(Identity::Newer)), 'K');
    let files = |files| Findings { files, ..SOUND };
    assert_eq!(row(files(Files::Unusable)), 'M');
    assert_eq!(row(files(Files::Foreign)), 'N');
    let cookie = CookieState::Unborn;
    assert_eq!(row(Findings { cookie, ..SOUND }), 'L');
    let kept = Kept::Unknown;
    assert_eq!(row(Findings { kept, ..SOUND }), 'O');
}

#[test]
fn each_finding_alone_has_its_row() {
    let row = |findings: Findings| judge(findings).letter;
    assert_eq!(row(SOUND), 'A');
    assert_eq!(
        row(Findings {
            stop: StopKind::Torn,
            ..SOUND
        }),
        'B'
    );
    assert_eq!(
        row(Findings {
            behind: Behind::Frames,
            ..SOUND
        }),
        'C'
    );
    assert_eq!(
        row(Findings {
            durable: Reach::Short,
            ..SOUND
        }),
        'D'
    );
    assert_eq!(
        row(Findings {
            cookie: CookieState::Missing,
            ..SOUND
        }),
        'E'
    );
    assert_eq!(
        row(Findings {
            cookie: CookieState::WithoutHead,
            ..SOUND
        }),
        'F'
    );
    assert_eq!(
        row(Findings {
            head: Reach::Short,
            ..SOUND
        }),
        'G'
    );
    assert_eq!(
        row(Findings {
            chain: Chain::Broken,
            ..SOUND
        }),
        'H'
    );
    assert_eq!(
        row(Findings {
            reading: Reading::Failed,
            ..SOUND
        }),
        'I'
    );
}
