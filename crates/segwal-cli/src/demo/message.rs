//! [`Ack`]: how the child tells its parent that a record is durable, as bytes on a pipe.
//!
//! A message is far shorter than what a pipe takes at once, so the kernel never tears it: a killed child has sent it whole
//! or not at all.

use std::io::{self, Read};

use segwal::Lsn;

const MESSAGE_LEN: usize = 6 * 8;

/// One acknowledged record, with what the child has measured until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) thread: u32,
    pub(crate) sequence: u64,
    pub(crate) lsn: Lsn,
    pub(crate) payload_len: u64,
    /// From before the append to after the sync.
    pub(crate) latency_ns: u64,
    /// Successful syncs of the child so far.
    pub(crate) syncs: u64,
}

impl Ack {
    pub(crate) fn encode(&self) -> [u8; MESSAGE_LEN] {
        let words = [
            u64::from(self.thread),
            self.sequence,
            self.lsn.to_word(),
            self.payload_len,
            self.latency_ns,
            self.syncs,
        ];
        let mut message = [0; MESSAGE_LEN];
        for (field, word) in message.chunks_exact_mut(8).zip(words) {
            field.copy_from_slice(&word.to_le_bytes());
        }
        message
    }

    /// The next message; none when the child has closed its end.
    pub(crate) fn read(source: &mut impl Read) -> io::Result<Option<Self>> {
        let mut message = [0; MESSAGE_LEN];
        match source.read_exact(&mut message) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        Self::decode(&message).map(Some)
    }

    fn decode(message: &[u8; MESSAGE_LEN]) -> io::Result<Self> {
        let word = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&message[8 * index..8 * index + 8]);
            u64::from_le_bytes(bytes)
        };
        let refuse = || io::Error::new(io::ErrorKind::InvalidData, "no acknowledgement");
        Ok(Self {
            thread: u32::try_from(word(0)).map_err(|_| refuse())?,
            sequence: word(1),
            lsn: Lsn::from_word(word(2)).ok_or_else(refuse)?,
            payload_len: word(3),
            latency_ns: word(4),
            syncs: word(5),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: Ack = Ack {
        thread: 3,
        sequence: u64::MAX,
        lsn: Lsn::MAX,
        payload_len: 1,
        latency_ns: 2,
        syncs: 3,
    };

    #[test]
    fn messages_round_trip_until_the_pipe_ends() {
        let bytes = [ACK.encode(), ACK.encode()].concat();
        let mut source = bytes.as_slice();
        for _ in 0..2 {
            assert_eq!(Ack::read(&mut source).unwrap(), Some(ACK));
        }
        assert_eq!(Ack::read(&mut source).unwrap(), None);
    }

    #[test]
    fn other_bytes_are_refused() {
        let mut message = ACK.encode();
        message[16..24].fill(0);
        assert!(Ack::read(&mut message.as_slice()).is_err());
    }
}
