//! How clients come into a room.

use crate::protocol::Dialect;

/// Identifies one connection for as long as the server runs. Later connections have higher numbers.
pub(crate) type ConnectionId = u64;

/// The endpoint that a client connected to.
pub(crate) enum Endpoint {
    /// `/chat`: the client joins the room.
    Chat(JoinRequest),
    /// `/echo`: the connection's thread returns every message to its sender. The dispatcher only opens and closes it.
    Echo,
}

impl Endpoint {
    /// Returns the dialect of a chat client, and `None` for an echo client.
    pub(crate) fn dialect(&self) -> Option<Dialect> {
        match self {
            Endpoint::Chat(request) => Some(request.dialect),
            Endpoint::Echo => None,
        }
    }
}

/// The parameters of a chat client's handshake.
pub(crate) struct JoinRequest {
    pub(crate) dialect: Dialect,
    /// The requested name.
    pub(crate) name: Option<String>,
    /// The last text that the client received before it lost its connection.
    pub(crate) since: Option<Received>,
}

/// The place up to which a client has received the texts of a room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Received {
    /// The life of the room.
    pub(crate) epoch: u64,
    /// The id of the last text.
    pub(crate) id: u64,
}
