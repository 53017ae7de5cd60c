//! A replica in miniature: one thread appends, one reads what is published, one ships what is durable, and a task polls.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use segwal::{ErrorKind, Result, Tail, Visibility, Wal};

const RECORDS: u32 = 1000;

fn main() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("segwal-example-tail-{}", std::process::id()));
    let wal = Wal::open(&dir)?;
    let [watcher, shipper, task] = [
        Visibility::Published,
        Visibility::Durable,
        Visibility::Durable,
    ]
    .map(|visibility| wal.tail(wal.end(), visibility));
    let (watcher, shipper, mut task) = (watcher?, shipper?, task?);

    let watcher = thread::spawn(move || watch(watcher));
    let shipper = thread::spawn(move || ship(shipper));
    let task = thread::spawn(move || {
        block_on(async {
            let mut count = 0;
            while let Some(record) = poll_fn(|cx| task.poll_next(cx)).await {
                record?;
                count += 1;
            }
            Ok::<u32, segwal::Error>(count)
        })
    });

    for number in 0..RECORDS {
        let lsn = wal.append(&number.to_le_bytes())?;
        if number % 100 == 99 {
            wal.sync_to(lsn)?;
        }
    }
    println!("watched {} records", join(watcher)?);
    println!("shipped {} durable records", join(shipper)?);

    // A tail that lives keeps the log open: closing it is what ends the ones that wait.
    wal.close()?;
    println!("the task saw {} of them before the end", join(task)?);
    std::fs::remove_dir_all(&dir).ok();
    Ok(())
}

/// Looks at records as soon as they are published, and does something else now and then.
fn watch(mut tail: Tail) -> Result<u32> {
    let mut count = 0;
    while count < RECORDS {
        match tail.next_timeout(Duration::from_millis(50)) {
            Ok(Some(_)) => count += 1,
            Ok(None) => println!("nothing for a while, at {}", tail.next_lsn()),
            Err(error) if error.kind() == ErrorKind::Discarded => {
                // Overtaken by a discard: begin anew where the log begins. The message says where that is.
                println!("{error}");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Waits for records that survive a loss of power.
fn ship(tail: Tail) -> Result<u32> {
    let mut count = 0;
    for record in tail.take(RECORDS as usize) {
        let _bytes = record?.payload().len();
        count += 1;
    }
    Ok(count)
}

fn join(thread: thread::JoinHandle<Result<u32>>) -> Result<u32> {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The smallest executor there is; any other does as well.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
