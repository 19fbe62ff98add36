//! A request's head within its limits, where it leads, and the plain answers.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;
use tungstenite::http::header::{CONNECTION, ORIGIN, SEC_WEBSOCKET_PROTOCOL};

use super::static_files;
use crate::chat::dispatcher::JoinRequest;
use crate::config::Config;
use crate::protocol::{Dialect, JSON_SUBPROTOCOL};
use crate::text::shown;

/// The largest head, in bytes: browsers stay under half of it, cookies included.
const MAX_HEAD_SIZE: usize = 8 << 10;

/// For the whole head, so that one byte a second does not hold a thread for hours.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take to get into the socket, and then the client to close.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a request leads to.
pub(crate) enum Route {
    /// Open a WebSocket with this answer.
    Upgrade(Upgrade),
    /// Tell whether the dispatcher is well.
    Health,
    /// Answer and close.
    Answer(Answer),
}

/// A WebSocket that may be opened.
pub(crate) struct Upgrade {
    /// The answer's bytes.
    pub(crate) response: Vec<u8>,
    /// What a chat client asks for. `None`: it wants its echo.
    pub(crate) chat: Option<JoinRequest>,
}

/// A plain HTTP answer, after which the connection is closed.
pub(crate) struct Answer {
    status: &'static str,
    /// All header lines but `Connection`, each with its line end.
    headers: String,
    body: Cow<'static, str>,
}

impl Answer {
    /// A status such as `404 Not Found`, and one line for a person to read.
    pub(crate) fn new(status: &'static str, body: impl Into<Cow<'static, str>>) -> Answer {
        Answer::typed(status, "text/plain", body)
    }

    /// With a body of this media type, which is text.
    pub(crate) fn typed(
        status: &'static str,
        media_type: &str,
        body: impl Into<Cow<'static, str>>,
    ) -> Answer {
        let body = body.into();
        let length = body.len();
        Answer {
            status,
            headers: format!(
                "Content-Type: {media_type}; charset=utf-8\r\nContent-Length: {length}\r\n"
            ),
            body,
        }
    }

    /// For a browser that has the right version already. A length would be that of the body which is not sent
    /// (RFC 9110, section 8.6).
    pub(crate) fn not_modified() -> Answer {
        Answer {
            status: "304 Not Modified",
            headers: String::new(),
            body: Cow::Borrowed(""),
        }
    }

    /// With one header more.
    pub(crate) fn with(mut self, header: &str) -> Answer {
        self.headers.push_str(header);
        self.headers.push_str("\r\n");
        self
    }

    /// For one more client than the server may have, or can.
    pub(crate) fn busy(why: &'static str) -> Answer {
        Answer::new("503 Service Unavailable", why).with("Retry-After: 5")
    }

    /// What `GET /health` is told.
    pub(crate) fn health(well: bool) -> Answer {
        let answer = if well {
            Answer::new("200 OK", "ok\n")
        } else {
            Answer::busy("the dispatcher does not answer\n")
        };
        answer.with("Cache-Control: no-store")
    }

    /// Writes the answer and waits for the client to close, as long as that takes no longer than it should.
    pub(crate) fn send(&self, mut socket: &TcpStream) {
        let Answer {
            status,
            headers,
            body,
        } = self;
        let text = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n{body}");
        // Whatever fails here, the client is not there to be told.
        let sent = socket
            .set_write_timeout(Some(RESPONSE_TIMEOUT))
            .and_then(|()| socket.write_all(text.as_bytes()));
        if sent.is_ok() && socket.shutdown(Shutdown::Write).is_ok() {
            read_until_closed(socket, RESPONSE_TIMEOUT);
        }
    }
}

/// The beginning of a body tells why; a log has no use for the whole page.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.status, shown(&self.body))
    }
}

/// Reads and forgets until the client closes: whether it did, within this time. Closing a socket with unread input
/// sends a reset, which may overtake what was written before.
pub(crate) fn read_until_closed(mut socket: &TcpStream, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    let mut unread = [0; 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match socket.read(&mut unread) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum HeadError {
    /// The client went away, or sent nothing.
    Gone,
    /// It gets this answer.
    Refused(Answer),
}

/// Reads a head: the request, and what came behind it.
///
/// # Errors
///
/// A head that is too large, too slow, malformed, or none at all.
pub(crate) fn read_head(mut socket: &TcpStream) -> Result<(Request, Vec<u8>), HeadError> {
    let due = Instant::now() + HEADER_READ_TIMEOUT;
    let mut head = Vec::new();
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(too_slow(&head));
        }
        let mut part = [0; 1024];
        let room = part.len().min(MAX_HEAD_SIZE - head.len());
        let read = socket
            .set_read_timeout(Some(left))
            .and_then(|()| socket.read(&mut part[..room]));
        match read {
            Ok(0) => return Err(HeadError::Gone),
            Ok(n) => head.extend_from_slice(&part[..n]),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => continue,
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(too_slow(&head)),
                _ => return Err(HeadError::Gone),
            },
        }
        match Request::try_parse(&head) {
            Ok(Some((length, request))) => return Ok((request, head.split_off(length))),
            Ok(None) if head.len() < MAX_HEAD_SIZE => {}
            Ok(None) => return Err(HeadError::Refused(too_large())),
            Err(error) => return Err(HeadError::Refused(malformed(error))),
        }
    }
}

