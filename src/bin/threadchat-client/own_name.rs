//! The name of this client's user.

use threadchat::protocol::ServerEvent;
use threadchat::text::fold_name;
use unicode_width::UnicodeWidthChar;

/// The name that the server gave this client, and the one that it wants.
#[derive(Default)]
pub struct OwnName {
    pub name: String,
    /// The name to request when reconnecting: that of `--name`, then the last one to which the user was renamed.
    requested: Option<String>,
    /// The user has had the requested name.
    was_granted: bool,
}

impl OwnName {
    pub fn new(requested: Option<String>) -> OwnName {
        OwnName {
            requested,
            ..OwnName::default()
        }
    }

    pub fn requested(&self) -> Option<&str> {
        self.requested.as_deref()
    }

    /// Returns the name that the user had before a connection was lost, while another user has it: often the user of that
    /// connection, which the server keeps until a ping times out. A name that the user never had belongs to the other one.
    fn lost(&self) -> Option<&str> {
        self.requested()
            .filter(|requested| self.was_granted && *requested != self.name)
    }

    /// Returns the lost name if the event makes it available. Its user can have had another spelling of it.
    pub fn lost_and_freed_by(&self, event: &ServerEvent<'_>) -> Option<&str> {
        let (ServerEvent::Left { name: freed, .. } | ServerEvent::Renamed { from: freed, .. }) =
            event
        else {
            return None;
        };
        self.lost()
            .filter(|lost| fold_name(lost) == fold_name(freed))
    }

    /// Takes a new name from the event, and marks a whisper that this client sent.
    pub fn update(&mut self, event: &mut ServerEvent<'_>) {
        match event {
            ServerEvent::Welcome { name, .. } => {
                self.name = name.to_string();
                self.was_granted |= self.requested() == Some(name.as_ref());
            }
            ServerEvent::Renamed { from, to } if *from == self.name => {
                self.name = to.to_string();
                self.requested = Some(to.to_string());
                self.was_granted = true;
            }
            ServerEvent::Whisper {
                from,
                to,
                to_sender,
                ..
            } => *to_sender = *from == self.name && from != to,
            _ => {}
        }
    }

    /// Returns true if the text mentions the user, also by the lost name.
    pub fn is_mentioned(&self, text: &str) -> bool {
        let names = [Some(self.name.as_str()), self.lost()];
        names.into_iter().flatten().any(|name| mentions(text, name))
    }
}

/// Returns true if the name is a word of the text, in any spelling.
fn mentions(text: &str, name: &str) -> bool {
    // Marks have no width.
    let is_mark = |c: char| c.width() == Some(0);
    let is_part_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || is_mark(c);
    let (text, name) = (fold_name(text), fold_name(name));
    !name.is_empty()
        && text.match_indices(&name).any(|(at, _)| {
            let (before, rest) = text.split_at(at);
            let after = &rest[name.len()..];
            !before.ends_with(is_part_of_name) && !after.starts_with(is_part_of_name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plain_lines;

    #[test]
    fn mention_is_the_name_as_a_word() {
        for text in ["al", "hi AL!", "@al: x", "x,al", "alx al", "(al)"] {
            assert!(mentions(text, "al"), "{text}");
        }
        for text in ["", "also", "real", "al-x", "al_", "al2", "user"] {
            assert!(!mentions(text, "al"), "{text}");
        }
        assert!(mentions("日本 Ü", "ü") && !mentions("Üb", "ü"));
        assert!(!mentions("nobody has a name", ""));
        assert!(mentions("שלום דוד!", "דוד") && !mentions("נר\u{5b9}", "נר"));
        #[cfg(feature = "unicode-names")]
        assert!(mentions("hi JU\u{308}RGEN", "Jürgen") && !mentions("Ju\u{308}r", "Ju"));
    }

    #[test]
    fn own_name_follows_renames_and_marks_own_whispers() {
        let mut own_name = OwnName::default();
        let mut receive = |event: ServerEvent<'static>| {
            let mut event = event;
            own_name.update(&mut event);
            (own_name.name.clone(), plain_lines(&event))
        };
        let whisper = |from: &'static str, to: &'static str| ServerEvent::Whisper {
            from: from.into(),
            to: to.into(),
            text: "x".into(),
            to_sender: false,
        };
        let renamed = |from: &'static str, to: &'static str| ServerEvent::Renamed {
            from: from.into(),
            to: to.into(),
        };
        receive(ServerEvent::Welcome {
            name: "user0".into(),
            users: 1,
            room: "".into(),
            epoch: 1,
            last: 0,
            gap: false,
        });
        assert_eq!(receive(renamed("user1", "bob")).0, "user0");
        assert_eq!(receive(renamed("user0", "al")).0, "al");
        assert_eq!(receive(whisper("al", "bob")).1, ["[you whisper to bob]: x"]);
        assert_eq!(receive(whisper("bob", "al")).1, ["[bob whispers]: x"]);
        assert_eq!(receive(whisper("al", "al")).1, ["[al whispers]: x"]);
    }

    fn welcome(name: &'static str) -> ServerEvent<'static> {
        ServerEvent::Welcome {
            name: name.into(),
            users: 2,
            room: "".into(),
            epoch: 1,
            last: 0,
            gap: false,
        }
    }

    #[test]
    fn name_is_lost_while_a_user_has_it_that_the_client_had_before() {
        let left = |name: &'static str| ServerEvent::Left {
            name: name.into(),
            users: 1,
        };
        let mut own_name = OwnName::new(Some("ann".into()));
        // Another user had the name first.
        own_name.update(&mut welcome("user0"));
        assert_eq!(own_name.lost_and_freed_by(&left("ann")), None);
        assert!(!own_name.is_mentioned("@ann"));
        own_name.update(&mut welcome("ann"));
        assert_eq!(own_name.lost(), None);
        // Also after a further loss.
        for guest_name in ["user1", "user2"] {
            own_name.update(&mut welcome(guest_name));
            assert_eq!(own_name.lost_and_freed_by(&left("ANN")), Some("ann"));
            assert_eq!(own_name.lost_and_freed_by(&left("bob")), None);
            assert!(own_name.is_mentioned("@ann") && own_name.is_mentioned(guest_name));
        }
        let mut renamed = ServerEvent::Renamed {
            from: "user2".into(),
            to: "carl".into(),
        };
        own_name.update(&mut renamed);
        assert_eq!(
            (own_name.requested(), own_name.lost()),
            (Some("carl"), None)
        );
        assert!(!own_name.is_mentioned("@ann"));
    }
}
