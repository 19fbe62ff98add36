//! An event as it arrived.

use serde::Deserialize;
use threadchat::protocol::ServerEvent;

/// An event from the server, with the time of a message if the server sent it.
#[derive(Debug, Deserialize)]
pub struct Received {
    #[serde(flatten)]
    pub event: ServerEvent<'static>,
    /// Milliseconds since the Unix epoch.
    pub time: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_a_message_is_optional() {
        for (time, expected) in [("", None), (r#","id":7,"time":1234"#, Some(1234))] {
            let text = format!(r#"{{"type":"message","from":"a","text":"b"{time}}}"#);
            let received: Received = serde_json::from_str(&text).expect("this is an event");
            let event = ServerEvent::Message {
                from: "a".into(),
                text: "b".into(),
            };
            assert_eq!((received.event, received.time), (event, expected));
        }
    }
}
