//! The JSON dialect: one object per message.

use serde::Deserialize;

use super::command::ClientCommand;
use super::event::ServerEvent;
use super::plain;

/// The WebSocket subprotocol that selects JSON.
pub const JSON_SUBPROTOCOL: &str = "threadchat.json";

/// Decodes one message from a client.
pub(super) fn decode(message: &str) -> ClientCommand<'static> {
    // serde accepts the array `["who"]` as an object too.
    if !message.trim_start().starts_with('{') {
        return ClientCommand::Invalid("not understood: a message is a JSON object".into());
    }
    serde_json::from_str(message)
        .map_err(|error| error.to_string())
        .and_then(command)
        .unwrap_or_else(|error| ClientCommand::Invalid(format!("not understood: {error}")))
}

/// The fields of all commands. For an enum, serde would keep the fields that it does not know yet until it has seen the
/// type: a list of zeros takes 16 times its length. This struct skips them.
#[derive(Deserialize)]
struct Fields {
    r#type: String,
    text: Option<String>,
    to: Option<String>,
    name: Option<String>,
}

fn command(fields: Fields) -> Result<ClientCommand<'static>, String> {
    let required = |field: Option<String>, name| match field {
        Some(value) => Ok(value.into()),
        None => Err(format!("missing field `{name}`")),
    };
    let text = required(fields.text, "text");
    Ok(match fields.r#type.as_str() {
        "message" => ClientCommand::Message { text: text? },
        "action" => ClientCommand::Action { text: text? },
        "whisper" => ClientCommand::Whisper {
            to: required(fields.to, "to")?,
            text: text?,
        },
        "rename" => ClientCommand::Rename {
            name: required(fields.name, "name")?,
        },
        "who" => ClientCommand::Who {},
        "help" => ClientCommand::Help {},
        "line" => plain::decode(&text?),
        unknown => {
            return Err(format!(
                "unknown type `{unknown}`, expected one of `message`, `action`, `whisper`, `rename`, `who`, `help`, `line`"
            ));
        }
    })
}

/// Encodes an event as one object.
pub(super) fn encode(event: &ServerEvent<'_>) -> String {
    // Serializing fails for maps with non-string keys and for types that report errors. `ServerEvent` has neither.
    serde_json::to_string(event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::*;

    fn json(event: ServerEvent<'_>) -> String {
        let mut frames = Vec::new();
        Dialect::Json.encode(&event, &mut frames);
        assert_eq!((frames[0], frames[1] as usize), (0x81, frames.len() - 2));
        String::from_utf8(frames.split_off(2)).expect("JSON is UTF-8")
    }

    #[test]
    fn the_type_is_the_first_field() {
        assert_eq!(
            json(ServerEvent::Welcome {
                name: "a".into(),
                users: 2,
                room: "b".into(),
                epoch: 3,
                last: 4,
                gap: false
            }),
            r#"{"type":"welcome","name":"a","users":2,"room":"b","epoch":3,"last":4}"#
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
    fn every_command_is_decoded() {
        assert_eq!(
            decode(r#"{"type":"message","text":"/nick x"}"#),
            ClientCommand::Message {
                text: "/nick x".into()
            }
        );
        assert_eq!(
            decode(r#" {"text":"\u0041","type":"action"} "#),
            ClientCommand::Action { text: "A".into() }
        );
        assert_eq!(
            decode(r#"{"type":"whisper","to":"a","text":"b"}"#),
            ClientCommand::Whisper {
                to: "a".into(),
                text: "b".into()
            }
        );
        assert_eq!(
            decode(r#"{"type":"rename","name":"a"}"#),
            ClientCommand::Rename { name: "a".into() }
        );
        assert_eq!(decode(r#"{"type":"who"}"#), ClientCommand::Who {});
        assert_eq!(
            decode(r#"{"type":"line","text":"/quit"}"#),
            ClientCommand::Quit
        );
        assert_eq!(
            decode(r#"{"type":"help","more":[1,2]}"#),
            ClientCommand::Help {}
        );
    }

    #[test]
    fn errors_name_the_cause() {
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
            (&format!("{{\"x\":{}", "[".repeat(5000)), "EOF"),
        ];
        for (message, expected) in cases {
            match decode(message) {
                ClientCommand::Invalid(what) => {
                    assert!(what.contains(expected), "{message:.40}: {what}")
                }
                other => panic!("{message:.40}: {other:?}"),
            }
        }
    }
}
