//! The events that the server sends to clients.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// An event of the chat. Its serialized form is the JSON dialect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerEvent<'a> {
    /// Greets a user that has joined, as the first event of its connection.
    Welcome {
        /// The user's name.
        name: Cow<'a, str>,
        /// The number of users, including this one.
        users: usize,
        /// The name of the room, empty for `/chat`.
        #[serde(default)]
        room: Cow<'a, str>,
        /// The number of this life of the room: a room ends with its last user, and its ids then start anew.
        #[serde(default)]
        epoch: u64,
        /// The id of the newest message or action, 0 if there was none.
        #[serde(default)]
        last: u64,
        /// Whether the user has missed messages that are gone. Only for users that say what they have received.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gap: bool,
    },
    /// A user sent a text to all users.
    Message {
        /// The sender.
        from: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
        /// The number of the message, one more than that of the message or action before it.
        #[serde(default)]
        id: u64,
        /// The time in milliseconds since 1970.
        #[serde(default)]
        time: u64,
    },
    /// A user does something.
    Action {
        /// The user.
        from: Cow<'a, str>,
        /// The action.
        text: Cow<'a, str>,
        /// The number of the action, one more than that of the message or action before it.
        #[serde(default)]
        id: u64,
        /// The time in milliseconds since 1970.
        #[serde(default)]
        time: u64,
    },
    /// A user sent a text to one user. Both receive the event.
    Whisper {
        /// The sender.
        from: Cow<'a, str>,
        /// The receiver.
        to: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
        /// Whether this is the sender's copy. Plain text words the two copies differently; a program sees the difference
        /// by the names.
        #[serde(skip)]
        to_sender: bool,
    },
    /// A user joined.
    Joined {
        /// The user's name.
        name: Cow<'a, str>,
        /// The number of users now.
        users: usize,
    },
    /// A user left.
    Left {
        /// The user's name.
        name: Cow<'a, str>,
        /// The number of users now.
        users: usize,
    },
    /// A user changed its name.
    Renamed {
        /// The old name.
        from: Cow<'a, str>,
        /// The new name.
        to: Cow<'a, str>,
    },
    /// Lists the users.
    Who {
        /// The names of the first hundred users, in the order in which they joined.
        names: Vec<Cow<'a, str>>,
        /// The number of users.
        users: usize,
    },
    /// Lists the commands that can be typed.
    Help {
        /// One line for each command.
        text: Cow<'a, str>,
    },
    /// A command failed.
    Error {
        /// The reason, and a command that would work.
        text: Cow<'a, str>,
    },
}
