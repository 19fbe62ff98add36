//! Every command, every refusal.

use super::*;

/// A room that keeps what it told, each with its audience.
#[derive(Default)]
struct Heard {
    room: Room,
    told: Vec<(To, ServerEvent<'static>)>,
}

impl Heard {
    fn with(names: &[&str]) -> Heard {
        let mut heard = Heard::default();
        for (id, name) in (0..).zip(names) {
            heard.room.join(id, Some(name), &mut |_, _| {});
        }
        heard
    }

    fn join(&mut self, id: Id, wanted: Option<&str>) -> Vec<(To, ServerEvent<'static>)> {
        self.room.join(id, wanted, &mut |to, told| {
            self.told.push((to, owned(told)))
        });
        std::mem::take(&mut self.told)
    }

    fn leave(&mut self, id: Id) -> Vec<(To, ServerEvent<'static>)> {
        self.room
            .leave(id, &mut |to, told| self.told.push((to, owned(told))));
        std::mem::take(&mut self.told)
    }

    fn ask(&mut self, id: Id, line: &str) -> Vec<(To, ServerEvent<'static>)> {
        self.room
            .handle(id, crate::protocol::plain::decode(line), &mut |to, told| {
                self.told.push((to, owned(told)))
            });
        std::mem::take(&mut self.told)
    }

