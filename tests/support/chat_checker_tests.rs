//! Shows that the checker finds each kind of fault.

use super::*;

const EPOCH: u64 = 7;

fn welcome(name: &str, users: usize, epoch: u64, last: u64) -> ServerEvent<'static> {
    ServerEvent::Welcome {
        name: name.to_owned().into(),
        users,
        room: "".into(),
        epoch,
        last,
        gap: false,
    }
}

fn message(from: &str, text: &str, id: u64) -> ServerEvent<'static> {
    ServerEvent::Message {
        from: from.to_owned().into(),
        text: text.to_owned().into(),
        id,
        time: id,
    }
}

fn who(names: &[&str]) -> ServerEvent<'static> {
    ServerEvent::Who {
        names: names.iter().map(|name| (*name).to_owned().into()).collect(),
        users: names.len(),
    }
}

fn joined(name: &str, users: usize) -> ServerEvent<'static> {
    ServerEvent::Joined {
        name: name.to_owned().into(),
        users,
    }
}

fn left(name: &str, users: usize) -> ServerEvent<'static> {
    ServerEvent::Left {
        name: name.to_owned().into(),
        users,
    }
}

fn recording(sender: usize, sent: usize, events: Vec<ServerEvent<'static>>) -> Recording {
    let seen = events.into_iter().enumerate();
    Recording {
        label: format!("client {sender}"),
        sender,
        sent: (0, sent),
        since: None,
        seen: seen
            .map(|(at, event)| (Duration::from_secs(at as u64), event))
            .collect(),
        end: End::Open,
    }
}

/// Returns three clients, a to c, of whom a and b send two messages each and c comes later.
fn good() -> Vec<Recording> {
    let texts = || {
        [
            message("a", "0.0", 1),
            message("b", "1.0", 2),
            message("b", "1.1", 3),
            message("a", "0.1", 4),
        ]
    };
    let mut a = vec![welcome("a", 1, EPOCH, 0), who(&["a"]), joined("b", 2)];
    a.extend(texts());
    a.insert(5, joined("c", 3));
    let mut b = vec![welcome("b", 2, EPOCH, 0), who(&["a", "b"])];
    b.extend(texts());
    b.insert(4, joined("c", 3));
    let mut c = vec![welcome("c", 3, EPOCH, 2), who(&["a", "b", "c"])];
    c.extend(texts().into_iter().skip(2));
    vec![recording(0, 2, a), recording(1, 2, b), recording(2, 0, c)]
}

/// Checks that a change of the good recordings is found, as these words say.
fn finds(words: &str, change: impl FnOnce(&mut Vec<Recording>)) {
    let mut recordings = good();
    change(&mut recordings);
    let problems = check(&recordings);
    assert!(
        problems.iter().any(|problem| problem.contains(words)),
        "{words:?} is not among {problems:#?}"
    );
}

#[test]
fn a_consistent_chat_has_no_problems() {
    assert_eq!(check(&good()), [""; 0]);
}

#[test]
fn a_swapped_order_is_found() {
    finds("elsewhere", |all| {
        all[1].seen[3].1 = message("b", "1.0", 1);
        all[1].seen[2].1 = message("a", "0.0", 2);
        all[1].seen.swap(2, 3);
    });
    finds("after Some", |all| all[2].seen.swap(2, 3));
    finds("after (7, 2)", |all| all[1].seen.swap(4, 5));
}

#[test]
fn a_message_out_of_its_senders_order_is_found() {
    finds("1.0 is out of", |all| {
        for recording in all {
            for (_, event) in &mut recording.seen {
                match text(event) {
                    Some((2, _)) => *event = message("b", "1.1", 2),
                    Some((3, _)) => *event = message("b", "1.0", 3),
                    _ => {}
                }
            }
        }
    });
}

#[test]
fn a_missing_message_is_found() {
    finds("after Some", |all| drop(all[0].seen.remove(4)));
    finds("the ends differ", |all| drop(all[0].seen.pop()));
    finds("0.2 is missing", |all| all[0].sent.1 = 3);
    finds("the history ends", |all| {
        all[2].since = Some((EPOCH, 1));
        all[2].seen.truncate(2);
    });
}

#[test]
fn what_a_lost_connection_sent_last_can_be_missing() {
    let mut recordings = good();
    recordings[0].sent = (0, 9);
    recordings[0].end = End::Lost;
    for recording in &mut recordings[1..] {
        let at = recording.seen.last().expect("it is not empty").0;
        recording.seen.push((at, left("a", 2)));
    }
    assert_eq!(check(&recordings), [""; 0]);
    recordings[0].sent = (0, 1);
    recordings.push(Recording {
        sent: (1, 9),
        seen: Vec::new(),
        ..recordings[0].clone()
    });
    assert_eq!(check(&recordings), [""; 0]);
    recordings[0].sent = (0, 0);
    recordings[3].sent = (0, 9);
    assert_eq!(check(&recordings), [""; 0]);
}

#[test]
fn a_hole_in_what_was_sent_is_found() {
    finds("1.0 is missing", |all| {
        for recording in all.iter_mut() {
            for (_, event) in &mut recording.seen {
                if text(event).is_some_and(|(id, _)| id == 2) {
                    *event = message("b", "other", 2);
                }
            }
        }
        all[1].end = End::Closed(1013);
    });
}

#[test]
fn a_doubled_message_is_found() {
    finds("0.1 is doubled", |all| {
        for recording in all {
            recording
                .seen
                .push((Duration::from_secs(60), message("a", "0.1", 5)));
        }
    });
}

#[test]
fn a_name_that_two_have_is_found() {
    finds("two are called a", |all| {
        if let ServerEvent::Welcome { name, .. } = &mut all[1].seen[0].1 {
            *name = "A".into();
        }
        if let ServerEvent::Welcome { name, .. } = &mut all[0].seen[0].1 {
            *name = "A".into();
        }
    });
    finds("joined twice", |all| all[0].seen[5].1 = joined("b", 3));
    finds("twice in", |all| all[0].seen[1].1 = who(&["a", "a"]));
}

#[test]
fn members_that_differ_are_found() {
    let later = Duration::from_secs(60);
    finds("the members differ", |all| {
        all[1].seen.push((later, left("c", 2)))
    });
    finds("and the open connections are", |all| drop(all.pop()));
    finds("in place of", |all| all[0].seen[5].1 = joined("c", 4));
}

#[test]
fn a_room_beside_the_first_is_found() {
    finds("are beside each other", |all| {
        let mut events = vec![welcome("a", 1, 8, 0), who(&["a"])];
        events.extend((1..9).map(|id| message("a", &format!("9.{id}"), id)));
        all.push(recording(9, 0, events));
        for recording in all {
            let late = recording.seen.last_mut().expect("it is not empty");
            late.0 = Duration::from_secs(60);
        }
    });
}
