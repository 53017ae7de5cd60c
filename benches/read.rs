//! Reading: one record by its position, and all of them in order.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench stops at the first surprise, and its macros write no documents"
)]

mod common;

use std::hint::black_box;

use common::Bench;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const RECORDS: usize = 20_000;

fn read(criterion: &mut Criterion) {
    let bench = Bench::new("read");
    let wal = bench.open(16 << 20);
    let lsns: Vec<_> = (0..RECORDS)
        .map(|_| wal.append(&[7; 256]).unwrap())
        .collect();
    let mut group = criterion.benchmark_group("read");
    let mut next = lsns.iter().cycle();
    group.bench_function("get/256", |bencher| {
        bencher.iter(|| black_box(wal.get(*next.next().unwrap()).unwrap().payload().len()));
    });
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("records/256", |bencher| {
        bencher.iter(|| {
            wal.records(wal.head())
                .unwrap()
                .map(|record| record.unwrap().len())
                .sum::<usize>()
        });
    });
    group.finish();
    wal.close().unwrap();
}

criterion_group!(benches, read);
criterion_main!(benches);
