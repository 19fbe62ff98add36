//! The report of the results, as text and as JSON.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::Result;
use crate::workload::{Metrics, Round, Workload};

/// The results of all rounds of one workload.
pub struct Summary {
    pub workload: Workload,
    pub rounds: Vec<Metrics>,
    /// Median of each metric over the rounds, or the maximum for those in [`REPORT_MAX`].
    pub median: Metrics,
    /// Delays of all rounds, in nanoseconds.
    pub delays: Histogram<u64>,
    pub notes: Vec<String>,
}

/// Metrics reported as the maximum of all rounds.
const REPORT_MAX: [&str; 3] = ["max_us", "missing", "lost_clients"];

struct Column {
    title: &'static str,
    unit: &'static str,
    metric: &'static str,
    /// Divisor that converts the metric to the column's unit.
    scale: f64,
    digits: usize,
}

const fn column(
    title: &'static str,
    unit: &'static str,
    metric: &'static str,
    scale: f64,
    digits: usize,
) -> Column {
    Column {
        title,
        unit,
        metric,
        scale,
        digits,
    }
}

const COLUMNS: [Column; 11] = [
    column("clients", "", "clients", 1.0, 0),
    column("deliveries", "/s", "deliveries_per_s", 1.0, 0),
    column("p50", "ms", "p50_us", 1e3, 2),
    column("p99", "ms", "p99_us", 1e3, 2),
    column("p99.9", "ms", "p99_9_us", 1e3, 2),
    column("max", "ms", "max_us", 1e3, 2),
    column("CPU", "µs/delivery", "cpu_us_per_delivery", 1.0, 3),
    column("switches", "/delivery", "switches_per_delivery", 1.0, 3),
    column("idle RSS", "KiB/client", "idle_kib_per_client", 1.0, 1),
    column("peak RSS", "MiB", "peak_rss_kib", 1024.0, 1),
    column("threads", "/client", "threads_per_client", 1.0, 2),
];

/// Minimum number of clients for a useful memory figure per client. With fewer, the memory of the process itself
/// dominates.
const MIN_CLIENTS_FOR_RSS: f64 = 500.0;

impl Summary {
    pub fn new(workload: Workload, rounds: Vec<Round>) -> Result<Summary> {
        let mut all = Vec::new();
        let (mut delays, mut notes) = (Histogram::new(2)?, Vec::<String>::new());
        delays.auto(true);
        for round in rounds {
            delays.add(&round.delays)?;
            all.push(round.metrics);
            notes.extend(round.notes);
        }
        notes.sort();
        notes.dedup();
        let names = all.iter().flat_map(|metrics| metrics.keys().copied());
        let median = names
            .map(|name| {
                let mut values: Vec<f64> = all
                    .iter()
                    .filter_map(|metrics| metrics.get(name).copied())
                    .collect();
                let median = median(&mut values);
                let max = values.last().copied().unwrap_or(median);
                let reported = if REPORT_MAX.contains(&name) {
                    max
                } else {
                    median
                };
                (name, reported)
            })
            .collect();
        Ok(Summary {
            workload,
            rounds: all,
            median,
            delays,
            notes,
        })
    }

    fn has_enough_clients_for_rss(&self) -> bool {
        self.median.get("clients") >= Some(&MIN_CLIENTS_FOR_RSS)
    }

    fn cell(&self, column: &Column) -> String {
        let is_hidden =
            column.metric == "idle_kib_per_client" && !self.has_enough_clients_for_rss();
        match self.median.get(column.metric) {
            Some(value) if !is_hidden => format_number(value / column.scale, column.digits),
            _ => "–".into(),
        }
    }

