//! The names of the other users, as far as the events tell them.

use std::collections::BTreeSet;

use threadchat::protocol::ServerEvent;
use threadchat::text::{MAX_NAME_LEN, fold_name, sanitize};

/// Limit of the names, so that a hostile server does not exhaust the memory.
const MAX_NAMES: usize = 10_000;

/// The names of the users that are known to be in the chat.
#[derive(Default)]
pub struct KnownNames(BTreeSet<String>);

impl KnownNames {
    /// Adds and removes the names that the event tells of.
    pub fn update(&mut self, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Welcome { name, .. } => {
                self.0.clear();
                self.add(name);
            }
            ServerEvent::Joined { name, .. } => self.add(name),
            ServerEvent::Left { name, .. } => {
                self.0.remove(name.as_ref());
            }
            ServerEvent::Renamed { from, to } => {
                self.0.remove(from.as_ref());
                self.add(to);
            }
            ServerEvent::Who { names, .. } => names.iter().for_each(|name| self.add(name)),
            _ => {}
        }
    }

    /// Returns the names that begin with this prefix, in any spelling.
    pub fn starting_with(&self, prefix: &str) -> Vec<&str> {
        let prefix = fold_name(prefix);
        let names = self.0.iter().map(String::as_str);
        names
            .filter(|name| fold_name(name).starts_with(&prefix))
            .collect()
    }

    /// Adds a name, unless it is none and would control the terminal or add words to a completed line.
    fn add(&mut self, name: &str) {
        let is_word = !name.is_empty() && !name.contains(char::is_whitespace);
        let is_short = name.chars().count() <= MAX_NAME_LEN;
        if is_word && is_short && sanitize(name) == name && self.0.len() < MAX_NAMES {
            self.0.insert(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_events() {
        let mut names = KnownNames::default();
        let users = 1;
        for event in [
            ServerEvent::Joined {
                name: "earlier".into(),
                users,
            },
            ServerEvent::Welcome {
                name: "user0".into(),
                users,
                room: "".into(),
                epoch: 1,
                last: 0,
                gap: false,
            },
            ServerEvent::Who {
                names: vec![
                    "user0".into(),
                    "Bob".into(),
                    "bert".into(),
                    "x\u{1b}y".into(),
                ],
                users,
            },
            ServerEvent::Joined {
                name: "carl".into(),
                users,
            },
            ServerEvent::Left {
                name: "bert".into(),
                users,
            },
            ServerEvent::Renamed {
                from: "carl".into(),
                to: "bea".into(),
            },
        ] {
            names.update(&event);
        }
        assert_eq!(names.starting_with(""), ["Bob", "bea", "user0"]);
        assert_eq!(names.starting_with("B"), ["Bob", "bea"]);
        assert_eq!(names.starting_with("bo"), ["Bob"]);
        assert_eq!(names.starting_with("c"), [""; 0]);
    }
}
