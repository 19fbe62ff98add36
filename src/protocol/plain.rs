//! The plain-text dialect: the lines of Ktor's tutorial "Creating a WebSocket chat", and commands that begin with `/`.

use std::borrow::Cow;

use crate::protocol::{ClientCommand, ServerEvent};
use crate::text::shown;

/// What can be typed, a line each. The page and the terminal client take the same commands.
pub const HELP: &str = "\
/nick NAME: be called NAME
/whisper NAME TEXT, or /w: say TEXT to NAME alone
/who: see who is here
/me ACTION: tell all what you do
/help: see this
/quit: leave
//TEXT: say a text that begins with /";

/// What a typed line asks for.
pub fn decode(line: &str) -> ClientCommand<'static> {
    let Some(command) = line.strip_prefix('/') else {
        return ClientCommand::Message { text: owned(line) };
    };
    if command.starts_with('/') {
        return ClientCommand::Message {
            text: owned(command),
        };
    }
    let (word, rest) = split_word(command);
    match word.to_ascii_lowercase().as_str() {
        "nick" if rest.is_empty() => missing("a name: /nick NAME"),
        "nick" => ClientCommand::Rename {
            name: owned(rest.trim_end()),
        },
        "whisper" | "w" => whisper(rest),
        "who" => ClientCommand::Who {},
        "me" if rest.is_empty() => missing("what you do: /me ACTION"),
        "me" => ClientCommand::Action { text: owned(rest) },
        "help" => ClientCommand::Help {},
        "quit" => ClientCommand::Quit,
        _ => ClientCommand::Invalid(format!(
            "There is no command /{}. /help lists those there are.",
            shown(word)
        )),
    }
}

fn whisper(rest: &str) -> ClientCommand<'static> {
    match split_word(rest) {
        ("", _) => missing("a name and a text: /whisper NAME TEXT"),
        (to, "") => missing(&format!("a text: /whisper {} TEXT", shown(to))),
        (to, text) => ClientCommand::Whisper {
            to: owned(to),
            text: owned(text),
        },
    }
}

fn missing(what: &str) -> ClientCommand<'static> {
    ClientCommand::Invalid(format!("That needs {what}"))
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

/// The first word, and what follows the white space behind it.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// Hands the lines for this to `line`, none where plain text has no words for it.
pub fn encode(told: &ServerEvent<'_>, mut line: impl FnMut(&str)) {
    match told {
        ServerEvent::Welcome { users, .. } => {
            line(&format!("You are connected! There are {users} users here."))
        }
        // By far the most frequent: one allocation of the right size.
        ServerEvent::Message { from, text } => line(&["[", from, "]: ", text].concat()),
        ServerEvent::Action { from, text } => line(&format!("[{from}] {text}")),
        ServerEvent::Whisper {
            to,
            text,
            sent: true,
            ..
        } => line(&format!("[you whisper to {to}]: {text}")),
        ServerEvent::Whisper { from, text, .. } => line(&format!("[{from} whispers]: {text}")),
        // Nobody is told who comes and goes, as in the tutorial.
        ServerEvent::Joined { .. } | ServerEvent::Left { .. } => {}
        ServerEvent::Renamed { from, to } => line(&format!("* {from} is now {to}.")),
        ServerEvent::Who { names, users } => line(&format!("* {}", who(names, *users))),
        ServerEvent::Help { text } => text.lines().for_each(|help| line(&format!("* {help}"))),
        ServerEvent::Error { text } => line(&format!("* {text}")),
    }
}

