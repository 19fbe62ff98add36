//! The notices of one batch. The inbox is filled before the dispatcher starts, so that all events are in one batch.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

#[cfg(feature = "cluster")]
use super::super::event::{Replication, Step};
use super::super::join::JoinRequest;
use super::*;
use crate::config::Config;
use crate::net::Stream;
use crate::outbound::Outbound;
use crate::protocol::Dialect;

/// Returns the event of a JSON client that joins, and the client's socket.
fn connected(id: ConnectionId) -> (Event, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener.local_addr().expect("the socket is bound");
    let client = TcpStream::connect(address).expect("the socket listens");
    let (socket, peer) = listener.accept().expect("a client has connected");
    let outbound = Outbound::new(Stream::new(socket, peer), 1 << 20);
    let request = JoinRequest {
        dialect: Dialect::Json,
        name: None,
        since: None,
    };
    let event = Event::Connected {
        id,
        response: PendingResponse::new(outbound.expect("the timeout is not zero"), Vec::new()),
        endpoint: Endpoint::Chat(request),
    };
    (event, client)
}

/// Returns the event of an entry of the log in which a client of this node does something.
#[cfg(feature = "cluster")]
fn in_the_log(event: Event) -> Event {
    Event::Replication(Replication::Steps {
        time: 1000,
        steps: vec![Step::Own(event)],
        is_past: false,
    })
}

fn disconnected(id: ConnectionId) -> Event {
    Event::Disconnected {
        id,
        reason: DisconnectReason::ClosedByPeer(None),
        close: None,
    }
}

/// Removes the time of a message.
fn without_time(json: &str) -> String {
    match json.split_once(",\"time\":") {
        Some((before, _)) => format!("{before}}}"),
        None => json.to_owned(),
    }
}

/// Runs the dispatcher with these events in one batch, and returns what each client receives, without frame headers.
fn received(events: impl IntoIterator<Item = Event>, clients: Vec<TcpStream>) -> Vec<Vec<String>> {
    let (sender, inbox) = crossbeam_channel::unbounded();
    for event in events {
        sender.send(event).expect("the inbox is open");
    }
    drop(sender);
    run(&inbox, Room::default(), &Config::default());
    let texts = |mut client: TcpStream| {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("no reset");
        let (mut texts, mut rest) = (Vec::new(), &bytes[..]);
        while let [0x81, length @ 0..=125, tail @ ..] = rest {
            let (text, tail) = tail.split_at(usize::from(*length));
            let text = str::from_utf8(text).expect("JSON is UTF-8");
            texts.push(without_time(text));
            rest = tail;
        }
        texts
    };
    clients.into_iter().map(texts).collect()
}

#[test]
fn a_join_and_a_leave_in_one_batch_are_not_announced() {
    let (watcher, socket) = connected(0);
    let mut events = vec![watcher];
    for id in 1..100 {
        events.extend([connected(id).0, disconnected(id)]);
    }
    let (last, last_socket) = connected(100);
    events.push(last);
    let texts = received(events, vec![socket, last_socket]);
    assert_eq!(
        texts[0],
        [
            r#"{"type":"welcome","name":"user0","users":1,"room":"","epoch":0,"last":0}"#,
            r#"{"type":"joined","name":"user100","users":2}"#
        ]
    );
    assert_eq!(
        texts[1],
        [r#"{"type":"welcome","name":"user100","users":2,"room":"","epoch":0,"last":0}"#]
    );
}

#[test]
fn a_join_is_announced_if_something_follows_before_the_leave() {
    let ((watcher, socket), (guest, guest_socket), (other, other_socket)) =
        (connected(0), connected(1), connected(2));
    let hello = ClientCommand::Message { text: "hi".into() };
    let events = [
        watcher,
        guest,
        Event::Command(1, hello, None),
        disconnected(1),
        other,
        Event::Command(2, ClientCommand::Who {}, None),
        Event::Command(0, ClientCommand::Who {}, None),
        disconnected(2),
    ];
    let texts = received(events, vec![socket, guest_socket, other_socket]);
    assert_eq!(
        texts[0],
        [
            r#"{"type":"welcome","name":"user0","users":1,"room":"","epoch":0,"last":0}"#,
            r#"{"type":"joined","name":"user1","users":2}"#,
            r#"{"type":"message","from":"user1","text":"hi","id":1}"#,
            r#"{"type":"left","name":"user1","users":1}"#,
            r#"{"type":"joined","name":"user2","users":2}"#,
            r#"{"type":"who","names":["user0","user2"],"users":2}"#,
            r#"{"type":"left","name":"user2","users":1}"#
        ]
    );
    assert_eq!(
        texts[1],
        [
            r#"{"type":"welcome","name":"user1","users":2,"room":"","epoch":0,"last":0}"#,
            r#"{"type":"message","from":"user1","text":"hi","id":1}"#
        ]
    );
    assert_eq!(
        texts[2],
        [
            r#"{"type":"welcome","name":"user2","users":2,"room":"","epoch":0,"last":1}"#,
            r#"{"type":"who","names":["user0","user2"],"users":2}"#
        ]
    );
}

#[test]
#[cfg(feature = "cluster")]
fn a_client_that_goes_between_two_entries_leaves_the_room_by_an_entry() {
    let (joined, socket) = connected(1);
    let (reply, digests) = crossbeam_channel::unbounded();
    let digest = |point| Event::Replication(Replication::Digest(point, reply.clone()));
    let too_slow = |id| Event::Disconnected {
        id,
        reason: DisconnectReason::WriteTimeout,
        close: None,
    };
    let events = [
        in_the_log(joined),
        digest(1),
        too_slow(1),
        digest(2),
        Event::Replication(Replication::Steps {
            time: 2000,
            steps: vec![Step::LeaveAll(1..=1)],
            is_past: false,
        }),
        digest(3),
    ];
    received(events, vec![socket]);
    let digests: Vec<u64> = digests.try_iter().map(|reply| reply.digest).collect();
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[1], digests[2]);
}
