//! Validation of frames while they arrive.
//!
//! tungstenite checks a frame when all of it has arrived: a frame with a reserved bit or without a mask is refused only
//! after its payload, which can be megabytes later or never, and text only after its last fragment. These checks are the
//! same but run when a header is complete, and at each byte of a text, so that an invalid frame ends the connection at
//! once, as RFC 6455, section 8.1, requires for text. They also cover what tungstenite does not check: lengths that are not in their shortest form.
//! Errors that only the end of a frame or message can show are left to tungstenite.

use std::io::Cursor;

use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::disconnect::DisconnectReason;
use super::utf8::Utf8Validator;

/// The longest header in bytes: two, a length of eight, a mask of four (section 5.2).
const MAX_HEADER_SIZE: usize = 14;

/// The longest payload of a control frame in bytes (section 5.5).
const MAX_CONTROL_PAYLOAD: u64 = 125;

/// The most fragments without payload in one message. Without this limit a message never ends or grows, and its
/// fragments keep a processor busy.
const MAX_EMPTY_FRAGMENTS: u32 = 1024;

/// The state of a client's byte stream: between frames, in a header, or in a payload.
#[derive(Default)]
pub(crate) struct FrameValidator {
    /// The received part of an incomplete header.
    header: [u8; MAX_HEADER_SIZE],
    header_received: usize,
    /// Bytes of the current payload that have not arrived yet.
    payload_remaining: u64,
    /// The masking key, rotated so that its first byte applies to the next byte of the payload.
    mask: [u8; 4],
    /// Whether the current payload is part of a text message.
    in_text: bool,
    /// The type of the message whose last fragment has not begun yet.
    fragmented_type: Option<Data>,
    utf8: Utf8Validator,
    /// The frames without payload in the current message.
    empty_fragments: u32,
    /// The frames since the last [`FrameValidator::take_frames`].
    frames: u32,
}

