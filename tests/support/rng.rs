//! A pseudo-random number generator, reproducible from its seed.

use std::env;

/// Marsaglia's xorshift64.
pub struct Rng(u64);

impl Rng {
    /// Creates a generator. Adjacent seeds give unrelated sequences.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `limit`.
    pub fn gen_range(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    /// Returns one of the items.
    pub fn choose<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.gen_range(items.len())]
    }

    /// Returns up to `max` arbitrary bytes.
    pub fn bytes(&mut self, max: usize) -> Vec<u8> {
        (0..self.gen_range(max + 1))
            .map(|_| self.next() as u8)
            .collect()
    }

    /// Applies up to five mutations: removing a range, truncating, inserting, repeating a range, flipping a bit.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.gen_range(4) {
            let at = self.gen_range(bytes.len() + 1);
            let end = (at + self.gen_range(8)).min(bytes.len());
            match self.gen_range(6) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.truncate(at),
                2 => drop(bytes.splice(at..at, self.bytes(8))),
                3 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part.repeat(1 + self.gen_range(9)));
                }
                _ if at < bytes.len() => bytes[at] ^= 1 << self.gen_range(8),
                _ => {}
            }
        }
    }
}

/// Returns the seed from `FUZZ_SEED`, or a constant one.
pub fn seed() -> u64 {
    env::var("FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(6455)
}
