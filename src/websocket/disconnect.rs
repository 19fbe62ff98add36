//! Why a client left, and what it is told when that was not its own wish.

use std::fmt;
use std::io::{self, ErrorKind};

use tungstenite::Bytes;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::protocol;

/// Why a connection ended. Its `Display` is the phrase in the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leave {
    /// The client closed, with this code if it gave one.
    Closed(Option<u16>),
    /// The connection ended or broke without a Close.
    Vanished(ErrorKind),
    /// What came is not WebSocket.
    Protocol(ProtocolError),
    /// A length that is not in its shortest form, or is over 63 bits (RFC 6455, section 5.2).
    BadLength,
    /// A text that is not UTF-8.
    BadUtf8,
    /// A message over the limit.
    TooBig,
    /// More bytes wait for it than may.
    TooSlow {
        /// How many wait, in bytes.
        backlog: usize,
    },
    /// It took no byte for as long as a writer waits.
    Stuck,
    /// It fell behind while the system had no thread for its writer.
    NoThread,
    /// Silent for two of the heartbeat's periods.
    PingTimeout,
    /// The server sent the last Close, and the client did not answer in time.
    NoReply,
    /// The server stops.
    Shutdown,
    /// A panic in one of the connection's threads.
    Bug,
}

impl Leave {
    /// What a failed read of a WebSocket means.
    pub(crate) fn from_read(error: Error) -> Leave {
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Leave::Vanished(ErrorKind::UnexpectedEof)
            }
            Error::Protocol(what) => Leave::Protocol(what),
            Error::Utf8(_) => Leave::BadUtf8,
            Error::Capacity(_) => Leave::TooBig,
            // What the stream found wrong, or what the system did.
            Error::Io(error) => error
                .downcast()
                .unwrap_or_else(|error| Leave::Vanished(error.kind())),
            Error::ConnectionClosed | Error::AlreadyClosed => Leave::Closed(None),
            // The rest belongs to handshakes, TLS and tungstenite's own write buffer, which has no limit here.
            _ => Leave::Bug,
        }
    }

    /// The Close frame that tells the client (RFC 6455, section 7.4.1). `None` where nobody would read it,
    /// and where the client's own Close is answered as it came.
    pub(crate) fn close_frame(&self) -> Option<Bytes> {
        let code = match self {
            Leave::Protocol(_) | Leave::BadLength => CloseCode::Protocol,
            Leave::BadUtf8 => CloseCode::Invalid,
            Leave::TooBig => CloseCode::Size,
            Leave::Bug => CloseCode::Error,
            _ => return None,
        };
        Some(protocol::close(code, ""))
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leave::Closed(Some(code)) => write!(f, "closed by the client ({code})"),
            Leave::Closed(None) => write!(f, "closed by the client"),
            Leave::Vanished(ErrorKind::UnexpectedEof) => write!(f, "vanished"),
            Leave::Vanished(kind) => write!(f, "vanished ({})", io::Error::from(*kind)),
            Leave::Protocol(what) => write!(f, "protocol error ({what})"),
            Leave::BadLength => write!(
                f,
                "protocol error (a length that is not in its shortest form)"
            ),
            Leave::BadUtf8 => write!(f, "protocol error (text that is not UTF-8)"),
            Leave::TooBig => write!(f, "message too big"),
            Leave::TooSlow { backlog } => write!(f, "too slow ({backlog} bytes waiting)"),
            Leave::Stuck => write!(f, "too slow (took nothing for the whole write deadline)"),
            Leave::NoThread => write!(f, "too slow (and the system has no thread to spare for it)"),
            Leave::PingTimeout => write!(f, "ping timeout"),
            Leave::NoReply => write!(f, "did not answer the Close"),
            Leave::Shutdown => write!(f, "shutdown"),
            Leave::Bug => write!(f, "internal error"),
        }
    }
}

/// So that a stream can tell it by an [`io::Error`].
impl std::error::Error for Leave {}
