//! The room: the users, their names, and the effect of each command. Plain logic: no I/O, no clock, no frames.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

#[cfg(feature = "cluster")]
use serde::{Deserialize, Serialize};

use super::delivery::{Delivery, Recipients};
use super::history::{History, Kind, Missed};
use super::join::{ConnectionId, JoinRequest, Received};
use super::reservations::Reservations;
use super::user_names::UserNames;
use crate::config::Config;
use crate::net::forwarded::counted_address;
use crate::protocol::{ClientCommand, ServerEvent, help};
use crate::text::{
    MAX_NAME_LEN, NameError, RoomName, excerpt, fold_name, normalize_name, sanitize,
};

/// The longest list of names. Further users are only counted.
const MAX_LISTED_NAMES: usize = 100;

/// The longest spelling of a name in bytes: one character can decompose to four, of four bytes each. What is longer is not
/// compared with names, which would take time.
const MAX_SPELLING: usize = 16 * MAX_NAME_LEN;

#[cfg_attr(feature = "cluster", derive(Serialize, Deserialize))]
struct User {
    name: String,
    /// The address as which the user is counted.
    address: Option<IpAddr>,
    /// The number of users that joined before, in a room whose users have ids of several nodes.
    #[cfg(feature = "cluster")]
    number: u64,
}

/// The users and their names, and what was said. All times are in milliseconds since 1970.
#[derive(Default)]
#[cfg_attr(feature = "cluster", derive(Serialize, Deserialize))]
pub(crate) struct Room {
    /// The name of the room, empty for `/chat`.
    name: String,
    /// The number of this life of the room.
    epoch: u64,
    history: History,
    users: BTreeMap<ConnectionId, User>,
    #[cfg_attr(feature = "cluster", serde(skip))]
    names: UserNames,
    /// The number in the next guest name. Numbers are never reused, so that a user is not taken for an earlier one.
    next_guest: u64,
    reservations: Reservations,
}

impl Room {
    /// Creates an empty room. `epoch` differs from that of every earlier room with this name.
    pub(crate) fn new(name: Option<&RoomName>, epoch: u64, config: &Config) -> Room {
        Room {
            name: name.map_or("", RoomName::as_str).to_owned(),
            epoch,
            history: History::new(config.history, config.history_limit()),
            ..Room::default()
        }
    }

    /// Returns the beginning of the log's lines about this room.
    pub(super) fn log_prefix(&self) -> String {
        match self.name.as_str() {
            "" => String::new(),
            name => format!("room {name}: "),
        }
    }

    /// Returns the place of a client that has received everything.
    #[cfg(feature = "cluster")]
    pub(super) fn place(&self) -> Received {
        Received {
            epoch: self.epoch,
            id: self.history.last_id(),
        }
    }

    /// Returns the name of a user.
    pub(super) fn name(&self, id: ConnectionId) -> Option<&str> {
        self.users.get(&id).map(|user| user.name.as_str())
    }

    /// Returns the number of users.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    /// Reserves the name of a user that is about to leave for its address.
    pub(super) fn reserve_name(&mut self, id: ConnectionId, now: u64) {
        // Guest names are never given to another user.
        let user = self.users.get(&id);
        if let Some(User { name, address, .. }) =
            user.filter(|user| normalize_name(&user.name).is_ok())
        {
            self.reservations.add(name, *address, now);
        }
    }

