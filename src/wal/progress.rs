//! [`Progress`]: how far long work has come, for who waits for it.

/// How far long work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Bytes that there are to do, as far as it is known yet.
    pub total_bytes: u64,
}
