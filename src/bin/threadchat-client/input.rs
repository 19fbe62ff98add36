//! Typed lines as commands.

use threadchat::protocol::{self, ClientCommand, ServerEvent, plain};

/// The action that a typed line calls for.
#[derive(Debug, PartialEq)]
pub enum Input<'a> {
    /// Send this command to the server.
    Send(ClientCommand<'a>),
    /// Print this answer, which needs no server.
    Print(ServerEvent<'static>),
    /// Clear the screen.
    Clear,
    /// Leave the chat.
    Quit,
}

/// The word of the command that clears the screen, which the server does not know.
pub const CLEAR: &str = "clear";

/// Decodes the lines that were typed or pasted before Enter.
///
/// Every line of a pasted text is a message of its own. The lines after a message, action or whisper are that for the same
/// users, so that a pasted text contains no commands and the rest of a whisper does not go to all users.
pub fn parse_lines(text: &str) -> Vec<Input<'_>> {
    let mut inputs: Vec<Input<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let text = line.into();
        let input = match inputs.first() {
            Some(Input::Send(ClientCommand::Message { .. })) => {
                Input::Send(ClientCommand::Message { text })
            }
            Some(Input::Send(ClientCommand::Action { .. })) => {
                Input::Send(ClientCommand::Action { text })
            }
            Some(Input::Send(ClientCommand::Whisper { to, .. })) => {
                Input::Send(ClientCommand::Whisper {
                    to: to.clone(),
                    text,
                })
            }
            // The lines after an incomplete command are the rest of it.
            Some(Input::Print(ServerEvent::Error { .. })) => break,
            _ => parse_terminal_line(line),
        };
        inputs.push(input);
    }
    inputs
}

/// Decodes a line that was typed on a terminal, which has a screen to clear.
fn parse_terminal_line(line: &str) -> Input<'_> {
    if line
        .trim_end()
        .strip_prefix('/')
        .is_some_and(|word| word.eq_ignore_ascii_case(CLEAR))
    {
        return Input::Clear;
    }
    match parse(line) {
        Input::Print(ServerEvent::Help { text }) => {
            let text = format!("{text}\n/{CLEAR}, or Ctrl-L: clear the screen").into();
            Input::Print(ServerEvent::Help { text })
        }
        input => input,
    }
}

/// Decodes a line, which has no line break.
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
    fn lines_after_the_first_go_to_the_same_users() {
        let message =
            |text: &'static str| Input::Send(ClientCommand::Message { text: text.into() });
        let whisper = |text: &'static str| {
            Input::Send(ClientCommand::Whisper {
                to: "bob".into(),
                text: text.into(),
            })
        };
        assert_eq!(
            parse_lines("a\n\n \n/quit\n  // b\n"),
            [message("a"), message("/quit"), message("  // b")]
        );
        assert_eq!(
            parse_lines("/w bob a\n/who\nb"),
            [whisper("a"), whisper("/who"), whisper("b")]
        );
        assert!(matches!(
            parse_lines("/me a\nb")[..],
            [
                Input::Send(ClientCommand::Action { .. }),
                Input::Send(ClientCommand::Action { .. })
            ]
        ));
        assert!(matches!(
            parse_lines("/w bob\nsecret")[..],
            [Input::Print(ServerEvent::Error { .. })]
        ));
        let who = Input::Send(ClientCommand::Who {});
        assert_eq!(parse_lines("/CLEAR \n/who"), [Input::Clear, who]);
        assert_eq!(parse_lines("\n"), []);
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
