//! WebSocket frames (RFC 6455, section 5.2), as far as a load generator needs them.

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Appends a whole frame as a client sends it. Its mask is zero: allowed, and it costs the generator nothing.
pub fn put(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    const FINAL: u8 = 0x80;
    const MASKED: u8 = 0x80;
    out.push(FINAL | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
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
    /// All its bytes, the header too.
    pub size: usize,
}

/// The frame that these bytes begin with. `None`: its end has not come yet.
#[inline]
pub fn first(bytes: &[u8]) -> Option<Frame<'_>> {
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

/// The code in the payload of a Close.
pub fn close_code(payload: &[u8]) -> Option<u16> {
    array(payload, 0).map(u16::from_be_bytes)
}
