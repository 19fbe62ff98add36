//! The workloads: their clients and load, and the measurement of one round.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Result;
use crate::client_pool::ClientPool;
use crate::connection::Connection;
use crate::joins;
use crate::limits;
use crate::load_generator::{self, LoadModel, Measurement};
use crate::machine_memory::Snapshot;
use crate::process::Process;
use crate::progress::Progress;
use crate::server::{Server, ServerSource};

/// Time after the last handshake until the server is idle.
const SETTLE: Duration = Duration::from_millis(500);

/// Time before the memory of the machine is measured for the first time. The kernel releases the sockets and stacks of a
/// previous server in the background.
const RELEASE_TIME: Duration = Duration::from_secs(3);

/// Timeout for connecting all clients.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    pub description: &'static str,
    pub clients: usize,
    /// Additional clients that never read.
    pub stalled_clients: usize,
    pub scenario: Scenario,
}

#[derive(Clone, Copy)]
pub enum Scenario {
    /// The clients connect one after the other, then send messages.
    Load(LoadModel),
    /// The clients connect one after the other and send nothing.
    Idle,
    /// The clients connect at the same time and send nothing.
    Joins,
}

const fn closed_loop(
    name: &'static str,
    window: usize,
    stalled_clients: usize,
    description: &'static str,
) -> Workload {
    Workload {
        name,
        description,
        clients: 32,
        stalled_clients,
        scenario: Scenario::Load(LoadModel::ClosedLoop { window }),
    }
}

pub const WORKLOADS: [Workload; 7] = [
    closed_loop(
        "saturated",
        64,
        0,
        "32 clients, each keeps 64 messages in flight",
    ),
    closed_loop(
        "pingpong",
        1,
        0,
        "32 clients, each keeps 1 message in flight",
    ),
    Workload {
        name: "fanout",
        description: "1,000 clients, 10 of which together send 80 messages a second",
        clients: 1000,
        stalled_clients: 0,
        scenario: Scenario::Load(LoadModel::OpenLoop {
            per_second: 80.0,
            senders: 10,
        }),
    },
    closed_loop(
        "stuck",
        64,
        50,
        "saturated, with 50 additional clients that never read",
    ),
    Workload {
        name: "idle",
        description: "2,000 idle clients",
        clients: 2000,
        stalled_clients: 0,
        scenario: Scenario::Idle,
    },
    Workload {
        name: "joins",
        description: "1,000 clients connect at the same time",
        clients: 1000,
        stalled_clients: 0,
        scenario: Scenario::Joins,
    },
    Workload {
        name: "crowd",
        description: "10,000 clients, 10 of which together send 8 messages a second",
        clients: 10_000,
        stalled_clients: 0,
        scenario: Scenario::Load(LoadModel::OpenLoop {
            per_second: 8.0,
            senders: 10,
        }),
    },
];

/// Deliveries per second of [`cost`], the same as in fanout and crowd.
const COST_DELIVERIES: usize = 80_000;

/// Returns a workload with the deliveries of fanout and this number of clients.
pub fn cost(clients: usize) -> Workload {
    Workload {
        name: "cost",
        description: "80,000 deliveries a second",
        clients,
        stalled_clients: 0,
        scenario: Scenario::Load(LoadModel::OpenLoop {
            per_second: (COST_DELIVERIES / clients) as f64,
            senders: clients.min(10),
        }),
    }
}

/// Metrics by name. The name includes the unit.
pub type Metrics = BTreeMap<&'static str, f64>;

/// The results of one round.
pub struct Round {
    pub metrics: Metrics,
    pub delays: Histogram<u64>,
    /// Remarks that a reader needs to interpret the metrics.
    pub notes: Vec<String>,
}

impl Workload {
    /// Measures one round. In [`Scenario::Idle`] the memory is measured `settle` after the last client has connected.
    pub fn run(
        &self,
        source: &ServerSource,
        duration: Duration,
        settle: Duration,
        progress: &mut Progress,
    ) -> Result<Round> {
        let mut notes = Vec::new();
        let server = source.server(self.clients + self.stalled_clients);
        let load = match self.scenario {
            Scenario::Load(model) => Some(model),
            Scenario::Idle => None,
            Scenario::Joins => return self.run_joins(&server, notes),
        };
        let resident = || server.process.map(Process::resident_kib).transpose();
        let threads = || server.process.map(Process::threads).transpose();
        if load.is_none() {
            thread::sleep(RELEASE_TIME);
        }
        let (resident_before, threads_before) = (resident()?, threads()?);
        let memory_before = Snapshot::take(server.process)?;
        let start = Instant::now();
        let (mut pool, stalled) = self.connect(&server, progress, &mut notes)?;
        let connect_time = start.elapsed();
        let clients = pool.len();
        if clients == 0 {
            return Err(format!("{}: no clients: {}", self.name, notes.join("; ")).into());
        }
        pool.serve(if load.is_some() { SETTLE } else { settle })?;
        let (resident_idle, threads_idle) = (resident()?, threads()?);
        let memory_idle = Snapshot::take(server.process)?;
        let on_tick = |elapsed: Duration| {
            progress.update(|| format!("{:.1} s", elapsed.as_secs_f64()));
        };
        let measurement = load
            .map(|model| load_generator::run(&mut pool, model, duration, server.process, on_tick))
            .transpose()?;
        let mut metrics = Metrics::from([
            ("clients", clients as f64),
            ("connect_s", connect_time.as_secs_f64()),
            ("lost_clients", (clients - pool.len()) as f64),
        ]);
        let connections = (clients + stalled.len()) as f64;
        if let Some((before, idle)) = resident_before.zip(resident_idle) {
            let growth = idle as f64 - before as f64;
            metrics.insert("idle_kib_per_client", growth / connections);
        }
        if let Some((before, idle)) = threads_before.zip(threads_idle) {
            let growth = idle as f64 - before as f64;
            metrics.insert("threads_per_client", growth / connections);
        }
        if load.is_none() {
            metrics.insert("settle_s", settle.as_secs_f64());
            memory_idle.add_metrics(&memory_before, connections, &mut metrics);
        }
        if let Some(process) = server.process {
            metrics.insert("peak_rss_kib", process.peak_kib()? as f64);
        }
        let delays = match measurement {
            Some(measurement) => add_load_metrics(measurement, &mut metrics, &mut notes),
            None => Histogram::new(2)?,
        };
        if pool.len() < clients {
            notes.push(format!(
                "{} clients were disconnected",
                clients - pool.len()
            ));
        }
        Ok(Round {
            metrics,
            delays,
            notes,
        })
    }

