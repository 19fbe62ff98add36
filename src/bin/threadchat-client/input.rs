//! Typed lines as commands.

use threadchat::protocol::{self, ClientCommand, ServerEvent, plain};

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
            text: protocol::help().into(),
        }),
        ClientCommand::Invalid(error) => Input::Print(ServerEvent::Error { text: error.into() }),
        // The server can have more commands than this client.
        ClientCommand::Unknown(_) => Input::Send(ClientCommand::Line { text: line.into() }),
        command => Input::Send(command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
