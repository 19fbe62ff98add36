//! The place of this client in the texts of its room, for asking for those that it missed while it was disconnected.

use threadchat::protocol::ServerEvent;

/// What was received before, and what the server sends again.
#[derive(Default)]
pub struct Place {
    /// The life of the room, 0 before the first welcome and with servers that have no ids.
    epoch: u64,
    /// The id of the last text.
    received: u64,
    /// The newest text at the time of the welcome. Texts up to it were sent before.
    replay_end: u64,
    /// Own messages that were sent and had not returned when the connection was lost, and the name at the first loss since
    /// they were all accounted for.
    unconfirmed: Option<(usize, String)>,
    notice: Option<String>,
}

impl Place {
    /// Returns what to add to the URL's query, if a welcome told the place.
    pub fn query(&self) -> Option<String> {
        let Place {
            epoch, received, ..
        } = self;
        (*epoch > 0).then(|| format!("since={received}&epoch={epoch}"))
    }

    /// Remembers the messages that might not have arrived, besides those of an earlier connection if this one ended before
    /// they were all accounted for.
    pub fn disconnected(&mut self, unconfirmed: usize, own_name: &str) {
        match &mut self.unconfirmed {
            Some((earlier, _)) if *earlier > 0 => *earlier += unconfirmed,
            settled => *settled = Some((unconfirmed, own_name.to_owned())),
        }
    }

    /// Ends the replay. The server does not keep all texts, so fewer can have arrived than their ids tell.
    pub fn catch_up(&mut self) {
        self.received = self.received.max(self.replay_end);
    }

    /// Returns whether the texts of the moment were sent before the connection was opened.
    pub fn is_replaying(&self) -> bool {
        self.received <= self.replay_end && self.replay_end > 0
    }

    /// Takes an event into account. Returns whether it is a message that is on the screen already, because it was typed
    /// there.
    pub fn update(&mut self, event: &ServerEvent<'_>, own_name: &str) -> bool {
        match event {
            ServerEvent::Welcome {
                epoch, last, gap, ..
            } => {
                self.on_welcome(*epoch, *last, *gap);
                false
            }
            ServerEvent::Message { from, id, .. } => {
                self.received = *id;
                let is_typed = match &mut self.unconfirmed {
                    _ if *id > self.replay_end || *id == 0 => from == own_name,
                    Some((unconfirmed, name)) if *unconfirmed > 0 && from == name => {
                        *unconfirmed -= 1;
                        true
                    }
                    // Sent before this client started, or by another user with this name.
                    _ => false,
                };
                self.end_replay();
                is_typed
            }
            ServerEvent::Action { id, .. } => {
                self.received = *id;
                self.end_replay();
                false
            }
            _ => false,
        }
    }

    fn on_welcome(&mut self, epoch: u64, last: u64, gap: bool) {
        let is_same = epoch == self.epoch && epoch > 0;
        if gap {
            self.notice = Some("Messages sent meanwhile may be missing.".into());
        }
        if !is_same || gap {
            // Nothing tells which own messages arrived.
            self.unconfirmed = None;
        }
        if !is_same {
            self.received = 0;
        }
        self.epoch = epoch;
        self.replay_end = last;
        self.end_replay();
    }

    /// Reports the own messages that did not arrive, when everything that did has been received again.
    fn end_replay(&mut self) {
        if self.received < self.replay_end {
            return;
        }
        match self.unconfirmed.take() {
            None | Some((0, _)) => {}
            Some((1, _)) => self.notice = Some("Your last message did not arrive.".into()),
            Some((count, _)) => {
                self.notice = Some(format!("Your last {count} messages did not arrive."));
            }
        }
    }