    /// The one error that this line is answered with.
    fn refused(&mut self, id: Id, line: &str) -> String {
        match self.ask(id, line).as_slice() {
            [(To::One(to), ServerEvent::Error { text })] if *to == id => text.to_string(),
            other => panic!("{line:?}: {other:?}"),
        }
    }
}

/// ServerEvent again from JSON, which owns what it says.
fn owned(told: &ServerEvent<'_>) -> ServerEvent<'static> {
    let json = serde_json::to_string(told).expect("has no maps");
    let mut owned = serde_json::from_str(&json).expect("was just written");
    if let (ServerEvent::Whisper { sent, .. }, ServerEvent::Whisper { sent: was, .. }) =
        (&mut owned, told)
    {
        *sent = *was;
    }
    owned
}

#[test]
fn counter_names_are_never_reused() {
    let mut heard = Heard::default();
    for (id, users) in [(7, 1), (9, 2)] {
        let name = format!("user{}", users - 1);
        let welcome = (
            To::One(id),
            ServerEvent::Welcome {
                name: name.clone().into(),
                users,
            },
        );
        assert_eq!(
            heard.join(id, None),
            [
                (
                    To::Others(id),
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
        heard.leave(9),
        [(
            To::Others(9),
            ServerEvent::Left {
                name: "user1".into(),
                users: 1
            }
        )]
    );
    heard.join(12, None);
    assert_eq!(heard.room.name(12), Some("user2"));
    assert!(heard.leave(9).is_empty(), "nobody leaves twice");
}

#[test]
fn what_is_said_goes_to_all_and_cannot_forge_a_line() {
    let mut heard = Heard::with(&["alice", "bob"]);
    let text = "one [user1]: two".into();
    assert_eq!(
        heard.ask(0, "one\n[user1]:\u{202e} two"),
        [(
            To::All,
            ServerEvent::Message {
                from: "alice".into(),
                text
            }
        )]
    );
    assert_eq!(
        heard.ask(1, ""),
        [(
            To::All,
            ServerEvent::Message {
                from: "bob".into(),
                text: "".into()
            }
        )]
    );
    assert_eq!(
        heard.ask(1, "/me  waves\n"),
        [(
            To::All,
            ServerEvent::Action {
                from: "bob".into(),
                text: "waves ".into()
            }
        )]
    );
    assert!(
        heard.ask(5, "hello").is_empty(),
        "who is not here says nothing"
    );
}

#[test]
fn a_rename_is_told_to_all_and_frees_the_old_name() {
    let mut heard = Heard::default();
    heard.join(0, None);
    heard.join(1, None);
    let renamed = |from: &'static str, to: &'static str| {
        [(
            To::All,
            ServerEvent::Renamed {
                from: from.into(),
                to: to.into(),
            },
        )]
    };
    assert_eq!(heard.ask(0, "/nick alice"), renamed("user0", "alice"));
    assert!(heard.refused(1, "/nick ALICE").contains("taken"));
    assert_eq!(heard.ask(0, "/nick Alice"), renamed("alice", "Alice"));
    assert!(heard.refused(0, "/nick Alice").contains("already"));
    assert_eq!(heard.ask(0, "/nick carol"), renamed("Alice", "carol"));
    assert_eq!(heard.ask(1, "/nick alice"), renamed("user1", "alice"));
}

#[test]
fn a_name_that_cannot_be_had_is_refused_with_the_reason() {
    let mut heard = Heard::with(&["alice"]);
    for (line, why) in [
        ("/nick user7", "reserved"),
        ("/nick USER0", "reserved"),
        ("/nick Server", "reserved"),
        ("/nick you", "reserved"),
        ("/nick a b", "1 to 32"),
        ("/nick é", "1 to 32"),
        ("/nick", "/nick NAME"),
    ] {
        assert!(heard.refused(0, line).contains(why), "{line}");
    }
    let long = heard.refused(0, &format!("/nick {}", "x".repeat(60_000)));
    assert!(long.contains("1 to 32") && long.len() < 200);
    assert_eq!(heard.room.name(0), Some("alice"));
}

#[test]
fn a_newcomer_gets_the_name_it_asks_for_or_hears_why_not() {
    let mut heard = Heard::with(&["alice"]);
    heard.join(1, Some("bob"));
    assert_eq!(heard.room.name(1), Some("bob"));
    for (id, wanted, why) in [
        (2, "ALICE", "taken"),
        (3, "user0", "reserved"),
        (4, "", "1 to 32"),
    ] {
        let told = heard.join(id, Some(wanted));
        assert_eq!(heard.room.name(id), Some(format!("user{id}").as_str()));
        assert!(
            matches!(told.last(), Some((To::One(to), ServerEvent::Error { text })) if *to == id && text.contains(why))
        );
    }
    heard.leave(1);
    heard.join(5, Some("Bob"));
    assert_eq!(
        heard.room.name(5),
        Some("Bob"),
        "a name is free when its owner has left"
    );
}

#[test]
fn a_whisper_goes_to_its_two_ends() {
    let mut heard = Heard::with(&["alice", "bob", "carol"]);
    let whisper = |sent| ServerEvent::Whisper {
        from: "alice".into(),
        to: "bob".into(),
        text: "psst \u{feff}🐎".into(),
        sent,
    };
    assert_eq!(
        heard.ask(0, "/w BOB psst\t\u{feff}🐎"),
        [(To::One(1), whisper(false)), (To::One(0), whisper(true))]
    );
    let own = ServerEvent::Whisper {
        from: "carol".into(),
        to: "carol".into(),
        text: "me".into(),
        sent: false,
    };
    assert_eq!(heard.ask(2, "/w carol me"), [(To::One(2), own)]);
    assert!(
        heard
            .refused(0, "/w dave hi")
            .contains("Nobody here is called dave")
    );
    heard.leave(1);
    assert!(heard.refused(0, "/w bob still there?").contains("Nobody"));
    assert!(
        heard
            .refused(0, &format!("/w {} hi", "x".repeat(60_000)))
            .len()
            < 200
    );
}

#[test]
fn who_names_a_hundred_and_counts_the_rest() {
    let mut heard = Heard::default();
    for id in 0..103 {
        heard.join(id, None);
    }
    match heard.ask(50, "/who").as_slice() {
        [(To::One(50), ServerEvent::Who { names, users: 103 })] => {
            assert_eq!(
                (names.len(), &*names[0], &*names[99]),
                (100, "user0", "user99")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn quitting_is_leaving() {
    let mut heard = Heard::with(&["alice", "bob"]);
    let mut told = 0;
    assert_eq!(
        heard
            .room
            .handle(0, ClientCommand::Quit, &mut |_, _| told += 1),
        Next::Quits
    );
    assert_eq!((told, heard.room.users(), heard.room.name(0)), (1, 1, None));
    assert_eq!(
        heard.ask(1, "/help"),
        [(To::One(1), ServerEvent::Help { text: HELP.into() })]
    );
}