    /// Adds a user with the requested name. If the name is refused, the user gets a guest name and the reason. The kept
    /// texts that the user has not received follow.
    pub(super) fn join(
        &mut self,
        id: ConnectionId,
        request: &JoinRequest,
        address: Option<IpAddr>,
        now: u64,
    ) -> Vec<Delivery<'_>> {
        let requested = request.name.as_deref();
        let address = counted_address(address);
        let number = self.next_guest;
        let guest_name = format!("user{number}");
        self.next_guest += 1;
        let (name, refusal) =
            match requested.map(|name| (name, self.check_available(id, name, address, now))) {
                None => (guest_name, None),
                Some((_, Ok(name))) => (name, None),
                Some((name, Err(reason))) => (guest_name, Some(name_refused(id, name, reason))),
            };
        self.names.add(&name, id);
        let user = User {
            name: name.clone(),
            address,
            #[cfg(feature = "cluster")]
            number,
        };
        self.users.insert(id, user);
        let users = self.users.len();
        let joined = ServerEvent::Joined {
            name: name.clone().into(),
            users,
        };
        let missed = self.missed(request.since);
        let welcome = ServerEvent::Welcome {
            name: name.into(),
            users,
            room: Cow::from(&self.name),
            epoch: self.epoch,
            last: self.history.last_id(),
            gap: request.since.is_some() && missed.gap,
        };
        let mut deliveries = vec![
            Delivery::to_all_except(id, joined),
            Delivery::to_only(id, welcome),
        ];
        deliveries.extend(refusal);
        let texts = self.history.newest(missed.kept);
        deliveries.extend(texts.map(|text| Delivery::to_only(id, text)));
        deliveries
    }

    /// Returns the texts that a newcomer has missed.
    fn missed(&self, since: Option<Received>) -> Missed {
        match since {
            Some(Received { epoch, id }) if epoch == self.epoch => self.history.missed_since(id),
            // Of an earlier life of the room, nothing is kept.
            _ => Missed {
                kept: self.history.len(),
                gap: true,
            },
        }
    }

    /// Removes a user. Does nothing if the user has left before.
    pub(super) fn leave(&mut self, id: ConnectionId) -> Vec<Delivery<'static>> {
        let Some(User { name, .. }) = self.users.remove(&id) else {
            return Vec::new();
        };
        self.names.remove(&name);
        let left = ServerEvent::Left {
            name: name.into(),
            users: self.users.len(),
        };
        vec![Delivery::to_all_except(id, left)]
    }

    /// Applies a user's command. Does nothing if the user has left before.
    pub(super) fn handle<'a>(
        &'a mut self,
        id: ConnectionId,
        command: ClientCommand<'_>,
        now: impl Fn() -> u64,
    ) -> Vec<Delivery<'a>> {
        let command = match command {
            ClientCommand::Rename { name } => return self.rename(id, &name, now()),
            ClientCommand::Quit => return self.leave(id),
            ClientCommand::Message { text } => return self.say(id, Kind::Message, text, now()),
            ClientCommand::Action { text } => return self.say(id, Kind::Action, text, now()),
            other => other,
        };
        let Some(name) = self.name(id) else {
            return Vec::new();
        };
        let from = Cow::from(name);
        vec![match command {
            ClientCommand::Whisper { to, text } => return self.whisper(id, from, &to, &text),
            ClientCommand::Who {} => Delivery::to_only(id, self.list_users()),
            ClientCommand::Help {} => {
                let text = help().into();
                Delivery::to_only(id, ServerEvent::Help { text })
            }
            ClientCommand::Unknown(error) | ClientCommand::Invalid(error) => {
                Delivery::error(id, sanitize(&error).into_owned())
            }
            // Those that change the room are handled above. The decoder replaces a Line.
            ClientCommand::Rename { .. }
            | ClientCommand::Quit
            | ClientCommand::Message { .. }
            | ClientCommand::Action { .. }
            | ClientCommand::Line { .. } => return Vec::new(),
        }]
    }

    fn say<'a>(
        &'a mut self,
        id: ConnectionId,
        kind: Kind,
        text: Cow<'_, str>,
        now: u64,
    ) -> Vec<Delivery<'a>> {
        let Some(User { name, .. }) = self.users.get(&id) else {
            return Vec::new();
        };
        let text = sanitize_owned(text);
        let id = self.history.add(kind, name, &text, now);
        vec![Delivery::to_all(kind.event(name.into(), text, id, now))]
    }

    fn list_users(&self) -> ServerEvent<'_> {
        ServerEvent::Who {
            names: self
                .first_users(MAX_LISTED_NAMES)
                .map(|user| Cow::from(&user.name))
                .collect(),
            users: self.users.len(),
        }
    }

    /// Returns the users who joined first. Their ids are in that order.
    #[cfg(not(feature = "cluster"))]
    fn first_users(&self, number: usize) -> impl Iterator<Item = &User> {
        self.users.values().take(number)
    }

    fn whisper<'a>(
        &'a self,
        id: ConnectionId,
        from: Cow<'a, str>,
        to: &str,
        text: &str,
    ) -> Vec<Delivery<'a>> {
        let Some((receiver, to)) = self.find(to) else {
            let unknown = format!(
                "Nobody here is called {}. /who tells who is here.",
                sanitize(&excerpt(to))
            );
            return vec![Delivery::error(id, unknown)];
        };
        let text = sanitize(text).into_owned();
        let whisper = |to_sender| ServerEvent::Whisper {
            from: from.clone(),
            to: Cow::from(to),
            text: text.clone().into(),
            to_sender,
        };
        let mut deliveries = vec![Delivery::to_only(receiver, whisper(false))];
        // A user who whispers to itself has received the text already.
        if receiver != id {
            deliveries.push(Delivery::to_only(id, whisper(true)));
        }
        deliveries
    }

    /// Returns the user with this name in any spelling. A text for one user never goes to another that only looks the same.
    fn find(&self, name: &str) -> Option<(ConnectionId, &str)> {
        if name.len() > MAX_SPELLING {
            return None;
        }
        let like = self.names.like(name).into_iter();
        like.filter_map(|id| Some((id, self.name(id)?)))
            .find(|(_, found)| fold_name(found) == fold_name(name))
    }

    fn rename(&mut self, id: ConnectionId, requested: &str, now: u64) -> Vec<Delivery<'static>> {
        let Some(User { name, address, .. }) = self.users.get(&id) else {
            return Vec::new();
        };
        let (from, address) = (name.clone(), *address);
        let available = match requested == from {
            // Guest names are not available otherwise.
            true => Ok(from.clone()),
            false => self.check_available(id, requested, address, now),
        };
        let name = match available {
            Ok(name) if name == from => {
                return vec![Delivery::error(
                    id,
                    format!("You are called {name} already."),
                )];
            }
            Ok(name) => name,
            Err(reason) => return vec![name_refused(id, requested, reason)],
        };
        if let Some(user) = self.users.get_mut(&id) {
            user.name.clone_from(&name);
        }
        self.names.remove(&from);
        self.names.add(&name, id);
        vec![Delivery::to_all(ServerEvent::Renamed {
            from: from.into(),
            to: name.into(),
        })]
    }

    /// Returns a name as the user gets it, after checking that it is available. A user is allowed to change the spelling of
    /// its own name.
    fn check_available(
        &mut self,
        id: ConnectionId,
        name: &str,
        address: Option<IpAddr>,
        now: u64,
    ) -> Result<String, NameError> {
        let name = normalize_name(name)?;
        if self.reservations.is_reserved(&name, address, now) {
            return Err(NameError::Taken);
        }
        if self.find(&name).is_some_and(|(owner, _)| owner != id) {
            return Err(NameError::Taken);
        }
        if self.names.like(&name).iter().any(|&owner| owner != id) {
            return Err(NameError::LooksTaken);
        }
        Ok(name)
    }
}

