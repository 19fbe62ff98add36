//! The server as a program: options, log, signals, run.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

use simplelog::{ConfigBuilder, LevelFilter, WriteLogger};
use threadchat::options::{Command, Logging};
use threadchat::{Options, Server};

/// For a command line that can't be followed.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Print(text)) => print(&text),
        Ok(Command::Serve(options, logging)) => serve(options, &logging),
        Err(error) => {
            eprintln!("threadchat: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("threadchat: {error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// To stdout, whose reader may have seen enough.
fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn serve(options: Options, logging: &Logging) -> Result<()> {
    start_log(logging)?;
    let server = Server::bind(options)?;
    let stopper = server.stopper();
    let stopping = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if stopping.swap(true, Ordering::Relaxed) {
            // The code that shells give to a program which a signal ended.
            process::exit(130);
        }
        stopper.stop();
    })?;
    log::info!("responding at ws://{}/chat", server.local_addr());
    server.run()?;
    log::info!("stopped");
    Ok(())
}

fn start_log(logging: &Logging) -> Result<()> {
    let config = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    match &logging.file {
        None => WriteLogger::init(logging.level, config, io::stderr())?,
        Some(path) => {
            let file = File::options().append(true).create(true).open(path);
            let file = file
                .map_err(|error| format!("can't open the log file {}: {error}", path.display()))?;
            WriteLogger::init(logging.level, config, file)?;
        }
    }
    Ok(())
}