/// One line that names those who are here, and counts those beyond the names.
pub fn who(names: &[Cow<'_, str>], users: usize) -> String {
    let count = if users == 1 {
        "1 user here".to_owned()
    } else {
        format!("{users} users here")
    };
    match users.saturating_sub(names.len()) {
        0 => format!("{count}: {}.", names.join(", ")),
        more => format!("{count}: {} and {more} more.", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_slash_is_said_as_it_is() {
        for line in ["", " ", "hello", " /who", "a /nick b", "😀"] {
            assert_eq!(decode(line), ClientCommand::Message { text: line.into() });
        }
        assert_eq!(
            decode("//who"),
            ClientCommand::Message {
                text: "/who".into()
            }
        );
        assert_eq!(decode("//"), ClientCommand::Message { text: "/".into() });
        assert_eq!(decode("///"), ClientCommand::Message { text: "//".into() });
    }

    #[test]
    fn every_command_is_read() {
        assert_eq!(
            decode("/nick alice"),
            ClientCommand::Rename {
                name: "alice".into()
            }
        );
        assert_eq!(
            decode("/NICK   alice "),
            ClientCommand::Rename {
                name: "alice".into()
            }
        );
        assert_eq!(
            decode("/nick a b"),
            ClientCommand::Rename { name: "a b".into() }
        );
        let whisper = ClientCommand::Whisper {
            to: "bob".into(),
            text: "psst  you ".into(),
        };
        assert_eq!(decode("/w bob psst  you "), whisper);
        assert_eq!(decode("/whisper  bob  psst  you "), whisper);
        assert_eq!(
            decode("/me waves"),
            ClientCommand::Action {
                text: "waves".into()
            }
        );
        assert_eq!(
            (decode("/who"), decode("/help"), decode("/quit")),
            (
                ClientCommand::Who {},
                ClientCommand::Help {},
                ClientCommand::Quit
            )
        );
        assert_eq!(decode("/who is it"), ClientCommand::Who {});
    }

    #[test]
    fn what_is_missing_or_unknown_is_said_with_what_would_work() {
        let long = format!("/{}", "x".repeat(60_000));
        let cases = [
            ("/", "There is no command /. /help"),
            ("/dance", "no command /dance. /help"),
            ("/ nick a", "no command /. /help"),
            (&long, "xxx…. /help"),
            ("/nick", "/nick NAME"),
            ("/nick  ", "/nick NAME"),
            ("/w", "/whisper NAME TEXT"),
            ("/w bob", "a text: /whisper bob TEXT"),
            ("/w bob  ", "a text: /whisper bob TEXT"),
            ("/me", "/me ACTION"),
        ];
        for (line, expected) in cases {
            match decode(line) {
                ClientCommand::Invalid(what) => assert!(
                    what.contains(expected) && what.len() < 200,
                    "{line:.40}: {what}"
                ),
                other => panic!("{line:.40}: {other:?}"),
            }
        }
    }

    fn lines(told: ServerEvent<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        encode(&told, |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn the_tutorials_lines() {
        let greeting = "You are connected! There are 1 users here.";
        assert_eq!(
            lines(ServerEvent::Welcome {
                name: "user0".into(),
                users: 1
            }),
            [greeting]
        );
        assert_eq!(
            lines(ServerEvent::Message {
                from: "user0".into(),
                text: "hi".into()
            }),
            ["[user0]: hi"]
        );
        assert!(
            lines(ServerEvent::Joined {
                name: "user0".into(),
                users: 1
            })
            .is_empty()
        );
        assert!(
            lines(ServerEvent::Left {
                name: "user0".into(),
                users: 0
            })
            .is_empty()
        );
    }

    #[test]
    fn only_the_servers_lines_begin_with_a_star() {
        assert_eq!(
            lines(ServerEvent::Action {
                from: "a".into(),
                text: "waves".into()
            }),
            ["[a] waves"]
        );
        assert_eq!(
            lines(ServerEvent::Renamed {
                from: "user0".into(),
                to: "a".into()
            }),
            ["* user0 is now a."]
        );
        assert_eq!(lines(ServerEvent::Error { text: "No.".into() }), ["* No."]);
        let help = lines(ServerEvent::Help { text: HELP.into() });
        assert!(help.len() == 7 && help.iter().all(|line| line.starts_with("* /")));
    }

    #[test]
    fn a_whisper_reads_differently_at_its_two_ends() {
        let whisper = |sent| ServerEvent::Whisper {
            from: "a".into(),
            to: "b".into(),
            text: "psst".into(),
            sent,
        };
        assert_eq!(lines(whisper(false)), ["[a whispers]: psst"]);
        assert_eq!(lines(whisper(true)), ["[you whisper to b]: psst"]);
    }

    #[test]
    fn a_crowd_is_counted_beyond_its_names() {
        assert_eq!(who(&["a".into()], 1), "1 user here: a.");
        assert_eq!(who(&["a".into(), "b".into()], 2), "2 users here: a, b.");
        assert_eq!(
            who(&["a".into(), "b".into()], 5),
            "5 users here: a, b and 3 more."
        );
    }
}