fn too_slow(head: &[u8]) -> HeadError {
    if head.is_empty() {
        return HeadError::Gone;
    }
    let seconds = HEADER_READ_TIMEOUT.as_secs();
    HeadError::Refused(Answer::new(
        "408 Request Timeout",
        format!("the request's head took over {seconds} seconds\n"),
    ))
}

fn too_large() -> Answer {
    let limit =
        format!("the request's head is over {MAX_HEAD_SIZE} bytes, or has too many lines\n");
    Answer::new("431 Request Header Fields Too Large", limit)
}

fn malformed(error: Error) -> Answer {
    match error {
        Error::Capacity(CapacityError::TooManyHeaders) => too_large(),
        Error::Protocol(ProtocolError::WrongHttpMethod) => {
            Answer::new("405 Method Not Allowed", "only GET is served here\n").with("Allow: GET")
        }
        Error::Protocol(ProtocolError::WrongHttpVersion) => Answer::new(
            "505 HTTP Version Not Supported",
            "only HTTP/1.1 is served here\n",
        ),
        error => Answer::new(
            "400 Bad Request",
            format!("this is no HTTP request: {error}\n"),
        ),
    }
}

/// Where a request leads. No I/O.
pub(crate) fn route(mut request: Request, options: &Config) -> Route {
    if let Some(page) = static_files::answer(&request) {
        return Route::Answer(page);
    }
    match request.uri().path() {
        "/chat" => {}
        "/echo" => {}
        "/health" => return Route::Health,
        path => {
            let body = format!(
                "there is nothing at {:?}; the chat page is at /, the chat is a WebSocket at /chat\n",
                shown(path)
            );
            return Route::Answer(Answer::new("404 Not Found", body));
        }
    }
    merge_connection(&mut request);
    upgrade(&request, options).map_or_else(Route::Answer, Route::Upgrade)
}

/// tungstenite looks at the first `Connection` header alone, and there may be several (RFC 9110, section 5.3).
fn merge_connection(request: &mut Request) {
    let lines = request.headers().get_all(CONNECTION);
    let tokens: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(merged) = HeaderValue::from_bytes(&tokens.join(&b", "[..]))
        && tokens.len() > 1
    {
        request.headers_mut().insert(CONNECTION, merged);
    }
}

fn upgrade(request: &Request, options: &Config) -> Result<Upgrade, Answer> {
    let mut response = create_response(request).map_err(no_upgrade)?;
    if !may_connect(request, options) {
        return Err(Answer::new(
            "403 Forbidden",
            "pages of this origin may not connect here\n",
        ));
    }
    let chat = (request.uri().path() == "/chat").then(|| JoinRequest {
        dialect: dialect(request),
        name: wanted_name(request),
    });
    let json = |newcomer: &JoinRequest| newcomer.dialect == Dialect::Json;
    if chat.as_ref().is_some_and(json) {
        response.headers_mut().insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(JSON_SUBPROTOCOL),
        );
    }
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).map_err(no_upgrade)?;
    Ok(Upgrade {
        response: bytes,
        chat,
    })
}

/// What is wrong with an opening handshake (RFC 6455, section 4.2.1), and what would be right.
fn no_upgrade(error: Error) -> Answer {
    let needed = || {
        Answer::new(
            "426 Upgrade Required",
            "this is a WebSocket: connect with a WebSocket client\n",
        )
    };
    match error {
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => needed().with("Upgrade: websocket"),
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => needed()
            .with("Upgrade: websocket")
            .with("Sec-WebSocket-Version: 13"),
        error => Answer::new(
            "400 Bad Request",
            format!("this is no WebSocket handshake: {error}\n"),
        ),
    }
}

fn may_connect(request: &Request, options: &Config) -> bool {
    let Some(origin) = request.headers().get(ORIGIN) else {
        return true;
    };
    let allowed = &options.allow_origin;
    allowed.is_empty()
        || allowed
            .iter()
            .any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()))
}

/// The subprotocol that both sides know, or plain text.
fn dialect(request: &Request) -> Dialect {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    if offered.any(|name| name.trim() == JSON_SUBPROTOCOL) {
        Dialect::Json
    } else {
        Dialect::Plain
    }
}

/// The value of `name` in the query. Names need no escapes, so one that has some is refused as it stands.
fn wanted_name(request: &Request) -> Option<String> {
    let pairs = request.uri().query()?.split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == "name")
        .map(|(_, name)| name.to_owned())
}

/// Answers a client that no thread could be had for: as much as the socket takes at once, and nothing is waited for.
pub(crate) fn refuse_now(mut socket: &TcpStream) -> io::Result<()> {
    let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    socket.set_nonblocking(true)?;
    socket.write_all(answer.as_bytes())?;
    socket.shutdown(Shutdown::Write)
}
