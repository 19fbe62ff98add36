//! WebSocket frames (RFC 6455, section 5.2), limited to what a load generator needs.

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Appends a complete frame as a client sends it. The masking key is zero: the RFC allows it, and masking then costs
/// the generator nothing.
pub fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    const FIN: u8 = 0x80;
    const MASK: u8 = 0x80;
    out.push(FIN | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(MASK | length as u8),
        length @ 126..=0xffff => {
            out.push(MASK | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(MASK | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
}

/// A frame as a server sends it.
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Length of the whole frame in bytes, header included.
    pub size: usize,
}

/// Parses the frame at the start of `bytes`. Returns `None` if the frame is incomplete.
#[inline]
pub fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let (header, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(array(bytes, 2)?) as usize),
        127 => (10, u64::from_be_bytes(array(bytes, 2)?) as usize),
        length => (2, length as usize),
    };
    let size = header + length;
    Some(Frame {
        opcode: bytes[0] & 0x0f,
        payload: bytes.get(header..size)?,
        size,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Returns the status code in the payload of a Close frame.
pub fn close_code(payload: &[u8]) -> Option<u16> {
    array(payload, 0).map(u16::from_be_bytes)
}
