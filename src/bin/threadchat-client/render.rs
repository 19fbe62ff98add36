//! What is heard, as lines to read.

use threadchat::protocol::ServerEvent;
use threadchat::protocol::plain;
use threadchat::text::sanitize;

/// What we are called, told by the server.
#[derive(Default)]
pub struct Own {
    pub name: String,
}

impl Own {
    /// Keeps up with the server, and marks our own whispers as such.
    pub fn follow(&mut self, told: &mut ServerEvent<'_>) {
        match told {
            ServerEvent::Welcome { name, .. } => self.name = name.to_string(),
            ServerEvent::Renamed { from, to } if *from == self.name => self.name = to.to_string(),
            ServerEvent::Whisper {
                from,
                to,
                to_sender,
                ..
            } => *to_sender = *from == self.name && from != to,
            _ => {}
        }
    }
}

/// The plain-text dialect's lines for this, which can't drive a terminal whatever the server says.
pub fn plain(told: &ServerEvent<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    plain::encode(told, |line| lines.push(sanitize(line).into_owned()));
    lines
}

/// The lines of `/help`, which are about this client's commands.
pub fn help() -> ServerEvent<'static> {
    ServerEvent::Help {
        text: threadchat::protocol::help().into(),
    }
}

/// How lines look on a terminal.
#[derive(Clone, Copy)]
pub struct Style {
    pub colours: bool,
}

const BOLD: &str = "1";
const FAINT: &str = "2";
const YELLOW: &str = "33";
const MAGENTA: &str = "35";

impl Style {
    /// Colours, unless the user wants none (<https://no-color.org>).
    pub fn from_env() -> Style {
        Style {
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Lines for a person, each with its line break: with who comes and goes, and without our own messages, which
    /// stand where they were typed.
    pub fn lines(self, told: &ServerEvent<'_>, own: &str) -> String {
        let mut text = String::new();
        match told {
            ServerEvent::Message { from, .. } if from == own => {}
            ServerEvent::Welcome { name, users } => {
                let name = sanitize(name);
                let line =
                    format!("You are {name}. Users here: {users}. /help lists the commands.");
                text += &self.notice(&line);
            }
            ServerEvent::Joined { name, users } => {
                text += &self.notice(&format!("{name} has joined. Users here: {users}."));
            }
            ServerEvent::Left { name, users } => {
                text += &self.notice(&format!("{name} has left. Users here: {users}."));
            }
            _ => {
                for line in plain(told) {
                    text += &self.line(told, &line);
                }
            }
        }
        text
    }

    /// A line that is nobody's message.
    pub fn notice(self, text: &str) -> String {
        self.paint(FAINT, &format!("* {}", sanitize(text)), "")
    }

    fn line(self, told: &ServerEvent<'_>, line: &str) -> String {
        match told {
            ServerEvent::Message { .. } | ServerEvent::Action { .. } => {
                let end = line.find(']').map_or(0, |end| end + 1);
                self.paint(BOLD, &line[..end], &line[end..])
            }
            ServerEvent::Whisper { .. } => self.paint(MAGENTA, line, ""),
            ServerEvent::Error { .. } => self.paint(YELLOW, line, ""),
            _ => self.paint(FAINT, line, ""),
        }
    }

    fn paint(self, colour: &str, painted: &str, rest: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{painted}\x1b[0m{rest}\n")
        } else {
            format!("{painted}{rest}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}[2J\u{9b}31m\r\n\u{202e}";

    /// Everything there is to be told, with this in place of every text.
    fn all(text: &str) -> Vec<ServerEvent<'_>> {
        let text = || text.into();
        let (from, to, users) = (text, text, 1);
        vec![
            ServerEvent::Welcome {
                name: text(),
                users,
            },
            ServerEvent::Message {
                from: from(),
                text: text(),
            },
            ServerEvent::Action {
                from: from(),
                text: text(),
            },
            ServerEvent::Whisper {
                from: from(),
                to: to(),
                text: text(),
                to_sender: true,
            },
            ServerEvent::Joined {
                name: text(),
                users,
            },
            ServerEvent::Left {
                name: text(),
                users,
            },
            ServerEvent::Renamed {
                from: from(),
                to: to(),
            },
            ServerEvent::Who {
                names: vec![text()],
                users,
            },
            ServerEvent::Help { text: text() },
            ServerEvent::Error { text: text() },
        ]
    }

    #[test]
    fn nothing_that_is_told_drives_a_terminal() {
        let style = Style { colours: false };
        for told in all(HOSTILE) {
            let lines = style.lines(&told, "me");
            assert!(!lines.is_empty(), "{told:?}");
            for line in lines.lines().map(str::to_owned).chain(plain(&told)) {
                assert!(
                    !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
                    "{line:?}"
                );
            }
        }
    }

    #[test]
    fn colours_change_nothing_else() {
        for told in all("abc") {
            let [plain, coloured] =
                [false, true].map(|colours| Style { colours }.lines(&told, "me"));
            assert_ne!(plain, coloured);
            let mut bare = coloured.replace("\x1b[0m", "");
            for colour in [BOLD, FAINT, YELLOW, MAGENTA] {
                bare = bare.replace(&format!("\x1b[{colour}m"), "");
            }
            assert_eq!(bare, plain);
        }
    }

    #[test]
    fn the_own_name_follows_the_server_and_tells_own_whispers() {
        let mut own = Own::default();
        let mut hear = |told: ServerEvent<'static>| {
            let mut told = told;
            own.follow(&mut told);
            (own.name.clone(), plain(&told))
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
        hear(ServerEvent::Welcome {
            name: "user0".into(),
            users: 1,
        });
        assert_eq!(hear(renamed("user1", "bob")).0, "user0");
        assert_eq!(hear(renamed("user0", "al")).0, "al");
        assert_eq!(hear(whisper("al", "bob")).1, ["[you whisper to bob]: x"]);
        assert_eq!(hear(whisper("bob", "al")).1, ["[bob whispers]: x"]);
        assert_eq!(hear(whisper("al", "al")).1, ["[al whispers]: x"]);
    }
}
