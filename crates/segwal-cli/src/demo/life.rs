//! [`Life`]: one child from its start to its death, seen from the parent.
//!
//! What the child had sent when it died is still in the pipe and is read to its end: a record counts as acknowledged once
//! its message is in the kernel's hands.

use std::env;
use std::io::{self, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;

use super::corpus::Corpus;
use super::ledger::Ledger;
use super::message::Ack;
use crate::outcome::{Failure, Outcome, Status};

/// A child that acknowledges nothing for so long hangs. An append alone may wait ten seconds for space.
const STALL_LIMIT: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// How a life is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// By a kill after so many acknowledgements, or so long after the first one.
    Kill { acks: u64, after: Option<Duration> },
    /// By a close after each thread has appended so many records, or after this time.
    Close { count: u64, limit: Option<Duration> },
}

/// What the parent has seen of a child.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) acknowledged: u64,
    pub(crate) bytes: u64,
    /// From the first acknowledgement to the last.
    pub(crate) span: Duration,
    pub(crate) syncs: u64,
    pub(crate) latency_ns: Histogram<u64>,
}

/// Runs one child to its end, entering each acknowledgement into the ledger.
pub(crate) fn run(
    dir: &Path,
    corpus: &Corpus,
    plan: Plan,
    ledger: &mut Ledger,
    progress: &ProgressBar,
) -> Outcome<Life> {
    let mut child = Guard(start(dir, plan, ledger)?);
    let acks = child.0.stdout.take().map(receive);
    let acks = acks.ok_or_else(|| Failure::internal("the child has no pipe"))?;
    feed(&mut child.0, corpus)?;
    let mut life = Life::new()?;
    life.follow(&mut child.0, plan, ledger, progress, &acks)?;
    let status = child
        .0
        .wait()
        .map_err(|error| Failure::internal(format!("the child cannot be waited for: {error}")))?;
    judge(status, plan)?;
    Ok(life)
}

/// Room for latencies in nanoseconds; those beyond its bound count as the bound.
pub(crate) fn latencies() -> Outcome<Histogram<u64>> {
    let bound = STALL_LIMIT.as_secs() * 1_000_000_000;
    Histogram::new_with_max(bound, 3)
        .map_err(|error| Failure::internal(format!("there is no histogram: {error}")))
}

/// Kills the child if the parent gives up on it.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only if the child is gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(dir: &Path, plan: Plan, ledger: &Ledger) -> Outcome<Child> {
    let failed = |error: io::Error| Failure::internal(format!("the child cannot start: {error}"));
    let starts: Vec<String> = ledger.counts().iter().map(u64::to_string).collect();
    let mut command = Command::new(env::current_exe().map_err(failed)?);
    command.arg("demo-child").arg(dir);
    command.args(["--starts", &starts.join(",")]);
    if let Plan::Close { count, limit } = plan {
        command.args(["--count", &count.to_string()]);
        if let Some(limit) = limit {
            command.args(["--limit-ms", &limit.as_millis().to_string()]);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().map_err(failed)
}

/// Gives the child its lines, and the end of them.
fn feed(child: &mut Child, corpus: &Corpus) -> Outcome<()> {
    let Some(mut pipe) = child.stdin.take() else {
        return Ok(());
    };
    match pipe.write_all(&corpus.joined()) {
        // A child that has died by itself is judged by its status.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| {
            Failure::new(Status::Io, format!("the child takes no lines: {error}"))
        }),
    }
}

/// Reads the pipe on a thread of its own, so that waiting for the next message can be given up.
fn receive(pipe: ChildStdout) -> Receiver<io::Result<Ack>> {
    let (sender, receiver) = mpsc::channel();
    let mut pipe = BufReader::new(pipe);
    thread::spawn(move || {
        while let Some(ack) = Ack::read(&mut pipe).transpose() {
            let is_last = ack.is_err();
            if sender.send(ack).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}

/// A child has to end as planned.
fn judge(status: ExitStatus, plan: Plan) -> Outcome<()> {
    let is_planned = match plan {
        Plan::Kill { .. } => status.signal() == Some(SIGKILL),
        Plan::Close { .. } => status.success(),
    };
    if is_planned {
        return Ok(());
    }
    let known = [Status::Io, Status::TryAgain];
    let told = known
        .into_iter()
        .find(|known| status.code() == Some(i32::from(known.code())));
    let message = format!("the appending child ended by itself ({status}); its message is above");
    Err(Failure::new(told.unwrap_or(Status::Internal), message))
}

impl Life {
    fn new() -> Outcome<Self> {
        Ok(Self {
            acknowledged: 0,
            bytes: 0,
            span: Duration::ZERO,
            syncs: 0,
            latency_ns: latencies()?,
        })
    }

    /// Takes acknowledgements until the pipe ends, and kills the child when the plan says so.
    fn follow(
        &mut self,
        child: &mut Child,
        plan: Plan,
        ledger: &mut Ledger,
        progress: &ProgressBar,
        acks: &Receiver<io::Result<Ack>>,
    ) -> Outcome<()> {
        let mut first = None;
        let mut killed = false;
        loop {
            let until_kill = first.and_then(|first| plan.time_left(first));
            let wait = until_kill.filter(|_| !killed).unwrap_or(STALL_LIMIT);
            match acks.recv_timeout(wait) {
                Ok(ack) => {
                    let ack = ack.map_err(|error| {
                        Failure::internal(format!("the child's messages make no sense: {error}"))
                    })?;
                    self.enter(&ack, ledger)?;
                    self.span = first.get_or_insert_with(Instant::now).elapsed();
                    progress.inc(1);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if until_kill.is_none() || killed => {
                    let limit = STALL_LIMIT.as_secs();
                    let message = format!("the child acknowledged nothing for {limit} s; it hangs");
                    return Err(Failure::internal(message));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !killed && plan.is_due(self.acknowledged, first) {
                killed = child.kill().is_ok();
            }
        }
    }

    fn enter(&mut self, ack: &Ack, ledger: &mut Ledger) -> Outcome<()> {
        if !ledger.acknowledge(ack.thread, ack.sequence, ack.lsn) {
            let message = format!("the child acknowledged out of turn: {ack:?}");
            return Err(Failure::internal(message));
        }
        self.acknowledged += 1;
        self.bytes += ack.payload_len;
        self.syncs = self.syncs.max(ack.syncs);
        self.latency_ns.saturating_record(ack.latency_ns);
        Ok(())
    }
}

impl Plan {
    /// How long the child still has, if its time is limited by the parent.
    fn time_left(self, first: Instant) -> Option<Duration> {
        match self {
            Self::Kill { after, .. } => after.map(|after| after.saturating_sub(first.elapsed())),
            Self::Close { .. } => None,
        }
    }

    /// Whether the child is to be killed now.
    fn is_due(self, acknowledged: u64, first: Option<Instant>) -> bool {
        let Self::Kill { acks, .. } = self else {
            return false;
        };
        let is_over = |first| self.time_left(first).is_some_and(|left| left.is_zero());
        acknowledged >= acks || first.is_some_and(is_over)
    }
}
