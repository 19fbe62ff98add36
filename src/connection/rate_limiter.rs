//! The rate limit of one client.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tungstenite::{Bytes, Message};

/// The size of a burst as a period: after being idle, a client can send this period's messages at once.
const BURST_WINDOW: Duration = Duration::from_secs(1);

/// The payload that counts as one message, in bytes.
const MESSAGE_UNIT: usize = 1 << 10;

/// The number of frames that count as one message more.
const FRAMES_PER_MESSAGE: u32 = 100;

/// The queued bytes above which nothing is read ahead. The queue holds at most this and one message of the largest size.
/// Small enough that the burst of a client that sends and closes is 128 messages.
const READ_AHEAD_BYTES: usize = 16 << 10;

/// The bookkeeping of one queued message in bytes: its slot in a queue of up to twice its length, and its allocation.
const MESSAGE_OVERHEAD: usize = 128;

/// Slows a client down to its rate: messages are queued until they conform to it.
///
/// The algorithm is GCRA, the generic cell rate algorithm: it keeps one time instead of a bucket of tokens.
pub(super) struct RateLimiter {
    /// The time between two messages at the permitted rate.
    interval: Duration,
    /// The time until which messages have been accounted for (GCRA: theoretical arrival time, less the burst). It lies up
    /// to a burst in the past. The next message is due one interval later.
    next_conforming: Instant,
    /// Messages, each with the time at which it conforms.
    queue: VecDeque<(Instant, Message)>,
    queued_bytes: usize,
    /// Frames that do not make up a whole message yet.
    frames: u32,
}

impl RateLimiter {
    /// Creates a limiter for a positive number of messages per second.
    pub(super) fn new(per_second: u32) -> RateLimiter {
        let now = Instant::now();
        RateLimiter {
            interval: Duration::from_secs(1) / per_second,
            next_conforming: now.checked_sub(BURST_WINDOW).unwrap_or(now),
            queue: VecDeque::new(),
            queued_bytes: 0,
            frames: 0,
        }
    }

    /// Queues a message that ends the last `frames` frames. A control frame is handled already: only a hundred of them
    /// are queued, as one message, so that reading stops in a flood of them.
    pub(super) fn push(&mut self, message: Message, frames: u32) {
        self.frames = self.frames.saturating_add(frames);
        let mut cost = self.frames / FRAMES_PER_MESSAGE;
        self.frames %= FRAMES_PER_MESSAGE;
        let message = match message {
            Message::Text(_) | Message::Binary(_) => {
                cost += message.len().div_ceil(MESSAGE_UNIT).max(1) as u32;
                message
            }
            _ if cost == 0 => return,
            _ => Message::Pong(Bytes::new()),
        };
        let now = Instant::now();
        let earliest = now
            .checked_sub(BURST_WINDOW)
            .unwrap_or(self.next_conforming);
        self.next_conforming = self.next_conforming.max(earliest) + self.interval * cost;
        let message = match message {
            // A message is a part of the read buffer, all of which it would keep while it waits.
            Message::Text(text) if self.next_conforming > now => Message::text(text.as_str()),
            Message::Binary(bytes) if self.next_conforming > now => {
                Message::Binary(Bytes::copy_from_slice(&bytes))
            }
            message => message,
        };
        self.queued_bytes += message.len() + MESSAGE_OVERHEAD;
        self.queue.push_back((self.next_conforming, message));
    }

    /// Returns the first message if it conforms to the rate, or `at_once`.
    pub(super) fn pop(&mut self, at_once: bool) -> Option<Message> {
        if !at_once && self.next_due()? > Instant::now() {
            return None;
        }
        let (_, message) = self.queue.pop_front()?;
        self.queued_bytes -= message.len() + MESSAGE_OVERHEAD;
        Some(message)
    }

    /// Returns the time at which the first queued message conforms to the rate.
    pub(super) fn next_due(&self) -> Option<Instant> {
        Some(self.queue.front()?.0)
    }

    /// Returns whether no message must be read before one has been passed on.
    pub(super) fn is_full(&self) -> bool {
        self.queued_bytes >= READ_AHEAD_BYTES
    }
}
