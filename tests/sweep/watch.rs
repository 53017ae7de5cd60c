//! [`Watch`]: ends the process with the name of the case that hangs.

use std::fmt::Display;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// No case takes as long.
const LIMIT: Duration = Duration::from_secs(60);

/// Told which case begins; a case after which none begins for too long hangs.
pub(crate) struct Watch(Sender<String>);

impl Watch {
    pub(crate) fn start() -> Self {
        let (sender, receiver) = channel::<String>();
        thread::spawn(move || {
            let mut case = "nothing yet".to_owned();
            loop {
                match receiver.recv_timeout(LIMIT) {
                    Ok(next) => case = next,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        println!("this case hangs: {case}");
                        std::process::abort();
                    }
                }
            }
        });
        Self(sender)
    }

    pub(crate) fn begin(&self, case: &impl Display) {
        drop(self.0.send(case.to_string()));
    }
}
