//! Typed lines as commands.

use threadchat::protocol::ClientCommand;
use threadchat::protocol::ServerEvent;
use threadchat::protocol::plain;

/// The commands that this client decodes itself. A server can have more; lines with other commands are sent as typed.
const COMMANDS: [&str; 7] = ["nick", "whisper", "w", "who", "me", "help", "quit"];

/// The action that a typed line calls for.
#[derive(Debug, PartialEq)]
pub enum Input<'a> {
    /// Send this command to the server.
    Send(ClientCommand<'a>),
    /// Print this answer, which needs no server.
    Print(ServerEvent<'static>),
    /// Leave the chat.
    Quit,
}

/// Decodes a typed line, which has no line break.
pub fn parse(line: &str) -> Input<'_> {
    match plain::decode(line) {
        ClientCommand::Quit => Input::Quit,
        ClientCommand::Help {} => Input::Print(ServerEvent::Help {
            text: plain::HELP.into(),
        }),
        ClientCommand::Invalid(error) if is_known(line) => {
            Input::Print(ServerEvent::Error { text: error.into() })
        }
        ClientCommand::Invalid(_) => Input::Send(ClientCommand::Line { text: line.into() }),
        command => Input::Send(command),
    }
}

/// Checks that the line begins with one of [`COMMANDS`].
fn is_known(line: &str) -> bool {
    let mut words = line.split(char::is_whitespace);
    let command = words.next().and_then(|word| word.strip_prefix('/'));
    command.is_some_and(|command| {
        COMMANDS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(command))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_help_text() {
        let described = plain::HELP.lines().flat_map(|line| {
            let (syntax, _) = line.split_once(": ").expect("a line is SYNTAX: MEANING");
            syntax
                .split([' ', ','])
                .filter_map(|word| word.strip_prefix('/'))
        });
        // `//TEXT` is a message, not a command.
        let described: Vec<&str> = described.filter(|word| !word.starts_with('/')).collect();
        assert_eq!(described, COMMANDS);
    }

    #[test]
    fn unknown_commands_are_sent_as_typed() {
        for line in [
            "/roll 2d6",
            "/Roll",
            "/",
            "/ nick a",
            "/nickname x",
            "/who?",
        ] {
            let command = ClientCommand::Line { text: line.into() };
            assert_eq!(parse(line), Input::Send(command));
        }
    }

    #[test]
    fn known_commands_without_an_argument_give_a_local_error() {
        for line in ["/nick", "/NICK ", "/w", "/whisper bob", "/me\t"] {
            match parse(line) {
                Input::Print(ServerEvent::Error { .. }) => {}
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
