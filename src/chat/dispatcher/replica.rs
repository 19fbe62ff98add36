//! The dispatcher of a room that several nodes share: it applies what the log brings, in the log's order.

use tungstenite::protocol::frame::coding::CloseCode;

use super::{Dispatcher, LOST, Order, deliver, room};
use crate::chat::event::{Replication, RoomDigest, Step, WhisperRefusal};
use crate::chat::join::{ConnectionId, JoinRequest};
use crate::protocol::{ClientCommand, Dialect, ServerEvent};

impl Dispatcher {
    pub(super) fn on_replication(&mut self, replication: Replication) {
        match replication {
            Replication::Restore(restored) => {
                self.room = restored.room;
                self.refusals = Some(restored.refusals);
                self.order = Order::BetweenEntries;
            }
            Replication::Steps {
                time,
                steps,
                is_past,
            } => {
                self.is_past = is_past;
                self.order = Order::Log(time);
                for step in steps {
                    self.on_step(step);
                }
                self.room.restart_if_empty(time);
                self.order = Order::BetweenEntries;
            }
            Replication::Lost => self.on_lost(),
            // A reader of the log that does not wait for the reply has no use for it any more.
            Replication::Snapshot(reply) => {
                let _ = reply.try_send(self.room.snapshot());
            }
            Replication::Digest(point, reply) => {
                let _ = reply.try_send(RoomDigest {
                    point,
                    digest: self.room.digest(),
                });
            }
        }
    }

    fn on_step(&mut self, step: Step) {
        match step {
            Step::Own(event) => self.process(event),
            Step::Join { id, name, address } => {
                let request = JoinRequest {
                    dialect: Dialect::Plain,
                    name,
                    // Its own node sends what it has missed.
                    since: Some(self.room.place()),
                };
                let deliveries = self.room.join(id, &request, address, self.order.time());
                deliver(&mut self.sessions, &deliveries);
                self.log_elsewhere(id, "joined on another node");
            }
            Step::Command(id, command) => self.on_remote_command(id, command),
            Step::Leave { id, is_too_slow } => {
                if is_too_slow {
                    self.room.reserve_name(id, self.order.time());
                }
                self.log_elsewhere(id, "leaves on another node");
                deliver(&mut self.sessions, &self.room.leave(id));
            }
            Step::RefuseWhisper(WhisperRefusal { id, to }) => {
                deliver(&mut self.sessions, &[room::whisper_refused(id, &to)]);
            }
            Step::Renew => self.room.renew(self.order.time()),
            Step::LeaveAll(ids) => {
                let deliveries = self.room.leave_all(ids);
                let left = deliveries.len();
                if left > 0 && !self.is_past {
                    log::info!("{}{left} users left with their node", self.log_prefix);
                }
                deliver(&mut self.sessions, &deliveries);
            }
        }
    }

    fn on_remote_command(&mut self, id: ConnectionId, command: ClientCommand<'static>) {
        let time = self.order.time();
        let deliveries = self.room.handle(id, command, || time);
        // The sender's node does not know how much is queued here, and shows the sender its copy.
        if let Some((receiver, to, bytes)) = room::whisper_to_other(id, &deliveries)
            && let Some(session) = self.sessions.get(receiver)
            && !session.outbound.accepts_whisper(bytes)
        {
            let to = to.to_owned();
            let refusals = self.refusals.as_ref();
            let sent = refusals.map(|refusals| refusals.try_send(WhisperRefusal { id, to }));
            if !matches!(sent, Some(Ok(()))) {
                log::warn!(
                    "{}too many whispers are refused to tell all senders",
                    self.log_prefix
                );
            }
            return;
        }
        if let [delivery] = &deliveries[..]
            && let ServerEvent::Renamed { from, to } = &delivery.event
            && !self.is_past
        {
            log::info!("{}{from} is now {to}", self.log_prefix);
        }
        deliver(&mut self.sessions, &deliveries);
    }

    fn log_elsewhere(&self, id: ConnectionId, what: &str) {
        if let Some(name) = self.room.name(id).filter(|_| !self.is_past) {
            let users = self.room.users();
            log::info!("{}{name} {what} ({users} users)", self.log_prefix);
        }
    }

    /// Closes the connections of all chat clients.
    fn on_lost(&mut self) {
        self.order = Order::BetweenEntries;
        self.sessions.flush();
        for id in self.sessions.chat_ids() {
            self.close(id, CloseCode::Again, LOST);
        }
    }
}
