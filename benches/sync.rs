//! Durable commits: append and wait, by size, alone and beside other threads.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench stops at the first surprise, and its macros write no documents"
)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::Bench;
use criterion::{Criterion, criterion_group, criterion_main};
use segwal::Wal;

fn commit(wal: &Wal, payload: &[u8]) {
    let lsn = wal.append(payload).unwrap();
    wal.sync_to(lsn).unwrap();
    if lsn.offset() < 16_384 {
        wal.discard_before(lsn).unwrap();
    }
}

fn sync(criterion: &mut Criterion) {
    let bench = Bench::new("sync");
    let wal = bench.open(16 << 20);
    let mut group = criterion.benchmark_group("commit");
    for len in [256, 4096, 65_536] {
        let payload = vec![7; len];
        group.bench_function(format!("alone/{len}"), |bencher| {
            bencher.iter(|| commit(&wal, &payload));
        });
    }
    for others in [1, 7, 63] {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..others {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        commit(&wal, &[7; 256]);
                    }
                });
            }
            group.bench_function(format!("beside {others} others/256"), |bencher| {
                bencher.iter(|| commit(&wal, &[7; 256]));
            });
            stop.store(true, Ordering::Relaxed);
        });
    }
    group.finish();
    wal.close().unwrap();
}

criterion_group!(benches, sync);
criterion_main!(benches);
