//! The well-behaved clients of a soak, in plain text and JSON. Some stay connected, others join and leave, and the
//! messages received by each of them are checked.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::Result;
use crate::client_pool::ClientPool;
use crate::connection::{Connection, Endpoint};
use crate::frame;
use crate::reference_order::{OrderChecker, ReferenceOrder};
use crate::sequenced_message::SequencedMessage;

/// Clients that stay connected for the whole soak. The first of them is the reference client.
const PERMANENT_CLIENTS: usize = 24;

/// Slot of the reference client in the pool.
const REFERENCE_CLIENT: usize = 0;

/// One client in 3 uses JSON, one in 4 leaves without a Close, and one message in 12 is large.
const JSON_EVERY: u64 = 3;
const VANISH_EVERY: u64 = 4;
const LARGE_EVERY: u64 = 12;

/// Message lengths in bytes. The large messages bring the traffic above what the kernel buffers for a client that does
/// not read, which is megabytes.
const SMALL_MESSAGE: usize = 48;
const LARGE_MESSAGE: usize = 32 << 10;

/// Time between two joins, and the time after which a client that is not permanent leaves.
const JOIN_INTERVAL: Duration = Duration::from_millis(100);
const STAY: Duration = Duration::from_secs(3);

/// Time between two messages.
const MESSAGE_INTERVAL: Duration = Duration::from_millis(5);

/// Timeout until a message has reached all clients. It allows for a machine that is busy with other work.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

struct SoakClient {
    /// Number of the client as a sender. It is not reused, unlike the slot in the pool.
    sender: u64,
    json: bool,
    sent: u64,
    checker: OrderChecker,
    greeted: bool,
    /// `None` for a permanent client.
    leaves_at: Option<Instant>,
    /// The client has sent its Close and waits for the server's.
    closing: bool,
}

/// Messages of a client that has closed its connection. The reference client must receive all of them in time.
struct Undelivered {
    deadline: Instant,
    sender: u64,
    sent: u64,
}

pub struct SoakClients {
    endpoint: Endpoint,
    pool: ClientPool,
    reference: ReferenceOrder,
    /// The connected clients by their slots in the pool.
    clients: BTreeMap<usize, SoakClient>,
    /// Checkers of clients that left with messages the reference client had not received yet.
    departed: Vec<OrderChecker>,
    undelivered: VecDeque<Undelivered>,
    /// Sequenced messages sent by all clients.
    sent: u64,
    next_join: Instant,
    next_message: Instant,
    ready: Vec<usize>,
    pub checked: u64,
    pub connections: u64,
}

impl SoakClients {
    /// Connects the permanent clients.
    pub fn new(endpoint: Endpoint) -> Result<SoakClients> {
        let now = Instant::now();
        let mut clients = SoakClients {
            endpoint,
            pool: ClientPool::new()?,
            reference: ReferenceOrder::default(),
            clients: BTreeMap::new(),
            departed: Vec::new(),
            undelivered: VecDeque::new(),
            sent: 0,
            next_join: now,
            next_message: now,
            ready: Vec::new(),
            checked: 0,
            connections: 0,
        };
        for _ in 0..PERMANENT_CLIENTS {
            clients.join(None)?;
        }
        // The reference client would miss messages sent before it is greeted.
        let deadline = Instant::now() + DELIVERY_TIMEOUT;
        while clients.clients.values().any(|client| !client.greeted) {
            if Instant::now() > deadline {
                return Err("timeout waiting for the greetings".into());
            }
            clients.receive_ready()?;
        }
        Ok(clients)
    }

    /// Returns the number of connected clients.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Performs the joins, messages and departures that are due, then receives and compares messages.
    pub fn step(&mut self) -> Result<()> {
        let now = Instant::now();
        if now >= self.next_join {
            self.next_join = now + JOIN_INTERVAL;
            self.join(Some(now + STAY))?;
        }
        if now >= self.next_message {
            self.next_message = now + MESSAGE_INTERVAL;
            self.send_message()?;
        }
        self.start_departures(now)?;
        self.receive_ready()?;
        self.compare(now)
    }

