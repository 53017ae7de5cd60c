//! [`WalOptions`]: every setting of a log, validated once, when it is opened.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// Segment sizes are multiples of this.
const PAGE: u64 = 4096;
const MIN_SEGMENT_SIZE: u64 = 2 * PAGE;
const MAX_SEGMENT_SIZE: u64 = 1 << 30;
const MAX_USER_HEADER_LEN: usize = 4096;
/// A frame's header, and the part of a segment that no frame may use.
const FRAME_HEADER_LEN: u64 = 24;
const SEGMENT_HEADER_LEN: u64 = PAGE;

/// What to do with a directory that holds no log, or one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Create {
    /// Create a log if there is none.
    #[default]
    IfMissing,
    /// Fail with [`NotFound`](ErrorKind::NotFound) if there is none.
    Never,
    /// Fail with [`InvalidState`](ErrorKind::InvalidState) if there is one.
    Always,
}

/// What an append does when no segment is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// Wait so long, then fail.
    Block {
        /// The longest wait of one append.
        timeout: Duration,
    },
    /// Fail at once.
    Fail,
}

/// What to do on a file system on which mapped appends have not been shown to be safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownFilesystem {
    /// Refuse with [`UnsupportedFilesystem`](ErrorKind::UnsupportedFilesystem).
    #[default]
    Refuse,
    /// Go on; the promises then are the file system's.
    Allow,
}

/// What a sync does with the rest of the block that it ends in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncPadding {
    /// The next records go there, so that the next sync writes the block again.
    #[default]
    Off,
    /// It is left empty, up to the next multiple of 4096 bytes, so that no sync writes a block again that another one wrote.
    Block,
}

/// What becomes of discarded payloads in files that are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OldPayloads {
    /// They stay until new records overwrite them.
    #[default]
    Keep,
    /// They are overwritten with zeros, durably, before the file becomes ready.
    Scrub,
}

/// When the background syncs although nobody asks.
///
/// For those who accept a bounded loss and do not want to wait for syncs. The background syncs through the same gate as every
/// caller, and a log to which nobody appends wakes nobody up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncEvery {
    /// Only when it must, and for callbacks.
    #[default]
    Never,
    /// Once so long has passed since the first append that no sync has covered. A power loss takes at most what was appended
    /// within this time and that of two syncs before it.
    Interval(Duration),
    /// Once so many bytes of frames wait for a sync. A power loss takes at most so many, and what was appended during two
    /// syncs. Fewer bytes may wait for ever.
    Bytes(u64),
}

/// How long a sync waits for writers that are about to join it.
///
/// The wait is at most a quarter of the median of the last sixteen syncs, ends as soon as everybody who returned from
/// the last two syncs is back, and never happens for a lone writer. These are its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// Never wait longer than this. Zero turns gathering off. 200 microseconds by default.
    pub max_wait: Duration,
    /// Stop waiting once so many threads wait for the sync. No limit by default.
    pub max_waiters: u32,
    /// Stop waiting once so many bytes are to be synced. No limit by default.
    pub max_bytes: u64,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_micros(200),
            max_waiters: u32::MAX,
            max_bytes: u64::MAX,
        }
    }
}

