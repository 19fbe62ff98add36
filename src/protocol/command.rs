//! The commands that clients send, and the table of those that can be typed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::text::excerpt;

/// A command from a client, in either dialect. Its serialized form is the JSON dialect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ClientCommand<'a> {
    /// Send a text to all users.
    Message {
        /// The text.
        text: Cow<'a, str>,
    },
    /// Tell all users that the sender does something.
    Action {
        /// The action, such as `waves`.
        text: Cow<'a, str>,
    },
    /// Send a text to one user.
    Whisper {
        /// The receiver's name.
        to: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
    },
    /// Change the sender's name.
    Rename {
        /// The new name.
        name: Cow<'a, str>,
    },
    /// List the users.
    Who {},
    /// List the commands that can be typed.
    Help {},
    /// A line as typed in the plain-text dialect, for commands that the client does not know.
    Line {
        /// The line.
        text: Cow<'a, str>,
    },
    /// Leave the chat. A client that speaks JSON closes its connection instead.
    #[serde(skip)]
    Quit,
    /// A line that begins with `/` and an unknown word. The text is the error for its sender.
    #[serde(skip)]
    Unknown(String),
    /// A command that is incomplete or not well-formed. The text is the error for its sender.
    #[serde(skip)]
    Invalid(String),
}

/// A command that users type as `/WORD`, possibly followed by arguments.
pub struct TypedCommand {
    /// The word after the slash, in lower case.
    pub word: &'static str,
    /// A shorter word for the same command.
    pub alias: Option<&'static str>,
    /// The names of the arguments.
    arguments: &'static str,
    /// The effect, for `/help`.
    description: &'static str,
    /// Builds the command from the text after the word, or reports the missing arguments.
    pub(super) parse: fn(&str) -> Result<ClientCommand<'static>, String>,
}

/// Every typed command, in the order of `/help`. A new command needs a line here, a variant of [`ClientCommand`], its
/// effect in `chat/room.rs`, and a line in the page's `commands.js`.
pub static TYPED_COMMANDS: &[TypedCommand] = &[
    TypedCommand {
        word: "nick",
        alias: None,
        arguments: "NAME",
        description: "change your name to NAME",
        parse: parse_rename,
    },
    TypedCommand {
        word: "whisper",
        alias: Some("w"),
        arguments: "NAME TEXT",
        description: "send TEXT to NAME alone",
        parse: parse_whisper,
    },
    TypedCommand {
        word: "who",
        alias: None,
        arguments: "",
        description: "list the users",
        parse: |_| Ok(ClientCommand::Who {}),
    },
    TypedCommand {
        word: "me",
        alias: None,
        arguments: "ACTION",
        description: "tell all users that you do ACTION",
        parse: parse_action,
    },
    TypedCommand {
        word: "help",
        alias: None,
        arguments: "",
        description: "list the commands",
        parse: |_| Ok(ClientCommand::Help {}),
    },
    TypedCommand {
        word: "quit",
        alias: None,
        arguments: "",
        description: "leave the chat",
        parse: |_| Ok(ClientCommand::Quit),
    },
];

/// Returns the typed command with this word, in any case.
pub(super) fn find(word: &str) -> Option<&'static TypedCommand> {
    let word = word.to_ascii_lowercase();
    TYPED_COMMANDS
        .iter()
        .find(|command| command.word == word || command.alias == Some(word.as_str()))
}

/// Returns the text of `/help`: one line for each typed command, and one for texts that begin with a slash.
pub fn help() -> String {
    let mut help = String::new();
    for command in TYPED_COMMANDS {
        help += &["/", command.word].concat();
        if !command.arguments.is_empty() {
            help += &[" ", command.arguments].concat();
        }
        if let Some(alias) = command.alias {
            help += &[", or /", alias].concat();
        }
        help += &[": ", command.description, "\n"].concat();
    }
    help + "//TEXT: send a text that begins with /"
}

fn parse_rename(name: &str) -> Result<ClientCommand<'static>, String> {
    if name.is_empty() {
        return Err("That needs a name: /nick NAME".into());
    }
    Ok(ClientCommand::Rename {
        name: name.trim_end().to_owned().into(),
    })
}

fn parse_whisper(arguments: &str) -> Result<ClientCommand<'static>, String> {
    match split_word(arguments) {
        ("", _) => Err("That needs a name and a text: /whisper NAME TEXT".into()),
        (to, "") => Err(format!("That needs a text: /whisper {} TEXT", excerpt(to))),
        (to, text) => Ok(ClientCommand::Whisper {
            to: to.to_owned().into(),
            text: text.to_owned().into(),
        }),
    }
}

fn parse_action(action: &str) -> Result<ClientCommand<'static>, String> {
    if action.is_empty() {
        return Err("That needs what you do: /me ACTION".into());
    }
    Ok(ClientCommand::Action {
        text: action.to_owned().into(),
    })
}

/// Splits off the first word. The rest begins after the white space that follows the word.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}