    /// Stops sending and waits until all clients have received all messages. Returns the numbers of checked messages
    /// and of connections.
    pub fn drain(mut self) -> Result<(u64, u64)> {
        let deadline = Instant::now() + DELIVERY_TIMEOUT;
        loop {
            self.receive_ready()?;
            self.compare(Instant::now())?;
            let Some(missing) = self.missing() else {
                return Ok((self.checked, self.connections));
            };
            if Instant::now() > deadline {
                return Err(format!("timeout waiting for the last messages: {missing}").into());
            }
        }
    }

    /// Describes a client that has not received all messages, or whose messages have not all been received.
    fn missing(&self) -> Option<String> {
        let end = self.reference.end();
        for client in self.clients.values() {
            let SoakClient { sender, sent, .. } = *client;
            let received = self.reference.received_from(sender);
            if received != sent {
                return Some(format!(
                    "received {received} of {sent} messages of client {sender}"
                ));
            }
            let position = client.checker.position();
            // A client that joined late and has received no message since then has no position to compare.
            if client.leaves_at.is_none() && position != end {
                return Some(format!("client {sender} received {position} of {end}"));
            }
        }
        let unfinished = self.departed.len() + self.undelivered.len();
        (unfinished > 0).then(|| format!("{unfinished} checks of departed clients are unfinished"))
    }

    fn join(&mut self, leaves_at: Option<Instant>) -> Result<()> {
        let sender = self.connections;
        let json = sender % JSON_EVERY == 1;
        let checker = OrderChecker::new(&self.reference);
        let connection = Connection::open(&self.endpoint, json.then_some("threadchat.json"))
            .map_err(|error| format!("a well-behaved client could not connect: {error}"))?;
        let slot = self.pool.add(connection)?;
        self.connections += 1;
        self.clients.insert(
            slot,
            SoakClient {
                sender,
                json,
                sent: 0,
                checker,
                greeted: false,
                leaves_at,
                closing: false,
            },
        );
        // The epoll does not report frames received together with the handshake response.
        self.receive(slot)
    }

    /// Sends one message. The clients take turns.
    fn send_message(&mut self) -> Result<()> {
        let turn = self.sent as usize % self.clients.len();
        let (before, after) = (
            self.clients.iter().take(turn),
            self.clients.iter().skip(turn),
        );
        let can_send = |client: &SoakClient| client.greeted && !client.closing;
        let slot =
            (after.chain(before)).find_map(|(&slot, client)| can_send(client).then_some(slot));
        let Some((slot, client)) = slot.and_then(|slot| Some((slot, self.clients.get_mut(&slot)?)))
        else {
            return Ok(());
        };
        let message = SequencedMessage {
            sender: client.sender,
            sequence: client.sent,
            global_sequence: self.sent,
        };
        let text = message.encode(if self.sent.is_multiple_of(LARGE_EVERY) {
            LARGE_MESSAGE
        } else {
            SMALL_MESSAGE
        });
        client.sent += 1;
        self.sent += 1;
        let payload = match client.json {
            true => format!(r#"{{"type":"message","text":"{text}"}}"#),
            false => text,
        };
        let result = self.pool.send(slot, frame::TEXT, payload.as_bytes());
        result.map_err(|error| format!("a well-behaved client was disconnected: {error}").into())
    }

    /// Closes or resets the connections of the clients that are due to leave.
    fn start_departures(&mut self, now: Instant) -> Result<()> {
        let leaving: Vec<usize> = (self.clients.iter())
            .filter(|(_, client)| {
                client.leaves_at.is_some_and(|at| at <= now) && client.greeted && !client.closing
            })
            .map(|(&slot, _)| slot)
            .collect();
        for slot in leaving {
            let Some(client) = self.clients.get_mut(&slot) else {
                continue;
            };
            if client.sender.is_multiple_of(VANISH_EVERY) {
                // A reset discards bytes that the server has not read yet, so no message may be in transit.
                if self.reference.received_from(client.sender) == client.sent {
                    self.reference.forget_sender(client.sender);
                    self.remove(slot);
                }
            } else {
                // The Close directly follows the last message, which must be delivered nevertheless.
                client.closing = true;
                self.undelivered.push_back(Undelivered {
                    deadline: now + DELIVERY_TIMEOUT,
                    sender: client.sender,
                    sent: client.sent,
                });
                self.pool.send(slot, frame::CLOSE, &1000u16.to_be_bytes())?;
            }
        }
        Ok(())
    }

    /// Removes a client and keeps its checker.
    fn remove(&mut self, slot: usize) {
        let client = self.clients.remove(&slot);
        self.departed.extend(client.map(|client| client.checker));
        self.pool.remove(slot);
    }

    fn receive_ready(&mut self) -> Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.pool.wait(MESSAGE_INTERVAL / 2, &mut ready)?;
        for &slot in &ready {
            self.receive(slot)?;
        }
        self.ready = ready;
        Ok(())
    }

