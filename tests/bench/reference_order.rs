//! The order in which all soak clients must receive the sequenced messages.

use std::collections::{HashMap, VecDeque};

use crate::sequenced_message::SequencedMessage;

/// The messages sent to all, in the order in which the reference client received them. The reference client stays
/// connected for the whole soak.
#[derive(Default)]
pub struct ReferenceOrder {
    messages: VecDeque<SequencedMessage>,
    /// Number of messages discarded from the front.
    discarded: usize,
    /// Number of messages received from each sender, which is the next sequence number.
    received: HashMap<u64, u64>,
}

impl ReferenceOrder {
    /// Appends a message that the reference client has received.
    fn append(&mut self, message: SequencedMessage) -> Result<(), String> {
        let next = self.received.entry(message.sender).or_default();
        if message.sequence != *next {
            return Err(format!("received {message:?}, expected sequence {next}"));
        }
        *next += 1;
        self.messages.push_back(message);
        Ok(())
    }

    /// Returns the position after the last message.
    pub fn end(&self) -> usize {
        self.discarded + self.messages.len()
    }

    fn get(&self, position: usize) -> Option<&SequencedMessage> {
        self.messages.get(position - self.discarded)
    }

    /// Returns the number of messages received from this sender.
    pub fn received_from(&self, sender: u64) -> u64 {
        self.received.get(&sender).copied().unwrap_or(0)
    }

    /// Forgets a sender that sends no further messages.
    pub fn forget_sender(&mut self, sender: u64) {
        self.received.remove(&sender);
    }

    /// Discards the messages before this position. All clients must have been compared up to here.
    pub fn discard_before(&mut self, position: usize) {
        let count = position - self.discarded;
        self.messages.drain(..count);
        self.discarded = position;
    }
}

/// Compares the messages received by one client with the reference order.
pub struct OrderChecker {
    /// Position in the reference order of the next message to compare. Until the first message has been found, its
    /// earliest possible position.
    position: usize,
    /// Number of messages sent before the client was greeted: it must receive all later ones. `None` once its first
    /// message has been found.
    sent_before_greeting: Option<u64>,
    /// Received messages that have not been compared, as the reference client has not received them yet.
    pending: VecDeque<SequencedMessage>,
}

impl OrderChecker {
    /// Returns the checker for a client that is about to connect.
    pub fn new(reference: &ReferenceOrder) -> OrderChecker {
        OrderChecker {
            position: reference.end(),
            sent_before_greeting: None,
            pending: VecDeque::new(),
        }
    }

    /// Notes that the client was greeted after `sent` messages had been sent.
    pub fn set_greeted(&mut self, sent: u64) {
        self.sent_before_greeting = Some(sent);
    }

    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns true if all received messages have been compared.
    pub fn is_done(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds a message that the client has received.
    pub fn push(&mut self, message: SequencedMessage) {
        self.pending.push_back(message);
    }

    /// Appends the messages of the reference client to the reference order instead of comparing them. Returns their
    /// number.
    pub fn record_reference(&mut self, reference: &mut ReferenceOrder) -> Result<usize, String> {
        for message in &self.pending {
            reference.append(*message)?;
        }
        self.sent_before_greeting = None;
        self.position = reference.end();
        let count = self.pending.len();
        self.pending.clear();
        Ok(count)
    }

    /// Compares received messages as far as the reference order goes. Returns the number of messages compared.
    pub fn compare(&mut self, reference: &ReferenceOrder) -> Result<usize, String> {
        let mut count = 0;
        while let Some(&received) = self.pending.front() {
            if let Some(sent_before_greeting) = self.sent_before_greeting {
                match self.find_start(received, sent_before_greeting, reference)? {
                    Some(position) => self.position = position,
                    None => break,
                }
                self.sent_before_greeting = None;
            }
            let Some(expected) = reference.get(self.position) else {
                break;
            };
            if received != *expected {
                return Err(format!("received {received:?}, expected {expected:?}"));
            }
            self.pending.pop_front();
            self.position += 1;
            count += 1;
        }
        Ok(count)
    }

    /// Returns the position of the first message that the client received. Returns `None` if the reference order does
    /// not contain the message yet.
    fn find_start(
        &self,
        received: SequencedMessage,
        sent_before_greeting: u64,
        reference: &ReferenceOrder,
    ) -> Result<Option<usize>, String> {
        for position in self.position..reference.end() {
            match reference.get(position) {
                Some(message) if *message == received => return Ok(Some(position)),
                Some(message) if message.global_sequence >= sent_before_greeting => {
                    return Err(format!(
                        "received {received:?} first and missed {message:?}, which was sent after the greeting \
                         ({sent_before_greeting} messages before it)"
                    ));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
