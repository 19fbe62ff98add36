//! Shared by all tests: a server in this process or as a process of its own, clients, and helpers that wait for a
//! condition. Every wait has a timeout, so that a hang fails the test.
#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

pub mod browser;
pub mod cases;
#[cfg(feature = "tls")]
pub mod certificates;
pub mod client;
pub mod fake_server;
pub mod flood;
pub mod line;
pub mod raw;
pub mod readme;
pub mod rng;
pub mod secret_file;
pub mod server_process;
#[cfg(feature = "tls")]
pub mod tls;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use threadchat::config::ListenAddress;
use threadchat::{Config, Server, ServerError, ShutdownHandle};

pub use browser::{Browser, chat_page};
pub use client::Client;
pub use flood::Flood;
pub use line::Line;
pub use raw::RawClient;
pub use secret_file::SecretFile;
pub use server_process::ServerProcess;

/// Timeout of events that should be immediate. Long, because other tests can keep the machine busy.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Ends the test program unless it is dropped in time.
pub struct Watchdog(mpsc::Sender<()>);

/// Returns a watchdog that limits the test to `seconds`, and that the test keeps until its end.
#[must_use]
pub fn watchdog(seconds: u64) -> Watchdog {
    let (sender, receiver) = mpsc::channel();
    let name = thread::current().name().unwrap_or("?").to_owned();
    thread::spawn(move || {
        if receiver.recv_timeout(Duration::from_secs(seconds))
            == Err(mpsc::RecvTimeoutError::Timeout)
        {
            eprintln!("{name}: timed out after {seconds} seconds");
            server_process::kill_all();
            std::process::exit(101);
        }
    });
    Watchdog(sender)
}

/// Waits until the condition holds. `expected` states it in the message of a timeout.
pub fn eventually(expected: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "timed out waiting for: {expected}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// Raises this process's limit of open descriptors, which child processes inherit, to the maximum. A thousand clients
/// need more than the default of many systems.
pub fn raise_nofile_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("raising a limit up to its maximum is permitted");
}

/// Returns a Python that has the package websockets.
pub fn python_with_websockets() -> Option<&'static str> {
    python_with("websockets")
}

/// Returns a Python that has this package. Returns `None` if there is none, except in CI, where that is an error.
pub fn python_with(package: &str) -> Option<&'static str> {
    let has_package = |python: &&str| {
        let import = Command::new(python)
            .args(["-c", &format!("import {package}")])
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    };
    // Another Python can precede Debian's in the PATH, without Debian's packages.
    let mut pythons = ["python3", "/usr/bin/python3"].into_iter();
    let python = pythons.find(has_package);
    if python.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {package}");
        println!("skipped: no Python has {package}");
    }
    python
}

/// The kernel's memory for a client that does not read, in bytes.
pub const KERNEL_BYTES: usize = 640 << 10;

/// The memory of TLS for one client in bytes, documented beside the formula.
pub const TLS_BYTES: usize = 128 << 10;

/// The memory of a room apart from `/chat` in bytes.
pub fn room_bytes(max_message: usize) -> usize {
    8 * max_message + (10 << 20)
}

/// Computes the documented upper bound of the memory of process and kernel with this many hostile clients in `/chat`. All
/// sizes are in bytes.
pub fn memory_bound(clients: usize, max_backlog: usize, max_message: usize) -> usize {
    clients * (max_backlog + 4 * max_message + (96 << 10) + KERNEL_BYTES)
        + 16 * max_message
        + (96 << 20)
}

/// Parses the number of users in a greeting.
pub fn users(greeting: &str) -> usize {
    let count = greeting
        .split(' ')
        .nth(5)
        .and_then(|count| count.parse().ok());
    count.unwrap_or_else(|| panic!("no count in {greeting:?}"))
}

/// A server in this process. Dropping it shuts it down.
pub struct TestServer {
    pub address: SocketAddr,
    /// All its addresses, of which `address` is the first.
    pub addresses: Vec<SocketAddr>,
    pub shutdown_handle: ShutdownHandle,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

/// Returns the default configuration with a free port.
pub fn config() -> Config {
    Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()],
        ..Config::default()
    }
}

impl TestServer {
    /// Starts a server with [`config`].
    pub fn start() -> TestServer {
        TestServer::with_config(config())
    }

    pub fn with_config(config: Config) -> TestServer {
        let server = Server::bind(config).expect("port 0 is free");
        let tcp = |address: &ListenAddress| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        };
        let addresses: Vec<_> = server.local_addrs().filter_map(tcp).collect();
        let address = addresses[0];
        let shutdown_handle = server.shutdown_handle();
        TestServer {
            address,
            addresses,
            shutdown_handle,
            thread: Some(thread::spawn(move || server.run())),
        }
    }

    /// Connects a chat client and reads its greeting.
    pub fn client(&self) -> Client {
        Client::join(self.address)
    }

    /// Shuts the server down and returns the result of `run`.
    pub fn shutdown(mut self) -> Result<(), ServerError> {
        self.shutdown_handle.shutdown();
        self.wait()
    }

    /// Waits until the server ends and returns the result of `run`.
    pub fn wait(&mut self) -> Result<(), ServerError> {
        let thread = self.thread.take().expect("wait is called once");
        thread.join().expect("run does not panic")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown_handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(
                thread::panicking() || matches!(result, Ok(Ok(()))),
                "{result:?}"
            );
        }
    }
}
