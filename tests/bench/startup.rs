//! How long the built server takes from exec to its first greeting, and how small it is.

use std::fs;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client_pool::Crowd;
use crate::connection::Connection;
use crate::report::median;
use crate::server::Server;
use crate::workload::Figures;

/// The median of so many starts is told.
const STARTS: usize = 11;

/// A server without clients has nothing left to do by then.
const SETTLE: Duration = Duration::from_millis(100);

const GREETING: Duration = Duration::from_secs(10);

pub fn measure() -> Result<Figures> {
    let (mut greeted, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let begin = Instant::now();
        // Its address is in its log, so the time to write and to read that line counts too.
        let server = Server::start(&[]);
        let mut crowd = Crowd::new()?;
        let place = crowd.admit(Connection::open(&server.endpoint, None)?)?;
        let (mut ready, mut heard) = (Vec::new(), false);
        // What came in one piece with the head does not wake anybody.
        crowd.receive(place, |_, _, _| heard = true)?;
        while !heard {
            if begin.elapsed() > GREETING {
                return Err("startup: no greeting came".into());
            }
            crowd.wait(GREETING, &mut ready)?;
            for &place in &ready {
                crowd.receive(place, |_, _, _| heard = true)?;
            }
        }
        greeted.push(begin.elapsed().as_secs_f64() * 1e3);
        drop(server);
        let server = Server::start(&[]);
        std::thread::sleep(SETTLE);
        if let Some(process) = server.process {
            resident.push(process.resident_kib()? as f64);
        }
    }
    let binary = fs::metadata(env!("CARGO_BIN_EXE_threadchat"))?.len();
    Ok(Figures::from([
        ("first_greeting_ms", median(&mut greeted)),
        ("binary_kib", binary as f64 / 1024.0),
        ("rss_before_clients_kib", median(&mut resident)),
    ]))
}
