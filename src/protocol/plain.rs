//! The plain-text dialect: the lines of Ktor's tutorial "Creating a WebSocket chat", and commands that begin with `/`.

use std::borrow::Cow;

use super::command::{self, ClientCommand, split_word};
use super::event::ServerEvent;
use crate::text::excerpt;

/// The subprotocol of plain text, for browsers: they cannot offer one that brings a secret without another one that the
/// server confirms. Other clients need not offer it.
pub const PLAIN_SUBPROTOCOL: &str = "threadchat.text";

/// Decodes a typed line.
pub fn decode(line: &str) -> ClientCommand<'static> {
    let message = |text: &str| ClientCommand::Message {
        text: text.to_owned().into(),
    };
    let Some(typed) = line.strip_prefix('/') else {
        return message(line);
    };
    // A second slash stands for a text that begins with one.
    if typed.starts_with('/') {
        return message(typed);
    }
    let (word, arguments) = split_word(typed);
    match command::find(word) {
        Some(command) => (command.parse)(arguments).unwrap_or_else(ClientCommand::Invalid),
        None => ClientCommand::Unknown(format!(
            "There is no command /{}. /help lists those there are.",
            excerpt(word)
        )),
    }
}

/// Passes each line of the event to `line`: none if plain text cannot express the event.
pub fn encode(event: &ServerEvent<'_>, mut line: impl FnMut(&str)) {
    match event {
        ServerEvent::Welcome { users, .. } => {
            line(&format!("You are connected! There are {users} users here."))
        }
        // By far the most frequent event, so one allocation of the right size.
        ServerEvent::Message { from, text, .. } => line(&["[", from, "]: ", text].concat()),
        ServerEvent::Action { from, text, .. } => line(&format!("[{from}] {text}")),
        ServerEvent::Whisper {
            to,
            text,
            to_sender: true,
            ..
        } => line(&format!("[you whisper to {to}]: {text}")),
        ServerEvent::Whisper { from, text, .. } => line(&format!("[{from} whispers]: {text}")),
        // The tutorial announces neither joins nor departures.
        ServerEvent::Joined { .. } | ServerEvent::Left { .. } => {}
        ServerEvent::Renamed { from, to } => line(&format!("* {from} is now {to}.")),
        ServerEvent::Who { names, users } => {
            line(&format!("* {}", format_user_list(names, *users)))
        }
        ServerEvent::Help { text } => text.lines().for_each(|help| line(&format!("* {help}"))),
        ServerEvent::Error { text } => line(&format!("* {text}")),
    }
}

/// Formats a list of users as one line. Users beyond the listed names are counted.
pub fn format_user_list(names: &[Cow<'_, str>], users: usize) -> String {
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
    use super::super::{TYPED_COMMANDS, help};
    use super::*;

    #[test]
    fn a_line_without_a_slash_is_a_message() {
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
    fn every_command_is_decoded() {
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
    fn errors_name_the_cause_and_a_command_that_works() {
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
                ClientCommand::Invalid(error) | ClientCommand::Unknown(error) => assert!(
                    error.contains(expected) && error.len() < 200,
                    "{line:.40}: {error}"
                ),
                other => panic!("{line:.40}: {other:?}"),
            }
        }
    }

    fn lines(event: ServerEvent<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        encode(&event, |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn greeting_and_message_are_the_tutorials() {
        let greeting = "You are connected! There are 1 users here.";
        assert_eq!(
            lines(ServerEvent::Welcome {
                name: "user0".into(),
                users: 1,
                room: "lobby".into(),
                epoch: 1,
                last: 1,
                gap: true
            }),
            [greeting]
        );
        assert_eq!(
            lines(ServerEvent::Message {
                from: "user0".into(),
                text: "hi".into(),
                id: 1,
                time: 1
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
    fn only_lines_of_the_server_begin_with_a_star() {
        assert_eq!(
            lines(ServerEvent::Action {
                from: "a".into(),
                text: "waves".into(),
                id: 1,
                time: 1
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
        let help = lines(ServerEvent::Help {
            text: help().into(),
        });
        assert!(
            help.len() == TYPED_COMMANDS.len() + 1
                && help.iter().all(|line| line.starts_with("* /"))
        );
    }

    #[test]
    fn a_whisper_reads_differently_for_sender_and_receiver() {
        let whisper = |to_sender| ServerEvent::Whisper {
            from: "a".into(),
            to: "b".into(),
            text: "psst".into(),
            to_sender,
        };
        assert_eq!(lines(whisper(false)), ["[a whispers]: psst"]);
        assert_eq!(lines(whisper(true)), ["[you whisper to b]: psst"]);
    }

    #[test]
    fn users_beyond_the_listed_names_are_counted() {
        assert_eq!(format_user_list(&["a".into()], 1), "1 user here: a.");
        assert_eq!(
            format_user_list(&["a".into(), "b".into()], 2),
            "2 users here: a, b."
        );
        assert_eq!(
            format_user_list(&["a".into(), "b".into()], 5),
            "5 users here: a, b and 3 more."
        );
    }
}
