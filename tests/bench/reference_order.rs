//! The order in which everybody must hear the numbered messages.

use std::collections::{HashMap, VecDeque};

/// A numbered message of a well-behaved sender.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Numbered {
    pub sender: u64,
    /// 0, 1, 2, … for each sender.
    pub number: u64,
    /// How many had been sent before it, by all senders.
    pub stamp: u64,
}

/// What has been said to all, in the order in which the witness, one client that stays throughout, has heard it.
#[derive(Default)]
pub struct Ledger {
    entries: VecDeque<Numbered>,
    /// How many before the first of the entries were forgotten.
    forgotten: usize,
    /// The next number of each sender.
    next: HashMap<u64, u64>,
}

impl Ledger {
    /// The witness has heard this.
    fn append(&mut self, message: Numbered) -> Result<(), String> {
        let next = self.next.entry(message.sender).or_default();
        if message.number != *next {
            return Err(format!("{message:?} came instead of number {next}"));
        }
        *next += 1;
        self.entries.push_back(message);
        Ok(())
    }

    /// How many there have been.
    pub fn end(&self) -> usize {
        self.forgotten + self.entries.len()
    }

    fn get(&self, position: usize) -> Option<&Numbered> {
        self.entries.get(position - self.forgotten)
    }

    /// How many of this sender's have been heard.
    pub fn heard_of(&self, sender: u64) -> u64 {
        self.next.get(&sender).copied().unwrap_or(0)
    }

    /// Nothing more comes from this sender.
    pub fn forget_sender(&mut self, sender: u64) {
        self.next.remove(&sender);
    }

    /// Nobody is before this position any more.
    pub fn forget_before(&mut self, position: usize) {
        let count = position - self.forgotten;
        self.entries.drain(..count);
        self.forgotten = position;
    }
}

/// What one client has heard, compared with the ledger.
pub struct Listener {
    /// Its place in the ledger: up to here all is compared. Before its first message, where that may be at the earliest.
    position: usize,
    /// How many had been sent when it was greeted, until its first message has come: what was sent later is for it too.
    greeted_at: Option<u64>,
    /// Heard before the witness.
    ahead: VecDeque<Numbered>,
}

impl Listener {
    /// A client that is about to come.
    pub fn new(ledger: &Ledger) -> Listener {
        Listener {
            position: ledger.end(),
            greeted_at: None,
            ahead: VecDeque::new(),
        }
    }

    /// It has been greeted after so many had been sent.
    pub fn greeted(&mut self, sent: u64) {
        self.greeted_at = Some(sent);
    }

    pub fn position(&self) -> usize {
        self.position
    }

    /// Whether all that it heard has been compared.
    pub fn is_settled(&self) -> bool {
        self.ahead.is_empty()
    }

    pub fn hears(&mut self, message: Numbered) {
        self.ahead.push_back(message);
    }

    /// The witness's way to compare: what it hears is the order.
    pub fn dictate(&mut self, ledger: &mut Ledger) -> Result<usize, String> {
        for message in &self.ahead {
            ledger.append(*message)?;
        }
        self.greeted_at = None;
        self.position = ledger.end();
        let count = self.ahead.len();
        self.ahead.clear();
        Ok(count)
    }

    /// Compares what it heard with the ledger, as far as that goes: how many were compared.
    pub fn compare(&mut self, ledger: &Ledger) -> Result<usize, String> {
        let mut count = 0;
        while let Some(&heard) = self.ahead.front() {
            if let Some(greeted_at) = self.greeted_at {
                match self.first(heard, greeted_at, ledger)? {
                    Some(position) => self.position = position,
                    None => break,
                }
                self.greeted_at = None;
            }
            let Some(expected) = ledger.get(self.position) else {
                break;
            };
            if heard != *expected {
                return Err(format!("{heard:?} came instead of {expected:?}"));
            }
            self.ahead.pop_front();
            self.position += 1;
            count += 1;
        }
        Ok(count)
    }

    /// Where its first message is in the ledger, if that goes so far.
    fn first(
        &self,
        heard: Numbered,
        greeted_at: u64,
        ledger: &Ledger,
    ) -> Result<Option<usize>, String> {
        for position in self.position..ledger.end() {
            match ledger.get(position) {
                Some(entry) if *entry == heard => return Ok(Some(position)),
                Some(entry) if entry.stamp >= greeted_at => {
                    return Err(format!(
                        "{heard:?} came first, {entry:?} was missed, sent after the greeting ({greeted_at})"
                    ));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
