//! The messages of the soak clients: each carries its position in the sequence of its sender.

const PREFIX: &str = "soak ";

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SequencedMessage {
    pub sender: u64,
    /// 0, 1, 2, … for each sender.
    pub sequence: u64,
    /// Number of messages sent before this one by all senders.
    pub global_sequence: u64,
}

impl SequencedMessage {
    /// Returns the text of the message: the prefix, the three numbers and the length, padded to `length` bytes.
    pub fn encode(self, length: usize) -> String {
        let SequencedMessage {
            sender,
            sequence,
            global_sequence,
        } = self;
        let mut text = format!("{PREFIX}{sender} {sequence} {global_sequence} {length} ");
        text.extend(std::iter::repeat_n('.', length.saturating_sub(text.len())));
        text
    }

    /// Finds the message in the payload of a text frame, which is a JSON object if `json` is set. Returns `None` for
    /// any other payload.
    ///
    /// # Errors
    ///
    /// The payload is not UTF-8, or the message is damaged.
    pub fn decode(payload: &[u8], json: bool) -> Result<Option<SequencedMessage>, String> {
        let payload = str::from_utf8(payload).map_err(|_| "received text that is not UTF-8")?;
        let Some(start) = payload.find(PREFIX) else {
            return Ok(None);
        };
        let text = &payload[start..];
        let mut numbers = text[PREFIX.len()..].split(' ').map(str::parse::<u64>);
        let mut number = || numbers.next().and_then(Result::ok);
        let (Some(sender), Some(sequence), Some(global_sequence), Some(length)) =
            (number(), number(), number(), number())
        else {
            return Err(format!("received a damaged message: {payload:?}"));
        };
        let suffix = if json { r#""}"#.len() } else { 0 };
        if text.len() as u64 != length + suffix as u64 {
            return Err(format!(
                "received a message of {} bytes instead of {length}",
                text.len()
            ));
        }
        Ok(Some(SequencedMessage {
            sender,
            sequence,
            global_sequence,
        }))
    }
}
