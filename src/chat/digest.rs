//! A digest by which nodes compare their states. Plain logic.

use std::io::{self, Write};

/// A running hash of bytes, the same on every machine and in every version: FNV-1a of 64 bits. It finds errors; whoever can
/// write to the log could deceive it, and is trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Continues a digest.
    pub(crate) fn from_value(value: u64) -> Digest {
        Digest(value)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fnv_1a() {
        let digest = |bytes: &[u8]| {
            let mut digest = Digest::default();
            digest.add(bytes);
            digest.value()
        };
        // From the authors' list of test vectors.
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
