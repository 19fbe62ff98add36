//! The way of clients into a room.

#[cfg(feature = "cluster")]
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::event::Event;
#[cfg(feature = "cluster")]
use super::replicate::{ClusterError, Membership, Replicate};
#[cfg(feature = "cluster")]
use crate::metrics::ClusterMetrics;
#[cfg(feature = "cluster")]
use crate::text::RoomName;

/// The way to a room's dispatcher.
#[derive(Clone)]
pub(super) struct Entrance {
    /// The dispatcher's inbox.
    pub(super) dispatcher: Sender<Event>,
    /// Where chat clients send their events: the same, or what puts them into an order with those of other nodes.
    pub(super) chat: Sender<Event>,
    #[cfg(feature = "cluster")]
    membership: Option<Arc<dyn Membership>>,
}

impl Entrance {
    pub(super) fn new(inbox: Sender<Event>) -> Entrance {
        Entrance {
            chat: inbox.clone(),
            dispatcher: inbox,
            #[cfg(feature = "cluster")]
            membership: None,
        }
    }

    /// Makes the room part of a log.
    #[cfg(feature = "cluster")]
    pub(super) fn replicated(
        self,
        room: Option<&RoomName>,
        replicate: Option<&dyn Replicate>,
        capacity: usize,
    ) -> Result<Entrance, ClusterError> {
        let Some(replicate) = replicate else {
            return Ok(self);
        };
        let replicated = replicate.replicate(room, self.dispatcher.clone(), capacity)?;
        Ok(Entrance {
            dispatcher: self.dispatcher,
            chat: replicated.chat,
            membership: Some(replicated.membership),
        })
    }

    /// Returns whether the room takes chat clients.
    pub(super) fn is_open(&self) -> bool {
        #[cfg(feature = "cluster")]
        return self
            .membership
            .as_ref()
            .is_none_or(|membership| membership.is_open());
        #[cfg(not(feature = "cluster"))]
        true
    }

    /// Makes known that the server is about to end, and waits for nothing.
    pub(super) fn begin_shutdown(&self) {
        #[cfg(feature = "cluster")]
        if let Some(membership) = &self.membership {
            membership.shut_down();
        }
    }

    /// Returns what the room's log has brought, if the room has one.
    #[cfg(feature = "cluster")]
    pub(super) fn cluster_metrics(&self) -> Option<ClusterMetrics> {
        let membership = self.membership.as_ref()?;
        Some(membership.metrics())
    }
}
