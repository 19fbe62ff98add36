//! The routes of the server.

use tungstenite::handshake::server::Request;

use super::response::HttpResponse;
use super::upgrade::Upgrade;
use super::{static_files, upgrade};
use crate::config::Config;
use crate::text::excerpt;

/// The action that a request leads to.
pub(crate) enum Route {
    /// Open a WebSocket.
    Upgrade(Upgrade),
    /// Refuse a WebSocket because of the `Origin` of its request.
    WrongOrigin {
        origin: String,
        response: HttpResponse,
    },
    /// Check whether the dispatcher responds.
    Health,
    /// Send a response and close.
    Response(HttpResponse),
}

/// Returns the route of a request. Does no I/O.
pub(crate) fn route(request: Request, config: &Config) -> Route {
    if let Some(file) = static_files::serve(&request) {
        return Route::Response(file);
    }
    match request.uri().path() {
        "/chat" | "/echo" => match upgrade::upgrade(request, config) {
            Ok(upgrade) => Route::Upgrade(upgrade),
            Err((response, Some(origin))) => Route::WrongOrigin { origin, response },
            Err((response, None)) => Route::Response(response),
        },
        "/health" => Route::Health,
        path => Route::Response(HttpResponse::new(
            "404 Not Found",
            format!(
                "nothing at {:?}: the chat page is at /, the chat is a WebSocket at /chat\n",
                excerpt(path)
            ),
        )),
    }
}
