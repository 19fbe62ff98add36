//! Start-up of the built server: time from exec to the first greeting, size of the binary, memory without clients.

use std::fs;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client_pool::ClientPool;
use crate::connection::Connection;
use crate::report::median;
use crate::server::Server;
use crate::workload::Metrics;

/// Number of starts. The report contains their median.
const STARTS: usize = 11;

/// Time after which a server without clients is idle.
const SETTLE: Duration = Duration::from_millis(100);

const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

pub fn measure() -> Result<Metrics> {
    let (mut first_greeting, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let (server, greeted) = greet_first(&[])?;
        first_greeting.push(greeted.as_secs_f64() * 1e3);
        drop(server);
        let server = Server::start(&[]);
        std::thread::sleep(SETTLE);
        if let Some(process) = server.process {
            resident.push(process.resident_kib()? as f64);
        }
    }
    let binary = fs::metadata(env!("CARGO_BIN_EXE_threadchat"))?.len();
    Ok(Metrics::from([
        ("first_greeting_ms", median(&mut first_greeting)),
        ("binary_kib", binary as f64 / 1024.0),
        ("rss_before_clients_kib", median(&mut resident)),
    ]))
}

/// Starts the built server with these options. Returns it and the time from exec until its first client was greeted.
pub fn greet_first(options: &[&str]) -> Result<(Server, Duration)> {
    let start = Instant::now();
    // The address is read from the server's log, so the time to write and read that line counts too.
    let server = Server::start(options);
    let mut pool = ClientPool::new()?;
    let slot = pool.add(Connection::open(&server.endpoint, None)?)?;
    let (mut ready, mut greeted) = (Vec::new(), false);
    // The epoll does not report a greeting received together with the handshake response.
    pool.receive(slot, |_, _, _| greeted = true)?;
    while !greeted {
        if start.elapsed() > GREETING_TIMEOUT {
            return Err("startup: timeout waiting for the greeting".into());
        }
        pool.wait(GREETING_TIMEOUT, &mut ready)?;
        for &slot in &ready {
            pool.receive(slot, |_, _, _| greeted = true)?;
        }
    }
    Ok((server, start.elapsed()))
}