/// The settings of a log.
///
/// ```
/// # fn main() -> segwal::Result<()> {
/// # let dir = std::env::temp_dir().join(format!("segwal-options-{}", std::process::id()));
/// use segwal::WalOptions;
///
/// let mut options = WalOptions::new();
/// options.segment_size(16 << 20).preallocate_segments(1);
/// let wal = options.open(&dir)?;
/// # wal.close()?;
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct WalOptions {
    pub(crate) segment_size: u64,
    pub(crate) preallocate_segments: usize,
    pub(crate) reserve_segments: usize,
    pub(crate) max_unsynced_segments: u32,
    pub(crate) max_wal_bytes: Option<u64>,
    pub(crate) max_record_len: Option<u32>,
    pub(crate) on_full: OnFull,
    pub(crate) gather: Gather,
    pub(crate) sync_every: SyncEvery,
    pub(crate) old_payloads: OldPayloads,
    pub(crate) sync_padding: SyncPadding,
    pub(crate) create: Create,
    pub(crate) user_header: Vec<u8>,
    pub(crate) unknown_filesystem: UnknownFilesystem,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl WalOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            segment_size: 64 << 20,
            preallocate_segments: 2,
            reserve_segments: 1,
            max_unsynced_segments: 4,
            max_wal_bytes: None,
            max_record_len: None,
            on_full: OnFull::Block {
                timeout: Duration::from_secs(10),
            },
            gather: Gather::default(),
            sync_every: SyncEvery::Never,
            old_payloads: OldPayloads::Keep,
            sync_padding: SyncPadding::Off,
            create: Create::IfMissing,
            user_header: Vec::new(),
            unknown_filesystem: UnknownFilesystem::Refuse,
        }
    }

    /// The size of each segment in bytes: a multiple of 4096 from 8 KiB to 1 GiB. 64 MiB by default.
    ///
    /// Fixed when the log is created: for an existing log the size in its `MANIFEST` holds, and this is ignored.
    pub fn segment_size(&mut self, bytes: u64) -> &mut Self {
        self.segment_size = bytes;
        self
    }

    /// How many segments the background keeps ready beside the active one and the reserve: 1 to 64. 2 by default.
    ///
    /// A log that holds little stays small: as long as no more than a quarter of its first segment is used, one segment in all is kept ready.
    ///
    /// Each time that appends found no segment ready although there was room, one more is kept, up to four times as many; a
    /// minute, or 64 segments, without such a wait takes one off again. [`Stats::ready_target`](crate::Stats) tells the
    /// number. What does not fit into [`max_wal_bytes`](Self::max_wal_bytes) or on the disk is no pressure as long as these
    /// are ready.
    pub fn preallocate_segments(&mut self, count: usize) -> &mut Self {
        self.preallocate_segments = count;
        self
    }

    /// How many ready segments are kept for [`append_critical`](crate::Wal::append_critical): 0 to 8. 1 by default.
    ///
    /// Ordinary appends never take them, with one exception: a log without a record in it may move into the reserve, because
    /// the segment that it leaves refills it at once. With 0 a full disk can refuse the very record that would free space.
    pub fn reserve_segments(&mut self, count: usize) -> &mut Self {
        self.reserve_segments = count;
        self
    }

    /// How many segments, the active one included, may hold records that no sync has covered: 2 to 64. 4 by default.
    ///
    /// The background syncs on its own from half of it on; an append that would exceed it waits, and fails with
    /// [`Backpressure`](ErrorKind::Backpressure).
    pub fn max_unsynced_segments(&mut self, count: u32) -> &mut Self {
        self.max_unsynced_segments = count;
        self
    }

    /// The most bytes that the segments of the log may take together. No limit by default.
    ///
    /// At least one active, the unsynced, the preallocated and the reserved segments must fit.
    pub fn max_wal_bytes(&mut self, bytes: Option<u64>) -> &mut Self {
        self.max_wal_bytes = bytes;
        self
    }

    /// The longest record, and the longest batch, in bytes. What a segment holds by default.
    pub fn max_record_len(&mut self, bytes: u32) -> &mut Self {
        self.max_record_len = Some(bytes);
        self
    }

    /// What an append does when no segment is ready. [`OnFull::Block`] for 10 seconds by default.
    pub fn on_full(&mut self, policy: OnFull) -> &mut Self {
        self.on_full = policy;
        self
    }

    /// Limits of group commit's wait for more writers.
    pub fn gather(&mut self, gather: Gather) -> &mut Self {
        self.gather = gather;
        self
    }

    /// When the background syncs although nobody asks. [`SyncEvery::Never`] by default.
    ///
    /// A record that is being written, or a reservation that is held, holds such a sync up as it does every other. On a
    /// simulated disk, without threads and without time, an interval has no effect.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-every-{}", std::process::id()));
    /// use segwal::{SyncEvery, WalOptions};
    /// use std::time::Duration;
    ///
    /// let mut options = WalOptions::new();
    /// options.sync_every(SyncEvery::Interval(Duration::from_millis(100)));
    /// let wal = options.open(&dir)?;
    /// wal.append(b"durable before long, without a call")?;
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync_every(&mut self, every: SyncEvery) -> &mut Self {
        self.sync_every = every;
        self
    }

    /// What a sync does with the rest of the block that it ends in. [`SyncPadding::Off`] by default.
    ///
    /// For devices that may lose all of a block which they are writing when the power fails: without padding a commit that
    /// does not fill its last block writes records again that were acknowledged before. Each sync then takes whole blocks of
    /// the log, 4096 bytes at least, however short its records; what it writes to the device is the same. And it waits for
    /// records that others are writing at that moment, not only for those before its own: a reservation that is held holds
    /// up every sync. What it does not reach is in `docs/durability.md`.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-padding-{}", std::process::id()));
    /// use segwal::{SyncPadding, WalOptions};
    ///
    /// let wal = WalOptions::new().sync_padding(SyncPadding::Block).open(&dir)?;
    /// let first = wal.append(b"acknowledged")?;
    /// wal.sync_to(first)?;
    /// let second = wal.append(b"in a block of its own")?;
    /// assert!(second.offset() / 4096 > first.offset() / 4096);
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync_padding(&mut self, padding: SyncPadding) -> &mut Self {
        self.sync_padding = padding;
        self
    }

    /// What becomes of discarded payloads in files that are used again. [`OldPayloads::Keep`] by default.
    ///
    /// Scrubbing writes each segment once more, in the background. It reaches files of this log that are used again: not
    /// those that are removed instead, whose blocks go back to the file system as they are, nor what a device keeps of
    /// blocks that were overwritten. Files that were made ready before the option was set are scrubbed when they are used
    /// the next time.
    pub fn scrub_recycled(&mut self, old_payloads: OldPayloads) -> &mut Self {
        self.old_payloads = old_payloads;
        self
    }

    /// What to do with a directory that holds no log, or one. [`Create::IfMissing`] by default.
    pub fn create(&mut self, create: Create) -> &mut Self {
        self.create = create;
        self
    }

    /// Up to 4096 bytes of the embedder's own, kept with the identity of the log. Written when the log is created.
    pub fn user_header(&mut self, bytes: &[u8]) -> &mut Self {
        self.user_header = bytes.to_vec();
        self
    }

    /// What to do on a file system that is not ext4, XFS, tmpfs or an overlay. Refuse by default.
    pub fn allow_unknown_filesystem(&mut self, policy: UnknownFilesystem) -> &mut Self {
        self.unknown_filesystem = policy;
        self
    }

    /// Checks every field.
    pub(crate) fn validate(&self) -> Result<()> {
        let size = self.segment_size;
        let fits =
            size.is_multiple_of(PAGE) && (MIN_SEGMENT_SIZE..=MAX_SEGMENT_SIZE).contains(&size);
        check(fits, || {
            format!(
                "segment_size is {size}, but must be a multiple of 4096 from 8192 to 1073741824"
            )
        })?;
        let ready = self.preallocate_segments;
        check((1..=64).contains(&ready), || {
            format!("preallocate_segments is {ready}, but must be from 1 to 64")
        })?;
        let reserve = self.reserve_segments;
        check(reserve <= 8, || {
            format!("reserve_segments is {reserve}, but must be from 0 to 8")
        })?;
        let unsynced = self.max_unsynced_segments;
        check((2..=64).contains(&unsynced), || {
            format!("max_unsynced_segments is {unsynced}, but must be from 2 to 64")
        })?;
        let every = self.sync_every;
        let is_nothing =
            every == SyncEvery::Interval(Duration::ZERO) || every == SyncEvery::Bytes(0);
        check(!is_nothing, || {
            format!("sync_every is {every:?}, but must be greater than zero")
        })?;
        let len = self.user_header.len();
        check(len <= MAX_USER_HEADER_LEN, || {
            format!("user_header has {len} bytes, but may have at most 4096")
        })
    }

    /// Checks what depends on the size of the segments of the log that is there.
    pub(crate) fn validate_for(&self, segment_size: u64) -> Result<()> {
        let capacity = record_capacity(segment_size);
        if let Some(len) = self.max_record_len {
            check(len >= 1 && len <= capacity, || {
                format!(
                    "max_record_len is {len}, but must be from 1 to {capacity} for segments of {segment_size} bytes"
                )
            })?;
        }
        if let Some(bytes) = self.max_wal_bytes {
            let Self {
                max_unsynced_segments: unsynced,
                preallocate_segments: ready,
                reserve_segments: reserve,
                ..
            } = self;
            let segments = 1 + u64::from(*unsynced) + (ready + reserve) as u64;
            let least = segments * segment_size;
            check(bytes >= least, || {
                format!(
                    "max_wal_bytes is {bytes}, but must be at least {least}: {segments} segments of {segment_size}, \
                     which are 1 active, max_unsynced_segments {unsynced}, preallocate_segments {ready}, reserve_segments {reserve}"
                )
            })?;
        }
        Ok(())
    }
}

