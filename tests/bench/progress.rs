//! A line on stderr that tells what is going on: rewritten on a terminal, else one line for each step.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Often enough to be seen moving.
const REWRITE: Duration = Duration::from_millis(250);

pub struct Progress {
    terminal: bool,
    step: String,
    written: Instant,
}

impl Progress {
    pub fn new() -> Progress {
        Progress {
            terminal: stderr().is_terminal(),
            step: String::new(),
            written: Instant::now(),
        }
    }

    /// Something else begins.
    pub fn step(&mut self, step: String) {
        match self.terminal {
            true => self.rewrite(&step),
            false => eprintln!("{step}"),
        }
        self.step = step;
    }

    /// It has come so far.
    pub fn at(&mut self, how_far: impl FnOnce() -> String) {
        if self.terminal && self.written.elapsed() >= REWRITE {
            self.rewrite(&format!("{}: {}", self.step, how_far()));
        }
    }

    /// Something to keep.
    pub fn note(&mut self, note: &str) {
        self.clear();
        eprintln!("{note}");
    }

    /// Nothing more goes on.
    pub fn clear(&mut self) {
        if self.terminal {
            self.rewrite("");
        }
    }

    fn rewrite(&mut self, line: &str) {
        const BEGIN_AND_CLEAR: &str = "\r\x1b[K";
        // Without a terminal any more nobody looks.
        let _ = write!(stderr(), "{BEGIN_AND_CLEAR}{line}");
        let _ = stderr().flush();
        self.written = Instant::now();
    }
}
