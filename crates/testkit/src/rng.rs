//! Random numbers that can be replayed: one seed per process, printed where a failing test shows it.
//!
//! The generator is xoshiro256++, its state filled by splitmix64. A crate would bring its own notion of a stable
//! sequence with each release; a printed seed has to mean the same in a year.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::OnceLock;
use std::thread;

/// The seed of this process: `SEGWAL_SEED`, or a fresh one.
///
/// Each call prints the command that replays the calling test, into that test's captured output.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    let seed = *SEED
        .get_or_init(|| env::var("SEGWAL_SEED").map_or_else(|_| fresh(), |text| parse_seed(&text)));
    let package = env::var("CARGO_PKG_NAME")
        .map(|name| format!(" -p {name}"))
        .unwrap_or_default();
    let test = thread::current()
        .name()
        .filter(|name| *name != "main")
        .map(|name| format!(" {name}"));
    println!(
        "SEGWAL_SEED={seed} cargo test{package}{}",
        test.unwrap_or_default()
    );
    seed
}

fn parse_seed(text: &str) -> u64 {
    text.parse()
        .unwrap_or_else(|error| panic!("SEGWAL_SEED={text} is no 64-bit number: {error}"))
}

fn fresh() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// A pseudo-random generator; the same seed gives the same sequence on every machine.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        let mut word = seed;
        Self {
            state: std::array::from_fn(|_| splitmix64(&mut word)),
        }
    }

    /// Any 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, each equally likely.
    ///
    /// # Panics
    ///
    /// `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below zero");
        let unfair = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= unfair {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number in `range`.
    ///
    /// # Panics
    ///
    /// `range` is empty.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// An index into something that holds `count` items.
    ///
    /// # Panics
    ///
    /// `count` is zero.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// One of `items`.
    ///
    /// # Panics
    ///
    /// `items` is empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// True in `wins` of `draws` cases.
    ///
    /// # Panics
    ///
    /// `draws` is zero.
    pub fn chance(&mut self, wins: u64, draws: u64) -> bool {
        self.below(draws) < wins
    }

    /// `len` random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}

fn splitmix64(word: &mut u64) -> u64 {
    *word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*word ^ (*word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_sequence() {
        let mut word = 1_234_567;
        let first = [splitmix64(&mut word), splitmix64(&mut word)];
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn xoshiro_gives_the_published_sequence() {
        let mut rng = Rng {
            state: [1, 2, 3, 4],
        };
        let first: [u64; 4] = std::array::from_fn(|_| rng.next_u64());
        assert_eq!(
            first,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386
            ]
        );
    }

    #[test]
    fn the_same_seed_replays_and_another_differs() {
        let draw = |seed| Rng::new(seed).bytes(33);
        let seed = seed();
        assert_eq!(draw(seed), draw(seed));
        assert_ne!(draw(seed), draw(seed ^ 1));
    }

    #[test]
    fn every_number_of_a_range_is_drawn_and_none_outside() {
        let mut rng = Rng::new(seed());
        let mut drawn = [0_u32; 7];
        for _ in 0..7_000 {
            drawn[rng.range(3..10) as usize - 3] += 1;
        }
        assert!(
            drawn.iter().all(|&count| (700..1_300).contains(&count)),
            "{drawn:?}"
        );
    }

    #[test]
    fn chance_never_wins_at_zero_and_always_at_one() {
        let mut rng = Rng::new(seed());
        assert!((0..100).all(|_| !rng.chance(0, 3) && rng.chance(3, 3)));
    }
}
