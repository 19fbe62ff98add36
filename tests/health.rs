//! The health of a server in this process: whether its dispatchers respond.
//!
//! The logger, which every thread calls, stops a dispatcher, so the server needs no hook for this test.

mod support;

use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};
use support::{Client, config, eventually, watchdog};
use threadchat::Server;
use threadchat::config::ListenAddress;

/// While a test holds this lock, a dispatcher that logs a join waits.
static GATE: Mutex<()> = Mutex::new(());

struct StoppingLogger;

impl Log for StoppingLogger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.args().to_string().contains("joined from") {
            drop(GATE.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_dispatcher_that_does_not_respond_is_unhealthy() {
    let _watchdog = watchdog(60);
    log::set_logger(&StoppingLogger).expect("there is no other logger");
    log::set_max_level(LevelFilter::Info);
    let server = Server::bind(config());
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let Some(&ListenAddress::Tcp(address)) = server.local_addrs().next() else {
        panic!("the server listens at TCP");
    };
    let (health, shutdown) = (server.health_handle(), server.shutdown_handle());
    // It waits until the server runs.
    let waiting = health.clone();
    let waiting = std::thread::spawn(move || waiting.is_healthy());
    let running = std::thread::spawn(move || server.run());
    assert!(waiting.join().expect("it does not panic"));
    for path in ["/chat", "/chat/room"] {
        let stopped = GATE.lock().expect("the lock is not poisoned");
        let client = Client::connect(address, path);
        assert!(!health.is_healthy(), "{path}");
        drop(stopped);
        eventually("the dispatcher responds", || health.is_healthy());
        client.close();
    }
    shutdown.shutdown();
    let ended = running.join().expect("run does not panic");
    assert!(ended.is_ok(), "{ended:?}");
    assert!(health.is_healthy(), "nothing is left to check");
}
