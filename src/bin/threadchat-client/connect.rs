//! Connecting to a server: the socket, with TLS or without, and what can go wrong before the chat begins.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
#[cfg(feature = "tls")]
use std::time::Instant;

use threadchat::net::Stream;
use threadchat::protocol::JSON_SUBPROTOCOL;
use threadchat::{Secret, SecretError};
use tungstenite::HandshakeError;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::http::{HeaderValue, StatusCode};

use crate::cli::ServerUrl;
#[cfg(feature = "tls")]
use crate::tls;

/// Time limit to connect to one of the server's addresses, and time limit of each read and write of the handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why a connection could not be opened.
#[derive(Debug)]
pub enum ConnectError {
    /// The host could not be resolved to an address.
    Resolve(String, io::Error),
    /// No address of the host accepted the TCP connection.
    Connect(String, u16, io::Error),
    /// The server responded with this HTTP status to the request for this path.
    HttpStatus(String, StatusCode),
    /// The file of the secret has none.
    Secret(SecretError),
    /// The server refused the secret in this file, or needs one.
    Unauthorized(Option<PathBuf>),
    /// The server accepted the WebSocket but not the chat's subprotocol.
    UnsupportedSubprotocol,
    /// TLS could not be used, with the reason and what would help.
    #[cfg(feature = "tls")]
    Tls(String),
    /// The server's response without TLS is not HTTP. One that expects TLS sends an alert.
    NotHttp,
    /// The server accepted the TCP connection and did not complete the handshake in time.
    Timeout,
    /// The handshake failed for another reason.
    Handshake(Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Resolve(host, error) => write!(f, "can't resolve {host:?}: {error}"),
            ConnectError::Connect(host, port, error) => {
                write!(f, "can't connect to {host} on port {port}: {error}")
            }
            ConnectError::HttpStatus(path, status) => {
                write!(f, "the server responded with {status}")?;
                match *status {
                    StatusCode::SERVICE_UNAVAILABLE => {
                        write!(f, ": the server is full, try again later")
                    }
                    StatusCode::PERMANENT_REDIRECT => {
                        write!(f, ": it may need TLS: try wss:// in place of ws://")
                    }
                    StatusCode::TOO_MANY_REQUESTS => {
                        write!(f, ": too many connections or joins from your address")
                    }
                    StatusCode::OK | StatusCode::NOT_FOUND => {
                        write!(f, ": no chat at {path}; threadchat serves it at /chat")
                    }
                    _ => Ok(()),
                }
            }
            ConnectError::Secret(error) => write!(f, "{error}"),
            ConnectError::Unauthorized(Some(file)) => {
                write!(f, "the server refused the secret in {}", file.display())
            }
            ConnectError::Unauthorized(None) => write!(
                f,
                "the server needs a secret: pass the file that has it with --secret-file FILE"
            ),
            ConnectError::UnsupportedSubprotocol => {
                write!(f, "the server doesn't support {JSON_SUBPROTOCOL}")
            }
            #[cfg(feature = "tls")]
            ConnectError::Tls(problem) => f.write_str(problem),
            ConnectError::NotHttp => write!(
                f,
                "the server did not answer with HTTP: try wss:// in place of ws://, or another port"
            ),
            ConnectError::Timeout => write!(f, "the server did not complete the handshake in time"),
            // TLS reports the end without `close_notify` this way.
            ConnectError::Handshake(Error::Io(error))
                if error.kind() == ErrorKind::UnexpectedEof =>
            {
                write!(f, "the handshake failed: the server ended the connection")
            }
            ConnectError::Handshake(Error::Io(error)) => {
                write!(f, "the handshake failed: {error}")
            }
            ConnectError::Handshake(error) => write!(f, "the handshake failed: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    pub fn from_handshake(
        error: HandshakeError<impl tungstenite::handshake::HandshakeRole>,
        url: &ServerUrl,
    ) -> ConnectError {
        match error {
            HandshakeError::Interrupted(_) => ConnectError::Timeout,
            HandshakeError::Failure(Error::Http(response))
                if response.status() == StatusCode::UNAUTHORIZED =>
            {
                ConnectError::Unauthorized(url.secret_file.clone())
            }
            HandshakeError::Failure(Error::Http(response)) => {
                ConnectError::HttpStatus(url.path().to_owned(), response.status())
            }
            HandshakeError::Failure(Error::Protocol(
                ProtocolError::SecWebSocketSubProtocolError(_),
            )) => ConnectError::UnsupportedSubprotocol,
            HandshakeError::Failure(Error::Protocol(ProtocolError::HttparseError(_)))
                if !url.is_tls =>
            {
                ConnectError::NotHttp
            }
            HandshakeError::Failure(error) => ConnectError::Handshake(error),
        }
    }
}

/// Returns the header that brings the secret (RFC 6750, section 2.1), if there is one. If the file has none any more, this
/// is the `last` one: a pipe gives it once.
pub fn authorization(
    url: &ServerUrl,
    last: &mut Option<HeaderValue>,
) -> Result<Option<HeaderValue>, ConnectError> {
    let Some(file) = &url.secret_file else {
        return Ok(None);
    };
    match read_authorization(file) {
        Ok(value) => *last = Some(value),
        Err(_) if last.is_some() => {}
        Err(error) => return Err(error),
    }
    Ok(last.clone())
}

fn read_authorization(file: &Path) -> Result<HeaderValue, ConnectError> {
    let secret = Secret::File(file.to_owned())
        .read()
        .map_err(ConnectError::Secret)?;
    // A secret is visible ASCII, as a header's value has to be.
    let mut value = HeaderValue::try_from(format!("Bearer {secret}"))
        .map_err(|_| ConnectError::Secret(SecretError::Form(Some(file.to_owned()))))?;
    // `Debug` does not show it.
    value.set_sensitive(true);
    Ok(value)
}

/// Connects to the first address of the host that accepts, with TLS if the URL asks for it.
pub fn connect(url: &ServerUrl) -> Result<Stream, ConnectError> {
    let socket = connect_socket(url)?;
    let configure = || {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(CONNECT_TIMEOUT))?;
        socket.peer_addr()
    };
    let peer = configure().map_err(|error| ConnectError::Handshake(Error::Io(error)))?;
    #[cfg(feature = "tls")]
    if url.is_tls {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        return tls::handshake(Stream::new(socket, peer), url, deadline).map_err(ConnectError::Tls);
    }
    Ok(Stream::new(socket, peer))
}

fn connect_socket(url: &ServerUrl) -> Result<TcpStream, ConnectError> {
    let ServerUrl { host, port, .. } = url;
    let unresolved = |error| ConnectError::Resolve(host.clone(), error);
    let addresses = (host.as_str(), *port)
        .to_socket_addrs()
        .map_err(unresolved)?;
    let mut last_error = unresolved(ErrorKind::NotFound.into());
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = ConnectError::Connect(host.clone(), *port, error),
        }
    }
    Err(last_error)
}
