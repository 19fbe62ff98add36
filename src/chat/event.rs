//! The events that other threads send to the dispatcher.

use std::time::Instant;

use crossbeam_channel::Sender;
use tungstenite::Bytes;

#[cfg(feature = "cluster")]
use super::replication::Replication;
use crate::metrics::ChatMetrics;
use crate::outbound::PendingResponse;
use crate::protocol::{ClientCommand, Dialect};
use crate::websocket::disconnect::DisconnectReason;

/// Identifies one connection for as long as the server runs. Later connections have higher numbers.
pub(crate) type ConnectionId = u64;

/// An event in the dispatcher's inbox.
pub(crate) enum Event {
    /// A client completed its handshake.
    Connected {
        id: ConnectionId,
        response: PendingResponse,
        endpoint: Endpoint,
    },
    /// A chat client sent a command, at this time if it is counted.
    Command(ConnectionId, ClientCommand<'static>, Option<Instant>),
    /// A client has been idle for the ping period and must be sent a Ping. The dispatcher sends it: Linux keeps 32 KiB for
    /// each thread that has ever sent, and most threads of connections never do otherwise.
    Idle(ConnectionId),
    /// A connection ended.
    Disconnected {
        id: ConnectionId,
        reason: DisconnectReason,
        /// The Close to send. The dispatcher sends it, because only the dispatcher knows the messages that must precede it.
        close: Option<Bytes>,
    },
    /// A question for what the dispatcher has counted, `None` if nothing is counted, or whether it responds at all. It replies
    /// on this channel, which must have capacity.
    Report(Sender<Option<ChatMetrics>>),
    /// Closes all current and later connections.
    Shutdown,
    /// What the log that several nodes share does to the room.
    #[cfg(feature = "cluster")]
    Replication(Replication),
}

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