impl FrameValidator {
    /// Validates the next received bytes.
    ///
    /// # Errors
    ///
    /// The number of bytes before the first invalid one, and the error.
    pub(crate) fn validate(&mut self, bytes: &[u8]) -> Result<(), (usize, DisconnectReason)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += if self.payload_remaining == 0 {
                self.consume_header(rest).map_err(|reason| (at, reason))?
            } else {
                self.consume_payload(rest)
                    .map_err(|valid| (at + valid, DisconnectReason::InvalidUtf8))?
            };
        }
        Ok(())
    }

    /// Consumes bytes of a header and returns their number.
    fn consume_header(&mut self, bytes: &[u8]) -> Result<usize, DisconnectReason> {
        let before = self.header_received;
        let taken = bytes.len().min(MAX_HEADER_SIZE - before);
        let received = before + taken;
        self.header[before..received].copy_from_slice(&bytes[..taken]);
        let mut cursor = Cursor::new(&self.header[..received]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor)? else {
            self.header_received = received;
            return Ok(taken);
        };
        let header_size = cursor.position() as usize;
        self.header_received = 0;
        // "the minimal number of bytes MUST be used to encode the length", and "the most significant bit MUST be 0"
        // (section 5.2).
        if header_size != header.len(length) || length >> 63 != 0 {
            return Err(DisconnectReason::NonMinimalLength);
        }
        self.start_frame(&header, length)
            .map_err(DisconnectReason::ProtocolError)?;
        self.count_frame(header.opcode, length)?;
        Ok(header_size - before)
    }

    /// Returns the number of frames since the last call.
    pub(crate) fn take_frames(&mut self) -> u32 {
        std::mem::take(&mut self.frames)
    }

    fn count_frame(&mut self, opcode: OpCode, length: u64) -> Result<(), DisconnectReason> {
        self.frames = self.frames.saturating_add(1);
        match opcode {
            OpCode::Control(_) => return Ok(()),
            OpCode::Data(Data::Continue) => {}
            OpCode::Data(_) => self.empty_fragments = 0,
        }
        self.empty_fragments += u32::from(length == 0);
        if self.empty_fragments > MAX_EMPTY_FRAGMENTS {
            return Err(DisconnectReason::TooManyEmptyFragments);
        }
        Ok(())
    }

    /// Checks a complete header and prepares for its payload.
    fn start_frame(&mut self, header: &FrameHeader, length: u64) -> Result<(), ProtocolError> {
        // "MUST be 0 unless an extension is negotiated" (section 5.2). The server negotiates no extension.
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(ProtocolError::NonZeroReservedBits);
        }
        // Section 5.1.
        self.mask = header.mask.ok_or(ProtocolError::UnmaskedFrameFromClient)?;
        self.payload_remaining = length;
        // Section 5.4 for the order of a message's fragments, section 5.5 for control frames between them.
        match (header.opcode, self.fragmented_type) {
            (OpCode::Control(_), _) if !header.is_final => {
                return Err(ProtocolError::FragmentedControlFrame);
            }
            (OpCode::Control(_), _) if length > MAX_CONTROL_PAYLOAD => {
                return Err(ProtocolError::ControlFrameTooBig);
            }
            (OpCode::Control(_), _) => self.in_text = false,
            (OpCode::Data(Data::Continue), None) => {
                return Err(ProtocolError::UnexpectedContinueFrame);
            }
            (OpCode::Data(Data::Continue), Some(data)) => {
                self.in_text = data == Data::Text;
                self.fragmented_type = self.fragmented_type.filter(|_| !header.is_final);
            }
            (OpCode::Data(data), Some(_)) => return Err(ProtocolError::ExpectedFragment(data)),
            (OpCode::Data(data), None) => {
                self.in_text = data == Data::Text;
                self.fragmented_type = (!header.is_final).then_some(data);
                self.utf8 = Utf8Validator::default();
            }
        }
        Ok(())
    }

    /// Consumes bytes of a payload and returns their number.
    ///
    /// # Errors
    ///
    /// The number of bytes before the first one that is not UTF-8.
    fn consume_payload(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let taken = usize::try_from(self.payload_remaining)
            .map_or(bytes.len(), |remaining| remaining.min(bytes.len()));
        if self.in_text {
            self.check_text(&bytes[..taken])?;
        }
        self.mask.rotate_left(taken % 4);
        self.payload_remaining -= taken as u64;
        Ok(taken)
    }

    fn check_text(&mut self, masked: &[u8]) -> Result<(), usize> {
        // A multiple of four bytes, so that the mask applies to each part from its first byte.
        const PART: usize = Utf8Validator::MAX_PART;
        let mut buffer = [0; PART];
        for (number, part) in masked.chunks(PART).enumerate() {
            let text = &mut buffer[..part.len()];
            for (at, (byte, masked)) in text.iter_mut().zip(part).enumerate() {
                *byte = masked ^ self.mask[at % 4];
            }
            self.utf8
                .check(text)
                .map_err(|valid| number * PART + valid)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// Returns a masked frame with a payload of fewer than 126 bytes.
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

    /// Validates bytes in parts of this size. Returns the number of valid bytes and the error after them.
    fn validate(bytes: &[u8], part: usize) -> (usize, Option<DisconnectReason>) {
        let mut validator = FrameValidator::default();
        for (number, part_bytes) in bytes.chunks(part).enumerate() {
            if let Err((valid, reason)) = validator.validate(part_bytes) {
                return (number * part + valid, Some(reason));
            }
        }
        (bytes.len(), None)
    }

    #[test]
    fn valid_frames_pass_in_parts_of_any_size() {
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
            assert_eq!(validate(&frames, part), (frames.len(), None), "{part}");
        }
    }

    #[test]
    fn errors_are_reported_at_the_offending_byte() {
        use ProtocolError::*;
        let length = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &MASK].concat();
        let header = |first: u8| [&[first, 0xfd][..], &MASK].concat();
        let text = frame(0x81, b"ab\xe9d");
        let two_starts = [frame(0x01, b"a"), frame(0x01, b"")].concat();
        // Bytes after a valid frame, the number of them that are valid, and the error in the rest.
        let cases = [
            (text, 9, DisconnectReason::InvalidUtf8),
            (
                header(0xc2),
                0,
                DisconnectReason::ProtocolError(NonZeroReservedBits),
            ),
            (
                header(0x83),
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
                header(0x08),
                0,
                DisconnectReason::ProtocolError(FragmentedControlFrame),
            ),
            (
                header(0x80),
                0,
                DisconnectReason::ProtocolError(UnexpectedContinueFrame),
            ),
            (
                two_starts,
                7,
                DisconnectReason::ProtocolError(ExpectedFragment(Data::Text)),
            ),
        ];
        let before = frame(0x81, b"valid");
        for (bytes, valid, reason) in cases {
            let all = [&before[..], &bytes].concat();
            let expected = (before.len() + valid, Some(reason.clone()));
            assert_eq!(validate(&all, all.len()), expected, "{bytes:x?}");
            assert_eq!(validate(&all, 1).1, Some(reason), "{bytes:x?}");
        }
    }
}
