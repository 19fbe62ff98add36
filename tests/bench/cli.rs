//! What the benchmark's command line may say.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::process::Process;
use crate::server::{self, Source};
use crate::workload::WORKLOADS;

/// The measurement that is no workload.
pub const STARTUP: &str = "startup";

const HELP: &str = "\
Measures threadchat, or another chat server, as a whole process over loopback.

Usage: cargo bench -- [OPTION]... [NAME]...    measure these, or all
       cargo bench -- soak [--minutes N]       run for long, check everything

  startup     exec to first greeting, size of the binary, memory without clients
";

const OPTIONS: &str = "
  --seconds N      how long each round of a workload is measured, 1 to 60 [3]
  --rounds N       the median of so many is told, 1 to 20 [3]
  --json FILE      write all figures there too
  --plots DIR      write delays.svg, the spread of the delays, and cost.svg, the
                   CPU time of a delivery over the number of clients (measured
                   for it, which takes a minute more)
  --url ws://127.0.0.1:PORT/PATH
                   measure a server that runs already and speaks the plain text
                   of Ktor's tutorial, instead of starting the built one. Only
                   loopback: elsewhere this would be an attack. Memory grows
                   with what it did before: restart it for each workload
  --pid PID        that server's process, to read its CPU time and memory
  --minutes N      how long a soak runs, 1 to 10080 [1]
  --help
";

pub enum Command {
    Print(String),
    Measure(Measure),
    Soak { length: Duration },
}

pub struct Measure {
    /// Names of workloads, or [`STARTUP`]; never empty.
    pub names: Vec<String>,
    pub seconds: Duration,
    pub rounds: usize,
    pub json: Option<PathBuf>,
    pub plots: Option<PathBuf>,
    pub source: Source,
}

impl Command {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    ///
    /// Something it does not know, or a value out of bounds.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
        let mut parser = Parser::from_args(args);
        let mut names: Vec<String> = Vec::new();
        let (mut seconds, mut rounds, mut minutes) = (3, 3, None);
        let (mut json, mut plots, mut url, mut pid) = (None, None, None, None);
        let all = || {
            WORKLOADS
                .iter()
                .map(|workload| workload.name)
                .chain([STARTUP])
        };
        while let Some(arg) = parser.next()? {
            match arg {
                // Cargo says this to every benchmark.
                Arg::Long("bench") => {}
                Arg::Long("seconds") => seconds = number(&mut parser, "--seconds", 60)?,
                Arg::Long("rounds") => rounds = number(&mut parser, "--rounds", 20)?,
                Arg::Long("minutes") => {
                    minutes = Some(number(&mut parser, "--minutes", 7 * 24 * 60)?);
                }
                Arg::Long("json") => json = Some(parser.value()?.into()),
                Arg::Long("plots") => plots = Some(parser.value()?.into()),
                Arg::Long("url") => url = Some(server::endpoint(&parser.value()?.string()?)?),
                Arg::Long("pid") => {
                    pid = Some(Process(number(&mut parser, "--pid", i32::MAX as u32)?));
                }
                Arg::Long("help") | Arg::Short('h') => return Ok(Command::Print(help())),
                Arg::Value(name) => {
                    let name = name.string()?;
                    if name != "soak" && all().all(|known| known != name) {
                        let known = all().collect::<Vec<_>>().join(", ");
                        return Err(format!("no workload {name:?}, but {known} and soak").into());
                    }
                    names.push(name);
                }
                _ => return Err(arg.unexpected()),
            }
        }
        let soak = names.iter().any(|name| name == "soak");
        let source = match (url, pid) {
            (None, None) => Source::Built,
            (None, Some(_)) => return Err("--pid belongs to --url".into()),
            (Some(_), _) if soak => return Err("a soak starts its own server".into()),
            (Some(endpoint), process) => Source::Running(endpoint, process),
        };
        if soak {
            if names.len() > 1 {
                return Err("a soak runs alone".into());
            }
            let length = Duration::from_secs(60 * u64::from(minutes.unwrap_or(1)));
            return Ok(Command::Soak { length });
        }
        if minutes.is_some() {
            return Err("--minutes belongs to soak".into());
        }
        if names.is_empty() {
            names.extend(all().map(str::to_owned));
        }
        Ok(Command::Measure(Measure {
            names,
            seconds: Duration::from_secs(seconds.into()),
            rounds: rounds as usize,
            json,
            plots,
            source,
        }))
    }
}

fn number(parser: &mut Parser, option: &str, most: u32) -> Result<u32, lexopt::Error> {
    let value = parser.value()?.string()?;
    match value.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("{option} {value:?}: must be a whole number from 1 to {most}").into()),
    }
}

fn help() -> String {
    let lines = WORKLOADS.map(|workload| format!("  {:<10}  {}\n", workload.name, workload.what));
    format!("{HELP}{}{OPTIONS}", lines.concat())
}
