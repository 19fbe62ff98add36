//! The lines above the one being typed.

use std::convert::Infallible;
use std::io::{self, Write};
use std::iter;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use rustyline::ExternalPrinter;
use threadchat::protocol::ServerEvent;

use crate::render::Style;

/// Lines that may wait to be shown. One turn of the screen shows them all, as each turn draws the typed line anew.
const WAITING: usize = 256;

/// How long the next prompt waits for lines that are still to be shown.
const SETTLED: Duration = Duration::from_millis(100);

/// rustyline's type for this has no name.
pub type Printer = Box<dyn ExternalPrinter + Send>;

/// Where lines are shown.
#[derive(Clone)]
pub struct Screen {
    waiting: Sender<Waiting>,
    style: Style,
}

enum Waiting {
    Lines(String),
    /// Dropped when everything before it was shown.
    Mark(#[allow(dead_code, reason = "only dropped")] Sender<Infallible>),
}

/// The terminal is gone.
pub struct Gone;

impl Screen {
    /// Starts the thread that shows the lines.
    pub fn start(mut printer: Printer) -> io::Result<Screen> {
        let (waiting, shown) = bounded(WAITING);
        let show = move || {
            for first in &shown {
                let (mut text, mut marks) = (String::new(), Vec::new());
                for next in iter::once(first).chain(shown.try_iter().take(WAITING)) {
                    match next {
                        Waiting::Lines(lines) => text += &lines,
                        Waiting::Mark(mark) => marks.push(mark),
                    }
                }
                if !text.is_empty() && printer.print(text).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("screen".into()).spawn(show)?;
        let style = Style::from_env();
        Ok(Screen { waiting, style })
    }

    /// Shows above the line being typed. Waits while the terminal is slower than the server, which then waits too,
    /// within its limits.
    pub fn show(&self, told: &ServerEvent<'_>, own: &str) -> Result<(), Gone> {
        match self.style.lines(told, own) {
            lines if lines.is_empty() => Ok(()),
            lines => self.put(lines),
        }
    }

    /// Shows a line that is nobody's message, above the line being typed.
    pub fn notice(&self, text: &str) -> Result<(), Gone> {
        self.put(self.style.notice(text))
    }

    fn put(&self, lines: String) -> Result<(), Gone> {
        self.waiting.send(Waiting::Lines(lines)).map_err(|_| Gone)
    }

    /// Shows while no line is being typed: by the thread that edits, which must not wait for the one that shows, as
    /// that one may be waiting for the next prompt.
    pub fn answer(&self, told: &ServerEvent<'_>) -> io::Result<()> {
        io::stdout().write_all(self.style.lines(told, "").as_bytes())
    }

    /// Lets the lines that wait go ahead of the next prompt. rustyline can't tell a line that is shown in the moment in
    /// which the prompt appears from one that is shown before, and would write the one upon the other.
    pub fn settle(&self) {
        let (mark, shown) = bounded(0);
        if self
            .waiting
            .send_timeout(Waiting::Mark(mark), SETTLED)
            .is_ok()
        {
            // Disconnected when the mark was dropped.
            let _ = shown.recv_timeout(SETTLED);
        }
    }
}
