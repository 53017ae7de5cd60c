//! [`Stretch`]: the frames of one segment, as a reader in another process walks them.

use crate::error::Result;
use crate::format::{Activation, FIRST_FRAME, ScannedFrame, Scanner, Source, Step};
use crate::lsn::Lsn;

use super::WalReader;
use super::live::LiveSource;

/// One activated segment, and how far it was walked.
#[derive(Debug)]
pub(super) struct Stretch {
    id: u32,
    activation: Activation,
    pub(super) source: LiveSource,
    scanner: Scanner,
}

impl Stretch {
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn activation(&self) -> &Activation {
        &self.activation
    }

    /// The end of the last frame that was walked.
    pub(super) fn at(&self) -> Lsn {
        self.scanner.at()
    }

    /// The next frame with its payload; `None` where no valid one stands.
    pub(super) fn next(&mut self) -> Result<Option<(ScannedFrame, Vec<u8>)>> {
        let at = self.scanner.at();
        let step = self.scanner.next(&mut self.source);
        let frame = match step.map_err(|error| self.source.failed(at, error))? {
            Step::Frame(frame) => frame,
            Step::Stop(_) => return Ok(None),
        };
        let len = frame.header.len as usize;
        let payload = match self.source.bytes(frame.payload_offset, len) {
            Ok(payload) => payload.to_vec(),
            Err(error) => return Err(self.source.failed(at, error)),
        };
        Ok(Some((frame, payload)))
    }

    /// Whether this segment goes on where `before` has come to.
    pub(super) fn follows(&self, before: &Self) -> bool {
        self.activation.previous.is_some_and(|end| {
            end.seal == before.scanner.at().offset()
                && end.salt == before.scanner.salt()
                && end.last_epoch == before.scanner.last_epoch()
        })
    }
}

impl WalReader {
    /// Segment `id`, if it is activated, at its first frame.
    pub(super) fn stretch(&self, id: u32) -> Result<Option<Stretch>> {
        let Some((source, activation)) = LiveSource::open(&self.directory, id, &self.manifest)?
        else {
            return Ok(None);
        };
        let start = Lsn::new(id, FIRST_FRAME);
        Ok(start.map(|start| Stretch {
            id,
            activation,
            source,
            scanner: Scanner::new(start, activation.salt, None),
        }))
    }

    /// The same segment at the same place, read by a handle of its own; `None` if its file was used again.
    pub(super) fn stretch_beside(&self, other: &Stretch) -> Result<Option<Stretch>> {
        let beside = self.stretch(other.id)?;
        let same = beside.filter(|beside| beside.activation == other.activation);
        Ok(same.map(|beside| Stretch {
            scanner: other.scanner.clone(),
            ..beside
        }))
    }
}
