//! Opening: after a clean close, and after a handle was dropped without one.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench stops at the first surprise, and its macros write no documents"
)]

mod common;

use common::Bench;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const RECORDS: usize = 100_000;

fn recover(criterion: &mut Criterion) {
    let bench = Bench::new("recover");
    let wal = bench.open(16 << 20);
    for _ in 0..RECORDS {
        wal.append(&[7; 256]).unwrap();
    }
    wal.close().unwrap();
    let mut group = criterion.benchmark_group("open");
    group.sample_size(20);
    group.bench_function("closed", |bencher| {
        bencher.iter_batched(
            || (),
            |()| bench.open(16 << 20).close().unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("dropped", |bencher| {
        bencher.iter_batched(
            || drop(bench.open(16 << 20)),
            |()| bench.open(16 << 20),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, recover);
criterion_main!(benches);