fn name_refused(id: ConnectionId, name: &str, reason: NameError) -> Delivery<'static> {
    let name = excerpt(name);
    Delivery::error(
        id,
        format!("You can't be called {:?}: {reason}.", sanitize(&name)),
    )
}

/// Returns the receiver of a whisper to another user, its name, and the whisper's size in bytes.
pub(super) fn whisper_to_other<'a>(
    id: ConnectionId,
    deliveries: &'a [Delivery<'_>],
) -> Option<(ConnectionId, &'a str, usize)> {
    match deliveries.first()? {
        Delivery {
            recipients: Recipients::Only(receiver),
            event: ServerEvent::Whisper { to, text, .. },
        } if *receiver != id => Some((*receiver, to, text.len())),
        _ => None,
    }
}

/// Reports to the sender of a whisper that the receiver has too much unread.
pub(super) fn whisper_refused(id: ConnectionId, to: &str) -> Delivery<'static> {
    Delivery::error(
        id,
        format!("{to} is reading too slowly to receive this whisper. Try again later."),
    )
}

/// Sanitizes a text that the caller owns, without copying a harmless one.
fn sanitize_owned(text: Cow<'_, str>) -> Cow<'static, str> {
    match sanitize(&text) {
        Cow::Owned(sanitized) => sanitized.into(),
        Cow::Borrowed(_) => text.into_owned().into(),
    }
}

#[cfg(feature = "cluster")]
mod snapshot;
#[cfg(test)]
mod tests;
