//! The log of a service for systemd's journal, which knows the time of a line and wants its priority (sd-daemon(3)).

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};

use crate::log_writer::LogWriter;

/// Returns whether stderr leads to the journal. The service can have redirected it, and its environment stays
/// (systemd.exec(5), `JOURNAL_STREAM`).
pub fn is_stderr() -> bool {
    let identity = || {
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?);
        let metadata = stderr.metadata().ok()?;
        Some(format!("{}:{}", metadata.dev(), metadata.ino()))
    };
    env::var("JOURNAL_STREAM").is_ok_and(|stream| identity() == Some(stream))
}

/// A logger that writes `<N>`, the priority, in front of each line.
struct JournalLogger {
    level: LevelFilter,
    writer: Mutex<LogWriter>,
}

/// Initializes the log.
///
/// # Errors
///
/// There is a log already.
pub fn init(level: LevelFilter, writer: LogWriter) -> Result<(), SetLoggerError> {
    let writer = Mutex::new(writer);
    log::set_max_level(level);
    log::set_boxed_logger(Box::new(JournalLogger { level, writer }))
}

impl Log for JournalLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // tungstenite logs what clients send without escaping line breaks.
        metadata.level() <= self.level && metadata.target().starts_with("threadchat")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let priority = priority(record.level());
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            // The log writer takes every line.
            let _ = writeln!(writer, "<{priority}>{}", record.args());
        }
    }

    fn flush(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that the journal is stuck: there is nowhere to report it.
        let _ = writer.flush();
    }
}

/// Returns the priority of syslog(3).
pub fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}
