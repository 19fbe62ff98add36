//! Prints lines above the line being edited.

use std::convert::Infallible;
use std::io::{self, Write};
use std::iter;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use rustyline::ExternalPrinter;
use threadchat::protocol::ServerEvent;

use crate::clock;
use crate::own_name::OwnName;
use crate::render::{self, Renderer};

/// Capacity of the queue to the printer thread, in items. Each print redraws the edited line, so the thread prints all
/// queued lines at once.
const QUEUE_CAPACITY: usize = 256;

/// Longest delay of the next prompt while queued lines are printed.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(100);

/// rustyline does not export a name for its printer type.
pub type Printer = Box<dyn ExternalPrinter + Send>;

/// Prints events and notices on the terminal.
#[derive(Clone)]
pub struct MessagePrinter {
    queue: Sender<Queued>,
    renderer: Renderer,
}

enum Queued {
    Lines(String),
    /// Dropped when everything queued before it has been printed.
    Flush(#[allow(dead_code, reason = "only dropped")] Sender<Infallible>),
}

/// The terminal was closed.
pub struct TerminalClosed;

impl MessagePrinter {
    /// Starts the printer thread.
    pub fn start(mut printer: Printer, renderer: Renderer) -> io::Result<MessagePrinter> {
        let (queue, queued) = bounded(QUEUE_CAPACITY);
        let print_loop = move || {
            for first in &queued {
                let (mut text, mut flushes) = (String::new(), Vec::new());
                for item in iter::once(first).chain(queued.try_iter().take(QUEUE_CAPACITY)) {
                    match item {
                        Queued::Lines(lines) => text += &lines,
                        Queued::Flush(flush) => flushes.push(flush),
                    }
                }
                if !text.is_empty() && printer.print(text).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("printer".into())
            .spawn(print_loop)?;
        Ok(MessagePrinter { queue, renderer })
    }

    /// Prints an event above the line being edited. Blocks while the terminal is slower than the server. The event loop then
    /// stops reading, so the server queues events for this client, up to its limit.
    pub fn print(&self, event: &ServerEvent<'_>, own_name: &OwnName) -> Result<(), TerminalClosed> {
        let time = match event {
            ServerEvent::Message { time, .. } | ServerEvent::Action { time, .. } if *time > 0 => {
                *time
            }
            _ => clock::now(),
        };
        match self.renderer.lines(event, own_name, time) {
            lines if lines.is_empty() => Ok(()),
            lines => self.enqueue(lines),
        }
    }

    /// Prints a line about the client's own state above the line being edited.
    pub fn notice(&self, text: &str) -> Result<(), TerminalClosed> {
        self.enqueue(self.renderer.notice(text, clock::now()))
    }

    /// Prints words above the line being edited, for the user to choose. The editing thread calls this, for which the
    /// printer thread can be waiting, so the words are left out if the queue is full.
    pub fn try_print_choice(&self, words: &[String]) {
        let lines = wrap(&self.renderer.choice(words));
        let _ = self.queue.try_send(Queued::Lines(lines));
    }

    fn enqueue(&self, lines: String) -> Result<(), TerminalClosed> {
        self.queue
            .send(Queued::Lines(wrap(&lines)))
            .map_err(|_| TerminalClosed)
    }

    /// Prints an event while no line is being edited. Only the editing thread calls this. It must not wait for the
    /// printer thread, which can be waiting for the next prompt.
    pub fn print_inline(&self, event: &ServerEvent<'_>) -> io::Result<()> {
        let lines = self
            .renderer
            .lines(event, &OwnName::default(), clock::now());
        io::stdout().write_all(wrap(&lines).as_bytes())
    }

    /// Clears the screen while no line is being edited.
    pub fn clear_screen(&self) -> io::Result<()> {
        // Cursor to the first column of the first row, erase from there.
        let mut stdout = io::stdout();
        stdout.write_all(b"\x1b[H\x1b[J")?;
        stdout.flush()
    }

    /// Waits until queued lines have been printed, so that they precede the next prompt. rustyline can't distinguish a
    /// line printed at the moment when the prompt appears from one printed before, and would print one over the other.
    pub fn flush(&self) {
        let (flush, printed) = bounded(0);
        if self
            .queue
            .send_timeout(Queued::Flush(flush), FLUSH_TIMEOUT)
            .is_ok()
        {
            // Returns when the printer thread has dropped the item.
            let _ = printed.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// Wraps lines at the terminal's current width.
fn wrap(lines: &str) -> String {
    render::wrap(lines, columns())
}

/// Returns the terminal's current width, or 0 if it is unknown.
pub fn columns() -> usize {
    rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col.into())
}
