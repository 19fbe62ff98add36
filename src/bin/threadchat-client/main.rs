//! A chat client for the terminal, which is a filter where there is no terminal.
//!
//! - [`cli`]: the command line
//! - [`connect`]: the socket, with TLS or without
//! - `tls`: the server's certificate, and what is wrong with it
//! - [`connection`]: one WebSocket connection and its writer thread
//! - [`own_name`]: the name of this client's user
//! - [`place`]: what was received before a connection was lost
//! - [`input`]: typed lines as commands
//! - [`names`], [`completion`]: the users' names, and Tab
//! - [`clock`]: local time
//! - [`render`]: server events as lines of text
//! - [`filter`]: stdin to the chat, and the chat to stdout
//! - [`printer`]: prints lines above the line being edited
//! - [`resize`]: the draft's rows when the window's width changes
//! - [`editor`]: the keys and completions of the line editor
//! - [`terminal`]: editing and sending, and a connection that is restored after a loss

#![forbid(unsafe_code)]

mod cli;
mod clock;
mod completion;
mod connect;
mod connection;
mod editor;
mod filter;
mod input;
mod names;
mod own_name;
mod place;
mod printer;
mod render;
mod resize;
mod terminal;
#[cfg(feature = "tls")]
mod tls;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use threadchat::text::sanitize;

use cli::CliAction;

/// Exit code for an invalid command line.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let (result, exit_code) = match CliAction::parse(std::env::args_os().skip(1)) {
        Ok(action) => (run(action), 1),
        Err(error) => (Err(error.into()), EXIT_USAGE),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&*error);
            ExitCode::from(exit_code)
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn run(action: CliAction) -> Result<()> {
    let result = match action {
        CliAction::Print(text) => io::stdout().write_all(text.as_bytes()).map_err(Into::into),
        CliAction::Run(url, name, show_times) => {
            if url.exposes_secret() {
                print_line("warning: the secret is sent without encryption: use wss://");
            }
            match terminal::Terminal::open() {
                Some(terminal) => terminal.run(url, name, show_times),
                None => filter::run(&url, name.as_deref()),
            }
        }
    };
    // The reader of the output closed the pipe, such as `head`. That is a normal end.
    result.or_else(|error| match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// Prints the error as one line on stderr. Errors quote the server, so control characters are removed.
fn print_error(error: &dyn Error) {
    print_line(&sanitize(&error.to_string()));
}

fn print_line(text: &str) {
    // An error that cannot be written to stderr cannot be reported anywhere else.
    let _ = writeln!(io::stderr(), "threadchat-client: {text}");
}
