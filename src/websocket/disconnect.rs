//! The reasons for a disconnect, and the Close frames that report them.

use std::fmt;
use std::io::{self, ErrorKind};

use tungstenite::Bytes;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;

use super::frame;

/// The reason why a connection ended. Its `Display` is the phrase in the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DisconnectReason {
    /// The client sent a Close, with this code if it gave one.
    ClosedByPeer(Option<u16>),
    /// The connection ended or broke without a Close.
    ConnectionLost(ErrorKind),
    /// TLS ended without the client's `close_notify`, which somebody on the way can bring about.
    TlsTruncated,
    /// The client violated TLS, in the words of the TLS library.
    TlsError(String),
    /// The client violated RFC 6455.
    ProtocolError(ProtocolError),
    /// A payload length was not in its shortest form, or over 63 bits (RFC 6455, section 5.2).
    NonMinimalLength,
    /// A text message was not UTF-8.
    InvalidUtf8,
    /// A message was over the limit.
    MessageTooBig,
    /// A message had more fragments without payload than allowed.
    TooManyEmptyFragments,
    /// More bytes were queued for the client than allowed.
    BacklogExceeded {
        /// The bytes queued, bookkeeping included.
        queued_bytes: usize,
    },
    /// The client accepted no byte for the writer's timeout.
    WriteTimeout,
    /// The client fell behind and its writer thread could not be started.
    NoWriterThread,
    /// The client sent no byte for two ping periods.
    PingTimeout,
    /// The server sent a Close and the client did not reply in time.
    CloseTimeout,
    /// The server is shutting down.
    ServerShutdown,
    /// A thread of the connection panicked, or the dispatcher did.
    InternalError,
}

impl DisconnectReason {
    /// Returns whether the client was disconnected because it read too slowly.
    pub(crate) fn is_too_slow(&self) -> bool {
        use DisconnectReason::*;
        matches!(self, BacklogExceeded { .. } | WriteTimeout | NoWriterThread)
    }

    /// Returns the kind of the reason, without what differs from client to client.
    pub(crate) fn kind(&self) -> &'static str {
        use DisconnectReason::*;
        match self {
            ClosedByPeer(_) => "closed by the client",
            ConnectionLost(_) | TlsTruncated => "connection lost",
            TlsError(_) => "TLS error",
            ProtocolError(_) | NonMinimalLength | InvalidUtf8 => "protocol error",
            MessageTooBig => "message too big",
            TooManyEmptyFragments => "policy violation",
            BacklogExceeded { .. } | WriteTimeout | NoWriterThread => "too slow",
            PingTimeout => "ping timeout",
            CloseTimeout => "did not reply to the Close",
            ServerShutdown => "shutdown",
            InternalError => "internal error",
        }
    }

    /// Returns the Close frame that reports this reason to the client (RFC 6455, section 7.4.1). Returns `None` if the
    /// client would not read it, and for a client's own Close, which is echoed instead.
    pub(crate) fn close_frame(&self) -> Option<Bytes> {
        let code = match self {
            // TLS discards the Close after its alert, but the connection ends as orderly as with one.
            DisconnectReason::ProtocolError(_)
            | DisconnectReason::NonMinimalLength
            | DisconnectReason::TlsError(_) => CloseCode::Protocol,
            DisconnectReason::InvalidUtf8 => CloseCode::Invalid,
            DisconnectReason::MessageTooBig => CloseCode::Size,
            DisconnectReason::TooManyEmptyFragments => CloseCode::Policy,
            DisconnectReason::InternalError => CloseCode::Error,
            _ => return None,
        };
        Some(frame::close(code, ""))
    }
}

/// Translates a failed read of a WebSocket.
impl From<Error> for DisconnectReason {
    fn from(error: Error) -> DisconnectReason {
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                DisconnectReason::ConnectionLost(ErrorKind::UnexpectedEof)
            }
            Error::Protocol(violation) => DisconnectReason::ProtocolError(violation),
            Error::Utf8(_) => DisconnectReason::InvalidUtf8,
            Error::Capacity(_) => DisconnectReason::MessageTooBig,
            // Without TLS, the end of the input is no error of a read, and no data is invalid for the socket.
            Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
                DisconnectReason::TlsTruncated
            }
            Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
                DisconnectReason::TlsError(error.to_string())
            }
            Error::Io(error) => DisconnectReason::ConnectionLost(error.kind()),
            Error::ConnectionClosed | Error::AlreadyClosed => DisconnectReason::ClosedByPeer(None),
            // The remaining errors belong to handshakes, TLS, and tungstenite's write buffer, which is not used.
            _ => DisconnectReason::InternalError,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DisconnectReason::*;
        match self {
            ClosedByPeer(Some(code)) => write!(f, "closed by the client ({code})"),
            ClosedByPeer(None) => write!(f, "closed by the client"),
            ConnectionLost(ErrorKind::UnexpectedEof) => write!(f, "connection lost"),
            ConnectionLost(kind) => write!(f, "connection lost ({})", io::Error::from(*kind)),
            TlsTruncated => write!(f, "connection lost (TLS ended without close_notify)"),
            TlsError(error) => write!(f, "TLS error ({error})"),
            ProtocolError(violation) => write!(f, "protocol error ({violation})"),
            NonMinimalLength => write!(f, "protocol error (payload length not in shortest form)"),
            InvalidUtf8 => write!(f, "protocol error (text is not UTF-8)"),
            MessageTooBig => write!(f, "message too big"),
            TooManyEmptyFragments => write!(f, "policy violation (too many empty fragments)"),
            BacklogExceeded { queued_bytes } => write!(f, "too slow ({queued_bytes} bytes queued)"),
            WriteTimeout => write!(f, "too slow (accepted no data until the write timeout)"),
            NoWriterThread => write!(f, "too slow (no thread available for a writer)"),
            PingTimeout => write!(f, "ping timeout"),
            CloseTimeout => write!(f, "did not reply to the Close"),
            ServerShutdown => write!(f, "shutdown"),
            InternalError => write!(f, "internal error"),
        }
    }
}
