//! The handshake of TLS, and clients that begin without it.

use std::io::{self, ErrorKind};
use std::time::Instant;

use super::refusal::Refusal;
use crate::http::head::read_head;
use crate::http::response::HttpResponse;
use crate::net::Stream;

/// The first byte of a TLS record with a handshake message (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// Completes the handshake of a client with TLS, and does nothing without TLS. Waits for the client until the deadline. A
/// client that sends HTTP without TLS gets a response that says where to go.
///
/// # Errors
///
/// The handshake failed, and the client is to be disconnected.
pub(super) fn accept(stream: &Stream, deadline: Instant) -> Result<(), Refusal> {
    if !stream.is_encrypted() {
        return Ok(());
    }
    match stream.peek(deadline) {
        Ok(Some(HANDSHAKE)) => {}
        Ok(Some(_)) => {
            redirect(stream, deadline);
            return Err(Refusal::PlainOnTlsPort);
        }
        Ok(None) => return Err(failed(&ErrorKind::UnexpectedEof.into())),
        Err(error) => return Err(failed(&error)),
    }
    stream
        .complete_handshake(deadline)
        .map_err(|error| failed(&error))
}

fn failed(error: &io::Error) -> Refusal {
    Refusal::TlsHandshake(match error.kind() {
        ErrorKind::UnexpectedEof => "the client disconnected".into(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "the client took too long".into(),
        _ => error.to_string(),
    })
}

/// Answers HTTP without TLS.
fn redirect(stream: &Stream, deadline: Instant) {
    let Ok(plain) = stream.try_clone_plain() else {
        return;
    };
    if let Ok((request, _)) = read_head(&plain, deadline) {
        HttpResponse::https_required(&request).send(&plain);
    } else {
        HttpResponse::not_tls().send(&plain);
    }
}
