//! Random numbers: the kernel's for salts and identities, seeded ones for fixtures and simulations.

#![expect(unsafe_code, reason = "getrandom has no wrapper in std")]

use std::io;
#[cfg(any(test, feature = "fault"))]
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random numbers that threads can share.
#[derive(Debug)]
pub struct Random(Source);

#[derive(Debug)]
enum Source {
    System,
    #[cfg(any(test, feature = "fault"))]
    Seeded(AtomicU64),
}

impl Random {
    /// The kernel's generator.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A generator that repeats itself for the same `seed`. Not for secrets.
    #[cfg(any(test, feature = "fault"))]
    pub const fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(AtomicU64::new(seed)))
    }

    /// Fills `buffer`.
    ///
    /// # Errors
    /// What `getrandom` gives where it is forbidden; a seeded source never fails.
    pub fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        match &self.0 {
            Source::System => fill_from_kernel(buffer),
            #[cfg(any(test, feature = "fault"))]
            Source::Seeded(state) => {
                for chunk in buffer.chunks_mut(8) {
                    chunk.copy_from_slice(&splitmix64(state).to_le_bytes()[..chunk.len()]);
                }
                Ok(())
            }
        }
    }

    /// A random number.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn u64(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Sixteen random bytes, for a UUID.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn bytes16(&self) -> io::Result<[u8; 16]> {
        let mut bytes = [0; 16];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

fn fill_from_kernel(mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        // SAFETY: the pointer and the length are those of one exclusive slice.
        let count = unsafe { libc::getrandom(buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        if let Ok(count) = usize::try_from(count) {
            buffer = &mut buffer[count..];
            continue;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(any(test, feature = "fault"))]
/// The distance of splitmix64's states.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(any(test, feature = "fault"))]
/// splitmix64: every state gives its number on its own, so that a counter is all that threads share.
pub(super) fn splitmix64(state: &AtomicU64) -> u64 {
    // Relaxed: only the number itself is used; no other memory hangs on it.
    mix(state
        .fetch_add(GAMMA, Ordering::Relaxed)
        .wrapping_add(GAMMA))
}

#[cfg(any(test, feature = "fault"))]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_source_gives_the_published_sequence() {
        let random = Random::seeded(1_234_567);
        assert_eq!(random.u64().unwrap(), 6_457_827_717_110_365_317);
        assert_eq!(random.u64().unwrap(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn fill_covers_lengths_that_are_no_multiple_of_a_word() {
        let mut bytes = [0; 13];
        Random::seeded(7).fill(&mut bytes).unwrap();
        assert_eq!(bytes[..8], Random::seeded(7).u64().unwrap().to_le_bytes());
        assert!(bytes[8..].iter().any(|&byte| byte != 0));
    }

    #[test]
    fn system_source_does_not_repeat_itself() {
        let random = Random::system();
        assert_ne!(random.bytes16().unwrap(), random.bytes16().unwrap());
    }
}
