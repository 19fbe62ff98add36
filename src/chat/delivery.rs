//! Events and their recipients.

use std::borrow::Cow;

use super::join::ConnectionId;
use crate::protocol::ServerEvent;

/// The users that receive an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Recipients {
    All,
    AllExcept(ConnectionId),
    Only(ConnectionId),
}

/// An event and its recipients.
#[derive(Debug, PartialEq)]
pub(super) struct Delivery<'a> {
    pub(super) recipients: Recipients,
    pub(super) event: ServerEvent<'a>,
}

impl<'a> Delivery<'a> {
    pub(super) fn to_all(event: ServerEvent<'a>) -> Delivery<'a> {
        Delivery {
            recipients: Recipients::All,
            event,
        }
    }

    pub(super) fn to_all_except(id: ConnectionId, event: ServerEvent<'a>) -> Delivery<'a> {
        Delivery {
            recipients: Recipients::AllExcept(id),
            event,
        }
    }

    pub(super) fn to_only(id: ConnectionId, event: ServerEvent<'a>) -> Delivery<'a> {
        Delivery {
            recipients: Recipients::Only(id),
            event,
        }
    }

    pub(super) fn error(id: ConnectionId, text: impl Into<Cow<'a, str>>) -> Delivery<'a> {
        Delivery::to_only(id, ServerEvent::Error { text: text.into() })
    }
}
