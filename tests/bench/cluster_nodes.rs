//! The nodes of one chat with a Redis of their own, and what they use.

use std::io;
use std::time::Duration;

use crate::Result;
use crate::process::Process;
use crate::redis::{RedisServer, Reply};
use crate::server::Server;
use crate::workload::Metrics;

/// The keys of `/chat`.
const LOG: &str = "threadchat:{/chat}:log";
const SNAPSHOT: &str = "threadchat:{/chat}:snapshot";

pub struct ClusterNodes {
    pub servers: Vec<Server>,
    /// Stops after the nodes, because it is dropped after them.
    redis: Option<RedisServer>,
}

/// What nodes and Redis have used so far.
pub struct Counters {
    /// CPU time of each node.
    pub nodes: Vec<Duration>,
    /// CPU time of Redis.
    pub redis: Duration,
    /// Entries of the log.
    pub entries: f64,
}

impl Counters {
    pub fn since(&self, before: &Counters) -> Counters {
        let nodes = self.nodes.iter().zip(&before.nodes);
        Counters {
            nodes: nodes.map(|(after, before)| *after - *before).collect(),
            redis: self.redis - before.redis,
            entries: self.entries - before.entries,
        }
    }
}

impl ClusterNodes {
    /// Starts one server without Redis that accepts this number of clients.
    pub fn alone(clients: usize) -> ClusterNodes {
        ClusterNodes {
            servers: vec![Server::start(&["--max-connections", &clients.to_string()])],
            redis: None,
        }
    }

    /// Starts nodes that accept this number of clients each.
    ///
    /// # Errors
    ///
    /// redis-server is not installed.
    pub fn start(count: usize, clients: usize) -> Result<ClusterNodes> {
        // As operations.md starts it: with an append-only file that is synchronised each second.
        let redis = RedisServer::with_args(&["--appendfsync", "everysec"]);
        let redis = redis.ok_or("cluster: redis-server is not installed")?;
        let clients = clients.to_string();
        let server = |number| {
            let address = redis.url(&format!("node{number}"));
            Server::start(&["--cluster", &address, "--max-connections", &clients])
        };
        Ok(ClusterNodes {
            servers: (0..count).map(server).collect(),
            redis: Some(redis),
        })
    }

    /// Returns the options of a further node.
    pub fn options(&self, name: &str) -> [String; 2] {
        ["--cluster".into(), self.redis().url(name)]
    }

    pub fn counters(&self) -> Result<Counters> {
        let processes = self.servers.iter().filter_map(|server| server.process);
        let nodes = processes
            .map(Process::threads_cpu_time)
            .collect::<io::Result<_>>()?;
        let Some(redis) = &self.redis else {
            return Ok(Counters {
                nodes,
                redis: Duration::ZERO,
                entries: 0.0,
            });
        };
        let info = redis.command(&["INFO", "cpu"]).text();
        let seconds = info_field(&info, "used_cpu_sys:") + info_field(&info, "used_cpu_user:");
        Ok(Counters {
            nodes,
            redis: Duration::from_secs_f64(seconds),
            entries: self.entries_added(),
        })
    }

    /// Adds the memory of the log and of the snapshot in Redis.
    pub fn add_memory(&self, metrics: &mut Metrics) {
        if self.redis.is_some() {
            metrics.extend([
                ("log_entries", self.log_length() as f64),
                ("log_kib", self.memory(LOG) / 1024.0),
                ("snapshot_kib", self.memory(SNAPSHOT) / 1024.0),
                ("redis_kib", self.used_memory() / 1024.0),
            ]);
        }
    }

    /// Returns the number of entries in the log.
    pub fn log_length(&self) -> i64 {
        self.redis().number(&["XLEN", LOG])
    }

    /// Returns the memory that Redis uses in bytes.
    pub fn used_memory(&self) -> f64 {
        let info = self.redis().command(&["INFO", "memory"]).text();
        info_field(&info, "used_memory:")
    }

    /// Returns the number and the bytes of the entries behind the snapshot.
    ///
    /// # Errors
    ///
    /// There is no snapshot.
    pub fn behind_snapshot(&self) -> Result<(usize, usize)> {
        let newest = ["XREVRANGE", SNAPSHOT, "+", "-", "COUNT", "1"];
        let newest = entries(self.redis().command(&newest));
        let (id, _) = newest.first().ok_or("there is no snapshot")?;
        let behind = self
            .redis()
            .command(&["XRANGE", LOG, &format!("({id}"), "+"]);
        let behind = entries(behind);
        let bytes = behind.iter().map(|(_, bytes)| bytes).sum();
        Ok((behind.len(), bytes))
    }

    fn entries_added(&self) -> f64 {
        let Reply::List(fields) = self.redis().command(&["XINFO", "STREAM", LOG]) else {
            return f64::NAN;
        };
        let mut pairs = fields.chunks_exact(2);
        let added = pairs.find_map(|pair| match pair {
            [Reply::Bulk(Some(name)), Reply::Number(number)] if name == b"entries-added" => {
                Some(*number as f64)
            }
            _ => None,
        });
        added.unwrap_or(f64::NAN)
    }

    /// Returns the memory of a key in bytes.
    fn memory(&self, key: &str) -> f64 {
        match (self.redis()).command(&["MEMORY", "USAGE", key, "SAMPLES", "0"]) {
            Reply::Number(bytes) => bytes as f64,
            // There is no such key.
            _ => 0.0,
        }
    }

    fn redis(&self) -> &RedisServer {
        // Only the server alone has none, and nobody asks for its log.
        self.redis.as_ref().expect("the nodes have a Redis")
    }
}

/// Returns the number after `key` at the start of a line.
fn info_field(info: &str, key: &str) -> f64 {
    let value = info.lines().find_map(|line| line.strip_prefix(key));
    let number = value.and_then(|value| value.trim().parse().ok());
    number.unwrap_or(f64::NAN)
}

/// Returns the ids of entries and the lengths of their only values.
fn entries(reply: Reply) -> Vec<(String, usize)> {
    let Reply::List(entries) = reply else {
        return Vec::new();
    };
    let entry = |entry: &Reply| {
        let Reply::List(parts) = entry else {
            return None;
        };
        let [id, Reply::List(fields)] = &parts[..] else {
            return None;
        };
        match fields.get(1)? {
            Reply::Bulk(Some(value)) => Some((id.text(), value.len())),
            _ => None,
        }
    };
    entries.iter().filter_map(entry).collect()
}
