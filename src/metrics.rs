//! What the server counts for `GET /metrics`, and Prometheus' text format for it. Plain data: each dispatcher counts for
//! itself, and reports when it is asked, so that nothing is locked for a message.

#[cfg(feature = "cluster")]
mod cluster;

use std::collections::BTreeMap;
use std::fmt::Write;

#[cfg(feature = "cluster")]
pub(crate) use self::cluster::ClusterMetrics;

/// The bounds of the sizes of batches in events. A batch has at most 1024.
const BATCH_BOUNDS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1024];

/// The bounds of delays in microseconds.
const DELAY_BOUNDS: [u64; 14] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000,
];

/// A number of events by a reason or status.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// A distribution of values. Integers, because the code that formats floating-point numbers takes 15 KB.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram {
    bounds: &'static [u64],
    /// The number of values in a unit of the text.
    scale: u64,
    /// The number of values up to each bound and above the one before, and of those above all bounds.
    counts: Vec<u64>,
    sum: u64,
}

impl Histogram {
    fn new(bounds: &'static [u64], scale: u64) -> Histogram {
        Histogram {
            bounds,
            scale,
            counts: vec![0; bounds.len() + 1],
            sum: 0,
        }
    }

    pub(crate) fn record(&mut self, value: u64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        self.counts[index] += 1;
        self.sum += value;
    }

    fn add(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }
}

/// What one or more dispatchers have counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChatMetrics {
    /// The open WebSockets, echo clients included.
    pub(crate) clients: u64,
    /// The bytes queued for them.
    pub(crate) queued_bytes: u64,
    /// The messages that clients sent.
    pub(crate) received: u64,
    /// The messages and events sent to clients, each counted once for each receiver.
    pub(crate) deliveries: u64,
    /// Their bytes.
    pub(crate) sent_bytes: u64,
    pub(crate) disconnects: Counts,
    /// The events in each batch.
    pub(crate) batches: Histogram,
    /// The time of each message from the inbox to the sockets, in microseconds.
    pub(crate) delays: Histogram,
}

impl Default for ChatMetrics {
    fn default() -> ChatMetrics {
        ChatMetrics {
            clients: 0,
            queued_bytes: 0,
            received: 0,
            deliveries: 0,
            sent_bytes: 0,
            disconnects: Counts::new(),
            batches: Histogram::new(&BATCH_BOUNDS, 1),
            delays: Histogram::new(&DELAY_BOUNDS, 1_000_000),
        }
    }
}

impl ChatMetrics {
    /// Adds what another dispatcher has counted.
    pub(crate) fn add(&mut self, other: &ChatMetrics) {
        self.clients += other.clients;
        self.queued_bytes += other.queued_bytes;
        self.received += other.received;
        self.deliveries += other.deliveries;
        self.sent_bytes += other.sent_bytes;
        for (reason, count) in &other.disconnects {
            *self.disconnects.entry(reason).or_default() += count;
        }
        self.batches.add(&other.batches);
        self.delays.add(&other.delays);
    }
}

/// Everything that `GET /metrics` tells.
pub(crate) struct Report {
    pub(crate) chat: ChatMetrics,
    /// The rooms with a dispatcher, `/chat` included.
    pub(crate) rooms: usize,
    /// The threads that write to clients that have fallen behind, of the whole process.
    pub(crate) writers: usize,
    /// The refused requests by status.
    pub(crate) rejected: Counts,
    /// `None`: this server is alone.
    #[cfg(feature = "cluster")]
    pub(crate) cluster: Option<ClusterMetrics>,
}

