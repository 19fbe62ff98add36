//! A filter between programs: sends the lines of stdin, prints events on stdout as the plain-text dialect writes them.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use threadchat::protocol::{ClientCommand, ServerEvent};

use crate::Result;
use crate::cli::ServerUrl;
use crate::connection::{CommandSender, Connection, Disconnected};
use crate::input::{self, Input};
use crate::own_name::OwnName;
use crate::place::Place;
use crate::render;

/// Longest input line in bytes, so that input without line breaks does not exhaust the memory. Servers accept far less.
const MAX_LINE: u64 = 1 << 20;

/// Bytes sent before the filter waits until the server has processed them. The window is larger than the largest message
/// that servers accept by default, and far smaller than the backlog that they allow per client: a filter that sent much
/// faster than it received would be disconnected.
const WINDOW: usize = 128 << 10;

/// Estimated bytes that a message adds to its text.
const MESSAGE_OVERHEAD: usize = 64;

/// Chats until the input has ended and the server has processed everything sent.
pub fn run(url: &ServerUrl, name: Option<&str>) -> Result<()> {
    let mut connection = Connection::open(url, name, &Place::default(), &mut None)?;
    let closing = Arc::new(AtomicBool::new(false));
    let (help_received, help_events) = bounded(1);
    let input_thread = InputThread {
        command_sender: connection.command_sender(),
        help_events,
    };
    let input = thread::Builder::new().name("input".into()).spawn({
        let closing = Arc::clone(&closing);
        move || {
            let result = input_thread.send_lines(io::stdin().lock());
            // If the connection has ended, the event loop below reports the reason, also if it is a Close.
            if input_thread.wait_until_delivered().is_ok() {
                closing.store(true, Ordering::Release);
            }
            let _ = input_thread.command_sender.close();
            result
        }
    })?;

    let mut own_name = OwnName::default();
    loop {
        match connection.next_event() {
            // The input thread waits for at most one of these at a time.
            Ok(ServerEvent::Help { .. }) => drop(help_received.try_send(())),
            Ok(mut event) => {
                own_name.update(&mut event);
                print(&event)?;
            }
            Err(Disconnected::Closed(_)) if closing.load(Ordering::Acquire) => break,
            Err(reason) => return Err(reason.into()),
        }
    }
    match input.join() {
        Ok(result) => Ok(result?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The connection has ended.
struct ConnectionEnded;

/// The thread that reads the input.
struct InputThread {
    command_sender: CommandSender,
    /// One item per `help` event that arrived.
    help_events: Receiver<()>,
}

impl InputThread {
    /// Sends every line until the input ends, a line is `/quit`, or the connection ends.
    fn send_lines(&self, mut lines: impl BufRead) -> io::Result<()> {
        let (mut line, mut in_flight) = (Vec::new(), 0);
        loop {
            line.clear();
            let length = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if length == 0 {
                return Ok(());
            }
            if length as u64 == MAX_LINE && !line.ends_with(b"\n") {
                let error = format!("input line longer than {MAX_LINE} bytes");
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            let text = String::from_utf8_lossy(&line);
            match input::parse(text.trim_end_matches(['\r', '\n'])) {
                Input::Quit => return Ok(()),
                // Only `parse_lines` returns it.
                Input::Clear => {}
                Input::Print(event) => {
                    // The server's answers to the lines before come first.
                    if self.wait_until_delivered().is_err() {
                        return Ok(());
                    }
                    in_flight = 0;
                    print(&event)?;
                }
                Input::Send(command) => {
                    if self.command_sender.send(&command, None).is_err() {
                        return Ok(());
                    }
                    in_flight += length + MESSAGE_OVERHEAD;
                }
            }
            if in_flight >= WINDOW {
                if self.wait_until_delivered().is_err() {
                    return Ok(());
                }
                in_flight = 0;
            }
        }
    }

    /// Waits until the server has processed everything sent.
    ///
    /// The server answers commands in order, so its answer to a `help` command arrives after its answers to all commands
    /// before. A Close is no substitute, because a server is allowed to answer a Close at once. The server never receives
    /// `/help` from the input, so a `help` event is an answer to this function.
    fn wait_until_delivered(&self) -> std::result::Result<(), ConnectionEnded> {
        self.command_sender
            .send(&ClientCommand::Help {}, None)
            .map_err(|_| ConnectionEnded)?;
        self.help_events.recv().map_err(|_| ConnectionEnded)
    }
}

fn print(event: &ServerEvent<'_>) -> io::Result<()> {
    let mut text = render::plain_lines(event).join("\n");
    if text.is_empty() {
        return Ok(());
    }
    text.push('\n');
    io::stdout().write_all(text.as_bytes())
}