    fn run_joins(&self, server: &Server, mut notes: Vec<String>) -> Result<Round> {
        let clients = self.allowed_clients(&mut notes);
        let joins = joins::measure(&server.endpoint, clients)?;
        let lost = clients - joins.greeted;
        if let Some(error) = joins.error {
            notes.push(format!("{lost} clients were not greeted: {error}"));
        }
        let mut metrics = Metrics::from([
            ("clients", joins.greeted as f64),
            ("lost_clients", lost as f64),
            ("last_greeting_ms", joins.last_greeting.as_secs_f64() * 1e3),
        ]);
        if let Some(process) = server.process {
            metrics.insert("peak_rss_kib", process.peak_kib()? as f64);
        }
        Ok(Round {
            metrics,
            delays: Histogram::new(2)?,
            notes,
        })
    }

    /// Returns the number of clients that the machine allows. Adds a note if that is fewer than the workload has.
    fn allowed_clients(&self, notes: &mut Vec<String>) -> usize {
        let requested = self.clients + self.stalled_clients;
        let (cap, note) = limits::cap_clients(requested as u64).unzip();
        notes.extend(note);
        cap.map_or(requested, |cap| cap as usize)
    }

    /// Connects the clients and the stalled clients, as many as the machine allows. Adds a note if that is fewer.
    fn connect(
        &self,
        server: &Server,
        progress: &mut Progress,
        notes: &mut Vec<String>,
    ) -> Result<(ClientPool, Vec<Connection>)> {
        let allowed = self.allowed_clients(notes);
        let (mut pool, mut stalled) = (ClientPool::new()?, Vec::new());
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        for count in 0..allowed {
            progress.update(|| format!("{count} of {allowed} clients"));
            let connection = match Instant::now() < deadline {
                true => Connection::open(&server.endpoint, None).map_err(|error| error.to_string()),
                false => Err(format!("timeout after {CONNECT_TIMEOUT:?}")),
            };
            match connection {
                Ok(connection) if stalled.len() < self.stalled_clients => stalled.push(connection),
                Ok(connection) => drop(pool.add(connection)?),
                Err(error) => {
                    notes.push(format!("{count} instead of {allowed} clients: {error}"));
                    break;
                }
            }
        }
        Ok((pool, stalled))
    }
}

/// Adds the metrics and notes of a measurement, and returns its delays.
pub fn add_load_metrics(
    measurement: Measurement,
    metrics: &mut Metrics,
    notes: &mut Vec<String>,
) -> Histogram<u64> {
    let deliveries = measurement.deliveries as f64;
    let delays = measurement.delays;
    let quantile_us = |quantile| delays.value_at_quantile(quantile) as f64 / 1e3;
    metrics.extend([
        (
            "deliveries_per_s",
            deliveries / measurement.elapsed.as_secs_f64(),
        ),
        ("p50_us", quantile_us(0.5)),
        ("p99_us", quantile_us(0.99)),
        ("p99_9_us", quantile_us(0.999)),
        ("max_us", delays.max() as f64 / 1e3),
        ("missing", measurement.missing as f64),
        ("generator_cores", measurement.generator_cores),
    ]);
    if let Some(cpu_time) = measurement.cpu_time {
        let per_delivery = cpu_time.as_secs_f64() * 1e6 / deliveries.max(1.0);
        metrics.insert("cpu_us_per_delivery", per_delivery);
    }
    if let Some(switches) = measurement.switches_per_delivery {
        metrics.insert("switches_per_delivery", switches);
    }
    if measurement.missing > 0 {
        notes.push(format!("{} deliveries are missing", measurement.missing));
    }
    const BUSY: f64 = 0.95;
    if measurement.generator_cores > BUSY {
        notes.push(
            "the load generator used a full core; the server might be capable of more".into(),
        );
    }
    delays
}
