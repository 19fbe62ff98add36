//! The workloads: how many clients, what they say, and what one round of it gives.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Result;
use crate::client_pool::Crowd;
use crate::connection::Connection;
use crate::limits;
use crate::load_generator::{self, Measured, Pattern};
use crate::process::Process;
use crate::progress::Progress;
use crate::server::{Server, Source};

/// After the last handshake, until the server has nothing left to do for it.
const SETTLE: Duration = Duration::from_millis(500);

/// All clients must have connected by then.
const CONNECT: Duration = Duration::from_secs(90);

#[derive(Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    pub what: &'static str,
    pub clients: usize,
    /// Further clients that never read.
    pub stuck: usize,
    pub pattern: Pattern,
}

const fn closed(name: &'static str, window: usize, stuck: usize, what: &'static str) -> Workload {
    Workload {
        name,
        what,
        clients: 32,
        stuck,
        pattern: Pattern::Closed { window },
    }
}

pub const WORKLOADS: [Workload; 6] = [
    closed(
        "saturated",
        64,
        0,
        "32 clients, each keeps 64 messages in flight",
    ),
    closed(
        "pingpong",
        1,
        0,
        "32 clients, each keeps 1 message in flight",
    ),
    Workload {
        name: "fanout",
        what: "1,000 clients, 10 of them send 80 messages a second together",
        clients: 1000,
        stuck: 0,
        pattern: Pattern::Rate {
            per_second: 80.0,
            senders: 10,
        },
    },
    closed(
        "stuck",
        64,
        50,
        "saturated, with 50 further clients that never read",
    ),
    Workload {
        name: "idle",
        what: "2,000 silent clients",
        clients: 2000,
        stuck: 0,
        pattern: Pattern::Silent,
    },
    Workload {
        name: "crowd",
        what: "10,000 clients, 10 of them send 8 messages a second together",
        clients: 10_000,
        stuck: 0,
        pattern: Pattern::Rate {
            per_second: 8.0,
            senders: 10,
        },
    },
];

/// The deliveries a second of [`cost`], as many as in fanout and crowd.
const COST_DELIVERIES: usize = 80_000;

/// Fanout's deliveries, among another number of clients.
pub fn cost(clients: usize) -> Workload {
    Workload {
        name: "cost",
        what: "80,000 deliveries a second",
        clients,
        stuck: 0,
        pattern: Pattern::Rate {
            per_second: (COST_DELIVERIES / clients) as f64,
            senders: clients.min(10),
        },
    }
}

/// Figures by their names, which carry their units.
pub type Figures = BTreeMap<&'static str, f64>;

/// What one round gave.
pub struct Round {
    pub figures: Figures,
    pub delays: Histogram<u64>,
    /// What a reader of the figures must know.
    pub notes: Vec<String>,
}

impl Workload {
    /// Measures it once.
    pub fn run(&self, source: &Source, length: Duration, progress: &mut Progress) -> Result<Round> {
        let mut notes = Vec::new();
        let server = source.server(self.clients + self.stuck);
        let resident = || server.process.map(Process::resident_kib).transpose();
        let running = || server.process.map(Process::threads).transpose();
        let (resident_before, threads_before) = (resident()?, running()?);
        let begin = Instant::now();
        let (mut crowd, stuck) = self.connect(&server, progress, &mut notes)?;
        let connected = begin.elapsed();
        let clients = crowd.len();
        if clients == 0 {
            return Err(format!("{}: no client: {}", self.name, notes.join("; ")).into());
        }
        thread::sleep(SETTLE);
        let (idle, threads) = (resident()?, running()?);
        let measured = match self.pattern {
            Pattern::Silent => None,
            pattern => Some(load_generator::run(
                &mut crowd,
                pattern,
                length,
                server.process,
                |since| {
                    progress.at(|| format!("{:.1} s", since.as_secs_f64()));
                },
            )?),
        };
        let mut figures = Figures::from([
            ("clients", clients as f64),
            ("connect_s", connected.as_secs_f64()),
            ("lost_clients", (clients - crowd.len()) as f64),
        ]);
        let everybody = (clients + stuck.len()) as f64;
        if let Some((before, idle)) = resident_before.zip(idle) {
            let grown = idle as f64 - before as f64;
            figures.insert("idle_kib_per_client", grown / everybody);
        }
        if let Some((before, threads)) = threads_before.zip(threads) {
            let grown = threads as f64 - before as f64;
            figures.insert("threads_per_client", grown / everybody);
        }
        if let Some(process) = server.process {
            figures.insert("peak_rss_kib", process.peak_kib()? as f64);
        }
        let delays = match measured {
            Some(measured) => self.evaluate(measured, &mut figures, &mut notes),
            None => Histogram::new(2)?,
        };
        if crowd.len() < clients {
            notes.push(format!("{} clients were lost", clients - crowd.len()));
        }
        Ok(Round {
            figures,
            delays,
            notes,
        })
    }

    /// Its clients and those that never read, as many as fit. The notes tell why where that is fewer.
    fn connect(
        &self,
        server: &Server,
        progress: &mut Progress,
        notes: &mut Vec<String>,
    ) -> Result<(Crowd, Vec<Connection>)> {
        let wanted = self.clients + self.stuck;
        let (fit, note) = limits::lowered(wanted as u64).unzip();
        notes.extend(note);
        let allowed = fit.map_or(wanted, |fit| fit as usize);
        let (mut crowd, mut stuck) = (Crowd::new()?, Vec::new());
        let end = Instant::now() + CONNECT;
        for count in 0..allowed {
            progress.at(|| format!("{count} of {allowed} clients"));
            let opened = match Instant::now() < end {
                true => Connection::open(&server.endpoint, None).map_err(|error| error.to_string()),
                false => Err(format!("{CONNECT:?} were over")),
            };
            match opened {
                Ok(connection) if stuck.len() < self.stuck => stuck.push(connection),
                Ok(connection) => drop(crowd.admit(connection)?),
                Err(why) => {
                    notes.push(format!("{count} instead of {allowed} clients: {why}"));
                    break;
                }
            }
        }
        Ok((crowd, stuck))
    }

    fn evaluate(
        &self,
        measured: Measured,
        figures: &mut Figures,
        notes: &mut Vec<String>,
    ) -> Histogram<u64> {
        let deliveries = measured.deliveries as f64;
        let us = |nanos: u64| nanos as f64 / 1e3;
        figures.extend([
            (
                "deliveries_per_s",
                deliveries / measured.elapsed.as_secs_f64(),
            ),
            ("p50_us", us(measured.delays.value_at_quantile(0.5))),
            ("p99_us", us(measured.delays.value_at_quantile(0.99))),
            ("p99_9_us", us(measured.delays.value_at_quantile(0.999))),
            ("max_us", us(measured.delays.max())),
            ("missing", measured.missing as f64),
            ("generator_cores", measured.generator),
        ]);
        if let Some(cpu) = measured.cpu {
            let per_delivery = cpu.as_secs_f64() * 1e6 / deliveries.max(1.0);
            figures.insert("cpu_us_per_delivery", per_delivery);
        }
        if let Some(switches) = measured.switches_per_delivery {
            figures.insert("switches_per_delivery", switches);
        }
        if measured.missing > 0 {
            notes.push(format!("{} deliveries never came", measured.missing));
        }
        const BUSY: f64 = 0.95;
        if measured.generator > BUSY {
            notes.push("the load generator was busy all the time; the server may do more".into());
        }
        measured.delays
    }
}
