//! What was measured, for people and for programs.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::Result;
use crate::workload::{Figures, Round, Workload};

/// What all rounds of one workload gave.
pub struct Outcome {
    pub workload: Workload,
    pub rounds: Vec<Figures>,
    /// Of each figure over the rounds, except where only the worst is worth telling.
    pub median: Figures,
    /// Of all rounds together, in nanoseconds.
    pub delays: Histogram<u64>,
    pub notes: Vec<String>,
}

/// Figures of which the largest of all rounds is told.
const WORST: [&str; 3] = ["max_us", "missing", "lost_clients"];

struct Column {
    title: &'static str,
    unit: &'static str,
    figure: &'static str,
    /// What one unit is, in that of the figure.
    scale: f64,
    digits: usize,
}

const fn column(
    title: &'static str,
    unit: &'static str,
    figure: &'static str,
    scale: f64,
    digits: usize,
) -> Column {
    Column {
        title,
        unit,
        figure,
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

/// With fewer clients the memory of one is lost in that of the process.
const ENOUGH_FOR_RSS: f64 = 500.0;

impl Outcome {
    pub fn new(workload: Workload, rounds: Vec<Round>) -> Result<Outcome> {
        let mut all = Vec::new();
        let (mut delays, mut notes) = (Histogram::new(2)?, Vec::<String>::new());
        delays.auto(true);
        for round in rounds {
            delays.add(&round.delays)?;
            all.push(round.figures);
            notes.extend(round.notes);
        }
        notes.sort();
        notes.dedup();
        let names = all.iter().flat_map(|figures| figures.keys().copied());
        let median = names
            .map(|name| {
                let mut values: Vec<f64> = all
                    .iter()
                    .filter_map(|figures| figures.get(name).copied())
                    .collect();
                let middle = median(&mut values);
                let worst = values.last().copied().unwrap_or(middle);
                (name, if WORST.contains(&name) { worst } else { middle })
            })
            .collect();
        Ok(Outcome {
            workload,
            rounds: all,
            median,
            delays,
            notes,
        })
    }

    fn cell(&self, column: &Column) -> String {
        let hidden = column.figure == "idle_kib_per_client"
            && self.median.get("clients") < Some(&ENOUGH_FOR_RSS);
        match self.median.get(column.figure) {
            Some(value) if !hidden => grouped(value / column.scale, column.digits),
            _ => "–".into(),
        }
    }
}

/// The one in the middle; the values are sorted afterwards.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One line for each workload, and what must be known about them below.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![vec![String::new()], vec!["workload".to_owned()]];
    rows[0].extend(COLUMNS.iter().map(|column| column.title.to_owned()));
    rows[1].extend(COLUMNS.iter().map(|column| column.unit.to_owned()));
    for outcome in outcomes {
        let cells = COLUMNS.iter().map(|column| outcome.cell(column));
        rows.push(
            std::iter::once(outcome.workload.name.to_owned())
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
    for outcome in outcomes {
        let _ = writeln!(
            text,
            "{:<9}  {}",
            outcome.workload.name, outcome.workload.what
        );
        for note in &outcome.notes {
            let _ = writeln!(text, "{:<9}  ! {note}", "");
        }
    }
    text
}

pub fn startup_line(figures: &Figures) -> String {
    let figure = |name| grouped(figures.get(name).copied().unwrap_or(f64::NAN), 1);
    format!(
        "start-up: first greeting {} ms after exec, binary {} KiB, {} KiB resident before the first client\n",
        figure("first_greeting_ms"),
        figure("binary_kib"),
        figure("rss_before_clients_kib")
    )
}

pub fn json(outcomes: &[Outcome], startup: Option<&Figures>, costs: &[Outcome]) -> Value {
    let as_json = |outcome: &Outcome| {
        json!({
            "workload": outcome.workload.name,
            "what": outcome.workload.what,
            "median": outcome.median,
            "rounds": outcome.rounds,
            "notes": outcome.notes,
        })
    };
    let list = |outcomes: &[Outcome]| outcomes.iter().map(as_json).collect::<Vec<_>>();
    json!({ "workloads": list(outcomes), "startup": startup, "cost": list(costs) })
}

/// A number with its thousands apart.
pub fn grouped(value: f64, digits: usize) -> String {
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
