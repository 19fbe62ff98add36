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
        "/chat" | "/echo" => {
            upgrade::upgrade(request, config).map_or_else(Route::Response, Route::Upgrade)
        }
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
