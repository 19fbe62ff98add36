//! Reading a request's head within its limits.

use std::time::Instant;

use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::Request;

use super::response::HttpResponse;
use crate::config::{HEADER_READ_TIMEOUT, MAX_HEAD_SIZE};
use crate::net::{Stream, is_timeout};

/// The reason why no request was read.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// The client disconnected, or sent nothing.
    Disconnected,
    /// The client began a TLS handshake where HTTP is expected.
    Tls,
    /// The request is refused with this response.
    Rejected(HttpResponse),
}

/// Reads a request and returns it with the bytes that arrived after it. Waits for the client until the deadline.
///
/// # Errors
///
/// The head is too large, too slow, malformed or missing.
pub(crate) fn read_head(
    stream: &Stream,
    deadline: Instant,
) -> Result<(Request, Vec<u8>), RequestError> {
    let mut head = Vec::new();
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(timed_out(&head));
        }
        let mut part = [0; 1024];
        let room = part.len().min(MAX_HEAD_SIZE - head.len());
        let received = stream
            .set_read_timeout(Some(remaining))
            .and_then(|()| stream.read(&mut part[..room]));
        match received {
            Ok(0) => return Err(RequestError::Disconnected),
            Ok(received) => head.extend_from_slice(&part[..received]),
            Err(error) if is_timeout(&error) => return Err(timed_out(&head)),
            Err(_) => return Err(RequestError::Disconnected),
        }
        // The beginning of a TLS record with a handshake message (RFC 8446, section 5.1).
        if head.starts_with(&[0x16, 0x03]) {
            return Err(RequestError::Tls);
        }
        match Request::try_parse(&head) {
            Ok(Some((length, request))) => return Ok((request, head.split_off(length))),
            Ok(None) if head.len() < MAX_HEAD_SIZE => {}
            Ok(None) => return Err(RequestError::Rejected(too_large())),
            Err(error) => return Err(RequestError::Rejected(malformed(error))),
        }
    }
}

fn timed_out(head: &[u8]) -> RequestError {
    if head.is_empty() {
        return RequestError::Disconnected;
    }
    let seconds = HEADER_READ_TIMEOUT.as_secs();
    RequestError::Rejected(HttpResponse::new(
        "408 Request Timeout",
        format!("the request head took over {seconds} seconds\n"),
    ))
}

fn too_large() -> HttpResponse {
    HttpResponse::new(
        "431 Request Header Fields Too Large",
        format!("the request head is over {MAX_HEAD_SIZE} bytes, or has too many lines\n"),
    )
}

fn malformed(error: Error) -> HttpResponse {
    match error {
        Error::Capacity(CapacityError::TooManyHeaders) => too_large(),
        Error::Protocol(ProtocolError::WrongHttpMethod) => {
            HttpResponse::new("405 Method Not Allowed", "only GET is supported\n")
                .with_header("Allow: GET")
        }
        Error::Protocol(ProtocolError::WrongHttpVersion) => HttpResponse::new(
            "505 HTTP Version Not Supported",
            "only HTTP/1.1 is supported\n",
        ),
        error => HttpResponse::new(
            "400 Bad Request",
            format!("malformed HTTP request: {error}\n"),
        ),
    }
}
