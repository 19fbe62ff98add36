//! Measures the server as a whole process over loopback: `cargo bench`, and `cargo bench -- --help` for what else.
//!
//! The clients of a workload ([`workload`]) are served by one thread: a crowd ([`crowd`]) of connections
//! ([`connection`]) that chats in a pattern ([`load`]). It is busy with little beside the system calls, so that on two
//! cores it is the server that is measured; where it is not, the table says so. The soak ([`soak`]) uses the same crowd
//! to check that nothing is lost, doubled or reordered while other clients misbehave.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("the benchmark reads /proc and waits by epoll: it needs Linux");

mod chatters;
mod connection;
mod crowd;
mod frame;
mod hostile;
mod ledger;
mod limits;
mod load;
mod options;
mod plots;
mod process;
mod progress;
mod report;
mod server;
mod slow;
mod soak;
mod startup;
#[path = "../support/mod.rs"]
mod support;
mod workload;

use std::fs;
use std::process::ExitCode;

use options::{Command, Measure, STARTUP};
use progress::Progress;
use report::Outcome;
use server::Source;
use workload::{WORKLOADS, Workload};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    if std::env::args_os().len() == 1 {
        // `cargo test --all-targets` runs benchmarks too, but without the `--bench` that `cargo bench` gives them.
        println!("only `cargo bench` measures");
        return ExitCode::SUCCESS;
    }
    let command = match Command::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("bench: {error} (--help lists the options)");
            return ExitCode::from(2);
        }
    };
    support::raise_nofile_limit();
    let done = match command {
        Command::Print(text) => {
            print!("{text}");
            Ok(())
        }
        Command::Measure(measure) => measure_all(&measure),
        Command::Soak { length } => soak::run(length),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(measure: &Measure) -> Result<()> {
    let mut progress = Progress::new();
    let wanted = |name: &str| measure.names.iter().any(|wanted| wanted == name);
    let mut startup = None;
    if wanted(STARTUP) {
        match &measure.source {
            Source::Built => {
                progress.step(STARTUP.into());
                startup = Some(startup::measure()?);
            }
            Source::Running(..) => progress.note("startup: only of a server that is started here"),
        }
    }
    let workloads = WORKLOADS
        .into_iter()
        .filter(|workload| wanted(workload.name));
    let outcomes = rounds(measure, workloads, &mut progress)?;
    let mut costs = Vec::new();
    if let Some(directory) = &measure.plots {
        fs::create_dir_all(directory)?;
        costs = rounds(
            measure,
            plots::COST_CLIENTS.into_iter().map(workload::cost),
            &mut progress,
        )?;
        plots::delays(&directory.join("delays.svg"), &outcomes)?;
        plots::cost(&directory.join("cost.svg"), &costs)?;
    }
    progress.clear();
    if !outcomes.is_empty() {
        println!("{}", report::table(&outcomes));
    }
    if let Some(startup) = &startup {
        println!("{}", report::startup_line(startup));
    }
    if let Some(file) = &measure.json {
        let json = report::json(&outcomes, startup.as_ref(), &costs);
        fs::write(file, format!("{json:#}\n"))?;
    }
    Ok(())
}

/// Measures each workload for all its rounds.
fn rounds(
    measure: &Measure,
    workloads: impl Iterator<Item = Workload>,
    progress: &mut Progress,
) -> Result<Vec<Outcome>> {
    let one = |workload: Workload| {
        let mut rounds = Vec::new();
        for round in 1..=measure.rounds {
            let Workload { name, clients, .. } = workload;
            progress.step(format!(
                "{name}, {clients} clients, round {round} of {}",
                measure.rounds
            ));
            rounds.push(workload.run(&measure.source, measure.seconds, progress)?);
        }
        Outcome::new(workload, rounds)
    };
    workloads.map(one).collect()
}