/// The longest record that a segment of `segment_size` bytes holds.
pub(crate) fn record_capacity(segment_size: u64) -> u32 {
    u32::try_from(segment_size - SEGMENT_HEADER_LEN - FRAME_HEADER_LEN).unwrap_or(u32::MAX)
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidOption, message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut WalOptions)) -> String {
        let mut options = WalOptions::new();
        change(&mut options);
        let error = options
            .validate()
            .and_then(|()| options.validate_for(options.segment_size))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        error.to_string()
    }

    #[test]
    fn each_field_is_named_with_its_value_and_rule() {
        for size in [0, 4096, 8191, 8193, (1 << 30) + 4096, u64::MAX] {
            assert!(
                refused(|o| _ = o.segment_size(size)).contains(&format!("segment_size is {size}"))
            );
        }
        assert!(refused(|o| _ = o.preallocate_segments(0)).contains("preallocate_segments is 0"));
        assert!(refused(|o| _ = o.reserve_segments(9)).contains("reserve_segments is 9"));
        assert!(refused(|o| _ = o.max_unsynced_segments(1)).contains("max_unsynced_segments is 1"));
        assert!(refused(|o| _ = o.user_header(&[0; 4097])).contains("4097"));
        assert!(refused(|o| _ = o.sync_every(SyncEvery::Bytes(0))).contains("sync_every is Bytes"));
        let zero = SyncEvery::Interval(Duration::ZERO);
        assert!(refused(|o| _ = o.sync_every(zero)).contains("sync_every is Interval"));
        assert!(refused(|o| _ = o.max_wal_bytes(Some(1))).contains("max_wal_bytes is 1"));
        let least = 8 * (64 << 20);
        let one_less = refused(|o| _ = o.max_wal_bytes(Some(least - 1)));
        assert!(one_less.contains("reserve_segments 1"), "{one_less}");
        assert!(refused(|o| _ = o.max_record_len(64 << 20)).contains("max_record_len is"));
    }

    #[test]
    fn the_defaults_are_valid() {
        let options = WalOptions::new();
        options.validate().unwrap();
        options.validate_for(options.segment_size).unwrap();
    }
}
