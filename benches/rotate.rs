//! Stepping from one segment to the next: every append takes a whole small segment.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench stops at the first surprise, and its macros write no documents"
)]

mod common;

use common::Bench;
use criterion::{Criterion, criterion_group, criterion_main};

fn rotate(criterion: &mut Criterion) {
    let bench = Bench::new("rotate");
    let wal = bench.open(64 << 10);
    let payload = vec![7; wal.max_record_len() as usize];
    criterion.bench_function("rotate/64 KiB segments, synced and discarded", |bencher| {
        bencher.iter(|| {
            let lsn = wal.append(&payload).unwrap();
            wal.sync_to(lsn).unwrap();
            wal.discard_before(lsn).unwrap();
        });
    });
    wal.close().unwrap();
}

criterion_group!(benches, rotate);
criterion_main!(benches);
