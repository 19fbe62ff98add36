//! Rooms: each has its own users, names and order, begins with its first user and ends with its last one.

mod support;

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, TestServer, config, eventually, raw, watchdog};
use threadchat::Config;

/// Connects to a room and reads the greeting.
fn enter(server: &TestServer, path: &str) -> Client {
    let mut client = Client::connect(server.address, path);
    client.recv_text();
    client
}

fn response(server: &TestServer, path: &str) -> String {
    let mut client = RawClient::connect(server.address);
    client.send(raw::handshake(path, "").as_bytes());
    let response = client.rest().expect("the server sends a response");
    String::from_utf8(response).expect("the response is UTF-8")
}

#[test]
fn rooms_have_users_names_and_messages_of_their_own() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut main = server.client();
    let mut ann = enter(&server, "/chat/lobby?name=ann");
    let mut other = Client::connect(server.address, "/chat/LOBBY?name=ann");
    assert_eq!(
        other.recv_text(),
        "You are connected! There are 2 users here."
    );
    assert!(other.recv_text().contains("taken"));
    // The same name in another room, and the first guest name there.
    let mut away = Client::connect(server.address, "/chat/lobby-2?name=ann");
    assert_eq!(
        away.recv_text(),
        "You are connected! There are 1 users here."
    );
    for client in [&mut main, &mut ann, &mut away] {
        client.send_text("hello");
    }
    assert_eq!(main.recv_text(), "[user0]: hello");
    for client in [&mut ann, &mut other, &mut away] {
        assert_eq!(client.recv_text(), "[ann]: hello");
    }
    other.send_text("/who");
    assert_eq!(other.recv_text(), "* 2 users here: ann, user1.");
    main.send_text("/whisper ann psst");
    assert!(main.recv_text().contains("Nobody here is called ann"));
}

#[test]
fn the_welcome_names_the_room() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    for (path, room) in [
        ("/chat", r#""room":"""#),
        ("/chat/Lobby", r#""room":"lobby""#),
    ] {
        let welcome = Client::json(server.address, path).recv_text();
        assert!(welcome.contains(room), "{welcome}");
    }
}

#[test]
fn a_name_that_no_room_has_gets_404_with_the_rule() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    for path in [
        "/chat/",
        "/chat/a.b",
        "/chat/a/b",
        "/chat/%61",
        "/chat/0123456789012345678901234567890123",
    ] {
        let response = response(&server, path);
        assert!(response.starts_with("HTTP/1.1 404 "), "{path}: {response}");
        assert!(response.contains("1 to 32 of a-z 0-9 _ -"), "{response}");
    }
    let only_main = TestServer::with_config(Config {
        max_rooms: 0,
        ..config()
    });
    let response = response(&only_main, "/chat/lobby");
    assert!(response.starts_with("HTTP/1.1 404 ") && response.contains("the only room is /chat"));
}

#[test]
fn past_the_limit_new_rooms_get_503_and_open_ones_can_be_entered() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(Config {
        max_rooms: 2,
        max_connections: 5,
        ..config()
    });
    let one = enter(&server, "/chat/one");
    let _two = enter(&server, "/chat/two");
    for _ in 0..5 {
        let refused = response(&server, "/chat/three");
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(refused.contains("room limit reached"), "{refused}");
    }
    // A refused client holds no place.
    let _same = enter(&server, "/chat/two");
    let _main = server.client();
    drop(one);
    eventually("the room without users has ended", || {
        Client::try_connect(
            server.address,
            support::client::request(server.address, "/chat/three"),
        )
        .is_ok()
    });
}

#[test]
fn a_room_ends_with_its_last_user_and_begins_anew() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&["--history", "10"]);
    let mut first = Client::connect(server.address, "/chat/lobby");
    first.recv_text();
    first.send_text("before");
    first.recv_text();
    // The room's dispatcher, and the connection.
    eventually("the handshake's thread has ended", || {
        server.threads() == BASELINE_THREADS + 2
    });
    first.close();
    server.wait_for_log("room lobby: user0 left");
    eventually("the room's dispatcher has ended", || {
        server.threads() == BASELINE_THREADS
    });
    let mut second = Client::connect(server.address, "/chat/lobby");
    assert_eq!(
        second.recv_text(),
        "You are connected! There are 1 users here."
    );
    second.send_text("after");
    assert_eq!(second.recv_text(), "[user0]: after");
}

#[test]
fn clients_that_come_while_their_room_ends_get_in() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..200 {
                    let mut client = enter(&server, "/chat/door");
                    let text = format!("number {number}");
                    client.send_text(&text);
                    client.recv_until(|line| line.ends_with(&text));
                    client.close();
                }
            });
        }
    });
}

#[test]
fn shutdown_closes_the_clients_of_every_room() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&[]);
    let mut clients: Vec<Client> = ["/chat", "/chat/a", "/chat/b", "/chat/b", "/echo"]
        .map(|path| Client::connect(server.address, path))
        .into();
    for client in &mut clients[..4] {
        client.recv_text();
    }
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.expect_close(), 1001);
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_flood_in_one_room_leaves_another_alone() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    let mut probe = Client::connect(server.address, "/chat/quiet");
    probe.recv_text();
    let mut flooders: Vec<RawClient> = (0..4)
        .map(|_| RawClient::upgraded(server.address, "/chat/loud"))
        .collect();
    let flood = raw::frame(support::cases::TEXT, b"x").repeat(1000);
    for flooder in &mut flooders {
        let mut reader = flooder.socket.try_clone().expect("a descriptor");
        thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    }
    let delays = thread::scope(|scope| {
        for flooder in &mut flooders {
            scope.spawn(|| while flooder.try_send(&flood).is_ok() {});
        }
        let delays = probe.delays("user0");
        server.shutdown_handle.shutdown();
        delays
    });
    // The limit of `tests/floods.rs`.
    let median = delays[delays.len() / 2];
    assert!(median < Duration::from_secs(1), "{median:?}");
}
