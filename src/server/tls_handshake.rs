//! The handshake of TLS, and clients that begin without it.

use std::io::{self, ErrorKind};
use std::time::Instant;

use super::refusal::{Refusal, RefusalLog};
use crate::http::head::read_head;
use crate::http::response::HttpResponse;
use crate::net::Stream;

/// The first byte of a TLS record with a handshake message (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// Completes the handshake of a client with TLS, and does nothing without TLS. Waits for the client until the deadline. A
/// client that sends HTTP without TLS gets a response that says where to go, by `respond`. Returns whether a request can
/// follow.
pub(super) fn accept(
    stream: &Stream,
    deadline: Instant,
    refusals: &RefusalLog,
    respond: impl FnOnce(&Stream, &HttpResponse),
) -> bool {
    if !stream.is_encrypted() {
        return true;
    }
    let peer = stream.peer();
    let refusal = match stream.peek(deadline) {
        Ok(Some(HANDSHAKE)) => match stream.complete_handshake(deadline) {
            Ok(()) => return true,
            Err(error) => Refusal::TlsHandshake(explain(&error)),
        },
        Ok(Some(_)) => {
            if let Ok(plain) = stream.try_clone_plain() {
                respond(&plain, &response_without_tls(&plain, deadline));
            }
            Refusal::PlainOnTlsPort
        }
        // Browsers connect in advance and disconnect if they need no connection.
        Ok(None) | Err(_) => {
            log::debug!("{peer} disconnected without a handshake");
            return false;
        }
    };
    refusals.log(peer, &refusal);
    false
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "the client disconnected".into(),
        ErrorKind::TimedOut => "the client took too long".into(),
        _ => error.to_string(),
    }
}

fn response_without_tls(plain: &Stream, deadline: Instant) -> HttpResponse {
    match read_head(plain, deadline) {
        Ok((request, _)) => HttpResponse::https_required(&request),
        Err(_) => HttpResponse::not_tls(),
    }
}
