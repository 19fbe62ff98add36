//! The routes of the server.

use tungstenite::handshake::server::Request;

use super::response::HttpResponse;
use super::secret::{Credentials, SharedSecret};
use super::upgrade::Upgrade;
use super::{static_files, upgrade};
use crate::config::Config;
use crate::text::{RoomName, excerpt};

/// The bodies of 401.
const MISSING: &str = "this chat needs a secret: send it as Authorization: Bearer SECRET\n";
const WRONG: &str = "this is not the secret of this chat\n";

/// The action that a request leads to.
pub(crate) enum Route {
    /// Open a WebSocket.
    Upgrade(Upgrade),
    /// Refuse a WebSocket because of the `Origin` of its request.
    WrongOrigin {
        origin: String,
        response: HttpResponse,
    },
    /// Refuse a request with a wrong secret.
    WrongSecret(HttpResponse),
    /// Check whether the dispatchers respond.
    Health,
    /// Tell what the server has counted.
    Metrics,
    /// Send a response and close.
    Response(HttpResponse),
}

/// Returns the route of a request. With a secret, requests for a WebSocket or the metrics must bring it. Does no I/O.
pub(crate) fn route(request: Request, config: &Config, secret: Option<&SharedSecret>) -> Route {
    if let Some(file) = static_files::serve(&request) {
        return Route::Response(file);
    }
    if let Some(secret) = secret
        && is_protected(request.uri().path(), config)
    {
        match secret.check(&request) {
            Credentials::Right => {}
            Credentials::Missing => return Route::Response(HttpResponse::unauthorized(MISSING)),
            Credentials::Wrong => return Route::WrongSecret(HttpResponse::unauthorized(WRONG)),
        }
    }
    match request.uri().path() {
        "/chat" | "/echo" => open(request, None, config),
        "/health" => Route::Health,
        "/metrics" if config.metrics => Route::Metrics,
        path => match path.strip_prefix("/chat/").map(str::parse) {
            Some(Ok(room)) if config.max_rooms > 0 => open(request, Some(room), config),
            Some(Err(error)) if config.max_rooms > 0 => not_found(path, &error.to_string()),
            Some(_) => not_found(path, "the only room is /chat"),
            None => not_found(
                path,
                "the chat page is at /, the chat is a WebSocket at /chat",
            ),
        },
    }
}

/// Returns whether only clients with the secret may request this path. Rooms are not told from other names.
fn is_protected(path: &str, config: &Config) -> bool {
    match path {
        "/chat" | "/echo" => true,
        "/metrics" => config.metrics,
        _ => path.starts_with("/chat/"),
    }
}

/// Returns the route of a request for a WebSocket.
fn open(request: Request, room: Option<RoomName>, config: &Config) -> Route {
    match upgrade::upgrade(request, room, config) {
        Ok(upgrade) => Route::Upgrade(upgrade),
        Err((response, Some(origin))) => Route::WrongOrigin { origin, response },
        Err((response, None)) => Route::Response(response),
    }
}

fn not_found(path: &str, help: &str) -> Route {
    let text = format!("nothing at {:?}: {help}\n", excerpt(path));
    Route::Response(HttpResponse::new("404 Not Found", text))
}
