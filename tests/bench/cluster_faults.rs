//! The time for which a dead node's users stay, and the time of a start with a long log.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Result;
use crate::client_pool::ClientPool;
use crate::cluster_nodes::ClusterNodes;
use crate::connection::Connection;
use crate::frame;
use crate::startup;
use crate::workload::{Metrics, Round, Scenario, Workload};

pub const WORKLOAD: Workload = Workload {
    name: "faults",
    description: "a node is killed; a node starts with a long log",
    clients: 0,
    stalled_clients: 0,
    scenario: Scenario::Idle,
};

/// Users of the node that dies.
const USERS: usize = 10;

/// Entries of a log whose first snapshot is almost a period old. The second one would remove its beginning.
const FULL_LOG: i64 = 19_900;

/// Messages between two looks at the length of the log.
const LOOK: usize = 100;

/// Time after the last handshake until all nodes know the users.
const SETTLE: Duration = Duration::from_millis(500);

const TIMEOUT: Duration = Duration::from_secs(120);

/// A message, as long as those of the load generator.
const MESSAGE: &[u8] = b"~...............................";

pub fn measure() -> Result<Round> {
    let mut metrics = Metrics::new();
    let stay = time_until_users_leave()?;
    metrics.insert("dead_node_s", stay.as_secs_f64());
    measure_starts(&mut metrics)?;
    Ok(Round {
        metrics,
        delays: Histogram::new(2)?,
        notes: Vec::new(),
    })
}

/// Kills a node. Returns the time until a client of the other node is told that the last of its users has left.
fn time_until_users_leave() -> Result<Duration> {
    let mut nodes = ClusterNodes::start(2, USERS)?;
    let mut witness = ClientPool::new()?;
    let json = Connection::open(&nodes.servers[0].endpoint, Some("threadchat.json"))?;
    let slot = witness.add(json)?;
    let mut users = ClientPool::new()?;
    for _ in 0..USERS {
        users.add(Connection::open(&nodes.servers[1].endpoint, None)?)?;
    }
    users.serve(SETTLE)?;
    witness.serve(SETTLE)?;
    let died = Instant::now();
    // A started server is killed when it is dropped.
    drop(nodes.servers.pop());
    let mut left = 0;
    receive_until(&mut witness, slot, |payload| {
        left += usize::from(payload.starts_with(br#"{"type":"left","#));
        left == USERS
    })?;
    Ok(died.elapsed())
}

/// Measures the start of a node on a log that has just begun, and on one with nearly a period of entries behind its snapshot.
fn measure_starts(metrics: &mut Metrics) -> Result<()> {
    let nodes = ClusterNodes::start(1, 2)?;
    let start = |name: &str| -> Result<f64> {
        let options = nodes.options(name);
        let options = options.each_ref().map(String::as_str);
        let (_server, greeted) = startup::greet_first(&options)?;
        Ok(greeted.as_secs_f64() * 1e3)
    };
    metrics.insert("start_empty_ms", start("early")?);
    let before = nodes.used_memory();
    let filled = Instant::now();
    let messages = fill_log(&nodes)?;
    let round_trip = filled.elapsed().as_secs_f64() * 1e6 / messages as f64;
    metrics.insert("one_client_round_trip_us", round_trip);
    let (behind, bytes) = nodes.behind_snapshot()?;
    metrics.insert("start_ms", start("late")?);
    metrics.insert("entries_behind", behind as f64);
    metrics.insert("bytes_per_entry", bytes as f64 / behind as f64);
    nodes.add_memory(metrics);
    metrics.insert("redis_grown_kib", (nodes.used_memory() - before) / 1024.0);
    Ok(())
}

/// Sends messages one after the other, so that each is an entry. Returns their number.
fn fill_log(nodes: &ClusterNodes) -> Result<usize> {
    let mut pool = ClientPool::new()?;
    let slot = pool.add(Connection::open(&nodes.servers[0].endpoint, None)?)?;
    let mut messages = 0;
    while nodes.log_length() < FULL_LOG {
        for _ in 0..LOOK {
            pool.send(slot, frame::TEXT, MESSAGE)?;
            receive_until(&mut pool, slot, |payload| payload.ends_with(MESSAGE))?;
        }
        messages += LOOK;
    }
    Ok(messages)
}

/// Receives until a text is the last one that is expected.
fn receive_until(
    pool: &mut ClientPool,
    slot: usize,
    mut is_last: impl FnMut(&[u8]) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let mut ready = Vec::new();
    let mut is_done = false;
    while !is_done {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err("cluster: timeout waiting for a message".into());
        }
        pool.wait(remaining, &mut ready)?;
        if !ready.is_empty() {
            pool.receive(slot, |opcode, payload, _| {
                is_done |= opcode == frame::TEXT && is_last(payload);
            })?;
        }
    }
    Ok(())
}