    /// Describes the metrics of a single workload, for which the table has no columns.
    fn details(&self) -> Option<String> {
        let number = |name| Some(format_number(*self.median.get(name)?, 1));
        if let Some(median) = number("last_greeting_ms") {
            let rounds = self.rounds.iter();
            let max = rounds
                .filter_map(|metrics| metrics.get("last_greeting_ms").copied())
                .fold(0.0, f64::max);
            let max = format_number(max, 1);
            return Some(format!(
                "last greeting after {median} ms (median), {max} ms (maximum of the rounds)"
            ));
        }
        if let Some(entries) = number("entries_per_s") {
            return self.cluster_details(&entries);
        }
        if let Some(stay) = number("dead_node_s") {
            let (behind, start) = (number("entries_behind")?, number("start_ms")?);
            let (entries, log) = (number("log_entries")?, number("log_kib")?);
            return Some(format!(
                "users of a dead node leave after {stay} s; first greeting {} ms after exec, with {behind} entries \
                 behind the snapshot {start} ms; {entries} entries take {log} KiB of Redis",
                number("start_empty_ms")?
            ));
        }
        let machine =
            number("machine_kib_per_client").filter(|_| self.has_enough_clients_for_rss())?;
        let available = number("available_kib_per_client")?;
        let shares = number("idle_kib_per_client")
            .zip(number("kernel_kib_per_client"))
            .map(|(process, kernel)| format!("process {process}, kernel {kernel}, "))
            .unwrap_or_default();
        let settle = self.median.get("settle_s")?;
        Some(format!(
            "KiB/client {settle:.0} s after the last join: {shares}together {machine} (by MemAvailable {available})"
        ))
    }

    /// Describes the metrics of nodes with a log.
    fn cluster_details(&self, entries_per_second: &str) -> Option<String> {
        let number = |name, digits| Some(format_number(*self.median.get(name)?, digits));
        let idle = number("idle_node_us_per_message", 1);
        let idle = idle.map_or(String::new(), |idle| {
            format!(", node without clients {idle}")
        });
        Some(format!(
            "{} of the deliveries alone, {} µs later; {entries_per_second} entries/s of {} messages; CPU in µs/message: nodes {}{idle}, Redis {}",
            number("deliveries_ratio", 2)?,
            number("added_p50_us", 0)?,
            number("messages_per_entry", 1)?,
            number("node_us_per_message", 1)?,
            number("redis_us_per_message", 1)?,
        ))
    }
}

/// Sorts the values and returns their median.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns a table with one row per workload, followed by the descriptions and notes of the workloads.
pub fn table(summaries: &[Summary]) -> String {
    let mut rows = vec![vec![String::new()], vec!["workload".to_owned()]];
    rows[0].extend(COLUMNS.iter().map(|column| column.title.to_owned()));
    rows[1].extend(COLUMNS.iter().map(|column| column.unit.to_owned()));
    for summary in summaries {
        let cells = COLUMNS.iter().map(|column| summary.cell(column));
        rows.push(
            std::iter::once(summary.workload.name.to_owned())
                .chain(cells)
                .collect(),
        );
    }
    let width = |index: usize| rows.iter().map(|row| row[index].chars().count()).max();
    let widths: Vec<usize> = (0..=COLUMNS.len()).filter_map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            // Writing to a String does not fail.
            let _ = write!(line, "  {cell:>width$}");
        }
        text = text + line.trim_end() + "\n";
    }
    text.push('\n');
    for summary in summaries {
        let Workload {
            name, description, ..
        } = summary.workload;
        let _ = writeln!(text, "{name:<9}  {description}");
        if let Some(details) = summary.details() {
            let _ = writeln!(text, "{:<9}  {details}", "");
        }
        for note in &summary.notes {
            let _ = writeln!(text, "{:<9}  ! {note}", "");
        }
    }
    text
}

pub fn startup_line(metrics: &Metrics) -> String {
    let number = |name| format_number(metrics.get(name).copied().unwrap_or(f64::NAN), 1);
    format!(
        "start-up: first greeting {} ms after exec, binary {} KiB, {} KiB resident before the first client\n",
        number("first_greeting_ms"),
        number("binary_kib"),
        number("rss_before_clients_kib")
    )
}

pub fn json(summaries: &[Summary], startup: Option<&Metrics>, cost: &[Summary]) -> Value {
    let as_json = |summary: &Summary| {
        json!({
            "workload": summary.workload.name,
            "what": summary.workload.description,
            "median": summary.median,
            "rounds": summary.rounds,
            "notes": summary.notes,
        })
    };
    let list = |summaries: &[Summary]| summaries.iter().map(as_json).collect::<Vec<_>>();
    json!({ "workloads": list(summaries), "startup": startup, "cost": list(cost) })
}

/// Formats a number with commas between groups of three digits.
pub fn format_number(value: f64, digits: usize) -> String {
    let plain = format!("{value:.digits$}");
    let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}