    /// Returns a line for the user, once.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome(epoch: u64, last: u64, gap: bool) -> ServerEvent<'static> {
        ServerEvent::Welcome {
            name: "ann".into(),
            users: 1,
            room: "".into(),
            epoch,
            last,
            gap,
        }
    }

    fn message(from: &'static str, id: u64) -> ServerEvent<'static> {
        ServerEvent::Message {
            from: from.into(),
            text: "x".into(),
            id,
            time: 1,
        }
    }

    /// Returns the place of a client that has received the texts up to 5, and lost its connection with this many messages
    /// unconfirmed.
    fn disconnected(unconfirmed: usize) -> Place {
        let mut place = Place::default();
        assert_eq!(place.query(), None);
        place.update(&welcome(9, 4, false), "ann");
        assert!(!place.update(&message("ann", 4), "ann"), "sent earlier");
        assert!(place.is_replaying());
        assert!(place.update(&message("ann", 5), "ann") && !place.is_replaying());
        assert_eq!(place.query(), Some("since=5&epoch=9".into()));
        place.disconnected(unconfirmed, "ann");
        place
    }

    #[test]
    fn own_messages_that_arrived_are_not_shown_twice_and_others_are_reported() {
        let mut place = disconnected(3);
        place.update(&welcome(9, 8, false), "ann-2");
        assert!(place.update(&message("ann", 6), "ann-2"));
        assert!(!place.update(&message("bob", 7), "ann-2"));
        assert_eq!(place.take_notice(), None);
        assert!(place.update(&message("ann", 8), "ann-2"));
        assert_eq!(
            place.take_notice(),
            Some("Your last message did not arrive.".into())
        );
        assert!(place.update(&message("ann-2", 9), "ann-2"));
        assert_eq!(place.take_notice(), None);
        let mut place = disconnected(2);
        place.update(&welcome(9, 5, false), "ann");
        assert_eq!(
            place.take_notice(),
            Some("Your last 2 messages did not arrive.".into())
        );
        let mut place = disconnected(1);
        place.update(&welcome(9, 6, false), "ann");
        assert!(place.update(&message("ann", 6), "ann"));
        assert_eq!(place.take_notice(), None);
    }

    #[test]
    fn a_further_loss_keeps_the_messages_that_are_unconfirmed() {
        // Before the welcome, and during the replay with another name.
        let mut place = disconnected(3);
        place.disconnected(0, "ann");
        place.update(&welcome(9, 8, false), "ann-2");
        assert!(place.update(&message("ann", 6), "ann-2"));
        place.disconnected(0, "ann-2");
        place.update(&welcome(9, 8, false), "ann-2");
        assert!(place.update(&message("ann", 7), "ann-2"));
        assert!(!place.update(&message("bob", 8), "ann-2"));
        assert_eq!(
            place.take_notice(),
            Some("Your last message did not arrive.".into())
        );
        // Those of before have arrived, and new ones were sent during the replay.
        let mut place = disconnected(1);
        place.update(&welcome(9, 7, false), "ann-2");
        assert!(place.update(&message("ann", 6), "ann-2"));
        place.disconnected(2, "ann-2");
        place.update(&welcome(9, 8, false), "ann-2");
        assert!(!place.update(&message("bob", 7), "ann-2"));
        assert!(place.update(&message("ann-2", 8), "ann-2"));
        assert_eq!(
            place.take_notice(),
            Some("Your last message did not arrive.".into())
        );
    }

    #[test]
    fn a_gap_is_asked_for_once() {
        let mut place = disconnected(0);
        place.update(&welcome(9, 8, true), "ann");
        // Until the replay has ended, the texts that the server keeps can still be missed.
        assert_eq!(place.query(), Some("since=5&epoch=9".into()));
        place.catch_up();
        assert_eq!(place.query(), Some("since=8&epoch=9".into()));
        place.update(&message("bob", 9), "ann");
        place.catch_up();
        assert_eq!(place.query(), Some("since=9&epoch=9".into()));
    }

    #[test]
    fn nothing_is_said_about_own_messages_after_a_gap() {
        for (epoch, last) in [(9, 100), (10, 0)] {
            let mut place = disconnected(1);
            place.update(&welcome(epoch, last, true), "ann");
            let notice = place.take_notice();
            assert!(notice.is_some_and(|notice| notice.contains("may be missing")));
            let next = message("ann", last + 1);
            assert!(place.update(&next, "ann"));
            assert_eq!(place.take_notice(), None);
        }
        // A server without ids.
        let mut place = Place::default();
        place.update(&welcome(0, 0, false), "ann");
        assert!(place.update(&message("ann", 0), "ann"));
        assert_eq!(place.query(), None);
        place.disconnected(1, "ann");
        place.update(&welcome(0, 0, false), "ann");
        assert_eq!(place.take_notice(), None);
    }
}
