//! Why a client left, and what it is told when that was not its own wish.

use std::fmt;
use std::io::{self, ErrorKind};

use tungstenite::Bytes;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::protocol;

/// Why a connection ended. Its `Display` is the phrase in the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DisconnectReason {
    /// The client closed, with this code if it gave one.
    ClosedByPeer(Option<u16>),
    /// The connection ended or broke without a Close.
    ConnectionLost(ErrorKind),
    /// What came is not WebSocket.
    ProtocolError(ProtocolError),
    /// A length that is not in its shortest form, or is over 63 bits (RFC 6455, section 5.2).
    NonMinimalLength,
    /// A text that is not UTF-8.
    InvalidUtf8,
    /// A message over the limit.
    MessageTooBig,
    /// More bytes wait for it than may.
    BacklogExceeded {
        /// How many wait, in bytes.
        backlog: usize,
    },
    /// It took no byte for as long as a writer waits.
    WriteTimeout,
    /// It fell behind while the system had no thread for its writer.
    NoWriterThread,
    /// Silent for two of the heartbeat's periods.
    PingTimeout,
    /// The server sent the last Close, and the client did not answer in time.
    CloseTimeout,
    /// The server stops.
    ServerShutdown,
    /// A panic in one of the connection's threads.
    InternalError,
}

impl DisconnectReason {
    /// What a failed read of a WebSocket means.
    pub(crate) fn from_read(error: Error) -> DisconnectReason {
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                DisconnectReason::ConnectionLost(ErrorKind::UnexpectedEof)
            }
            Error::Protocol(what) => DisconnectReason::ProtocolError(what),
            Error::Utf8(_) => DisconnectReason::InvalidUtf8,
            Error::Capacity(_) => DisconnectReason::MessageTooBig,
            // What the stream found wrong, or what the system did.
            Error::Io(error) => error
                .downcast()
                .unwrap_or_else(|error| DisconnectReason::ConnectionLost(error.kind())),
            Error::ConnectionClosed | Error::AlreadyClosed => DisconnectReason::ClosedByPeer(None),
            // The rest belongs to handshakes, TLS and tungstenite's own write buffer, which has no limit here.
            _ => DisconnectReason::InternalError,
        }
    }

    /// The Close frame that tells the client (RFC 6455, section 7.4.1). `None` where nobody would read it,
    /// and where the client's own Close is answered as it came.
    pub(crate) fn close_frame(&self) -> Option<Bytes> {
        let code = match self {
            DisconnectReason::ProtocolError(_) | DisconnectReason::NonMinimalLength => {
                CloseCode::Protocol
            }
            DisconnectReason::InvalidUtf8 => CloseCode::Invalid,
            DisconnectReason::MessageTooBig => CloseCode::Size,
            DisconnectReason::InternalError => CloseCode::Error,
            _ => return None,
        };
        Some(protocol::close(code, ""))
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DisconnectReason::ClosedByPeer(Some(code)) => {
                write!(f, "closed by the client ({code})")
            }
            DisconnectReason::ClosedByPeer(None) => write!(f, "closed by the client"),
            DisconnectReason::ConnectionLost(ErrorKind::UnexpectedEof) => write!(f, "vanished"),
            DisconnectReason::ConnectionLost(kind) => {
                write!(f, "vanished ({})", io::Error::from(*kind))
            }
            DisconnectReason::ProtocolError(what) => write!(f, "protocol error ({what})"),
            DisconnectReason::NonMinimalLength => write!(
                f,
                "protocol error (a length that is not in its shortest form)"
            ),
            DisconnectReason::InvalidUtf8 => write!(f, "protocol error (text that is not UTF-8)"),
            DisconnectReason::MessageTooBig => write!(f, "message too big"),
            DisconnectReason::BacklogExceeded { backlog } => {
                write!(f, "too slow ({backlog} bytes waiting)")
            }
            DisconnectReason::WriteTimeout => {
                write!(f, "too slow (took nothing for the whole write deadline)")
            }
            DisconnectReason::NoWriterThread => {
                write!(f, "too slow (and the system has no thread to spare for it)")
            }
            DisconnectReason::PingTimeout => write!(f, "ping timeout"),
            DisconnectReason::CloseTimeout => write!(f, "did not answer the Close"),
            DisconnectReason::ServerShutdown => write!(f, "shutdown"),
            DisconnectReason::InternalError => write!(f, "internal error"),
        }
    }
}

/// So that a stream can tell it by an [`io::Error`].
impl std::error::Error for DisconnectReason {}
