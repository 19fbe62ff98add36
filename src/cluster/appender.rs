//! The thread that appends to a room's log what the clients of this node do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};

use super::codec;
use super::entry::{BatchHeader, Entry, Incarnation, first_id};
use super::lost::Lost;
use super::redis_log::RedisLog;
use super::standing::{FAREWELL, PAUSES, Phase, Standing};
use crate::chat::event::{Event, WhisperRefusal};
use crate::chat::join::ConnectionId;
use crate::config::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS};

/// The time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The most refusals of whispers that wait to be appended.
pub(super) const REFUSALS: usize = 100;

/// The most batches that wait to come back from the log.
pub(super) const IN_FLIGHT: usize = 64;

/// A batch of this node on its way through the log: its incarnation and sequence, and the events, of which the log has a
/// description only.
pub(super) struct InFlight {
    pub(super) incarnation: Incarnation,
    pub(super) sequence: u64,
    pub(super) began: Instant,
    pub(super) events: Vec<Event>,
}

impl InFlight {
    /// Passes the events that matter to a connection that is closed to the dispatcher.
    pub(super) fn refuse(self, dispatcher: &Sender<Event>) {
        for event in self.events {
            if !matches!(event, Event::Command(..)) {
                // After a panic of the dispatcher there is nobody to tell.
                let _ = dispatcher.send(event);
            }
        }
    }
}

pub(super) struct Appender {
    pub(super) log: RedisLog,
    /// The events of connections.
    pub(super) queue: Receiver<Event>,
    pub(super) dispatcher: Sender<Event>,
    pub(super) in_flight: (Sender<InFlight>, Receiver<InFlight>),
    pub(super) refusals: Receiver<WhisperRefusal>,
    pub(super) standing: Arc<Standing>,
    pub(super) log_prefix: String,
    /// The phase in which each client came.
    pub(super) clients: HashMap<ConnectionId, Phase>,
    /// An event that came when the phase had changed: it belongs to the next one.
    pub(super) held: Option<Event>,
}

/// The part of an incarnation that the appender knows.
struct Term {
    phase: Phase,
    log: u64,
    incarnation: Incarnation,
    /// The sequence of the next batch.
    next: u64,
    next_heartbeat: Instant,
    /// The last reply of the server.
    heard: Instant,
}

impl Appender {
    /// Appends batches until no connection is left and the registry has forgotten the room. The work of the thread.
    pub(super) fn run(mut self) {
        self.standing.wait_changed(Phase::Starting);
        loop {
            let phase = self.standing.phase();
            let is_over = match phase {
                Phase::Joined {
                    log, incarnation, ..
                } => {
                    // The time between two incarnations can be shorter than a wait of this thread, and pass unseen.
                    self.return_in_flight();
                    self.serve(Term {
                        phase,
                        log,
                        incarnation,
                        next: 0,
                        next_heartbeat: Instant::now(),
                        heard: Instant::now(),
                    })
                }
                Phase::Starting | Phase::Away | Phase::Ended => self.refuse(phase),
            };
            if is_over {
                break;
            }
        }
        self.standing.end();
        self.return_in_flight();
    }

