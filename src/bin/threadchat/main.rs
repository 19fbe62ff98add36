//! The server as a program: command line, log, signals.

#![forbid(unsafe_code)]

mod cli;
mod help;
#[cfg(unix)]
mod journal;
#[cfg(unix)]
mod limits;
mod log_writer;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod systemd;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
#[cfg(unix)]
use std::sync::Arc;
use std::{panic, thread};

use simplelog::{ConfigBuilder, LevelFilter, WriteLogger};
#[cfg(feature = "tls")]
use threadchat::Certificate;
use threadchat::config::ListenAddress;
use threadchat::net::Listener;
use threadchat::{Config, Server, SharedSecret};

use crate::cli::{CliAction, LogConfig};
use crate::log_writer::{LogWriter, Output};

/// The exit code for an invalid command line.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match CliAction::parse(std::env::args_os().skip(1)) {
        Ok(CliAction::Print(text)) => print(&text),
        Ok(CliAction::Run(config, log)) => run(*config, &log),
        Err(error) => {
            print_error(&error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&*error);
            ExitCode::FAILURE
        }
    }
}

fn print_error(error: &dyn std::error::Error) {
    // A closed stderr leaves the exit code as the only report.
    #[cfg(unix)]
    if journal::is_stderr() {
        let priority = journal::priority(log::Level::Error);
        let _ = write!(io::stderr(), "<{priority}>");
    }
    let _ = writeln!(io::stderr(), "threadchat: {error}");
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Prints to stdout. A reader that closes the pipe has seen enough.
fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn run(config: Config, log: &LogConfig) -> Result<()> {
    #[cfg(unix)]
    let listeners = systemd::take_listeners()?;
    #[cfg(not(unix))]
    let listeners = Vec::new();
    let log_output = init_logging(log)?;
    log_panics();
    #[cfg(unix)]
    limits::raise_nofile(config.max_connections);
    #[cfg(target_os = "linux")]
    limits::check_mappings(config.max_connections);
    let path = log.file.clone();
    let result = serve(config, listeners, move || {
        if let Some(path) = &path {
            reopen_log(path, &log_output);
        }
    });
    log::logger().flush();
    result
}

/// Serves until a signal. Uses the listeners that the service manager has passed on, if any.
fn serve(
    config: Config,
    listeners: Vec<Listener>,
    reopen_log: impl Fn() + Send + 'static,
) -> Result<()> {
    let server = if listeners.is_empty() {
        Server::bind(config)?
    } else {
        Server::with_listeners(config, listeners)?
    };
    #[cfg(unix)]
    let shutdown = shutdown(&server)?;
    let (scheme, reload_certificate) = tls(&server);
    let secret = server.secret();
    let reload = move || {
        reopen_log();
        reload_certificate();
        match secret.as_ref().map(SharedSecret::reload) {
            None => {}
            Some(Ok(())) => log::info!("new clients need the secret as it is now"),
            Some(Err(error)) => log::error!("{error}; the secret from before stays in use"),
        }
    };
    #[cfg(unix)]
    signals::start(shutdown, reload)?;
    for address in server.local_addrs() {
        match address {
            ListenAddress::Tcp(address) => log::info!("listening at {scheme}://{address}/chat"),
            ListenAddress::Unix(_) => log::info!("listening at {address}"),
        }
    }
    let result = server.run();
    log::info!("stopped");
    Ok(result?)
}

/// Returns the function that shuts the server down. Reports its state to the service manager, if that wants to know.
#[cfg(unix)]
fn shutdown(server: &Server) -> Result<impl Fn() + Send + 'static> {
    let notifier = systemd::Notifier::from_env()?.map(Arc::new);
    if let Some(notifier) = notifier.clone() {
        let health = server.health_handle();
        systemd::start(notifier, move || health.responds())?;
    }
    let shutdown = server.shutdown_handle();
    Ok(move || {
        if let Some(notifier) = &notifier {
            notifier.stopping();
        }
        shutdown.shutdown();
    })
}

/// Returns the scheme of the server's URL, and the function that reads its certificate again.
#[cfg(feature = "tls")]
fn tls(server: &Server) -> (&'static str, impl Fn() + Send + 'static) {
    let certificate = server.certificate();
    let scheme = if certificate.is_some() { "wss" } else { "ws" };
    let reload = move || match certificate.as_ref().map(Certificate::reload) {
        None => {}
        Some(Ok(())) => log::info!("new connections use the certificate as it is now"),
        Some(Err(error)) => log::error!("{error}; the certificate from before stays in use"),
    };
    (scheme, reload)
}

#[cfg(not(feature = "tls"))]
fn tls(_: &Server) -> (&'static str, impl Fn() + Send + 'static) {
    ("ws", || {})
}

/// Initializes the log. Returns the handle that changes its output.
fn init_logging(log: &LogConfig) -> Result<Output> {
    let config = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // tungstenite logs what clients send without escaping line breaks.
        .add_filter_allow_str("threadchat")
        .build();
    let writer = match &log.file {
        None => LogWriter::start(io::stderr())?,
        Some(path) => LogWriter::start(open_log(path)?)?,
    };
    let output = writer.output();
    #[cfg(unix)]
    if log.file.is_none() && journal::is_stderr() {
        journal::init(log.level, writer)?;
        return Ok(output);
    }
    WriteLogger::init(log.level, config, writer)?;
    Ok(output)
}

fn open_log(path: &Path) -> std::result::Result<File, String> {
    let file = File::options().append(true).create(true).open(path);
    file.map_err(|error| format!("cannot open the log file {}: {error}", path.display()))
}

/// Opens the log file again, for a program that has renamed it. After an error the log stays in the renamed file.
fn reopen_log(path: &Path, output: &Output) {
    match open_log(path) {
        Ok(file) => output.replace(file),
        Err(error) => log::error!("{error}"),
    }
}

/// Logs each panic as one line.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let name = thread::current().name().unwrap_or("unnamed").to_owned();
        log::error!("internal error in a {name} thread: {:?}", info.to_string());
    }));
}
