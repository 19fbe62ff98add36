//! The rules for frames that tungstenite applies only when all of a frame has come, which may be megabytes later, or
//! not at all. This follows the bytes as they come, so that what is wrong ends the connection at once, as RFC 6455,
//! section 8.1, wants it for text. What only a frame's end can show is left to tungstenite.

use std::io::Cursor;

use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::websocket::disconnect::DisconnectReason;

/// No header is longer: two bytes, a length of eight, a mask of four (section 5.2).
const MAX_HEADER_SIZE: usize = 14;

/// The longest payload of a control frame (section 5.5).
const MAX_CONTROL_PAYLOAD: u64 = 125;

/// Where in its frames a client is. No I/O.
#[derive(Default)]
pub(crate) struct FrameValidator {
    /// What has come of a header.
    header: Vec<u8>,
    /// How much is still to come of the payload.
    left: u64,
    /// Twice, and turned so that its first byte is for the next byte of the payload.
    mask: [u8; 8],
    /// Whether the payload is part of a text.
    text: bool,
    /// What the message is whose last frame has not begun yet.
    unfinished: Option<Data>,
    utf8: Utf8Validator,
}

impl FrameValidator {
    /// Takes the bytes that came.
    ///
    /// # Errors
    ///
    /// How many of the bytes come before what is wrong, and what that is.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), (usize, DisconnectReason)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += if self.left == 0 {
                self.take_header(rest).map_err(|why| (at, why))?
            } else {
                self.take_payload(rest)
                    .map_err(|good| (at + good, DisconnectReason::InvalidUtf8))?
            };
        }
        Ok(())
    }

    /// Takes what belongs to the header: how many bytes.
    fn take_header(&mut self, bytes: &[u8]) -> Result<usize, DisconnectReason> {
        let before = self.header.len();
        let wanted = bytes.len().min(MAX_HEADER_SIZE - before);
        self.header.extend_from_slice(&bytes[..wanted]);
        let mut cursor = Cursor::new(&self.header);
        let Some((header, length)) =
            FrameHeader::parse(&mut cursor).map_err(DisconnectReason::from_read)?
        else {
            return Ok(wanted);
        };
        let end = cursor.position() as usize;
        self.header.clear();
        // "the minimal number of bytes MUST be used to encode the length", and "the most significant bit MUST be 0"
        // (section 5.2).
        if end != header.len(length) || length >> 63 != 0 {
            return Err(DisconnectReason::NonMinimalLength);
        }
        self.begin(&header, length)
            .map_err(DisconnectReason::ProtocolError)?;
        Ok(end - before)
    }

    /// Judges a frame by its header.
    fn begin(&mut self, header: &FrameHeader, length: u64) -> Result<(), ProtocolError> {
        // "MUST be 0 unless an extension is negotiated" (section 5.2), and none is.
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(ProtocolError::NonZeroReservedBits);
        }
        // Section 5.1.
        let mask = header.mask.ok_or(ProtocolError::UnmaskedFrameFromClient)?;
        self.mask = std::array::from_fn(|at| mask[at % 4]);
        self.left = length;
        // Section 5.4 for the order of a message's frames, section 5.5 for control frames between them.
        match (header.opcode, self.unfinished) {
            (OpCode::Control(_), _) if !header.is_final => {
                return Err(ProtocolError::FragmentedControlFrame);
            }
            (OpCode::Control(_), _) if length > MAX_CONTROL_PAYLOAD => {
                return Err(ProtocolError::ControlFrameTooBig);
            }
            (OpCode::Control(_), _) => self.text = false,
            (OpCode::Data(Data::Continue), None) => {
                return Err(ProtocolError::UnexpectedContinueFrame);
            }
            (OpCode::Data(Data::Continue), Some(kind)) => {
                self.text = kind == Data::Text;
                self.unfinished = self.unfinished.filter(|_| !header.is_final);
            }
            (OpCode::Data(data), Some(_)) => return Err(ProtocolError::ExpectedFragment(data)),
            (OpCode::Data(kind), None) => {
                self.text = kind == Data::Text;
                self.unfinished = (!header.is_final).then_some(kind);
                self.utf8 = Utf8Validator::default();
            }
        }
        Ok(())
    }

    /// Takes what belongs to the payload: how many bytes, or how many before the one that is not UTF-8.
    fn take_payload(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let here = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        if self.text {
            for (number, word) in bytes[..here].chunks(8).enumerate() {
                // Eight at a time, ASCII costs a fifth.
                if self.utf8.needed == 0
                    && let Ok(word) = word.try_into().map(u64::from_ne_bytes)
                    && (word ^ u64::from_ne_bytes(self.mask)) & 0x8080_8080_8080_8080 == 0
                {
                    continue;
                }
                let mut plain = word.iter().zip(self.mask).map(|(byte, mask)| byte ^ mask);
                if let Some(at) = plain.position(|byte| !self.utf8.take(byte)) {
                    return Err(8 * number + at);
                }
            }
        }
        self.mask.rotate_left(here % 4);
        self.left -= here as u64;
        Ok(here)
    }
}

/// Where in a character a text is.
struct Utf8Validator {
    /// How many bytes the character still needs.
    needed: u8,
    /// What the next of them may be.
    next: (u8, u8),
}

/// What every further byte of a character may be, but for the second after some first ones.
const TAIL: (u8, u8) = (0x80, 0xbf);

