//! The server as a program: options, log, signals, run.

#![forbid(unsafe_code)]

mod log_writer;

use std::fs::File;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{panic, thread};

use crate::log_writer::LogWriter;
use simplelog::{ConfigBuilder, LevelFilter, WriteLogger};
use threadchat::config::{Command, Logging};
use threadchat::{Config, Server};

/// For a command line that can't be followed.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Print(text)) => print(&text),
        Ok(Command::Serve(options, logging)) => serve(options, &logging),
        Err(error) => {
            complain(&error);
            return ExitCode::from(USAGE);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &dyn std::error::Error) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(io::stderr(), "threadchat: {error}");
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// To stdout, whose reader may have seen enough.
fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn serve(options: Config, logging: &Logging) -> Result<()> {
    start_log(logging)?;
    log_panics();
    allow_descriptors(options.max_connections);
    let result = run(options);
    log::logger().flush();
    result
}

fn run(options: Config) -> Result<()> {
    let server = Server::bind(options)?;
    let stopper = server.shutdown_handle();
    let stopping = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if stopping.swap(true, Ordering::Relaxed) {
            // The code that shells give to a program which a signal ended.
            process::exit(130);
        }
        stopper.shutdown();
    })?;
    log::info!("responding at ws://{}/chat", server.local_addr());
    let result = server.run();
    log::info!("stopped");
    Ok(result?)
}

fn start_log(logging: &Logging) -> Result<()> {
    let config = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // tungstenite logs what clients send as it came, line breaks too.
        .add_filter_allow_str("threadchat")
        .build();
    let journal =
        match &logging.file {
            None => LogWriter::start(io::stderr())?,
            Some(path) => {
                let file = File::options().append(true).create(true).open(path);
                LogWriter::start(file.map_err(|error| {
                    format!("can't open the log file {}: {error}", path.display())
                })?)?
            }
        };
    Ok(WriteLogger::init(logging.level, config, journal)?)
}

/// A panic is one line in the log, like everything else.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let name = thread::current().name().unwrap_or("unnamed").to_owned();
        log::error!("internal error in a {name} thread: {:?}", info.to_string());
    }));
}

/// Lets this process have the descriptors that so many clients need, as far as the system allows it: one for each
/// WebSocket, one for each request that is being read, and some to spare.
fn allow_descriptors(clients: usize) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        const SPARE: u64 = 128;
        let wanted = (clients as u64).saturating_mul(2).saturating_add(SPARE);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let granted = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        if current.is_some_and(|current| current < granted)
            && let Err(error) = setrlimit(
                Resource::Nofile,
                Rlimit {
                    current: Some(granted),
                    maximum,
                },
            )
        {
            log::warn!("can't raise the limit of open files: {error}");
        }
        if granted < (clients as u64).saturating_add(SPARE) {
            log::warn!(
                "{granted} open files are allowed (ulimit -n): fewer than {clients} clients will fit"
            );
        }
    }
}
