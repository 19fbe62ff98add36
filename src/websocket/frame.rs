//! Frames that the server sends. They are unmasked (RFC 6455, section 5.1).

use tungstenite::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Appends one text frame to `frames`.
pub(crate) fn append_text(text: &str, frames: &mut Vec<u8>) {
    append_frame(OpCode::Data(Data::Text), text.as_bytes(), frames);
}

fn append_frame(opcode: OpCode, payload: &[u8], frames: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    // Writing to a Vec cannot fail.
    let _ = header.format(payload.len() as u64, frames);
    frames.extend_from_slice(payload);
}

/// Returns a single frame.
pub(crate) fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    append_frame(opcode, payload, &mut frame);
    frame.into()
}

/// Returns a Ping without a payload (RFC 6455, section 5.5.2).
pub(crate) fn ping() -> Bytes {
    frame(OpCode::Control(Control::Ping), &[])
}

/// Returns a Close with a code and a reason (RFC 6455, section 5.5.1).
pub(crate) fn close(code: CloseCode, reason: &str) -> Bytes {
    let payload = [&u16::from(code).to_be_bytes()[..], reason.as_bytes()].concat();
    frame(OpCode::Control(Control::Close), &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_three_encodings() {
        for (length, header) in [(125, 2), (126, 4), (65535, 4), (65536, 10)] {
            assert_eq!(
                frame(OpCode::Data(Data::Text), &vec![b'x'; length]).len(),
                header + length
            );
        }
        assert_eq!(&ping()[..], [0x89, 0]);
        assert_eq!(&close(CloseCode::Away, "bye")[..], b"\x88\x05\x03\xe9bye");
    }
}
