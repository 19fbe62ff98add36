//! Refused clients, and their log lines: at most one per minute for each kind of refusal.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use log::Level;

use crate::config::REFUSAL_LOG_INTERVAL;
use crate::http::response::HttpResponse;

/// The reason why the handshake of a WebSocket is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// `--allow-origin` does not list the origin.
    WrongOrigin(String),
    /// `--max-connections`, this many, are open.
    ConnectionLimit(usize),
    /// `--max-per-address`, this many, are open.
    AddressLimit(usize),
    /// The address joins too often.
    JoinLimit,
    /// The secret is wrong.
    WrongSecret,
    /// `--max-rooms`, this many, have users.
    RoomLimit(usize),
    /// The room has no place in the log that several nodes share.
    Away,
    /// The client began a TLS handshake, and the server has no certificate.
    TlsOnPlainPort,
    /// The client sent HTTP without TLS, and the server has a certificate.
    #[cfg(feature = "tls")]
    PlainOnTlsPort,
    /// The handshake of TLS failed.
    #[cfg(feature = "tls")]
    TlsHandshake(String),
    /// The system has no thread, descriptor or memory for the client, with its error.
    NoResources(String),
}

impl Refusal {
    const KINDS: usize = 11;

    fn kind(&self) -> usize {
        match self {
            Refusal::WrongOrigin(_) => 0,
            Refusal::ConnectionLimit(_) => 1,
            Refusal::AddressLimit(_) => 2,
            Refusal::JoinLimit => 3,
            Refusal::NoResources(_) => 4,
            Refusal::TlsOnPlainPort => 5,
            #[cfg(feature = "tls")]
            Refusal::PlainOnTlsPort => 6,
            #[cfg(feature = "tls")]
            Refusal::TlsHandshake(_) => 7,
            Refusal::RoomLimit(_) => 8,
            Refusal::WrongSecret => 9,
            Refusal::Away => 10,
        }
    }

    /// Returns the level of the log line: a problem of the system is an error, a limit that works is not.
    fn level(&self) -> Level {
        match self {
            Refusal::NoResources(_) => Level::Error,
            _ => Level::Warn,
        }
    }

    /// Returns the response to a client that is refused for a limit of the server.
    pub(super) fn response(&self) -> HttpResponse {
        match self {
            Refusal::AddressLimit(_) => HttpResponse::too_many_requests(
                "too many connections from your address; try again later\n",
            ),
            Refusal::JoinLimit => HttpResponse::too_many_requests(
                "too many joins from your address; try again later\n",
            ),
            Refusal::ConnectionLimit(_) => {
                HttpResponse::service_unavailable("connection limit reached; try again later\n")
            }
            Refusal::RoomLimit(_) => HttpResponse::service_unavailable(
                "room limit reached; enter a room that has users\n",
            ),
            Refusal::Away => HttpResponse::service_unavailable(
                "this server has lost its place among the others; try again later\n",
            ),
            _ => HttpResponse::service_unavailable("server out of resources; try again later\n"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A client chooses the origin, so it is escaped.
            Refusal::WrongOrigin(origin) => write!(f, "origin {origin:?} not allowed"),
            Refusal::ConnectionLimit(max) => write!(f, "connection limit reached ({max})"),
            Refusal::AddressLimit(max) => {
                write!(f, "connection limit of the address reached ({max})")
            }
            Refusal::WrongSecret => f.write_str("wrong secret"),
            Refusal::RoomLimit(max) => write!(f, "room limit reached ({max})"),
            Refusal::Away => f.write_str("this node has lost its place among the others"),
            Refusal::JoinLimit => f.write_str("the address joins too often"),
            Refusal::NoResources(error) => f.write_str(error),
            Refusal::TlsOnPlainPort => {
                f.write_str("a TLS handshake, but this server has no certificate (--tls-cert)")
            }
            #[cfg(feature = "tls")]
            Refusal::PlainOnTlsPort => f.write_str("HTTP without TLS; this server has TLS"),
            #[cfg(feature = "tls")]
            Refusal::TlsHandshake(error) => write!(f, "TLS handshake failed: {error}"),
        }
    }
}

/// The time of the last log line of one kind, and the number of refusals since.
#[derive(Default)]
struct Thinning {
    last_logged: Option<Instant>,
    unlogged: usize,
}

impl Thinning {
    /// Accounts for one refusal. Returns the number of refusals since the last log line, this one included, if the next
    /// line is due.
    fn count(&mut self, now: Instant) -> Option<usize> {
        self.unlogged += 1;
        let is_due = self
            .last_logged
            .is_none_or(|at| now.saturating_duration_since(at) >= REFUSAL_LOG_INTERVAL);
        is_due.then(|| {
            self.last_logged = Some(now);
            std::mem::take(&mut self.unlogged)
        })
    }
}

/// The log of refusals. The handshakes' threads share it.
#[derive(Default)]
pub(super) struct RefusalLog(Mutex<[Thinning; Refusal::KINDS]>);

impl RefusalLog {
    /// Logs a refusal, unless one of its kind was logged within the last minute.
    pub(super) fn log(&self, peer: impl fmt::Display, refusal: &Refusal) {
        let due = {
            // A poisoned lock guards complete numbers.
            let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kinds[refusal.kind()].count(Instant::now())
        };
        match due {
            Some(1) => log::log!(refusal.level(), "{peer} rejected: {refusal}"),
            Some(count) => log::log!(
                refusal.level(),
                "{peer} rejected: {refusal}; {count} such refusals since the last such line"
            ),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_a_minute_is_logged_with_the_number_of_others() {
        let mut thinning = Thinning::default();
        let start = Instant::now();
        assert_eq!(thinning.count(start), Some(1));
        for second in 0..60 {
            assert_eq!(
                thinning.count(start + REFUSAL_LOG_INTERVAL * second / 60),
                None
            );
        }
        assert_eq!(thinning.count(start + REFUSAL_LOG_INTERVAL), Some(61));
        assert_eq!(thinning.count(start + REFUSAL_LOG_INTERVAL), None);
        assert_eq!(thinning.count(start + 3 * REFUSAL_LOG_INTERVAL), Some(2));
    }

    #[test]
    fn origins_are_escaped() {
        let refusal = Refusal::WrongOrigin("a\n\u{1b}\u{202e}\"".into());
        assert_eq!(
            refusal.to_string(),
            r#"origin "a\n\u{1b}\u{202e}\"" not allowed"#
        );
    }
}
