//! A panic in a connection's or a writer's thread disconnects one client. A panic in the dispatcher ends the server.
//!
//! The panics come from a logger, which every thread calls, so the server needs no hook for these tests.

mod support;

use std::sync::Mutex;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use support::{Client, RawClient, TestServer, config, eventually, watchdog};
use threadchat::{Config, ServerError};

/// Substrings of the records at which the logger panics.
static TRIGGERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct PanickingLogger;

impl Log for PanickingLogger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // tungstenite logs messages too, in the same thread, before it returns them to the server.
        if record.target().starts_with("threadchat") {
            let line = record.args().to_string();
            let hit = TRIGGERS
                .lock()
                .expect("the lock is not poisoned")
                .iter()
                .any(|trigger| line.contains(trigger));
            assert!(!hit, "injected panic: {line}");
        }
    }

    fn flush(&self) {}
}

fn panic_at(trigger: &str) {
    // The logger is global: the first test installs it, and the others fail to.
    let _ = log::set_logger(&PanickingLogger);
    log::set_max_level(LevelFilter::Trace);
    TRIGGERS
        .lock()
        .expect("the lock is not poisoned")
        .push(trigger.to_owned());
}

#[test]
fn connection_thread_panic_closes_only_that_connection_with_1011() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    panic_at("trigger in a connection");
    let (mut other, mut client) = (server.client(), server.client());
    client.send_text("trigger in a connection");
    assert_eq!(client.expect_close(), 1011);
    eventually("its session is removed", || {
        let mut probe = Client::connect(server.address, "/chat");
        let removed = probe.recv_text() == "You are connected! There are 2 users here.";
        probe.close();
        removed
    });
    other.send_text("still here");
    assert_eq!(other.recv_text(), "[user0]: still here");
}

#[test]
fn writer_thread_panic_closes_only_that_connection() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(Config {
        max_backlog: Some(64 << 20),
        ..config()
    });
    let mut other = server.client();
    let stalled = RawClient::upgraded(server.address, "/chat");
    let address = stalled
        .socket
        .local_addr()
        .expect("the socket is connected");
    panic_at(&format!("{address}: fell behind"));
    let text = "x".repeat(60_000);
    stalled
        .socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("the timeout is not zero");
    let session_removed = |server: &TestServer| {
        let mut probe = Client::connect(server.address, "/chat");
        let removed = probe.recv_text() == "You are connected! There are 2 users here.";
        probe.close();
        removed
    };
    while !session_removed(&server) {
        other.send_text(&text);
        other.recv_text();
    }
    other.send_text("still here");
    assert_eq!(other.recv_text(), "[user0]: still here");
}

#[test]
fn dispatcher_panic_closes_all_connections_and_ends_run_with_an_error() {
    let _watchdog = watchdog(60);
    let mut server = TestServer::start();
    let mut first = server.client();
    let mut second = RawClient::connect(server.address);
    let address = second.socket.local_addr().expect("the socket is connected");
    // The dispatcher logs who joins.
    panic_at(&format!("joined from {address}"));
    second.send(support::raw::handshake("/chat", "").as_bytes());
    assert!(matches!(
        server.wait(),
        Err(ServerError::DispatcherPanicked)
    ));
    // No client stays connected to a chat that has ended.
    assert_eq!(first.expect_close(), 1011);
    assert!(
        second
            .rest()
            .is_ok_and(|rest| rest.ends_with(b"internal error"))
    );
}
