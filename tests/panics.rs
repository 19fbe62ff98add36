//! A panic in one thread is that client's misfortune alone; one in the dispatcher ends the server.
//!
//! The panic comes from a logger, which every thread calls: the server needs no hook for it.

mod support;

use std::sync::Mutex;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use support::{Client, Host, Raw, deadline, eventually, options};
use threadchat::{Config, ServerError};

/// What a record must contain to make the logger panic.
static TRIGGERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Panicking;

impl Log for Panicking {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // tungstenite logs what it reads too, in the same thread, before the server has it.
        if record.target().starts_with("threadchat") {
            let line = record.args().to_string();
            let hit = TRIGGERS
                .lock()
                .expect("nobody panics with it")
                .iter()
                .any(|trigger| line.contains(trigger));
            assert!(!hit, "injected: {line}");
        }
    }

    fn flush(&self) {}
}

fn panic_at(trigger: &str) {
    // The first of the tests installs it, for all.
    let _ = log::set_logger(&Panicking);
    log::set_max_level(LevelFilter::Trace);
    TRIGGERS
        .lock()
        .expect("nobody panics with it")
        .push(trigger.to_owned());
}

#[test]
fn in_a_connections_thread_it_ends_that_connection_with_1011() {
    let _deadline = deadline(60);
    let host = Host::start();
    panic_at("trigger in a connection");
    let (mut stays, mut goes) = (host.client(), host.client());
    goes.say("trigger in a connection");
    assert_eq!(goes.closed(), 1011);
    eventually("it is off the list", || {
        let mut probe = Client::connect(host.address, "/chat");
        let left = probe.hear() == "You are connected! There are 2 users here.";
        probe.leave();
        left
    });
    stays.say("still here");
    assert_eq!(stays.hear(), "[user0]: still here");
}

#[test]
fn in_a_writer_thread_it_ends_that_connection() {
    let _deadline = deadline(60);
    let host = Host::with(Config {
        max_backlog: Some(64 << 20),
        ..options()
    });
    let mut chats = host.client();
    let stuck = Raw::upgraded(host.address, "/chat");
    let address = stuck.socket.local_addr().expect("it is connected");
    panic_at(&format!("{address}: writing behind"));
    let text = "x".repeat(60_000);
    stuck
        .socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("not zero");
    let gone = |host: &Host| {
        let mut probe = Client::connect(host.address, "/chat");
        let gone = probe.hear() == "You are connected! There are 2 users here.";
        probe.leave();
        gone
    };
    while !gone(&host) {
        chats.say(&text);
        chats.hear();
    }
    chats.say("still here");
    assert_eq!(chats.hear(), "[user0]: still here");
}

#[test]
fn in_the_dispatcher_it_ends_the_server_with_an_error() {
    let _deadline = deadline(60);
    let mut host = Host::start();
    let mut witness = host.client();
    let mut newcomer = Raw::connect(host.address);
    let address = newcomer.socket.local_addr().expect("it is connected");
    // The dispatcher says who came.
    panic_at(&format!("came from {address}"));
    newcomer.send(support::raw::handshake("/chat", "").as_bytes());
    assert!(matches!(host.wait(), Err(ServerError::Dispatcher)));
    // Nobody is left in a chat that is deaf.
    assert_eq!(witness.closed(), 1011);
    assert!(
        newcomer
            .rest()
            .is_ok_and(|rest| rest.ends_with(b"internal error"))
    );
}
