//! Who is here, what they are called, and what a request means for whom. Plain logic: no I/O, no clock, no frames.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::protocol::plain::{self, HELP};
use crate::protocol::{ClientCommand, ServerEvent};
use crate::text::{NameError, sanitize, shown, validate_name};

/// One connection, for as long as the server runs. Later connections have higher numbers.
pub(crate) type Id = u64;

/// How many names a list of those here holds before it only counts.
const MAX_LISTED_NAMES: usize = 100;

/// Who is to be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum To {
    /// Everybody who is here.
    All,
    /// Everybody but this one.
    Others(Id),
    /// This one alone.
    One(Id),
}

/// Whether a member stays after its request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Next {
    /// It stays.
    Stays,
    /// It asked to leave and is no member any more.
    Quits,
}

/// The members and their names.
#[derive(Default)]
pub(crate) struct Room {
    members: BTreeMap<Id, String>,
    /// The members by their names in lower case, which are unique.
    by_name: HashMap<String, Id>,
    /// The number in the next counter name. Never reused, so nobody is taken for somebody who left.
    next: u64,
}

impl Room {
    /// The name of a member, if it is one.
    pub(crate) fn name(&self, id: Id) -> Option<&str> {
        self.members.get(&id).map(String::as_str)
    }

    /// How many are here.
    pub(crate) fn users(&self) -> usize {
        self.members.len()
    }

    /// A newcomer, with the name it asks for or, where that can't be had, the counter's next.
    pub(crate) fn join(
        &mut self,
        id: Id,
        wanted: Option<&str>,
        tell: &mut impl FnMut(To, &ServerEvent<'_>),
    ) {
        let counted = format!("user{}", self.next);
        self.next += 1;
        let refused = wanted.and_then(|wanted| Some((wanted, self.check_free(id, wanted).err()?)));
        let name = match (wanted, &refused) {
            (Some(wanted), None) => wanted.to_owned(),
            _ => counted,
        };
        self.by_name.insert(name.to_ascii_lowercase(), id);
        let users = self.members.len() + 1;
        tell(
            To::Others(id),
            &ServerEvent::Joined {
                name: (&name).into(),
                users,
            },
        );
        tell(
            To::One(id),
            &ServerEvent::Welcome {
                name: (&name).into(),
                users,
            },
        );
        if let Some((wanted, why)) = refused {
            tell(To::One(id), &cant_be(wanted, why));
        }
        self.members.insert(id, name);
    }

    /// A member is gone. Does nothing for one that was none.
    pub(crate) fn leave(&mut self, id: Id, tell: &mut impl FnMut(To, &ServerEvent<'_>)) {
        if let Some(name) = self.members.remove(&id) {
            self.by_name.remove(&name.to_ascii_lowercase());
            tell(
                To::Others(id),
                &ServerEvent::Left {
                    name: name.into(),
                    users: self.members.len(),
                },
            );
        }
    }

    /// Does what a member asks for. Does nothing for one who left before.
    pub(crate) fn handle(
        &mut self,
        id: Id,
        request: ClientCommand<'_>,
        tell: &mut impl FnMut(To, &ServerEvent<'_>),
    ) -> Next {
        let Some(name) = self.members.get(&id) else {
            return Next::Stays;
        };
        let from: Cow<'_, str> = name.into();
        match request {
            ClientCommand::Message { text } => tell(
                To::All,
                &ServerEvent::Message {
                    from,
                    text: sanitize(&text),
                },
            ),
            ClientCommand::Action { text } => tell(
                To::All,
                &ServerEvent::Action {
                    from,
                    text: sanitize(&text),
                },
            ),
            ClientCommand::Whisper { to, text } => self.whisper(id, from, &to, &text, tell),
            ClientCommand::Rename { name } => self.rename(id, &name, tell),
            ClientCommand::Who {} => {
                let names = self
                    .members
                    .values()
                    .take(MAX_LISTED_NAMES)
                    .map(Cow::from)
                    .collect();
                tell(
                    To::One(id),
                    &ServerEvent::Who {
                        names,
                        users: self.members.len(),
                    },
                );
            }
            ClientCommand::Help {} => tell(To::One(id), &ServerEvent::Help { text: HELP.into() }),
            ClientCommand::Line { text } => return self.handle(id, plain::decode(&text), tell),
            ClientCommand::Invalid(what) => tell(
                To::One(id),
                &ServerEvent::Error {
                    text: sanitize(&what),
                },
            ),
            ClientCommand::Quit => {
                self.leave(id, tell);
                return Next::Quits;
            }
        }
        Next::Stays
    }

    fn whisper(
        &self,
        id: Id,
        from: Cow<'_, str>,
        to: &str,
        text: &str,
        tell: &mut impl FnMut(To, &ServerEvent<'_>),
    ) {
        let found = self
            .by_name
            .get(&to.to_ascii_lowercase())
            .and_then(|id| self.members.get_key_value(id));
        let Some((&receiver, to)) = found else {
            let nobody = format!(
                "Nobody here is called {}. /who tells who is here.",
                sanitize(&shown(to))
            );
            return tell(
                To::One(id),
                &ServerEvent::Error {
                    text: nobody.into(),
                },
            );
        };
        let (to, text) = (Cow::from(to), sanitize(text));
        let whisper = |sent| ServerEvent::Whisper {
            from: from.clone(),
            to: to.clone(),
            text: text.clone(),
            sent,
        };
        tell(To::One(receiver), &whisper(false));
        // Who whispers to himself has read it already.
        if receiver != id {
            tell(To::One(id), &whisper(true));
        }
    }

    fn rename(&mut self, id: Id, wanted: &str, tell: &mut impl FnMut(To, &ServerEvent<'_>)) {
        if self.name(id) == Some(wanted) {
            return tell(
                To::One(id),
                &ServerEvent::Error {
                    text: format!("You are called {wanted} already.").into(),
                },
            );
        }
        if let Err(why) = self.check_free(id, wanted) {
            return tell(To::One(id), &cant_be(wanted, why));
        }
        if let Some(from) = self.members.insert(id, wanted.to_owned()) {
            self.by_name.remove(&from.to_ascii_lowercase());
            self.by_name.insert(wanted.to_ascii_lowercase(), id);
            tell(
                To::All,
                &ServerEvent::Renamed {
                    from: from.into(),
                    to: wanted.into(),
                },
            );
        }
    }

    /// Whether this one can be called `wanted`. One's own name may change its case.
    fn check_free(&self, id: Id, wanted: &str) -> Result<(), NameError> {
        validate_name(wanted)?;
        match self.by_name.get(&wanted.to_ascii_lowercase()) {
            Some(&owner) if owner != id => Err(NameError::Taken),
            _ => Ok(()),
        }
    }
}

fn cant_be(wanted: &str, why: NameError) -> ServerEvent<'static> {
    ServerEvent::Error {
        text: format!("You can't be called {:?}: {why}.", sanitize(&shown(wanted))).into(),
    }
}

#[cfg(test)]
mod tests;
