//! The opening handshake of a WebSocket (RFC 6455, section 4.2).

use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;
use tungstenite::http::header::{CONNECTION, ORIGIN, SEC_WEBSOCKET_PROTOCOL};

use super::response::HttpResponse;
use crate::chat::join::{Endpoint, JoinRequest, Received};
use crate::config::Config;
use crate::protocol::plain::PLAIN_SUBPROTOCOL;
use crate::protocol::{Dialect, JSON_SUBPROTOCOL};
use crate::text::{RoomName, percent_decode};

/// An accepted handshake.
pub(crate) struct Upgrade {
    /// The response of the handshake, as bytes.
    pub(crate) response: Vec<u8>,
    pub(crate) endpoint: Endpoint,
    /// The room to enter. `None` for `/chat` and `/echo`.
    pub(crate) room: Option<RoomName>,
}

/// Checks a handshake and builds its response.
///
/// # Errors
///
/// The response that refuses the handshake, and the origin if that is not allowed.
pub(super) fn upgrade(
    mut request: Request,
    room: Option<RoomName>,
    config: &Config,
) -> Result<Upgrade, (HttpResponse, Option<String>)> {
    let invalid = |error| (handshake_error(error), None);
    merge_connection_headers(&mut request);
    let mut response = create_response(&request).map_err(invalid)?;
    if let Some(origin) = disallowed_origin(&request, config) {
        let response = HttpResponse::new("403 Forbidden", "origin not allowed\n");
        return Err((response, Some(origin)));
    }
    let endpoint = match request.uri().path() {
        "/echo" => Endpoint::Echo,
        _ => {
            let dialect = negotiate_dialect(&request);
            Endpoint::Chat(JoinRequest {
                dialect,
                name: requested_name(&request),
                since: received(&request).map_err(|response| (response, None))?,
            })
        }
    };
    if let Some(subprotocol) = subprotocol(&request, &endpoint) {
        let value = HeaderValue::from_static(subprotocol);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).map_err(invalid)?;
    Ok(Upgrade {
        response: bytes,
        endpoint,
        room,
    })
}

/// Joins several `Connection` headers into one (RFC 9110, section 5.3), because tungstenite reads only the first.
fn merge_connection_headers(request: &mut Request) {
    let lines = request.headers().get_all(CONNECTION);
    let tokens: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(merged) = HeaderValue::from_bytes(&tokens.join(&b", "[..]))
        && tokens.len() > 1
    {
        request.headers_mut().insert(CONNECTION, merged);
    }
}

/// Returns the response to an invalid handshake (RFC 6455, section 4.2.1), with the missing headers.
fn handshake_error(error: Error) -> HttpResponse {
    let upgrade_required = || {
        HttpResponse::new(
            "426 Upgrade Required",
            "this is a WebSocket: connect with a WebSocket client\n",
        )
        // RFC 9110, section 7.8: `Upgrade` is an option of this connection.
        .with_header("Upgrade: websocket\r\nConnection: upgrade")
    };
    match error {
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => upgrade_required(),
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            upgrade_required().with_header("Sec-WebSocket-Version: 13")
        }
        error => HttpResponse::new(
            "400 Bad Request",
            format!("invalid WebSocket handshake: {error}\n"),
        ),
    }
}

/// Returns the origin of a web page that is not allowed. Clients other than web pages send no `Origin` and are
/// always allowed.
fn disallowed_origin(request: &Request, config: &Config) -> Option<String> {
    let origin = request.headers().get(ORIGIN)?.as_bytes();
    let allowed = &config.allow_origin;
    let is_allowed = allowed.is_empty()
        || allowed
            .iter()
            .any(|allowed| origin.eq_ignore_ascii_case(allowed.as_bytes()));
    (!is_allowed).then(|| String::from_utf8_lossy(origin).into_owned())
}

/// Returns the dialect of the subprotocol that both sides know, or plain text.
fn negotiate_dialect(request: &Request) -> Dialect {
    if offers(request, JSON_SUBPROTOCOL) {
        Dialect::Json
    } else {
        Dialect::Plain
    }
}

/// Returns the subprotocol to confirm. A browser that offers some fails unless one of them is confirmed, and the one that
/// brings a secret never is.
fn subprotocol(request: &Request, endpoint: &Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::Chat(join) if join.dialect == Dialect::Json => Some(JSON_SUBPROTOCOL),
        _ => offers(request, PLAIN_SUBPROTOCOL).then_some(PLAIN_SUBPROTOCOL),
    }
}

fn offers(request: &Request, subprotocol: &str) -> bool {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    offered.any(|name| name.trim() == subprotocol)
}

/// Returns the place up to which a client has received the texts of its room.
///
/// # Errors
///
/// The response to numbers that are invalid, or not together.
fn received(request: &Request) -> Result<Option<Received>, HttpResponse> {
    let numbers = ["since", "epoch"].map(|key| query_value(request, key));
    let [Some(id), Some(epoch)] = numbers.map(|value| value?.parse().ok()) else {
        return match numbers {
            [None, None] => Ok(None),
            _ => Err(HttpResponse::new(
                "400 Bad Request",
                "since and epoch must be whole numbers, and need each other\n",
            )),
        };
    };
    Ok(Some(Received { epoch, id }))
}

/// Returns the name in the query. What cannot be decoded stays as it is, and is refused as a name because of its `%`.
fn requested_name(request: &Request) -> Option<String> {
    let value = query_value(request, "name")?;
    Some(percent_decode(value).unwrap_or_else(|| value.to_owned()))
}

/// Returns a value in the query as it stands there.
fn query_value<'a>(request: &'a Request, key: &str) -> Option<&'a str> {
    let pairs = request.uri().query()?.split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(found, _)| *found == key)
        .map(|(_, value)| value)
}
