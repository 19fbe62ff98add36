//! HTTP: request heads within limits, routes, responses, and the handshake of a WebSocket.

pub(crate) mod head;
pub(crate) mod response;
pub(crate) mod router;
pub(crate) mod secret;
mod static_files;
pub(crate) mod upgrade;
