//! Benchmarks the server as a whole process over loopback: `cargo bench`. `cargo bench -- --help` lists the options.
//!
//! One thread serves the clients of a workload ([`workload`]): a pool ([`client_pool`]) of connections ([`connection`])
//! that a load generator ([`load_generator`]) drives. It uses little CPU time besides the system calls, so that on two
//! cores the server is the bottleneck; the report says where it is not. The soak ([`soak`]) uses the same pool to check
//! that no message is lost, duplicated or reordered while other clients misbehave.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("the benchmark requires Linux, for /proc and epoll");

mod cli;
mod client_pool;
mod cluster;
mod cluster_faults;
mod cluster_nodes;
mod connection;
mod frame;
mod hostile_clients;
mod joins;
mod limits;
mod load_generator;
mod machine_memory;
mod plots;
mod process;
mod progress;
#[path = "../support/redis.rs"]
#[allow(dead_code, reason = "the benchmark uses a part of it")]
mod redis;
mod reference_order;
mod report;
mod sequenced_message;
mod server;
mod slow_clients;
mod soak;
mod soak_clients;
mod startup;
#[path = "../support/mod.rs"]
mod support;
mod workload;

use std::fs;
use std::process::ExitCode;

use cli::{BenchConfig, CLUSTER, CliAction, STARTUP};
use progress::Progress;
use report::Summary;
use server::ServerSource;
use workload::{WORKLOADS, Workload};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Exit code for invalid arguments.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    if std::env::args_os().len() == 1 {
        // `cargo test --all-targets` runs benchmarks too, but without the option `--bench` of `cargo bench`.
        println!("benchmarks run only with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let action = match CliAction::parse(std::env::args_os().skip(1)) {
        Ok(action) => action,
        Err(error) => {
            eprintln!("bench: {error} (see --help)");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    support::raise_nofile_limit();
    let result = match action {
        CliAction::Print(text) => {
            print!("{text}");
            Ok(())
        }
        CliAction::Measure(config) => measure(&config),
        CliAction::Soak { duration } => soak::run(duration),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(config: &BenchConfig) -> Result<()> {
    let mut progress = Progress::new();
    let is_selected = |name: &str| config.names.iter().any(|selected| selected == name);
    let mut startup = None;
    if is_selected(STARTUP) {
        match &config.source {
            ServerSource::Built => {
                progress.start_step(STARTUP.into());
                startup = Some(startup::measure()?);
            }
            ServerSource::Running(..) => {
                progress.print("startup: skipped, because the server is already running");
            }
        }
    }
    let workloads = WORKLOADS
        .into_iter()
        .filter(|workload| is_selected(workload.name));
    let mut summaries = run_workloads(config, workloads, &mut progress)?;
    let mut cost = Vec::new();
    if let Some(directory) = &config.plots {
        fs::create_dir_all(directory)?;
        cost = run_workloads(
            config,
            plots::COST_CLIENTS.into_iter().map(workload::cost),
            &mut progress,
        )?;
        plots::delays(&directory.join("delays.svg"), &summaries)?;
        plots::cost(&directory.join("cost.svg"), &cost)?;
    }
    if is_selected(CLUSTER) {
        match &config.source {
            ServerSource::Built => summaries.extend(cluster::measure(
                config.duration,
                config.rounds,
                &mut progress,
            )?),
            ServerSource::Running(..) => {
                progress.print("cluster: skipped, because the server is already running");
            }
        }
    }
    progress.clear();
    if !summaries.is_empty() {
        println!("{}", report::table(&summaries));
    }
    if let Some(startup) = &startup {
        println!("{}", report::startup_line(startup));
    }
    if let Some(file) = &config.json {
        let json = report::json(&summaries, startup.as_ref(), &cost);
        fs::write(file, format!("{json:#}\n"))?;
    }
    Ok(())
}

/// Runs all rounds of each workload.
fn run_workloads(
    config: &BenchConfig,
    workloads: impl Iterator<Item = Workload>,
    progress: &mut Progress,
) -> Result<Vec<Summary>> {
    let run = |workload: Workload| {
        let mut rounds = Vec::new();
        for round in 1..=config.rounds {
            let Workload { name, clients, .. } = workload;
            progress.start_step(format!(
                "{name}, {clients} clients, round {round} of {}",
                config.rounds
            ));
            rounds.push(workload.run(&config.source, config.duration, config.settle, progress)?);
        }
        Summary::new(workload, rounds)
    };
    workloads.map(run).collect()
}
