//! The dispatcher: the thread that owns the sessions and the room. It takes events from its inbox and sends frames to the
//! outbound channels of the clients.

use std::collections::VecDeque;
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[cfg(feature = "cluster")]
use crossbeam_channel::Sender;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use tungstenite::Bytes;
use tungstenite::protocol::frame::coding::CloseCode;

use super::delivery::{Delivery, Recipients};
use super::event::Event;
#[cfg(feature = "cluster")]
use super::event::WhisperRefusal;
use super::join::{ConnectionId, Endpoint};
use super::room::{self, Room};
use super::sessions::Sessions;
use crate::config::{CLOSE_TIMEOUT, Config, MAX_BATCH_EVENTS};
use crate::metrics::ChatMetrics;
use crate::outbound::PendingResponse;
use crate::protocol::{ClientCommand, ServerEvent};
use crate::websocket::disconnect::DisconnectReason;
use crate::websocket::frame;

/// The longest wait of a batch for as many events as the previous batch had. Clients that reply to each other would
/// otherwise cause many small batches with one write per client each: 32 clients in ping-pong deliver a fifth more for a
/// quarter less CPU time. Users do not notice the delay, and a chat without simultaneous messages never waits.
const MAX_BATCH_LINGER: Duration = Duration::from_micros(200);

/// The reason in the Close of a client whose node has lost its place among the others.
const LOST: &str = "this server has lost its place among the others; connect again";

/// The wait of a batch for each client: about the time that a write to it takes, which is what a larger batch saves.
const BATCH_LINGER_PER_CLIENT: Duration = Duration::from_micros(6);

/// The source of the order of a room's events, and of their times.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
enum Order {
    /// The inbox and the clock.
    Inbox,
    /// A log that several nodes share, in an entry of this time in milliseconds since 1970.
    Log(u64),
    /// The same, between two entries: nothing changes the room. Who comes without an entry came too late, or too early.
    BetweenEntries,
}

impl Order {
    /// Returns the time of an event in milliseconds since 1970.
    fn time(self) -> u64 {
        match self {
            Order::Log(time) => time,
            Order::Inbox | Order::BetweenEntries => unix_millis(),
        }
    }
}

struct Dispatcher {
    room: Room,
    order: Order,
    #[cfg(feature = "cluster")]
    refusals: Option<Sender<WhisperRefusal>>,
    /// Whether the steps are from before this node came.
    #[cfg(feature = "cluster")]
    is_past: bool,
    /// The beginning of each line of the log.
    log_prefix: String,
    sessions: Sessions,
    /// Clients that were sent a Close, and the time at which they are aborted. The timeout is the same for all, so the
    /// first entry is due first.
    closing: VecDeque<(Instant, ConnectionId)>,
    shutting_down: bool,
    /// `None` if nothing is counted.
    metrics: Option<ChatMetrics>,
    /// The times of the messages of the batch, if they are counted.
    received: Vec<Instant>,
}

/// Processes the events of a room until every sender of the inbox is dropped. Returns what it has counted.
pub(crate) fn run(inbox: &Receiver<Event>, room: Room, config: &Config) -> Option<ChatMetrics> {
    wait_precisely();
    let mut dispatcher = Dispatcher {
        log_prefix: room.log_prefix(),
        room,
        order: Order::Inbox,
        #[cfg(feature = "cluster")]
        refusals: None,
        #[cfg(feature = "cluster")]
        is_past: false,
        sessions: Sessions::new(config.writers),
        metrics: config.metrics.then(ChatMetrics::default),
        received: Vec::new(),
        closing: VecDeque::new(),
        shutting_down: false,
    };
    let mut events = 0;
    while let Some(first) = dispatcher.next_event(inbox) {
        events = dispatcher.process_batch(first, events, inbox);
    }
    dispatcher.report()
}

