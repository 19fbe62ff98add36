//! What the nodes of a chat count about its log.

use std::time::Duration;

use super::{DELAY_BOUNDS, Exposition, Histogram};

/// What the nodes' logs of one or more rooms have brought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClusterMetrics {
    /// The highest incarnation.
    pub(crate) incarnation: u64,
    /// How often a room has lost its place in its log.
    pub(crate) losses: u64,
    appended: u64,
    appended_bytes: u64,
    read: u64,
    read_bytes: u64,
    /// The age of the newest entry when it was read, in milliseconds.
    lag: u64,
    /// The time of an append until the server's reply, in microseconds.
    appends: Histogram,
    /// The time of a batch until it has come back.
    round_trips: Histogram,
}

impl Default for ClusterMetrics {
    fn default() -> ClusterMetrics {
        ClusterMetrics {
            incarnation: 0,
            losses: 0,
            appended: 0,
            appended_bytes: 0,
            read: 0,
            read_bytes: 0,
            lag: 0,
            appends: Histogram::new(&DELAY_BOUNDS, 1_000_000),
            round_trips: Histogram::new(&DELAY_BOUNDS, 1_000_000),
        }
    }
}

impl ClusterMetrics {
    /// Counts an appended entry of this many bytes.
    pub(crate) fn count_append(&mut self, bytes: usize, latency: Duration) {
        self.appended += 1;
        self.appended_bytes += bytes as u64;
        self.appends.record(latency.as_micros() as u64);
    }

    /// Counts an entry that was read at this age.
    pub(crate) fn count_read(&mut self, bytes: usize, lag: Duration) {
        self.read += 1;
        self.read_bytes += bytes as u64;
        self.lag = lag.as_millis() as u64;
    }

    /// Counts a batch of this node that has come back.
    pub(crate) fn count_round_trip(&mut self, latency: Duration) {
        self.round_trips.record(latency.as_micros() as u64);
    }

    /// Returns what stays of a room that has ended: the counters.
    pub(crate) fn ended(self) -> ClusterMetrics {
        ClusterMetrics {
            incarnation: 0,
            lag: 0,
            ..self
        }
    }

    /// Adds what another room has counted.
    pub(crate) fn add(&mut self, other: &ClusterMetrics) {
        self.incarnation = self.incarnation.max(other.incarnation);
        self.losses += other.losses;
        self.appended += other.appended;
        self.appended_bytes += other.appended_bytes;
        self.read += other.read;
        self.read_bytes += other.read_bytes;
        self.lag = self.lag.max(other.lag);
        self.appends.add(&other.appends);
        self.round_trips.add(&other.round_trips);
    }
}

impl Exposition {
    /// Appends everything about the log.
    pub(super) fn cluster(&mut self, cluster: &ClusterMetrics) {
        for (name, kind, help, value) in [
            (
                "cluster_incarnation",
                "gauge",
                "Number of this node's stay in the log.",
                cluster.incarnation,
            ),
            (
                "cluster_losses_total",
                "counter",
                "How often a room has lost its place in its log.",
                cluster.losses,
            ),
            (
                "cluster_appended_entries_total",
                "counter",
                "Entries appended to logs.",
                cluster.appended,
            ),
            (
                "cluster_appended_bytes_total",
                "counter",
                "Bytes of the appended entries.",
                cluster.appended_bytes,
            ),
            (
                "cluster_read_entries_total",
                "counter",
                "Entries read from logs, those of all nodes.",
                cluster.read,
            ),
            (
                "cluster_read_bytes_total",
                "counter",
                "Bytes of the read entries.",
                cluster.read_bytes,
            ),
            (
                "cluster_lag_milliseconds",
                "gauge",
                "Age of the newest entry when it was read, by this machine's clock.",
                cluster.lag,
            ),
        ] {
            self.value(name, kind, help, value);
        }
        self.histogram(
            "cluster_append_seconds",
            "Time of an append until the server's reply.",
            &cluster.appends,
        );
        self.histogram(
            "cluster_round_trip_seconds",
            "Time of a batch until it has come back from the log.",
            &cluster.round_trips,
        );
    }
}
