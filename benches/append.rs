//! Appends without a sync, by size and by way: the appender, the shared handle, a reservation, a batch.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench stops at the first surprise, and its macros write no documents"
)]

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use common::Bench;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use segwal::Wal;

const SEGMENT: u64 = 64 << 20;

/// Keeps the log small: everything so far is discarded, out of the measured time.
fn make_room(wal: &Wal) {
    wal.discard_before(wal.sync().unwrap()).unwrap();
}

fn append(criterion: &mut Criterion) {
    let bench = Bench::new("append");
    let wal = bench.open(SEGMENT);
    let mut group = criterion.benchmark_group("append");
    for len in [64, 256, 1024, 4096] {
        let payload = vec![7; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("appender/{len}"), |bencher| {
            let mut appender = wal.appender().unwrap();
            bencher.iter_custom(|count| {
                timed(&wal, count, || {
                    _ = black_box(appender.append(&payload).unwrap());
                })
            });
        });
        group.bench_function(format!("handle/{len}"), |bencher| {
            bencher.iter_custom(|count| {
                timed(&wal, count, || _ = black_box(wal.append(&payload).unwrap()))
            });
        });
    }
    group.throughput(Throughput::Elements(100));
    group.bench_function("batch/100x256", |bencher| {
        let records = vec![[7; 256]; 100];
        bencher.iter_batched(
            || make_room(&wal),
            |()| wal.append_batch(&records).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    wal.close().unwrap();
}

/// Appends in bursts that fit into prepared segments; room is made between them.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn timed(wal: &Wal, count: u64, mut one: impl FnMut()) -> Duration {
    let mut spent = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let burst = left.min(4096);
        let began = Instant::now();
        (0..burst).for_each(|_| one());
        spent += began.elapsed();
        left -= burst;
        make_room(wal);
    }
    spent
}

criterion_group!(benches, append);
criterion_main!(benches);
