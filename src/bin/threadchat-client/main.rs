//! A chat in the terminal, or a filter between programs.
//!
//! - [`options`]: what the command line may say
//! - [`connection`]: one WebSocket, and the two threads that serve it
//! - [`lines`]: what is heard, as lines to read
//! - [`filter`]: lines in, lines out, without a terminal
//! - [`screen`]: the lines above the one being typed
//! - [`terminal`]: a person at a terminal, and a server that may go and come back

#![forbid(unsafe_code)]

mod cli;
mod connection;
mod filter;
mod printer;
mod render;
mod terminal;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use threadchat::text::sanitize;

use cli::Command;

/// For a command line that can't be followed.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let (failed, code) = match Command::parse(std::env::args_os().skip(1)) {
        Ok(command) => (run(command).err(), 1),
        Err(error) => (Some(error.into()), USAGE),
    };
    let Some(error) = failed else {
        return ExitCode::SUCCESS;
    };
    // Errors quote what the server said. Without a stderr there is nobody to tell.
    let _ = writeln!(
        io::stderr(),
        "threadchat-client: {}",
        sanitize(&error.to_string())
    );
    ExitCode::from(code)
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn run(command: Command) -> Result<()> {
    let ended = match command {
        Command::Print(text) => io::stdout().write_all(text.as_bytes()).map_err(Into::into),
        Command::Chat(target, name) => match terminal::Terminal::open() {
            Some(terminal) => terminal.run(target, name),
            None => filter::run(&target, name.as_deref()),
        },
    };
    // Whoever read the output has seen enough.
    ended.or_else(|error| match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}