impl Default for Utf8Validator {
    fn default() -> Utf8Validator {
        Utf8Validator {
            needed: 0,
            next: TAIL,
        }
    }
}

impl Utf8Validator {
    /// Whether this can be the next byte. The ranges are those of RFC 3629, section 4: without surrogates, without
    /// anything over U+10FFFF, and with every character in its shortest form.
    fn take(&mut self, byte: u8) -> bool {
        if self.needed > 0 {
            let (low, high) = std::mem::replace(&mut self.next, TAIL);
            self.needed -= 1;
            return low <= byte && byte <= high;
        }
        (self.needed, self.next) = match byte {
            0x00..=0x7f => return true,
            0xc2..=0xdf => (1, TAIL),
            0xe0 => (2, (0xa0, 0xbf)),
            0xed => (2, (0x80, 0x9f)),
            0xe1..=0xef => (2, TAIL),
            0xf0 => (3, (0x90, 0xbf)),
            0xf1..=0xf3 => (3, TAIL),
            0xf4 => (3, (0x80, 0x8f)),
            _ => return false,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// A masked frame of fewer than 126 bytes.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, 0x80 | payload.len() as u8];
        frame.extend(MASK);
        frame.extend(
            payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    /// What comes of bytes that come in parts of this size: how many are good, and what is wrong behind them.
    fn checked(bytes: &[u8], part: usize) -> (usize, Option<DisconnectReason>) {
        let mut framing = FrameValidator::default();
        for (number, part_bytes) in bytes.chunks(part).enumerate() {
            if let Err((good, why)) = framing.check(part_bytes) {
                return (number * part + good, Some(why));
            }
        }
        (bytes.len(), None)
    }

    #[test]
    fn good_frames_pass_however_they_are_cut() {
        let mut long = vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0];
        long.extend(MASK);
        long.extend(vec![0xff; 65536]);
        let frames = [
            frame(0x81, "žluťoučký 🐎\0".as_bytes()),
            frame(0x01, "🐎".as_bytes().split_at(1).0),
            frame(0x89, &[0xff]),
            frame(0x00, &[]),
            frame(0x80, "🐎".as_bytes().split_at(1).1),
            frame(0x02, &[0xff]),
            frame(0x80, &[0xfe]),
            frame(0x8a, &[0x80; 125]),
            long,
            frame(0x88, &[0x03, 0xe8]),
        ]
        .concat();
        for part in [1, 2, 3, 5, 7, 14, 4096, frames.len()] {
            assert_eq!(checked(&frames, part), (frames.len(), None), "{part}");
        }
    }

    #[test]
    fn what_is_wrong_shows_with_its_first_byte() {
        use ProtocolError::*;
        let length = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &MASK].concat();
        let begun = |first: u8| [&[first, 0xfd][..], &MASK].concat();
        let text = frame(0x81, b"ab\xe9d");
        let twice = [frame(0x01, b"a"), frame(0x01, b"")].concat();
        // After a good frame: bytes of others, how many of them are good, and what is wrong with the rest.
        let cases = [
            (text, 9, DisconnectReason::InvalidUtf8),
            (
                begun(0xc2),
                0,
                DisconnectReason::ProtocolError(NonZeroReservedBits),
            ),
            (
                begun(0x83),
                0,
                DisconnectReason::ProtocolError(InvalidOpcode(3)),
            ),
            (
                vec![0x81, 0x7d],
                0,
                DisconnectReason::ProtocolError(UnmaskedFrameFromClient),
            ),
            (length(125), 0, DisconnectReason::NonMinimalLength),
            (length(65535), 0, DisconnectReason::NonMinimalLength),
            (
                length(1 << 63 | 65536),
                0,
                DisconnectReason::NonMinimalLength,
            ),
            (
                vec![0x89, 0xfe, 0, 126, 1, 2, 3, 4],
                0,
                DisconnectReason::ProtocolError(ControlFrameTooBig),
            ),
            (
                begun(0x08),
                0,
                DisconnectReason::ProtocolError(FragmentedControlFrame),
            ),
            (
                begun(0x80),
                0,
                DisconnectReason::ProtocolError(UnexpectedContinueFrame),
            ),
            (
                twice,
                7,
                DisconnectReason::ProtocolError(ExpectedFragment(Data::Text)),
            ),
        ];
        let before = frame(0x81, b"good");
        for (bytes, good, why) in cases {
            let all = [&before[..], &bytes].concat();
            let expected = (before.len() + good, Some(why.clone()));
            assert_eq!(checked(&all, all.len()), expected, "{bytes:x?}");
            assert_eq!(checked(&all, 1).1, Some(why), "{bytes:x?}");
        }
    }

    #[test]
    fn utf8_is_what_the_standard_library_takes_for_it() {
        // Every first and second byte, with the tails that the longest of them may need.
        for lead in 0..=0xffff_u16 {
            let [first, second] = lead.to_be_bytes();
            for text in [
                &[first, second][..],
                &[first, second, 0x80],
                &[first, second, 0xbf, 0x80],
            ] {
                let mut utf8 = Utf8Validator::default();
                let good = text.iter().take_while(|&&byte| utf8.take(byte)).count();
                let complete = good == text.len() && utf8.needed == 0;
                assert_eq!(complete, std::str::from_utf8(text).is_ok(), "{text:x?}");
            }
        }
    }
}
