//! The history of a room: its last messages and actions. Plain logic.

use std::borrow::Cow;
use std::collections::VecDeque;

#[cfg(feature = "cluster")]
use serde::{Deserialize, Serialize};

use crate::protocol::ServerEvent;

/// The part of an entry's size that does not depend on its name and text: the fields in JSON and the frame's header, or
/// the bookkeeping in memory.
const ENTRY_OVERHEAD: usize = 160;

/// The kinds of texts that are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "cluster", derive(Serialize, Deserialize))]
pub(super) enum Kind {
    Message,
    Action,
}

impl Kind {
    pub(super) fn event<'a>(
        self,
        from: Cow<'a, str>,
        text: Cow<'a, str>,
        id: u64,
        time: u64,
    ) -> ServerEvent<'a> {
        #[rustfmt::skip]
        let event = match self {
            Kind::Message => ServerEvent::Message { from, text, id, time },
            Kind::Action => ServerEvent::Action { from, text, id, time },
        };
        event
    }
}

#[cfg_attr(feature = "cluster", derive(Serialize, Deserialize))]
struct Entry {
    kind: Kind,
    from: Box<str>,
    text: Box<str>,
    time: u64,
}

impl Entry {
    /// Returns a bound of the bytes that the entry takes in memory, and encoded in either dialect. JSON writes some
    /// characters of a text as two.
    fn size(&self) -> usize {
        self.from.len() + 2 * self.text.len() + ENTRY_OVERHEAD
    }
}

/// The last texts of a room. It numbers all of them, also if it keeps none.
#[derive(Default)]
#[cfg_attr(feature = "cluster", derive(Serialize, Deserialize))]
pub(super) struct History {
    /// The oldest first. Their ids have no gap, and the last one is `last_id`.
    entries: VecDeque<Entry>,
    /// The sum of the entries' sizes.
    size: usize,
    #[cfg_attr(feature = "cluster", serde(skip))]
    max_entries: usize,
    #[cfg_attr(feature = "cluster", serde(skip))]
    max_size: usize,
    last_id: u64,
}

/// The texts that a client has missed.
#[derive(Debug, PartialEq)]
pub(super) struct Missed {
    /// The number of those that are kept.
    pub(super) kept: usize,
    /// Whether there were more.
    pub(super) gap: bool,
}

impl History {
    /// Creates a history of up to this many texts, and up to this many bytes.
    pub(super) fn new(max_entries: usize, max_size: usize) -> History {
        History {
            max_entries,
            max_size,
            ..History::default()
        }
    }

    /// Sets the limits of a history that was read from a snapshot.
    #[cfg(feature = "cluster")]
    pub(super) fn set_limits(&mut self, max_entries: usize, max_size: usize) {
        (self.max_entries, self.max_size) = (max_entries, max_size);
        self.drop_oldest();
    }

    /// Removes all texts, and numbers the next one 1.
    #[cfg(feature = "cluster")]
    pub(super) fn clear(&mut self) {
        *self = History::new(self.max_entries, self.max_size);
    }

    /// Returns the id of the newest text, 0 if there was none.
    pub(super) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Adds a text, and drops the oldest ones beyond the limits. Returns its id.
    pub(super) fn add(&mut self, kind: Kind, from: &str, text: &str, time: u64) -> u64 {
        self.last_id += 1;
        if self.max_entries > 0 {
            let entry = Entry {
                kind,
                from: from.into(),
                text: text.into(),
                time,
            };
            self.size += entry.size();
            self.entries.push_back(entry);
            self.drop_oldest();
        }
        self.last_id
    }

