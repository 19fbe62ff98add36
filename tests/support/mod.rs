//! What the tests share: a server in this process or as the real program, clients, and the means to wait for a
//! condition. Everything has a deadline, so that a hang is a failure.
#![allow(dead_code, unused_imports, reason = "no test uses all of it")]

pub mod browser;
pub mod cases;
pub mod client;
pub mod fake_server;
pub mod raw;
pub mod readme;
pub mod rng;
pub mod server_process;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use threadchat::{Config, Server, ServerError, ShutdownHandle};

pub use browser::Browser;
pub use client::Client;
pub use raw::RawClient;
pub use server_process::ServerProcess;

/// For whatever should happen at once: a machine busy with other tests takes its time.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Ends the test program when the test has not ended by then.
pub struct Watchdog(mpsc::Sender<()>);

/// The deadline of one test, to be kept until its end.
#[must_use]
pub fn watchdog(seconds: u64) -> Watchdog {
    let (done, waiting) = mpsc::channel();
    let name = thread::current().name().unwrap_or("?").to_owned();
    thread::spawn(move || {
        if waiting.recv_timeout(Duration::from_secs(seconds))
            == Err(mpsc::RecvTimeoutError::Timeout)
        {
            eprintln!("{name}: not done after {seconds} seconds");
            server_process::kill_all();
            std::process::exit(101);
        }
    });
    Watchdog(done)
}

/// Waits until the condition holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < end, "still not so: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lets this process, and so what it starts, have as many descriptors as it may. A thousand clients need more than many
/// systems give at first.
pub fn raise_nofile_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("up to the maximum");
}

/// The README's formula for the most that so many hostile clients can make the server hold, all in bytes.
pub fn memory_bound(clients: usize, max_backlog: usize, max_message: usize) -> usize {
    clients * (max_backlog + 4 * max_message + (96 << 10)) + 16 * max_message + (96 << 20)
}

/// The number of users in a greeting.
pub fn users(greeting: &str) -> usize {
    let count = greeting
        .split(' ')
        .nth(5)
        .and_then(|count| count.parse().ok());
    count.unwrap_or_else(|| panic!("no count in {greeting:?}"))
}

/// A server in this process, stopped at the end.
pub struct TestServer {
    pub address: SocketAddr,
    pub shutdown_handle: ShutdownHandle,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

/// The defaults, on a free port.
pub fn config() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..Config::default()
    }
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::with_config(config())
    }

    pub fn with_config(config: Config) -> TestServer {
        let server = Server::bind(config).expect("port 0 is free");
        let (address, shutdown_handle) = (server.local_addr(), server.shutdown_handle());
        TestServer {
            address,
            shutdown_handle,
            thread: Some(thread::spawn(move || server.run())),
        }
    }

    /// A chat client that has been greeted.
    pub fn client(&self) -> Client {
        Client::join(self.address)
    }

    /// Stops it and waits for its end: how `run` ended.
    pub fn shutdown(mut self) -> Result<(), ServerError> {
        self.shutdown_handle.shutdown();
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<(), ServerError> {
        let thread = self.thread.take().expect("waited for once");
        thread.join().expect("run does not panic")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown_handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                thread::panicking() || matches!(ended, Ok(Ok(()))),
                "{ended:?}"
            );
        }
    }
}
