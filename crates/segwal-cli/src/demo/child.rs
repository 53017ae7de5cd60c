//! The process that the demo kills: threads that append, sync, and tell the parent about each record that is durable.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use segwal::Wal;

use super::corpus::{Corpus, Stream};
use super::message::Ack;
use super::place;
use crate::outcome::{Failure, Outcome, Status};

/// The appending half of the demo; lines come on standard input, acknowledgements go to standard output
#[derive(clap::Args, Debug)]
pub(crate) struct ChildOptions {
    dir: PathBuf,
    /// For each thread, how many of its records the log holds
    #[arg(long, value_delimiter = ',', required = true)]
    starts: Vec<u64>,
    /// How many records each thread appends; without end if absent
    #[arg(long)]
    count: Option<u64>,
    /// Begin no record after so many milliseconds
    #[arg(long)]
    limit_ms: Option<u64>,
}

/// What the threads share.
struct Job<'a> {
    wal: &'a Wal,
    corpus: &'a Corpus,
    /// Standard output without a buffer, because what is in a buffer dies with the process.
    acks: File,
    count: u64,
    deadline: Option<Instant>,
    failed: AtomicBool,
}

pub(crate) fn run_child(options: &ChildOptions) -> Outcome<Status> {
    let mut joined = Vec::new();
    let pipe = |error| Failure::new(Status::Io, format!("the parent's pipe failed: {error}"));
    io::stdin().read_to_end(&mut joined).map_err(pipe)?;
    let corpus = Corpus::from_joined(&joined);
    let wal = place::options().open(&options.dir)?;
    let limit = options.limit_ms.map(Duration::from_millis);
    let acks = io::stdout().as_fd().try_clone_to_owned().map_err(pipe)?;
    let job = Job {
        wal: &wal,
        corpus: &corpus,
        acks: File::from(acks),
        count: options.count.unwrap_or(u64::MAX),
        deadline: limit.map(|limit| Instant::now() + limit),
        failed: AtomicBool::new(false),
    };
    append_all(&job, &options.starts)?;
    wal.close()?;
    Ok(Status::Fine)
}

fn append_all(job: &Job<'_>, starts: &[u64]) -> Outcome<()> {
    let count = u32::try_from(starts.len()).unwrap_or(u32::MAX);
    thread::scope(|scope| {
        let spawn = |(thread, start): (u32, &u64)| {
            let (stream, start) = (Stream { thread, count }, *start);
            scope.spawn(move || {
                let done = append(job, stream, start);
                // Relaxed: only a hint to the other threads to stop early.
                job.failed.fetch_or(done.is_err(), Ordering::Relaxed);
                done
            })
        };
        let threads: Vec<_> = (0..count).zip(starts).map(spawn).collect();
        let panicked = || Failure::internal("an appending thread panicked");
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(panicked())));
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

fn append(job: &Job<'_>, stream: Stream, start: u64) -> Outcome<()> {
    let mut appender = job.wal.appender()?;
    for sequence in (start + 1..).take(usize::try_from(job.count).unwrap_or(usize::MAX)) {
        // Relaxed: a thread that sees it late appends one more record.
        let others_failed = job.failed.load(Ordering::Relaxed);
        if others_failed
            || job
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
        {
            break;
        }
        let payload = job.corpus.payload(stream, sequence);
        let began = Instant::now();
        let lsn = appender.append(&payload)?;
        job.wal.sync_to(lsn)?;
        let latency = began.elapsed();
        let ack = Ack {
            thread: stream.thread,
            sequence,
            lsn,
            payload_len: payload.len() as u64,
            latency_ns: u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX),
            syncs: job.wal.stats().syncs,
        };
        (&job.acks)
            .write_all(&ack.encode())
            .map_err(Failure::output)?;
    }
    Ok(())
}