    /// Passes the clients that come while the room is away to the dispatcher, which closes them. Returns whether the queue has
    /// ended.
    fn refuse(&mut self, phase: Phase) -> bool {
        while self.standing.phase() == phase {
            self.return_in_flight();
            match self.next_event(Instant::now() + HEARTBEAT / 4) {
                Ok(event) if self.standing.phase() == phase => self.refuse_event(event),
                Ok(event) => self.held = Some(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
        false
    }

    fn next_event(&mut self, deadline: Instant) -> Result<Event, RecvTimeoutError> {
        let held = self.held.take();
        held.map_or_else(|| self.queue.recv_deadline(deadline), Ok)
    }

    /// Passes an event that is not in the log to the dispatcher, if it matters to a connection that is closed.
    fn refuse_event(&mut self, event: Event) {
        let event = match event {
            Event::Command(..) => return,
            Event::Connected { id, .. } => {
                self.clients.insert(id, Phase::Away);
                event
            }
            Event::Disconnected { id, reason, close } => {
                let incarnation = self.clients.remove(&id).map_or(0, Phase::incarnation);
                Event::Disconnected {
                    id: first_id(incarnation) | id,
                    reason,
                    close,
                }
            }
            event => event,
        };
        self.send(event);
    }

    /// Passes the batches that did not come back to the dispatcher.
    fn return_in_flight(&self) {
        for batch in self.in_flight.1.try_iter() {
            batch.refuse(&self.dispatcher);
        }
    }

    /// Sends the dispatcher an event. Waits for room in its inbox. After a panic of the dispatcher there is nobody to tell.
    fn send(&self, event: Event) {
        let _ = self.dispatcher.send(event);
    }

    /// Appends the events of one incarnation. Returns whether the queue has ended, and false if the incarnation has.
    fn serve(&mut self, mut term: Term) -> bool {
        while self.standing.phase() == term.phase {
            let first = match self.next_event(term.next_heartbeat) {
                Ok(event) if self.standing.phase() != term.phase => {
                    self.held = Some(event);
                    break;
                }
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    self.say_bye(&mut term);
                    return true;
                }
            };
            let (events, mut changes) = self.collect(first, &term);
            for refusal in self.refusals.try_iter() {
                codec::encode_refusal(&refusal, &mut changes);
            }
            let is_heartbeat = Instant::now() >= term.next_heartbeat;
            if (is_heartbeat || !events.is_empty() || !changes.is_empty())
                && let Err(lost) = self.append(&mut term, events, &changes, is_heartbeat)
            {
                if let Some(lost) = lost {
                    self.standing.give_up(term.phase, lost);
                }
                self.standing.wait_changed(term.phase);
            }
        }
        false
    }

    /// Takes events from the queue as far as a batch goes. Returns those that wait for the log, and the encoded changes.
    fn collect(&mut self, first: Option<Event>, term: &Term) -> (Vec<Event>, Vec<u8>) {
        let (mut events, mut changes) = (Vec::new(), Vec::new());
        let mut next = first;
        while let Some(event) = next {
            if let Some(event) = self.identify(event, term) {
                let is_change = codec::encode_event(&event, &mut changes);
                // What only its sender sees waits for what the sender did before, and for nothing if that is done.
                let waits = !matches!(event, Event::Idle(_))
                    && (is_change || !events.is_empty() || self.standing.applied() < term.next);
                if waits {
                    events.push(event);
                } else {
                    self.send(event);
                }
            }
            if events.len() >= MAX_BATCH_EVENTS || changes.len() >= MAX_BATCH_BYTES {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        (events, changes)
    }

    /// Gives an event the id that its client has in the log. Refuses the events of clients of earlier incarnations.
    fn identify(&mut self, event: Event, term: &Term) -> Option<Event> {
        let client = match &event {
            Event::Connected { id, .. } => {
                self.clients.insert(*id, term.phase);
                *id
            }
            Event::Command(id, ..) | Event::Idle(id) | Event::Disconnected { id, .. } => *id,
            _ => return Some(event),
        };
        if self.clients.get(&client) != Some(&term.phase) {
            self.refuse_event(event);
            return None;
        }
        let in_log = first_id(term.incarnation) | client;
        Some(match event {
            Event::Connected {
                response, endpoint, ..
            } => Event::Connected {
                id: in_log,
                response,
                endpoint,
            },
            Event::Command(_, command, received) => Event::Command(in_log, command, received),
            Event::Idle(_) => Event::Idle(in_log),
            Event::Disconnected { reason, close, .. } => {
                self.clients.remove(&client);
                Event::Disconnected {
                    id: in_log,
                    reason,
                    close,
                }
            }
            event => event,
        })
    }

    /// Appends a batch. Waits for the server, and first for earlier batches if too many are on their way. An append whose reply
    /// is lost is repeated: all nodes ignore the second one.
    ///
    /// # Errors
    ///
    /// The incarnation has ended (`None`), or ends for this reason.
    fn append(
        &mut self,
        term: &mut Term,
        events: Vec<Event>,
        changes: &[u8],
        is_heartbeat: bool,
    ) -> Result<(), Option<Lost>> {
        let header = BatchHeader {
            log: term.log,
            incarnation: term.incarnation,
            sequence: term.next,
            is_heartbeat,
            statement: is_heartbeat
                .then(|| self.standing.take_statement())
                .flatten(),
        };
        term.next += 1;
        if is_heartbeat {
            term.next_heartbeat = Instant::now() + HEARTBEAT;
        }
        let mut batch = InFlight {
            incarnation: term.incarnation,
            sequence: header.sequence,
            began: Instant::now(),
            events,
        };
        while let Err(error) = self.in_flight.0.send_timeout(batch, HEARTBEAT) {
            let (SendTimeoutError::Timeout(returned) | SendTimeoutError::Disconnected(returned)) =
                error;
            batch = returned;
            if self.standing.phase() != term.phase {
                // A client comes in an earlier batch than it goes.
                self.return_in_flight();
                batch.refuse(&self.dispatcher);
                return Err(None);
            }
        }
        self.append_bytes(term, &codec::encode_batch(&header, changes))
    }

    /// Appends an entry, with pauses while the server is away.
    fn append_bytes(&mut self, term: &mut Term, entry: &[u8]) -> Result<(), Option<Lost>> {
        let (mut pause, max_pause) = PAUSES;
        let mut is_reported = false;
        while self.standing.phase() == term.phase {
            let began = Instant::now();
            match self.log.append(entry) {
                Ok(()) => {
                    term.heard = Instant::now();
                    let latency = began.elapsed();
                    self.standing
                        .count(|metrics| metrics.count_append(entry.len(), latency));
                    if is_reported {
                        log::info!("{}{} responds again", self.log_prefix, self.log.address());
                    }
                    return Ok(());
                }
                Err(error) if error.is_final() => return Err(Some(Lost::Log(error))),
                Err(error) if term.heard.elapsed() >= self.standing.patience() => {
                    return Err(Some(Lost::Away(error)));
                }
                Err(error) => {
                    if !is_reported {
                        let address = self.log.address();
                        log::warn!("{}{address} {error}; trying again", self.log_prefix);
                    }
                    is_reported = true;
                }
            }
            self.standing.wait_while(term.phase, pause);
            pause = (2 * pause).min(max_pause);
        }
        Err(None)
    }

    /// Tells the other nodes that this one ends, after its last batches have come back.
    fn say_bye(&mut self, term: &mut Term) {
        let bye = Entry::Bye {
            log: term.log,
            incarnation: term.incarnation,
        };
        if self.append_bytes(term, &codec::encode(&bye)).is_ok() {
            // The dispatcher gets the last batches, in which its clients leave.
            let deadline = Instant::now() + FAREWELL;
            self.standing.wait_applied(term.phase, term.next, deadline);
        }
    }
}

/// If the thread panics, the room takes no clients any more.
impl Drop for Appender {
    fn drop(&mut self) {
        self.standing.end();
    }
}

#[cfg(test)]
mod tests;
