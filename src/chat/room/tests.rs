//! Every command and every refusal.

use std::net::Ipv4Addr;

use super::*;
use crate::protocol::{Dialect, plain};

const ADDRESS: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

/// A room and the deliveries of its last change, detached from it.
#[derive(Default)]
struct Recorder {
    room: Room,
}

type Recorded = Vec<(Recipients, ServerEvent<'static>)>;

impl Recorder {
    fn with(names: &[&str]) -> Recorder {
        let mut recorder = Recorder::default();
        for (id, name) in (0..).zip(names) {
            recorder.join(id, Some(name));
        }
        recorder
    }

    fn join(&mut self, id: ConnectionId, requested: Option<&str>) -> Recorded {
        recorded(self.room.join(id, &request(requested), ADDRESS, 0))
    }

    fn leave(&mut self, id: ConnectionId) -> Recorded {
        recorded(self.room.leave(id))
    }

    fn type_line(&mut self, id: ConnectionId, line: &str) -> Recorded {
        recorded(self.room.handle(id, plain::decode(line), || 7))
    }

    /// Returns the error that is the only reply to this line.
    fn error(&mut self, id: ConnectionId, line: &str) -> String {
        match self.type_line(id, line).as_slice() {
            [(Recipients::Only(to), ServerEvent::Error { text })] if *to == id => text.to_string(),
            other => panic!("{line:?}: {other:?}"),
        }
    }
}

fn request(name: Option<&str>) -> JoinRequest {
    JoinRequest {
        dialect: Dialect::Json,
        name: name.map(str::to_owned),
        since: None,
    }
}

fn recorded(deliveries: Vec<Delivery<'_>>) -> Recorded {
    deliveries
        .into_iter()
        .map(|delivery| (delivery.recipients, owned(&delivery.event)))
        .collect()
}

/// Copies an event through JSON, which owns its texts.
fn owned(event: &ServerEvent<'_>) -> ServerEvent<'static> {
    let json = serde_json::to_string(event).expect("has no maps");
    let mut owned = serde_json::from_str(&json).expect("was just written");
    if let (ServerEvent::Whisper { to_sender, .. }, ServerEvent::Whisper { to_sender: was, .. }) =
        (&mut owned, event)
    {
        *to_sender = *was;
    }
    owned
}

#[test]
fn counter_names_are_never_reused() {
    let mut recorder = Recorder::default();
    for (id, users) in [(7, 1), (9, 2)] {
        let name = format!("user{}", users - 1);
        let welcome = (
            Recipients::Only(id),
            ServerEvent::Welcome {
                name: name.clone().into(),
                users,
                room: "".into(),
                epoch: 0,
                last: 0,
                gap: false,
            },
        );
        assert_eq!(
            recorder.join(id, None),
            [
                (
                    Recipients::AllExcept(id),
                    ServerEvent::Joined {
                        name: name.into(),
                        users
                    }
                ),
                welcome
            ]
        );
    }
    assert_eq!(
        recorder.leave(9),
        [(
            Recipients::AllExcept(9),
            ServerEvent::Left {
                name: "user1".into(),
                users: 1
            }
        )]
    );
    recorder.join(12, None);
    assert_eq!(recorder.room.name(12), Some("user2"));
    assert!(recorder.leave(9).is_empty(), "a user leaves once");
}

#[test]
fn a_message_goes_to_all_and_cannot_forge_a_line() {
    let mut recorder = Recorder::with(&["alice", "bob"]);
    let text = "one [user1]: two".into();
    assert_eq!(
        recorder.type_line(0, "one\n[user1]:\u{202e} two"),
        [(
            Recipients::All,
            Kind::Message.event("alice".into(), text, 1, 7)
        )]
    );
    assert_eq!(
        recorder.type_line(1, ""),
        [(
            Recipients::All,
            Kind::Message.event("bob".into(), "".into(), 2, 7)
        )]
    );
    assert_eq!(
        recorder.type_line(1, "/me  waves\n"),
        [(
            Recipients::All,
            Kind::Action.event("bob".into(), "waves ".into(), 3, 7)
        )]
    );
    assert!(
        recorder.type_line(5, "hello").is_empty(),
        "only users can send"
    );
}

#[test]
fn a_rename_is_announced_and_frees_the_old_name() {
    let mut recorder = Recorder::default();
    recorder.join(0, None);
    recorder.join(1, None);
    let renamed = |from: &'static str, to: &'static str| {
        [(
            Recipients::All,
            ServerEvent::Renamed {
                from: from.into(),
                to: to.into(),
            },
        )]
    };
    assert_eq!(
        recorder.type_line(0, "/nick alice"),
        renamed("user0", "alice")
    );
    assert!(recorder.error(1, "/nick ALICE").contains("taken"));
    assert_eq!(
        recorder.type_line(0, "/nick Alice"),
        renamed("alice", "Alice")
    );
    assert!(recorder.error(0, "/nick Alice").contains("already"));
    assert_eq!(
        recorder.type_line(0, "/nick carol"),
        renamed("Alice", "carol")
    );
    assert_eq!(
        recorder.type_line(1, "/nick alice"),
        renamed("user1", "alice")
    );
}

#[test]
fn unavailable_names_are_refused_with_the_reason() {
    let mut recorder = Recorder::with(&["alice"]);
    for (line, reason) in [
        ("/nick user7", "reserved"),
        ("/nick USER0", "reserved"),
        ("/nick Server", "reserved"),
        ("/nick you", "reserved"),
        ("/nick a b", "1 to 32"),
        ("/nick a.b", "1 to 32"),
        ("/nick", "/nick NAME"),
    ] {
        assert!(recorder.error(0, line).contains(reason), "{line}");
    }
    let long = recorder.error(0, &format!("/nick {}", "x".repeat(60_000)));
    assert!(long.contains("1 to 32") && long.len() < 200);
    assert_eq!(recorder.room.name(0), Some("alice"));
}

#[test]
fn a_user_joins_with_the_requested_name_or_gets_the_reason() {
    let mut recorder = Recorder::with(&["alice"]);
    recorder.join(1, Some("bob"));
    assert_eq!(recorder.room.name(1), Some("bob"));
    for (id, requested, reason) in [
        (2, "ALICE", "taken"),
        (3, "user0", "reserved"),
        (4, "", "1 to 32"),
    ] {
        let deliveries = recorder.join(id, Some(requested));
        assert_eq!(recorder.room.name(id), Some(format!("user{id}").as_str()));
        assert!(
            matches!(deliveries.last(), Some((Recipients::Only(to), ServerEvent::Error { text })) if *to == id && text.contains(reason))
        );
    }
    recorder.leave(1);
    recorder.join(5, Some("Bob"));
    assert_eq!(
        recorder.room.name(5),
        Some("Bob"),
        "a name is free when its owner has left"
    );
}

#[test]
fn a_whisper_goes_to_receiver_and_sender() {
    let mut recorder = Recorder::with(&["alice", "bob", "carol"]);
    let whisper = |to_sender| ServerEvent::Whisper {
        from: "alice".into(),
        to: "bob".into(),
        text: "psst 🐎".into(),
        to_sender,
    };
    assert_eq!(
        recorder.type_line(0, "/w BOB psst\t\u{feff}🐎"),
        [
            (Recipients::Only(1), whisper(false)),
            (Recipients::Only(0), whisper(true))
        ]
    );
    let own = ServerEvent::Whisper {
        from: "carol".into(),
        to: "carol".into(),
        text: "me".into(),
        to_sender: false,
    };
    assert_eq!(
        recorder.type_line(2, "/w carol me"),
        [(Recipients::Only(2), own)]
    );
    assert!(
        recorder
            .error(0, "/w dave hi")
            .contains("Nobody here is called dave")
    );
    recorder.leave(1);
    assert!(recorder.error(0, "/w bob still there?").contains("Nobody"));
    assert!(
        recorder
            .error(0, &format!("/w {} hi", "x".repeat(60_000)))
            .len()
            < 200
    );
}

#[test]
fn who_lists_a_hundred_names_and_counts_the_rest() {
    let mut recorder = Recorder::default();
    for id in 0..103 {
        recorder.join(id, None);
    }
    match recorder.type_line(50, "/who").as_slice() {
        [(Recipients::Only(50), ServerEvent::Who { names, users: 103 })] => {
            assert_eq!(
                (names.len(), &*names[0], &*names[99]),
                (100, "user0", "user99")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn quit_removes_the_user() {
    let mut recorder = Recorder::with(&["alice", "bob"]);
    let left = ServerEvent::Left {
        name: "alice".into(),
        users: 1,
    };
    assert_eq!(
        recorder.type_line(0, "/quit"),
        [(Recipients::AllExcept(0), left)]
    );
    assert_eq!((recorder.room.users(), recorder.room.name(0)), (1, None));
    assert_eq!(
        recorder.type_line(1, "/help"),
        [(
            Recipients::Only(1),
            ServerEvent::Help {
                text: help().into()
            }
        )]
    );
}

#[test]
fn the_name_of_a_slow_user_stays_reserved_for_its_address() {
    let mut recorder = Recorder::with(&["Alice"]);
    let now = 1_000_000;
    let other = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    recorder.room.reserve_name(0, now);
    recorder.leave(0);
    recorder.room.join(9, &request(None), other, now);
    let last = now + 30_000 - 1;
    let error = recorded(recorder.room.join(1, &request(Some("alice")), other, last)).pop();
    assert!(matches!(error, Some((_, ServerEvent::Error { text })) if text.contains("taken")));
    let rename = plain::decode("/nick ALICE");
    let error = recorded(recorder.room.handle(9, rename, || last)).pop();
    assert!(matches!(error, Some((_, ServerEvent::Error { text })) if text.contains("taken")));
    recorder
        .room
        .join(2, &request(Some("alice")), ADDRESS, last);
    assert_eq!(recorder.room.name(2), Some("alice"));
    recorder.leave(2);
    let end = now + 30_000;
    recorder.room.join(3, &request(Some("alice")), other, end);
    assert_eq!(recorder.room.name(3), Some("alice"));
}

#[test]
fn a_reservation_is_for_a_whole_ipv6_network() {
    let mut room = Room::default();
    let now = 1_000_000;
    let address = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
    room.join(0, &request(Some("ann")), address("2001:db8::1"), now);
    room.reserve_name(0, now);
    room.leave(0);
    room.join(1, &request(Some("ann")), address("2001:db8:0:1::1"), now);
    assert_eq!(room.name(1), Some("user1"));
    room.join(2, &request(Some("ann")), address("2001:db8::2"), now);
    assert_eq!(room.name(2), Some("ann"));
}

/// Returns the welcome's `gap`, and the texts after it.
fn missed(room: &mut Room, id: ConnectionId, since: Option<Received>) -> (bool, Vec<String>) {
    let request = JoinRequest {
        since,
        ..request(None)
    };
    let mut deliveries = recorded(room.join(id, &request, ADDRESS, 0)).into_iter();
    let gap = match deliveries.nth(1) {
        Some((_, ServerEvent::Welcome { gap, .. })) => gap,
        other => panic!("{other:?}"),
    };
    let text = |(recipients, event)| match event {
        ServerEvent::Message { text, .. } if recipients == Recipients::Only(id) => text.into(),
        other => panic!("{other:?}"),
    };
    (gap, deliveries.map(text).collect())
}

#[test]
fn a_newcomer_receives_the_history_or_what_it_has_missed() {
    let config = Config {
        history: 2,
        ..Config::default()
    };
    let mut room = Room::new(None, 5, &config);
    room.join(0, &request(None), ADDRESS, 0);
    for text in ["one", "two", "three"] {
        let text = text.into();
        room.handle(0, ClientCommand::Message { text }, || 0);
    }
    let received = |epoch, id| Some(Received { epoch, id });
    for (id, since, gap, texts) in [
        (1, None, false, &["two", "three"][..]),
        (2, received(5, 3), false, &[]),
        (3, received(5, 2), false, &["three"]),
        (4, received(5, 1), false, &["two", "three"]),
        (5, received(5, 0), true, &["two", "three"]),
        (6, received(4, 3), true, &["two", "three"]),
    ] {
        let (has_gap, missed) = missed(&mut room, id, since);
        assert_eq!(
            (has_gap, missed),
            (gap, texts.iter().map(|&text| text.into()).collect()),
            "{since:?}"
        );
    }
}
