//! What clients ask for and what they are told, whichever dialect they speak, and the frames it travels in.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tungstenite::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::protocol::plain;

/// The subprotocol that selects JSON.
pub const JSON_SUBPROTOCOL: &str = "threadchat.json";

/// How a client is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Lines of text, for any WebSocket client.
    Plain,
    /// One JSON object per message, for programs.
    Json,
}

impl Dialect {
    /// Both, in the order of their numbers (`dialect as usize`).
    pub(crate) const ALL: [Dialect; 2] = [Dialect::Plain, Dialect::Json];
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ClientCommand<'a> {
    /// Say this to everybody.
    Message {
        /// What is said.
        text: Cow<'a, str>,
    },
    /// Tell everybody that the sender does this.
    Action {
        /// What is done, such as `waves`.
        text: Cow<'a, str>,
    },
    /// Say this to one user alone.
    Whisper {
        /// The user's name.
        to: Cow<'a, str>,
        /// What is said.
        text: Cow<'a, str>,
    },
    /// Be called this from now on.
    Rename {
        /// The new name.
        name: Cow<'a, str>,
    },
    /// Tell who is here.
    Who {},
    /// Tell what can be asked for.
    Help {},
    /// A line as typed in the plain-text dialect. A client sends it for a command that it does not know, and the server
    /// decodes it as if the line had come from a plain-text client.
    Line {
        /// The line, such as `/roll 2d6`.
        text: Cow<'a, str>,
    },
    /// DisconnectReason. In JSON a program just closes.
    #[serde(skip)]
    Quit,
    /// Not understood, for this reason.
    #[serde(skip)]
    Invalid(String),
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerEvent<'a> {
    /// To a newcomer, first of all.
    Welcome {
        /// What the newcomer is called.
        name: Cow<'a, str>,
        /// How many are here, the newcomer included.
        users: usize,
    },
    /// Somebody said something to everybody.
    Message {
        /// Who.
        from: Cow<'a, str>,
        /// What.
        text: Cow<'a, str>,
    },
    /// Somebody does something.
    Action {
        /// Who.
        from: Cow<'a, str>,
        /// What.
        text: Cow<'a, str>,
    },
    /// Somebody said something to one user; told to both.
    Whisper {
        /// Who.
        from: Cow<'a, str>,
        /// To whom.
        to: Cow<'a, str>,
        /// What.
        text: Cow<'a, str>,
        /// ServerEvent to the one who whispers, not to the one who is to hear it. A program sees that by the names.
        #[serde(skip)]
        sent: bool,
    },
    /// Somebody came.
    Joined {
        /// Who.
        name: Cow<'a, str>,
        /// How many are here now.
        users: usize,
    },
    /// Somebody left.
    Left {
        /// Who.
        name: Cow<'a, str>,
        /// How many are here now.
        users: usize,
    },
    /// Somebody has a new name.
    Renamed {
        /// The old one.
        from: Cow<'a, str>,
        /// The new one.
        to: Cow<'a, str>,
    },
    /// Who is here.
    Who {
        /// The first hundred of them, in the order in which they came.
        names: Vec<Cow<'a, str>>,
        /// How many are here.
        users: usize,
    },
    /// What can be asked for.
    Help {
        /// Lines, separated by line breaks.
        text: Cow<'a, str>,
    },
    /// What was asked for can't be done.
    Error {
        /// Why, and what would work.
        text: Cow<'a, str>,
    },
}

/// What a message from a client asks for. Any thread; no I/O.
pub(crate) fn decode(dialect: Dialect, message: &str) -> ClientCommand<'static> {
    match dialect {
        Dialect::Plain => plain::decode(message),
        Dialect::Json => decode_json(message),
    }
}

fn decode_json(message: &str) -> ClientCommand<'static> {
    // serde would take `["who"]` for an object too.
    if !message.trim_start().starts_with('{') {
        return ClientCommand::Invalid("not understood: a message is a JSON object".into());
    }
    serde_json::from_str(message).unwrap_or_else(|error| {
        let what = error.to_string().replace("unknown variant", "unknown type");
        ClientCommand::Invalid(format!("not understood: {what}"))
    })
}

/// Appends what this dialect says of `told`, as whole frames: none where it has no words for it.
pub(crate) fn encode(dialect: Dialect, told: &ServerEvent<'_>, frames: &mut Vec<u8>) {
    match dialect {
        Dialect::Plain => plain::encode(told, |line| append_text(line, frames)),
        Dialect::Json => {
            // Serialising fails for maps with odd keys and for types that say so, and `ServerEvent` has neither.
            if let Ok(object) = serde_json::to_string(told) {
                append_text(&object, frames);
            }
        }
    }
}