    fn drop_oldest(&mut self) {
        while (self.entries.len() > self.max_entries || self.size > self.max_size)
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
        }
    }

    /// Returns what a client has missed that has received everything up to this id. A later id than the newest one is of a text
    /// that the room has lost: what it has is something else.
    pub(super) fn missed_since(&self, id: u64) -> Missed {
        let missed = self.last_id.checked_sub(id).map(usize::try_from);
        let kept = self.entries.len();
        match missed {
            Some(Ok(missed)) if missed <= kept => Missed {
                kept: missed,
                gap: false,
            },
            _ => Missed { kept, gap: true },
        }
    }

    /// Returns the newest texts, the oldest of them first. At most this many, which must be kept.
    pub(super) fn newest(&self, number: usize) -> impl Iterator<Item = ServerEvent<'_>> {
        let first = self.entries.len() - number;
        let ids = self.last_id - number as u64 + 1..;
        ids.zip(self.entries.range(first..)).map(|(id, entry)| {
            let (from, text) = (&*entry.from, &*entry.text);
            entry.kind.event(from.into(), text.into(), id, entry.time)
        })
    }

    /// Returns the number of kept texts.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the ids and texts of the newest entries.
    fn newest(history: &History, number: usize) -> Vec<(u64, String)> {
        let text = |event| match event {
            ServerEvent::Message { text, id, .. } => (id, text.into_owned()),
            other => panic!("{other:?}"),
        };
        history.newest(number).map(text).collect()
    }

    fn filled(max_entries: usize, max_size: usize, texts: u64) -> History {
        let mut history = History::new(max_entries, max_size);
        for number in 1..=texts {
            let id = history.add(Kind::Message, "ann", &format!("{number}"), number);
            assert_eq!((id, history.last_id()), (number, number));
        }
        history
    }

    #[test]
    fn the_newest_entries_stay_with_their_ids() {
        let history = filled(3, usize::MAX, 5);
        let expected = [(3, "3".to_owned()), (4, "4".into()), (5, "5".into())];
        assert_eq!(newest(&history, 3), expected);
        assert_eq!(newest(&history, 1), expected[2..]);
        assert_eq!(newest(&history, 0), []);
        let event = history.newest(1).next();
        let expected = Kind::Message.event("ann".into(), "5".into(), 5, 5);
        assert_eq!(event, Some(expected));
    }

    #[test]
    fn the_size_is_bounded() {
        let mut history = History::new(1000, 10_000);
        let text = "x".repeat(1000);
        for _ in 0..100 {
            history.add(Kind::Action, "ann", &text, 0);
            let size: usize = history.entries.iter().map(Entry::size).sum();
            assert!(size == history.size && size <= 10_000, "{size}");
        }
        assert_eq!(history.len(), 4);
        // A text that is larger than the whole history leaves it empty.
        history.add(Kind::Action, "ann", &"x".repeat(6000), 0);
        assert_eq!(
            (history.len(), history.size, history.last_id()),
            (0, 0, 101)
        );
        assert_eq!(
            history.missed_since(101),
            Missed {
                kept: 0,
                gap: false
            }
        );
    }

    #[test]
    fn missed_texts_are_counted_and_a_gap_is_noticed() {
        let history = filled(3, usize::MAX, 5);
        for (id, kept, gap) in [
            (5, 0, false),
            (4, 1, false),
            (2, 3, false),
            (1, 3, true),
            (0, 3, true),
            // Of a text that the room has lost.
            (6, 3, true),
        ] {
            assert_eq!(history.missed_since(id), Missed { kept, gap }, "{id}");
        }
        assert_eq!(
            filled(0, 100, 2).missed_since(1),
            Missed { kept: 0, gap: true }
        );
        assert_eq!(
            filled(0, 100, 2).missed_since(2),
            Missed {
                kept: 0,
                gap: false
            }
        );
    }

    #[test]
    fn an_entry_is_no_larger_encoded_than_counted() {
        use crate::protocol::Dialect;
        let text = "\"\\".repeat(100);
        let entry = Entry {
            kind: Kind::Message,
            from: "x".repeat(32).into(),
            text: text.into(),
            time: u64::MAX,
        };
        for dialect in Dialect::ALL {
            let mut frames = Vec::new();
            let (from, text) = (&*entry.from, &*entry.text);
            let event = entry
                .kind
                .event(from.into(), text.into(), u64::MAX, entry.time);
            dialect.encode(&event, &mut frames);
            assert!(frames.len() <= entry.size(), "{}", frames.len());
        }
    }
}