/// Lets the short waits of this thread end in time: by default, Linux adds up to 50 µs (prctl(2), PR_SET_TIMERSLACK).
fn wait_precisely() {
    // An error leaves the default.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

impl Dispatcher {
    /// Processes an event and those that follow it, and sends every client the resulting frames in one write. Waits up to
    /// [`MAX_BATCH_LINGER`] for the expected number of events. Returns the number of processed events.
    fn process_batch(&mut self, first: Event, expected: usize, inbox: &Receiver<Event>) -> usize {
        let clients = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
        let linger = BATCH_LINGER_PER_CLIENT.saturating_mul(clients);
        let deadline = Instant::now() + linger.min(MAX_BATCH_LINGER);
        self.process(first);
        let mut events = 1;
        while events < MAX_BATCH_EVENTS && !self.sessions.batch_is_full() {
            let next = if events < expected {
                inbox.recv_deadline(deadline).ok()
            } else {
                inbox.try_recv().ok()
            };
            let Some(event) = next else { break };
            self.process(event);
            events += 1;
        }
        self.sessions.flush();
        self.count_batch(events);
        events
    }

    fn count_batch(&mut self, events: usize) {
        if let Some(metrics) = &mut self.metrics {
            metrics.batches.record(events as u64);
            let now = Instant::now();
            for received in self.received.drain(..) {
                let delay = (now - received).as_micros();
                metrics.delays.record(delay as u64);
            }
        }
    }

    /// Returns what was counted so far.
    fn report(&self) -> Option<ChatMetrics> {
        let mut metrics = self.metrics.clone()?;
        metrics.clients = self.sessions.len() as u64;
        metrics.queued_bytes = self.sessions.queued_bytes();
        let sent = self.sessions.sent();
        (metrics.deliveries, metrics.sent_bytes) = (sent.deliveries, sent.bytes);
        Some(metrics)
    }

    /// Waits for the next event. Returns `None` when every sender is dropped. Aborts connections whose close timeout
    /// expires.
    fn next_event(&mut self, inbox: &Receiver<Event>) -> Option<Event> {
        while let Some(&(deadline, id)) = self.closing.front() {
            // Checked first, because clients that are due to be aborted could keep the inbox full.
            let event = if Instant::now() < deadline {
                inbox.recv_deadline(deadline)
            } else {
                Err(RecvTimeoutError::Timeout)
            };
            match event {
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    self.closing.pop_front();
                    if let Some(session) = self.sessions.get(id) {
                        session.outbound.abort(if self.shutting_down {
                            DisconnectReason::ServerShutdown
                        } else {
                            DisconnectReason::CloseTimeout
                        });
                    }
                }
            }
        }
        inbox.recv().ok()
    }

    fn process(&mut self, event: Event) {
        match event {
            Event::Connected {
                id,
                response,
                endpoint,
            } => self.on_connected(id, response, endpoint),
            Event::Command(id, command, received) => {
                if let (Some(metrics), Some(received)) = (&mut self.metrics, received) {
                    metrics.received += 1;
                    self.received.push(received);
                }
                self.on_command(id, command);
            }
            Event::Idle(id) => {
                if let Some(session) = self.sessions.get(id) {
                    session.outbound.send(frame::ping());
                }
            }
            Event::Disconnected { id, reason, close } => self.on_disconnected(id, reason, close),
            Event::Report(reply) => {
                // The requester may have timed out.
                let _ = reply.try_send(self.report());
            }
            Event::Shutdown => self.on_shutdown(),
            #[cfg(feature = "cluster")]
            Event::Replication(replication) => self.on_replication(replication),
        }
    }

    fn on_connected(
        &mut self,
        id: ConnectionId,
        mut response: PendingResponse,
        endpoint: Endpoint,
    ) {
        let outbound = response.outbound().clone();
        let peer = outbound.peer();
        self.sessions.insert(id, outbound, endpoint.dialect());
        let is_refused = self.refuses_users() && endpoint.dialect().is_some();
        match endpoint {
            Endpoint::Echo => {
                response.write();
                log::info!("echo client {peer} connected");
            }
            Endpoint::Chat(_) if is_refused => response.write(),
            Endpoint::Chat(request) => {
                let time = self.order.time();
                let deliveries = self.room.join(id, &request, peer.ip(), time);
                for delivery in &deliveries {
                    match delivery.recipients {
                        // The greeting follows the response in the same write.
                        Recipients::Only(_) => {
                            let dialect = request.dialect;
                            dialect.encode(&delivery.event, response.bytes_mut());
                        }
                        recipients => self.sessions.deliver(recipients, &delivery.event),
                    }
                }
                response.write();
                let users = self.room.users();
                let name = self.room.name(id).unwrap_or_default();
                log::info!(
                    "{}{name} joined from {peer} ({users} users)",
                    self.log_prefix
                );
            }
        }
        if self.shutting_down {
            self.close(id, CloseCode::Away, "the server stops");
        } else if is_refused {
            self.close(id, CloseCode::Again, LOST);
        }
    }

    /// Returns whether no user can join. A shared room takes everybody that its log brings.
    fn refuses_users(&self) -> bool {
        match self.order {
            Order::Inbox => self.shutting_down,
            Order::Log(_) => false,
            Order::BetweenEntries => true,
        }
    }

    fn on_command(&mut self, id: ConnectionId, command: ClientCommand<'_>) {
        // Commands that arrive after the Close would only delay the shutdown.
        let order = self.order;
        if self.shutting_down && matches!(order, Order::Inbox) {
            return;
        }
        let is_quit = matches!(command, ClientCommand::Quit);
        let quitting = self.room.name(id).filter(|_| is_quit).map(str::to_owned);
        let mut deliveries = self.room.handle(id, command, || order.time());
        // Whispers of one client cannot fill the backlog of another. Messages to all can: `--rate-limit` is against that.
        if let Some((receiver, to, bytes)) = room::whisper_to_other(id, &deliveries)
            && let Some(session) = self.sessions.get(receiver)
            && !session.outbound.accepts_whisper(bytes)
        {
            deliveries = vec![room::whisper_refused(id, to)];
        }
        if let [
            Delivery {
                event: ServerEvent::Renamed { from, to },
                ..
            },
        ] = &deliveries[..]
        {
            log::info!("{}{from} is now {to}", self.log_prefix);
        }
        deliver(&mut self.sessions, &deliveries);
        if let Some(name) = quitting {
            log::info!(
                "{}{name} quit ({} users)",
                self.log_prefix,
                self.room.users()
            );
            self.close(id, CloseCode::Normal, "bye");
        }
    }

    fn on_disconnected(
        &mut self,
        id: ConnectionId,
        reason: DisconnectReason,
        close: Option<Bytes>,
    ) {
        self.sessions.send_now_to(id, &[]);
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        let peer = session.outbound.peer();
        if let Some(close) = close {
            session.outbound.close(close);
        }
        // The room can be one that was restored meanwhile, in which the user leaves by an entry that follows.
        let is_ordered = !matches!(self.order, Order::BetweenEntries);
        if is_ordered && reason.is_too_slow() {
            self.room.reserve_name(id, self.order.time());
        }
        let reason = if self.shutting_down {
            DisconnectReason::ServerShutdown
        } else {
            reason
        };
        if let Some(metrics) = &mut self.metrics {
            *metrics.disconnects.entry(reason.kind()).or_default() += 1;
        }
        match self.room.name(id) {
            Some(name) => {
                let users = self.room.users() - 1;
                log::info!(
                    "{}{name} left from {peer}: {reason}; {users} users",
                    self.log_prefix
                );
            }
            None => log::info!("{peer} disconnected: {reason}"),
        }
        if is_ordered {
            deliver(&mut self.sessions, &self.room.leave(id));
        }
    }

    fn on_shutdown(&mut self) {
        self.shutting_down = true;
        self.sessions.flush();
        let ids = self.sessions.ids();
        log::info!(
            "{}shutting down: closing {} connections",
            self.log_prefix,
            ids.len()
        );
        for id in ids {
            self.close(id, CloseCode::Away, "the server stops");
        }
    }

    /// Sends a client the unsent part of the batch and a Close, and starts its close timeout.
    fn close(&mut self, id: ConnectionId, code: CloseCode, reason: &'static str) {
        self.sessions.send_now_to(id, &[]);
        if let Some(session) = self.sessions.get(id) {
            session.outbound.close(frame::close(code, reason));
            self.closing.push_back((Instant::now() + CLOSE_TIMEOUT, id));
        }
    }
}

/// Returns the time in milliseconds since 1970.
pub(super) fn unix_millis() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| elapsed.as_millis() as u64)
}

fn deliver(sessions: &mut Sessions, deliveries: &[Delivery<'_>]) {
    for delivery in deliveries {
        sessions.deliver(delivery.recipients, &delivery.event);
    }
}

#[cfg(feature = "cluster")]
mod replica;
#[cfg(test)]
mod tests;
