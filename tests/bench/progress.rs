//! A progress line on stderr: rewritten in place on a terminal, otherwise one line per step.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Minimum time between two rewrites: short enough to look continuous.
const REWRITE_INTERVAL: Duration = Duration::from_millis(250);

pub struct Progress {
    is_terminal: bool,
    step: String,
    last_written: Instant,
}

impl Progress {
    pub fn new() -> Progress {
        Progress {
            is_terminal: stderr().is_terminal(),
            step: String::new(),
            last_written: Instant::now(),
        }
    }

    /// Starts a step.
    pub fn start_step(&mut self, step: String) {
        match self.is_terminal {
            true => self.rewrite(&step),
            false => eprintln!("{step}"),
        }
        self.step = step;
    }

    /// Shows the state of the current step, on a terminal only.
    pub fn update(&mut self, state: impl FnOnce() -> String) {
        if self.is_terminal && self.last_written.elapsed() >= REWRITE_INTERVAL {
            self.rewrite(&format!("{}: {}", self.step, state()));
        }
    }

    /// Prints a line that stays.
    pub fn print(&mut self, line: &str) {
        self.clear();
        eprintln!("{line}");
    }

    /// Clears the progress line.
    pub fn clear(&mut self) {
        if self.is_terminal {
            self.rewrite("");
        }
    }

    fn rewrite(&mut self, line: &str) {
        const CLEAR_LINE: &str = "\r\x1b[K";
        // An error means that the terminal has been closed, and progress is of no use then.
        let _ = write!(stderr(), "{CLEAR_LINE}{line}");
        let _ = stderr().flush();
        self.last_written = Instant::now();
    }
}
