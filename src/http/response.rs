//! HTTP responses other than the handshake's.

use std::borrow::Cow;
use std::fmt;

#[cfg(feature = "tls")]
use tungstenite::handshake::server::Request;
#[cfg(feature = "tls")]
use tungstenite::http::{HeaderValue, header::HOST};

use crate::config::RESPONSE_TIMEOUT;
use crate::net::Stream;
use crate::text::excerpt;

/// The response to a client for which the system has no thread. It is short enough for the buffer of a new socket.
pub(crate) const OUT_OF_THREADS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

const DISPATCHER_SILENT: &str = "a dispatcher does not respond\n";

#[cfg(feature = "tls")]
const HTTPS_REQUIRED: &str = "this server uses TLS: connect to https:// or wss://\n";

/// A response after which the connection is closed.
pub(crate) struct HttpResponse {
    status: &'static str,
    /// All header lines except `Connection`, each with its line end.
    headers: String,
    body: Cow<'static, str>,
}

impl HttpResponse {
    /// Creates a response with a status such as `404 Not Found` and one line of text.
    pub(super) fn new(status: &'static str, body: impl Into<Cow<'static, str>>) -> HttpResponse {
        HttpResponse::with_content_type(status, "text/plain", body)
    }

    /// Creates a response with a body of this media type in UTF-8.
    pub(super) fn with_content_type(
        status: &'static str,
        media_type: &str,
        body: impl Into<Cow<'static, str>>,
    ) -> HttpResponse {
        let body = body.into();
        let length = body.len();
        HttpResponse {
            status,
            headers: format!(
                "Content-Type: {media_type}; charset=utf-8\r\nContent-Length: {length}\r\n"
            ),
            body,
        }
    }

    /// Creates the response for a browser that has the current version. `Content-Length` would be the length of the body
    /// that is not sent (RFC 9110, section 8.6).
    pub(super) fn not_modified() -> HttpResponse {
        HttpResponse {
            status: "304 Not Modified",
            headers: String::new(),
            body: Cow::Borrowed(""),
        }
    }

    /// Adds a header line.
    pub(super) fn with_header(mut self, header: &str) -> HttpResponse {
        self.headers.push_str(header);
        self.headers.push_str("\r\n");
        self
    }

    /// Creates the response to a request without the secret (RFC 6750, section 3).
    pub(super) fn unauthorized(reason: &'static str) -> HttpResponse {
        HttpResponse::new("401 Unauthorized", reason).with_header("WWW-Authenticate: Bearer")
    }

    /// Creates the response to a temporary lack of resources.
    pub(crate) fn service_unavailable(reason: &'static str) -> HttpResponse {
        HttpResponse::new("503 Service Unavailable", reason).with_header("Retry-After: 5")
    }

    /// Creates the response for an address that has too many connections or joins too often.
    pub(crate) fn too_many_requests(reason: &'static str) -> HttpResponse {
        HttpResponse::new("429 Too Many Requests", reason).with_header("Retry-After: 5")
    }

    /// Creates the response to a request without TLS: a redirect to the same resource with TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn https_required(request: &Request) -> HttpResponse {
        let host = request.headers().get(HOST).map(HeaderValue::to_str);
        let path = request.uri().path_and_query();
        match (host, path) {
            (Some(Ok(host)), Some(path)) if !host.is_empty() => {
                HttpResponse::new("308 Permanent Redirect", HTTPS_REQUIRED)
                    .with_header(&format!("Location: https://{host}{path}"))
            }
            _ => HttpResponse::not_tls(),
        }
    }

    /// Creates the response to what is neither TLS nor a request.
    #[cfg(feature = "tls")]
    pub(crate) fn not_tls() -> HttpResponse {
        HttpResponse::new("400 Bad Request", HTTPS_REQUIRED)
    }

    /// Creates the response to `GET /health`.
    pub(crate) fn health(healthy: bool) -> HttpResponse {
        let response = if healthy {
            HttpResponse::new("200 OK", "ok\n")
        } else {
            HttpResponse::service_unavailable(
                "a dispatcher does not respond, or this node has no place among the others\n",
            )
        };
        response.with_header("Cache-Control: no-store")
    }

    /// Creates the response to `GET /metrics` with a report, or without one if a dispatcher does not respond.
    pub(crate) fn metrics(report: Option<String>) -> HttpResponse {
        let response = match report {
            Some(text) => {
                HttpResponse::with_content_type("200 OK", "text/plain; version=0.0.4", text)
            }
            None => HttpResponse::service_unavailable(DISPATCHER_SILENT),
        };
        response.with_header("Cache-Control: no-store")
    }

    /// Returns the status code if it refuses the request.
    pub(crate) fn refusal_code(&self) -> Option<&'static str> {
        let (code, _) = self.status.split_once(' ')?;
        code.starts_with(['4', '5']).then_some(code)
    }

    /// Sends the response and closes the connection. Waits for the client up to [`RESPONSE_TIMEOUT`] each to accept the
    /// response and to close.
    pub(crate) fn send(&self, stream: &Stream) {
        let HttpResponse {
            status,
            headers,
            body,
        } = self;
        let text = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n{body}");
        // An error means that the client has disconnected.
        let sent = stream
            .set_write_timeout(Some(RESPONSE_TIMEOUT))
            .and_then(|()| stream.write_all(text.as_bytes()));
        if sent.is_ok() {
            stream.shutdown_write();
            stream.lingering_close(RESPONSE_TIMEOUT);
        }
    }
}

/// Shows the status and the beginning of the body, which keeps log lines short.
impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.status, excerpt(&self.body))
    }
}