/// Appends one text frame.
pub(crate) fn append_text(text: &str, frames: &mut Vec<u8>) {
    append_frame(OpCode::Data(Data::Text), text.as_bytes(), frames);
}

fn append_frame(opcode: OpCode, payload: &[u8], frames: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    // Writing to a Vec cannot fail.
    let _ = header.format(payload.len() as u64, frames);
    frames.extend_from_slice(payload);
}

/// One frame of its own, unmasked as a server's are.
pub(crate) fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    append_frame(opcode, payload, &mut frame);
    frame.into()
}

/// A Ping with no payload (RFC 6455, section 5.5.2).
pub(crate) fn ping() -> Bytes {
    frame(OpCode::Control(Control::Ping), &[])
}

/// A Close with this code and reason (RFC 6455, section 5.5.1).
pub(crate) fn close(code: CloseCode, reason: &str) -> Bytes {
    let payload = [&u16::from(code).to_be_bytes()[..], reason.as_bytes()].concat();
    frame(OpCode::Control(Control::Close), &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(told: ServerEvent<'_>) -> String {
        let mut frames = Vec::new();
        encode(Dialect::Json, &told, &mut frames);
        assert_eq!((frames[0], frames[1] as usize), (0x81, frames.len() - 2));
        String::from_utf8(frames.split_off(2)).expect("JSON is UTF-8")
    }

    #[test]
    fn every_object_has_its_type_first() {
        assert_eq!(
            json(ServerEvent::Welcome {
                name: "a".into(),
                users: 2
            }),
            r#"{"type":"welcome","name":"a","users":2}"#
        );
        assert_eq!(
            json(ServerEvent::Who {
                names: vec!["a".into()],
                users: 1
            }),
            r#"{"type":"who","names":["a"],"users":1}"#
        );
        let text = "\"\\<b>🐎".into();
        assert_eq!(
            json(ServerEvent::Error { text }),
            r#"{"type":"error","text":"\"\\<b>🐎"}"#
        );
    }

    #[test]
    fn every_request_is_read() {
        let read = |text| decode(Dialect::Json, text);
        assert_eq!(
            read(r#"{"type":"message","text":"/nick x"}"#),
            ClientCommand::Message {
                text: "/nick x".into()
            }
        );
        assert_eq!(
            read(r#" {"text":"\u0041","type":"action"} "#),
            ClientCommand::Action { text: "A".into() }
        );
        assert_eq!(
            read(r#"{"type":"whisper","to":"a","text":"b"}"#),
            ClientCommand::Whisper {
                to: "a".into(),
                text: "b".into()
            }
        );
        assert_eq!(
            read(r#"{"type":"rename","name":"a"}"#),
            ClientCommand::Rename { name: "a".into() }
        );
        assert_eq!(read(r#"{"type":"who"}"#), ClientCommand::Who {});
        assert_eq!(
            read(r#"{"type":"help","more":[1,2]}"#),
            ClientCommand::Help {}
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("hello", "a JSON object"),
            (r#"["who"]"#, "a JSON object"),
            ("", "a JSON object"),
            ("{", "EOF"),
            ("{}", "missing field `type`"),
            (
                r#"{"type":"dance"}"#,
                "unknown type `dance`, expected one of `message`",
            ),
            (r#"{"type":"quit"}"#, "unknown type `quit`"),
            (r#"{"type":"message"}"#, "missing field `text`"),
            (
                r#"{"type":"message","text":7}"#,
                "invalid type: integer `7`",
            ),
            (r#"{"type":"whisper","text":"x"}"#, "missing field `to`"),
            (r#"{"type":"who"} x"#, "trailing characters"),
            (&format!("{{\"x\":{}", "[".repeat(5000)), "recursion limit"),
        ];
        for (message, expected) in cases {
            match decode(Dialect::Json, message) {
                ClientCommand::Invalid(what) => {
                    assert!(what.contains(expected), "{message:.40}: {what}")
                }
                other => panic!("{message:.40}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_three_encodings_of_a_length() {
        for (length, header) in [(125, 2), (126, 4), (65535, 4), (65536, 10)] {
            assert_eq!(
                frame(OpCode::Data(Data::Text), &vec![b'x'; length]).len(),
                header + length
            );
        }
        assert_eq!(&ping()[..], [0x89, 0]);
        assert_eq!(&close(CloseCode::Away, "bye")[..], b"\x88\x05\x03\xe9bye");
    }
}
