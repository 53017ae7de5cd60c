//! The checker is shown logs that break each promise, and has to see it.

use super::*;

const THREADS: u32 = 2;

fn corpus() -> Corpus {
    Corpus::from_joined(b"one\ntwo\nthree\nfour\nfive")
}

fn lsn(position: u64) -> Lsn {
    Lsn::new(1, 4096 + 64 * position).unwrap()
}

/// Thread 0 was promised the records 1 to 3, thread 1 the records 1 and 2, interleaved.
const PROMISED: [(u32, u64); 5] = [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3)];

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(THREADS);
    for (position, (thread, sequence)) in (0..).zip(PROMISED) {
        assert!(ledger.acknowledge(thread, sequence, lsn(position)));
    }
    ledger
}

fn payload(thread: u32, sequence: u64) -> Vec<u8> {
    corpus().payload(
        Stream {
            thread,
            count: THREADS,
        },
        sequence,
    )
}

/// A log that keeps every promise.
fn log() -> Vec<(Lsn, Vec<u8>)> {
    let record = |(position, (thread, sequence))| (lsn(position), payload(thread, sequence));
    (0..).zip(PROMISED).map(record).collect()
}

fn check(log: &[(Lsn, Vec<u8>)], in_hand: InHand) -> Findings {
    let (ledger, corpus) = (ledger(), corpus());
    let mut check = Check::new(&ledger, &corpus, in_hand);
    for (lsn, payload) in log {
        check.record(*lsn, payload);
    }
    check.finish()
}

#[test]
fn a_log_that_keeps_every_promise_passes() {
    let findings = check(&log(), InHand::None);
    assert_eq!(findings.problems, []);
    assert_eq!(findings.recovered.counts(), [3, 2]);
}

#[test]
fn the_record_in_hand_may_be_recovered_and_is_promised_from_then_on() {
    let mut log = log();
    log.push((lsn(5), payload(1, 3)));
    let findings = check(&log, InHand::One);
    assert_eq!(findings.problems, []);
    assert_eq!(findings.recovered.counts(), [3, 3]);
    let never = Problem::NeverAttempted {
        thread: 1,
        sequence: 3,
        lsn: lsn(5),
    };
    assert_eq!(check(&log, InHand::None).problems, [never]);
}

#[test]
fn a_missing_last_record_is_lost() {
    let mut log = log();
    log.pop();
    let findings = check(&log, InHand::One);
    let lost = Problem::Lost {
        thread: 0,
        sequence: 3,
        lsn: lsn(4),
    };
    assert_eq!((findings.lost(), findings.problems), (1, vec![lost]));
}

#[test]
fn a_missing_record_in_the_middle_is_a_gap_and_lost() {
    let mut log = log();
    log.remove(2);
    let gap = Problem::OutOfOrder {
        thread: 0,
        expected: 2,
        found: 3,
        lsn: lsn(4),
    };
    let lost = Problem::Lost {
        thread: 0,
        sequence: 2,
        lsn: lsn(2),
    };
    assert_eq!(check(&log, InHand::One).problems, [gap, lost]);
}

#[test]
fn an_empty_log_has_lost_everything() {
    assert_eq!(check(&[], InHand::One).lost(), 5);
}

#[test]
fn a_record_that_nobody_appended_is_found() {
    let mut log = log();
    log.push((lsn(5), payload(1, 3)));
    log.push((lsn(6), payload(1, 4)));
    let never = Problem::NeverAttempted {
        thread: 1,
        sequence: 4,
        lsn: lsn(6),
    };
    assert_eq!(check(&log, InHand::One).problems, [never]);
}

#[test]
fn a_record_that_comes_twice_is_found() {
    let mut log = log();
    log.push((lsn(5), payload(0, 3)));
    let found = check(&log, InHand::One).problems;
    let repeated = Problem::OutOfOrder {
        thread: 0,
        expected: 4,
        found: 3,
        lsn: lsn(5),
    };
    assert!(found.contains(&repeated), "{found:?}");
}

#[test]
fn altered_bytes_are_found() {
    let mut log = log();
    log[1].1[12] ^= 1;
    let altered = Problem::Altered {
        thread: 1,
        sequence: 1,
        lsn: lsn(1),
    };
    assert_eq!(check(&log, InHand::One).problems, [altered]);
}

#[test]
fn a_shortened_record_is_found() {
    let mut log = log();
    log[3].1.pop();
    let altered = Problem::Altered {
        thread: 1,
        sequence: 2,
        lsn: lsn(3),
    };
    assert_eq!(check(&log, InHand::One).problems, [altered]);
}

#[test]
fn a_record_at_another_position_is_found() {
    let mut log = log();
    log[4].0 = lsn(9);
    let moved = Problem::Moved {
        thread: 0,
        sequence: 3,
        from: lsn(4),
        to: lsn(9),
    };
    assert_eq!(check(&log, InHand::One).problems, [moved]);
}

#[test]
fn bytes_of_no_thread_are_found() {
    for foreign in [b"short".to_vec(), payload(THREADS, 1)] {
        let mut log = log();
        log.push((lsn(5), foreign));
        let found = check(&log, InHand::One).problems;
        assert_eq!(found, [Problem::Foreign { lsn: lsn(5) }]);
    }
    let mut log = log();
    log.push((lsn(5), [0; 12].to_vec()));
    assert!(!check(&log, InHand::One).problems.is_empty());
}

#[test]
fn an_acknowledgement_out_of_turn_is_refused() {
    let mut ledger = ledger();
    assert!(!ledger.clone().acknowledge(0, 5, lsn(9)));
    assert!(!ledger.clone().acknowledge(THREADS, 1, lsn(9)));
    assert!(ledger.acknowledge(0, 4, lsn(9)));
}

#[test]
fn each_problem_says_where_it_is() {
    let all = [
        Problem::Lost {
            thread: 7,
            sequence: 1,
            lsn: lsn(0),
        },
        Problem::NeverAttempted {
            thread: 7,
            sequence: 1,
            lsn: lsn(0),
        },
        Problem::OutOfOrder {
            thread: 7,
            expected: 1,
            found: 2,
            lsn: lsn(0),
        },
        Problem::Altered {
            thread: 7,
            sequence: 1,
            lsn: lsn(0),
        },
        Problem::Moved {
            thread: 7,
            sequence: 1,
            from: lsn(1),
            to: lsn(0),
        },
        Problem::Foreign { lsn: lsn(0) },
    ];
    for problem in all {
        assert!(problem.to_string().contains("1:4096"), "{problem}");
    }
}
