//! The lines above the one being typed.

use std::fmt;
use std::io;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use rustyline::ExternalPrinter;
use threadchat::protocol::Told;

use crate::lines::Style;

/// Lines that may wait to be shown. One turn of the screen shows them all, as each turn draws the typed line anew.
const WAITING: usize = 256;

/// rustyline's type for this has no name.
pub type Printer = Box<dyn ExternalPrinter + Send>;

/// Where lines are shown, for any thread.
#[derive(Clone)]
pub struct Screen {
    lines: Sender<String>,
    style: Style,
}

/// The terminal is gone.
#[derive(Debug)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the terminal is gone")
    }
}

impl std::error::Error for Gone {}

impl Screen {
    /// Starts the thread that shows the lines.
    pub fn start(mut printer: Printer) -> io::Result<Screen> {
        let (lines, waiting) = bounded::<String>(WAITING);
        let show = move || {
            for first in &waiting {
                let text = first + &waiting.try_iter().collect::<String>();
                if printer.print(text).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("screen".into()).spawn(show)?;
        Ok(Screen {
            lines,
            style: Style::from_env(),
        })
    }

    /// Waits while the terminal is slower than the server, which then waits too, within its limits.
    pub fn show(&self, told: &Told<'_>, own: &str) -> Result<(), Gone> {
        match self.style.lines(told, own) {
            lines if lines.is_empty() => Ok(()),
            lines => self.lines.send(lines).map_err(|_| Gone),
        }
    }

    /// A line that is nobody's message.
    pub fn notice(&self, text: &str) -> Result<(), Gone> {
        self.lines.send(self.style.notice(text)).map_err(|_| Gone)
    }
}
