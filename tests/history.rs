//! The history of a room, and what a client that lost its connection has missed.

mod support;

use std::net::SocketAddr;
use std::thread;

use support::{Client, RawClient, ServerProcess, TestServer, config, raw, watchdog};
use threadchat::Config;
use threadchat::protocol::ServerEvent;

fn server(history: usize) -> TestServer {
    TestServer::with_config(Config {
        history,
        ..config()
    })
}

fn next_event(client: &mut Client) -> ServerEvent<'static> {
    let text = client.recv_text();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

struct Welcome {
    epoch: u64,
    last: u64,
    gap: bool,
}

/// Connects with JSON and reads the greeting.
fn enter(address: SocketAddr, path: &str) -> (Client, Welcome) {
    let mut client = Client::json(address, path);
    match next_event(&mut client) {
        ServerEvent::Welcome {
            epoch, last, gap, ..
        } => (client, Welcome { epoch, last, gap }),
        other => panic!("{other:?}"),
    }
}

/// Reads the ids and texts of the next messages.
fn messages(client: &mut Client, number: usize) -> Vec<(u64, String)> {
    let message = |_| loop {
        match next_event(client) {
            ServerEvent::Message { id, text, .. } | ServerEvent::Action { id, text, .. } => {
                return (id, text.into_owned());
            }
            _ => {}
        }
    };
    (0..number).map(message).collect()
}

#[test]
fn newcomers_receive_the_last_messages_after_the_greeting() {
    let _watchdog = watchdog(60);
    let server = server(3);
    let mut talker = server.client();
    for line in [
        "one",
        "two",
        "/me waves",
        "/whisper user0 psst",
        "/nick ann",
        "four",
    ] {
        talker.send_text(line);
        talker.recv_text();
    }
    let mut plain = server.client();
    let lines: Vec<String> = (0..3).map(|_| plain.recv_text()).collect();
    assert_eq!(lines, ["[user0]: two", "[user0] waves", "[ann]: four"]);
    let (mut json, welcome) = enter(server.address, "/chat");
    assert_eq!((welcome.last, welcome.gap), (4, false));
    let expected = [(2, "two"), (3, "waves"), (4, "four")];
    assert_eq!(
        messages(&mut json, 3),
        expected.map(|(id, text)| (id, text.to_owned()))
    );
}

#[test]
fn nothing_is_kept_by_default() {
    let _watchdog = watchdog(60);
    let server = server(0);
    let (mut talker, welcome) = enter(server.address, "/chat");
    talker.send_text(r#"{"type":"message","text":"gone"}"#);
    assert_eq!(messages(&mut talker, 1), [(1, "gone".into())]);
    let mut plain = server.client();
    plain.send_text("first");
    assert_eq!(plain.recv_text(), "[user1]: first");
    // Even then, a client learns that it has missed something.
    for (since, gap) in [(1, true), (2, false)] {
        let path = format!("/chat?since={since}&epoch={}", welcome.epoch);
        let (_, welcome) = enter(server.address, &path);
        assert_eq!((welcome.last, welcome.gap), (2, gap));
    }
}

#[test]
fn a_client_that_returns_receives_exactly_what_it_has_missed() {
    const MESSAGES: usize = 3000;
    let _watchdog = watchdog(120);
    let server = server(10_000);
    let (mut client, mut place) = enter(server.address, "/chat/busy");
    let address = server.address;
    let talkers: Vec<_> = (0..3)
        .map(|_| {
            let mut talker = Client::connect(address, "/chat/busy");
            thread::spawn(move || {
                talker.recv_text();
                for number in 0..MESSAGES / 3 {
                    let text = format!("number {number}");
                    talker.send_text(&text);
                    talker.recv_until(|line| line.ends_with(&text));
                }
                talker
            })
        })
        .collect();
    let mut received = place.last;
    while received < MESSAGES as u64 {
        // The connection is lost after a few messages, without a Close.
        for (id, _) in messages(&mut client, 40.min(MESSAGES - received as usize)) {
            assert_eq!(id, received + 1);
            received = id;
        }
        drop(client);
        let path = format!("/chat/busy?since={received}&epoch={}", place.epoch);
        (client, place) = enter(address, &path);
        assert!(!place.gap);
    }
    for talker in talkers {
        talker.join().expect("no talker panics");
    }
}

#[test]
fn another_life_of_the_room_is_a_gap() {
    let _watchdog = watchdog(60);
    let server = ServerProcess::start(&["--history", "5"]);
    let (mut client, first) = enter(server.address, "/chat/lobby");
    client.send_text(r#"{"type":"message","text":"one"}"#);
    messages(&mut client, 1);
    client.close();
    let path = format!("/chat/lobby?since=1&epoch={}", first.epoch);
    support::eventually("the room has ended", || {
        let (_, second) = enter(server.address, &path);
        second.epoch > first.epoch && second.last == 0 && second.gap
    });
    let _other_room = enter(
        server.address,
        &format!("/chat?since=1&epoch={}", first.epoch),
    );
}

#[test]
fn a_full_history_fits_into_the_backlog_of_a_newcomer() {
    let _watchdog = watchdog(120);
    let config = Config {
        history: 10_000,
        max_message: 1 << 10,
        max_backlog: Some(140 << 10),
        ..config()
    };
    let server = TestServer::with_config(config);
    let (mut talker, _) = enter(server.address, "/chat");
    let text = r#"{"type":"message","text":"TEXT"}"#.replace("TEXT", &"\\\"\\\\".repeat(200));
    for _ in 0..500 {
        talker.send_text(&text);
        messages(&mut talker, 1);
    }
    // Does not read while others talk.
    let (mut newcomer, welcome) = enter(server.address, "/chat");
    for _ in 0..20 {
        talker.send_text(&text);
        messages(&mut talker, 1);
    }
    let first = messages(&mut newcomer, 1)[0].0;
    assert!(first > 1 && first < welcome.last - 50, "{first}");
    let rest = messages(&mut newcomer, (welcome.last + 20 - first) as usize);
    assert_eq!(rest.last().map(|(id, _)| *id), Some(welcome.last + 20));
}

#[test]
fn invalid_places_get_400() {
    let _watchdog = watchdog(60);
    let server = server(1);
    for query in [
        "since=1",
        "epoch=1",
        "since=-1&epoch=1",
        "since=1&epoch=x",
        "since=&epoch=",
    ] {
        let mut client = RawClient::connect(server.address);
        client.send(raw::handshake(&format!("/chat?{query}"), "").as_bytes());
        let response = client.rest().expect("the server sends a response");
        let response = String::from_utf8_lossy(&response);
        assert!(response.starts_with("HTTP/1.1 400 "), "{query}: {response}");
        assert!(response.contains("since and epoch"), "{response}");
    }
}
