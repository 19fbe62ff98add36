//! Validation of UTF-8 that arrives in parts.

/// The longest character has four bytes, so an incomplete one has at most three.
const MAX_CARRY: usize = 3;

/// Checks a text part by part. A character that is split between two parts is carried over.
#[derive(Default)]
pub(super) struct Utf8Validator {
    carry: [u8; MAX_CARRY],
    carried: usize,
}

impl Utf8Validator {
    /// The longest part that [`check`](Utf8Validator::check) accepts, in bytes: enough for most chat messages at once,
    /// and little enough for the stack of an idle connection.
    pub(super) const MAX_PART: usize = 128;

    /// Checks the next bytes of the text, at most [`MAX_PART`](Utf8Validator::MAX_PART) of them.
    ///
    /// # Errors
    ///
    /// The number of bytes before the first one that cannot be part of UTF-8.
    pub(super) fn check(&mut self, part: &[u8]) -> Result<(), usize> {
        let mut buffer = [0; MAX_CARRY + Self::MAX_PART];
        let (before, end) = (self.carried, self.carried + part.len());
        buffer[..before].copy_from_slice(&self.carry[..before]);
        buffer[before..end].copy_from_slice(part);
        let text = &buffer[..end];
        let incomplete = match std::str::from_utf8(text) {
            Ok(_) => &[][..],
            Err(error) => {
                let (start, rest) = (error.valid_up_to(), &text[error.valid_up_to()..]);
                match error.error_len() {
                    None => rest,
                    // If the first byte cannot begin a character, it is the invalid byte. Otherwise the invalid byte
                    // is the first one that does not continue the character.
                    Some(length) if matches!(rest[0], 0xc2..=0xf4) => {
                        return Err(start + length - before);
                    }
                    Some(_) => return Err(start - before),
                }
            }
        };
        self.carried = incomplete.len();
        self.carry[..self.carried].copy_from_slice(incomplete);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of valid bytes at the start of `text`, and whether it ends within a character.
    fn check(text: &[u8], part_size: usize) -> (usize, bool) {
        let mut utf8 = Utf8Validator::default();
        for (number, part) in text.chunks(part_size).enumerate() {
            if let Err(valid) = utf8.check(part) {
                return (number * part_size + valid, false);
            }
        }
        (text.len(), utf8.carried > 0)
    }

    #[test]
    fn utf8_agrees_with_std() {
        // Every first and second byte, followed by the continuations that the longest of them can need.
        for lead in 0..=0xffff_u16 {
            let [first, second] = lead.to_be_bytes();
            for text in [
                &[first, second][..],
                &[first, second, 0x80],
                &[first, second, 0xbf, 0x80],
            ] {
                for part_size in 1..=text.len() {
                    let (valid, incomplete) = check(text, part_size);
                    let complete = valid == text.len() && !incomplete;
                    assert_eq!(complete, std::str::from_utf8(text).is_ok(), "{text:x?}");
                    assert_eq!(valid, check(text, 1).0, "{text:x?} in parts of {part_size}");
                }
            }
        }
    }
}
