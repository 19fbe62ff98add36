//! The command line of the benchmark.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::process::Process;
use crate::server::{self, ServerSource};
use crate::workload::WORKLOADS;

/// Name of the start-up measurement, which is not a [`Workload`](crate::workload::Workload).
pub const STARTUP: &str = "startup";

/// Name of the measurement of several nodes, which are many workloads.
pub const CLUSTER: &str = "cluster";

const HELP: &str = "\
Benchmarks threadchat, or another chat server, as a whole process over loopback.

Usage: cargo bench -- [OPTION]... [NAME]...    run these benchmarks, or all
       cargo bench -- soak [--minutes N]       run a soak test

  startup     exec to first greeting, size of the binary, memory without clients
  cluster     several nodes through a Redis of the benchmark's own, beside one
              server alone; not without its name, and with the feature only:
              cargo bench --features cluster -- cluster
";

const OPTIONS: &str = "
  --seconds N      duration of each round of a workload, 1 to 60 [3]
  --rounds N       number of rounds, 1 to 20; the median is reported [3]
  --settle SECONDS
                   time from the last client of idle until memory is measured,
                   1 to 3600 [10]. Memory of the whole machine is only valid
                   while no other program runs
  --json FILE      also write all figures to this file
  --plots DIR      write delays.svg, the distribution of the delays, and
                   cost.svg, the CPU time per delivery over the number of
                   clients (which takes another minute to measure)
  --url ws://127.0.0.1:PORT/PATH
                   measure a running server that speaks the plain text of
                   Ktor's tutorial, instead of starting the built one. Loopback
                   addresses only, as this would be an attack on any other
                   machine. Memory depends on what the server did before:
                   restart it for each workload
  --pid PID        PID of that server, to read its CPU time and memory
  --minutes N      duration of a soak, 1 to 10080 [1]
  --help           print this help
";

pub enum CliAction {
    Print(String),
    Measure(BenchConfig),
    Soak { duration: Duration },
}

pub struct BenchConfig {
    /// Names of workloads, or [`STARTUP`]. Never empty.
    pub names: Vec<String>,
    pub duration: Duration,
    pub rounds: usize,
    /// Time after which the clients of the workload `idle` count as settled.
    pub settle: Duration,
    pub json: Option<PathBuf>,
    pub plots: Option<PathBuf>,
    pub source: ServerSource,
}

impl CliAction {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// An argument is unknown, a value is out of range, or options contradict each other.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<CliAction, lexopt::Error> {
        let mut parser = Parser::from_args(args);
        let mut names: Vec<String> = Vec::new();
        let (mut seconds, mut rounds, mut settle, mut minutes) = (3, 3, 10, None);
        let (mut json, mut plots, mut url, mut pid) = (None, None, None, None);
        let all_names = || {
            WORKLOADS
                .iter()
                .map(|workload| workload.name)
                .chain([STARTUP])
        };
        while let Some(arg) = parser.next()? {
            match arg {
                // Cargo passes this option to every benchmark.
                Arg::Long("bench") => {}
                Arg::Long("seconds") => seconds = parse_number(&mut parser, "--seconds", 60)?,
                Arg::Long("rounds") => rounds = parse_number(&mut parser, "--rounds", 20)?,
                Arg::Long("settle") => settle = parse_number(&mut parser, "--settle", 3600)?,
                Arg::Long("minutes") => {
                    minutes = Some(parse_number(&mut parser, "--minutes", 7 * 24 * 60)?);
                }
                Arg::Long("json") => json = Some(parser.value()?.into()),
                Arg::Long("plots") => plots = Some(parser.value()?.into()),
                Arg::Long("url") => {
                    url = Some(server::parse_endpoint(&parser.value()?.string()?)?);
                }
                Arg::Long("pid") => {
                    pid = Some(Process(parse_number(
                        &mut parser,
                        "--pid",
                        i32::MAX as u32,
                    )?));
                }
                Arg::Long("help") | Arg::Short('h') => return Ok(CliAction::Print(help())),
                Arg::Value(name) => {
                    let name = name.string()?;
                    let known_names = || all_names().chain([CLUSTER]);
                    if name != "soak" && known_names().all(|known| known != name) {
                        let known = known_names().collect::<Vec<_>>().join(", ");
                        return Err(
                            format!("unknown workload {name:?}: use {known} or soak").into()
                        );
                    }
                    if name == CLUSTER && !cfg!(feature = "cluster") {
                        return Err(
                            "built without the feature: use cargo bench --features cluster -- cluster"
                                .into(),
                        );
                    }
                    names.push(name);
                }
                _ => return Err(arg.unexpected()),
            }
        }
        let soak = names.iter().any(|name| name == "soak");
        let source = match (url, pid) {
            (None, None) => ServerSource::Built,
            (None, Some(_)) => return Err("--pid requires --url".into()),
            (Some(_), _) if soak => return Err("soak does not support --url".into()),
            (Some(endpoint), process) => ServerSource::Running(endpoint, process),
        };
        if soak {
            if names.len() > 1 {
                return Err("soak cannot be combined with workloads".into());
            }
            let duration = Duration::from_secs(60 * u64::from(minutes.unwrap_or(1)));
            return Ok(CliAction::Soak { duration });
        }
        if minutes.is_some() {
            return Err("--minutes requires soak".into());
        }
        if names.is_empty() {
            names.extend(all_names().map(str::to_owned));
        }
        Ok(CliAction::Measure(BenchConfig {
            names,
            duration: Duration::from_secs(seconds.into()),
            rounds: rounds as usize,
            settle: Duration::from_secs(settle.into()),
            json,
            plots,
            source,
        }))
    }
}

fn parse_number(parser: &mut Parser, option: &str, max: u32) -> Result<u32, lexopt::Error> {
    let value = parser.value()?.string()?;
    match value.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(format!("{option} {value:?}: must be a whole number from 1 to {max}").into()),
    }
}

fn help() -> String {
    let workloads = WORKLOADS
        .map(|workload| format!("  {:<10}  {}\n", workload.name, workload.description))
        .concat();
    format!("{HELP}{workloads}{OPTIONS}")
}
