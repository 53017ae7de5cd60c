//! [`Claims`]: what the bytes of a sound log say of how far it is durable, and which bytes each saying rests on.
//!
//! Damage takes away the sayings whose bytes it touches. The greatest of the rest is known all the same, so everything
//! below it must be given back, or an error.

use std::ops::Range;

use crate::forge::{EPOCH, checksum, is_sealed, u32_at, u64_at};
use crate::image::{Image, segment_name};

/// One saying.
#[derive(Clone, Debug)]
struct Claim {
    bound: u64,
    rests_on: Vec<(String, Range<usize>)>,
}

/// Everything that an image says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    cookie: Vec<Claim>,
    frames: Vec<Claim>,
    /// The last segment with a frame.
    pub(crate) end: End,
}

/// Where the frames of the last segment end.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    pub(crate) segment: u32,
    pub(crate) offset: usize,
    /// The salts of the segment, the one in force last.
    pub(crate) salts: Vec<u64>,
    pub(crate) last_epoch: u64,
}

impl Claims {
    /// Those of an image whose frames end in segment `last`.
    pub(crate) fn of(image: &Image, last: u32) -> Self {
        let mut claims = Self::default();
        let cookie = image.get("COOKIE").expect("a sound log");
        let slots = [0, 4096, 8192, 12288].into_iter();
        for at in slots.filter(|&at| u64_at(cookie, at) != 0 && is_sealed(cookie, at, 0)) {
            claims.cookie.push(Claim {
                bound: u64_at(cookie, at + 16),
                rests_on: vec![("COOKIE".to_owned(), at..at + 64)],
            });
        }
        let mut before = vec![("MANIFEST".to_owned(), 0..64)];
        for id in image.segments().into_iter().filter(|&id| id <= last) {
            claims.add_segment(image, id, &mut before);
        }
        claims
    }

    /// The sayings of one segment; `before` are the headers and epochs that lead to it.
    fn add_segment(&mut self, image: &Image, id: u32, before: &mut Vec<(String, Range<usize>)>) {
        let name = segment_name(id);
        let bytes = image.get(&name).expect("it was listed");
        let prepared = crc32c::crc32c(&bytes[..60]);
        if u64_at(bytes, 512) == 0 || !is_sealed(bytes, 512, prepared) {
            return;
        }
        before.extend([(name.clone(), 0..64), (name.clone(), 512..576)]);
        self.frames.push(Claim {
            bound: u64_at(bytes, 552),
            rests_on: before.clone(),
        });
        let mut end = End {
            segment: id,
            offset: 4096,
            salts: vec![u64_at(bytes, 520)],
            last_epoch: 0,
        };
        while let Some(size) = end.frame(bytes) {
            let at = end.offset;
            let mut rests_on = before.clone();
            rests_on.push((name.clone(), at..at + size));
            let distance = u32_at(bytes, at + 20);
            let mut bound = if distance == u32::MAX {
                0
            } else {
                end.word() - u64::from(distance)
            };
            if bytes[at + 16] == EPOCH {
                bound = bound.max(u64_at(bytes, at + 48));
                before.push((name.clone(), at..at + size));
                end.salts.push(u64_at(bytes, at + 24));
                end.last_epoch = at as u64;
            }
            self.frames.push(Claim { bound, rests_on });
            end.offset += size;
        }
        self.end = end;
    }

    /// The greatest bound that `image`, a damaged `sound`, still says, as a position's word.
    pub(crate) fn left_in(&self, image: &Image, sound: &Image) -> u64 {
        let all: Vec<&Claim> = self.cookie.iter().chain(&self.frames).collect();
        greatest(&all, image, sound)
    }

    /// As [`Claims::left_in`], by `COOKIE` alone.
    pub(crate) fn left_in_cookie(&self, image: &Image, sound: &Image) -> u64 {
        greatest(&self.cookie.iter().collect::<Vec<_>>(), image, sound)
    }
}

fn greatest(claims: &[&Claim], image: &Image, sound: &Image) -> u64 {
    let is_left = |claim: &&&Claim| {
        let mut parts = claim.rests_on.iter();
        parts.all(|(name, range)| image.agrees(sound, name, range))
    };
    claims
        .iter()
        .filter(is_left)
        .map(|claim| claim.bound)
        .max()
        .unwrap_or(0)
}

impl End {
    /// The position's word.
    pub(crate) fn word(&self) -> u64 {
        (u64::from(self.segment) << 32) | (self.offset as u64 / 8)
    }

    /// The salt in force.
    pub(crate) fn salt(&self) -> u64 {
        *self.salts.last().expect("that of the activation")
    }

    /// The size of the frame that stands here, if a valid one does.
    fn frame(&self, bytes: &[u8]) -> Option<usize> {
        let header: &[u8; 24] = bytes.get(self.offset..self.offset + 24)?.try_into().ok()?;
        if u64_at(header, 8) != self.word() {
            return None;
        }
        let len = u32_at(header, 4) as usize;
        let payload = bytes.get(self.offset + 24..self.offset + 24 + len)?;
        let covered = if header[16] == 3 { &[] } else { payload };
        (checksum(covered, header, self.salt()) == u32_at(header, 0))
            .then_some(24 + len.next_multiple_of(8))
    }
}
