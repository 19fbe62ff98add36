//! Numbers that look random and are the same for the same seed.

use std::env;

/// Marsaglia's xorshift64.
pub struct Rng(u64);

impl Rng {
    /// Nearby seeds give unrelated numbers.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `limit`.
    pub fn gen_range(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    pub fn choose<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.gen_range(all.len())]
    }

    /// Up to `most` bytes of anything.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.gen_range(most + 1))
            .map(|_| self.next() as u8)
            .collect()
    }

    /// Changes some bytes: one to another, some away, some twice, some from nowhere, the rest cut off.
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

/// The seed that `FUZZ_SEED` names, or one that is the same in every run.
pub fn seed() -> u64 {
    env::var("FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(6455)
}