impl Report {
    /// Formats the report as text (Prometheus' exposition format 0.0.4).
    pub(crate) fn format(&self) -> String {
        let Report {
            chat,
            rooms,
            writers,
            rejected,
            ..
        } = self;
        let mut text = Exposition(String::new());
        text.value("clients", "gauge", "Open WebSockets.", chat.clients);
        text.value("rooms", "gauge", "Rooms with a dispatcher.", *rooms as u64);
        text.value(
            "queued_bytes",
            "gauge",
            "Bytes queued for clients that have fallen behind.",
            chat.queued_bytes,
        );
        text.value(
            "writer_threads",
            "gauge",
            "Threads that write to clients that have fallen behind.",
            *writers as u64,
        );
        text.value(
            "messages_received_total",
            "counter",
            "Messages from clients.",
            chat.received,
        );
        text.value(
            "deliveries_total",
            "counter",
            "Messages and events to clients, once for each receiver.",
            chat.deliveries,
        );
        text.value(
            "sent_bytes_total",
            "counter",
            "Bytes of the deliveries.",
            chat.sent_bytes,
        );
        text.counts(
            "disconnects_total",
            "Ended connections.",
            "reason",
            &chat.disconnects,
        );
        text.counts(
            "rejected_requests_total",
            "Refused requests.",
            "status",
            rejected,
        );
        text.histogram("batch_events", "Events in a batch.", &chat.batches);
        text.histogram(
            "inbox_to_socket_seconds",
            "Time of a message from a dispatcher's inbox to the sockets of all receivers.",
            &chat.delays,
        );
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster {
            text.cluster(cluster);
        }
        text.0
    }
}

/// A text in the exposition format. All names begin with `threadchat_`.
struct Exposition(String);

impl Exposition {
    /// Appends a line. Writing to a String cannot fail.
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    fn describe(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP threadchat_{name} {help}"));
        self.line(format_args!("# TYPE threadchat_{name} {kind}"));
    }

    fn value(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.describe(name, kind, help);
        self.line(format_args!("threadchat_{name} {value}"));
    }

    fn counts(&mut self, name: &str, help: &str, label: &str, counts: &Counts) {
        self.describe(name, "counter", help);
        for (value, count) in counts {
            self.line(format_args!(
                "threadchat_{name}{{{label}=\"{value}\"}} {count}"
            ));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.describe(name, "histogram", help);
        let mut total = 0;
        let decimal = |value: u64| decimal(value, histogram.scale);
        let bounds = histogram.bounds.iter().map(|bound| decimal(*bound));
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&histogram.counts) {
            total += count;
            self.line(format_args!(
                "threadchat_{name}_bucket{{le=\"{bound}\"}} {total}"
            ));
        }
        self.line(format_args!(
            "threadchat_{name}_sum {}",
            decimal(histogram.sum)
        ));
        self.line(format_args!("threadchat_{name}_count {total}"));
    }
}

/// Formats a value in units of `scale`, which is 1 or a million.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, fraction) = (value / scale, value % scale);
    match fraction {
        0 => whole.to_string(),
        _ => format!("{whole}.{fraction:06}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_their_bound() {
        let mut histogram = Histogram::new(&[1_000_000, 2_000_000], 1_000_000);
        for value in [500_000, 1_000_000, 1_500_001, 2_000_000, 9_000_000] {
            histogram.record(value);
        }
        let mut text = Exposition(String::new());
        text.histogram("x", "X.", &histogram);
        assert_eq!(
            text.0.lines().collect::<Vec<_>>(),
            [
                "# HELP threadchat_x X.",
                "# TYPE threadchat_x histogram",
                "threadchat_x_bucket{le=\"1\"} 2",
                "threadchat_x_bucket{le=\"2\"} 4",
                "threadchat_x_bucket{le=\"+Inf\"} 5",
                "threadchat_x_sum 14.000001",
                "threadchat_x_count 5",
            ]
        );
    }

    #[test]
    fn the_metrics_of_dispatchers_add_up() {
        let mut one = ChatMetrics {
            clients: 1,
            received: 2,
            disconnects: [("shutdown", 3)].into(),
            ..ChatMetrics::default()
        };
        one.batches.record(7);
        let mut sum = one.clone();
        sum.add(&one);
        assert_eq!((sum.clients, sum.received), (2, 4));
        assert_eq!(sum.disconnects["shutdown"], 6);
        assert_eq!((sum.batches.counts[3], sum.batches.sum), (2, 14));
    }
}