    fn receive(&mut self, slot: usize) -> Result<()> {
        let Some(client) = self.clients.get_mut(&slot) else {
            return Ok(());
        };
        let (sent, mut violation, mut close) = (self.sent, None, None);
        let result = self.pool.receive(slot, |opcode, payload, _| match opcode {
            frame::TEXT if !client.greeted => {
                let greeting: &[u8] = match client.json {
                    true => br#"{"type":"welcome","#,
                    false => b"You are connected! ",
                };
                client.greeted = payload.starts_with(greeting);
                client.checker.set_greeted(sent);
                if !client.greeted {
                    violation = Some("received a message before the greeting".to_owned());
                }
            }
            frame::TEXT => match SequencedMessage::decode(payload, client.json) {
                Ok(message) => message
                    .into_iter()
                    .for_each(|message| client.checker.push(message)),
                Err(error) => violation = Some(error),
            },
            frame::CLOSE => close = Some(frame::close_code(payload)),
            other => violation = Some(format!("received a frame with opcode {other}")),
        });
        let sender = client.sender;
        match (violation, close) {
            (Some(violation), _) => Err(format!("client {sender}: {violation}").into()),
            (None, Some(Some(1000))) if client.closing => {
                self.remove(slot);
                Ok(())
            }
            (None, Some(code)) => {
                Err(format!("client {sender}: received a Close with code {code:?}").into())
            }
            (None, None) => result.map_err(|error| {
                format!("client {sender}: a well-behaved client was disconnected: {error}").into()
            }),
        }
    }

    fn compare(&mut self, now: Instant) -> Result<()> {
        let mut count = 0;
        if let Some(client) = self.clients.get_mut(&REFERENCE_CLIENT) {
            count += client.checker.record_reference(&mut self.reference)?;
        }
        for client in self.clients.values_mut() {
            let compared = client.checker.compare(&self.reference);
            count += compared.map_err(|error| format!("client {}: {error}", client.sender))?;
        }
        for checker in &mut self.departed {
            count += checker.compare(&self.reference)?;
        }
        self.checked += count as u64;
        self.departed.retain(|checker| !checker.is_done());
        while let Some(&Undelivered {
            deadline,
            sender,
            sent,
        }) = self.undelivered.front()
        {
            let received = self.reference.received_from(sender);
            if received == sent {
                self.undelivered.pop_front();
                self.reference.forget_sender(sender);
            } else if now > deadline {
                return Err(format!(
                    "received {received} of {sent} messages of client {sender}, which has closed"
                )
                .into());
            } else {
                break;
            }
        }
        let connected = self.clients.values().map(|client| &client.checker);
        let positions = connected.chain(&self.departed).map(OrderChecker::position);
        if let Some(position) = positions.min() {
            self.reference.discard_before(position);
        }
        Ok(())
    }
}
