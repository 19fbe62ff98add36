//! Where the log goes: to a thread that writes it, so that nobody who logs waits for a terminal that was stopped, a pipe
//! that nobody reads, or a slow disk. The dispatcher logs too, and it may not wait.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Lines that may wait, some hundred KiB of them. What comes when the place is full is lost, and counted.
const LINES: usize = 4096;

/// How long [`flush`](Write::flush) waits for room, and then for all to be written.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

enum Entry {
    Line(Vec<u8>),
    /// Everything before this is written: say so here.
    Flush(Sender<()>),
}

/// A writer that never waits, for a logger. Each line goes out in one piece.
pub struct LogWriter {
    entries: Sender<Entry>,
    line: Vec<u8>,
    lost: usize,
}

impl LogWriter {
    /// Starts the thread that writes to `out`. It ends when the journal is dropped.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<LogWriter> {
        let (entries, waiting) = bounded(LINES);
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || write_all(&waiting, out))?;
        Ok(LogWriter {
            entries,
            line: Vec::new(),
            lost: 0,
        })
    }

    fn line_ends(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if self.lost > 0 {
            let note = format!("[{} lines of the log were lost here]\n", self.lost);
            line.splice(0..0, note.into_bytes());
        }
        match self.entries.try_send(Entry::Line(line)) {
            Ok(()) => self.lost = 0,
            // The thread has no reason to end before the journal does.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.lost += 1,
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(part);
        if part.ends_with(b"\n") {
            self.line_ends();
        }
        Ok(part.len())
    }

    /// Waits until what was logged before is written.
    ///
    /// # Errors
    ///
    /// `TimedOut`: it took more than two seconds.
    fn flush(&mut self) -> io::Result<()> {
        let (done, written) = bounded(1);
        self.entries
            .send_timeout(Entry::Flush(done), FLUSH_DEADLINE)
            .map_err(|_| io::ErrorKind::TimedOut)?;
        written
            .recv_timeout(FLUSH_DEADLINE)
            .map_err(|_| io::ErrorKind::TimedOut)?;
        Ok(())
    }
}

fn write_all(waiting: &Receiver<Entry>, mut out: impl Write) {
    for entry in waiting {
        match entry {
            // A log that can't be written is no reason to stop a chat.
            Entry::Line(line) => drop(out.write_all(&line)),
            Entry::Flush(done) => {
                let _ = out.flush();
                // Who asked may have lost patience.
                let _ = done.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says that a write has begun, and lets it go on when told to.
    struct Gate {
        begun: Sender<()>,
        open: Receiver<()>,
        out: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Only the first is waited for.
            let _ = self.begun.try_send(());
            self.open.recv().map_err(io::Error::other)?;
            let line = String::from_utf8_lossy(bytes).into_owned();
            self.out.send(line).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whole_lines_come_out_in_order_and_losses_are_told() {
        const LOST: usize = 7;
        // One is in the thread's hands, and as many as there is room for wait.
        const KEPT: usize = 1 + LINES;
        let (begun, first_begun) = bounded(1);
        let (opening, open) = bounded(KEPT + 1);
        let (out, written) = bounded(KEPT + 1);
        let mut journal = LogWriter::start(Gate { begun, open, out }).expect("a thread");
        for number in 0..KEPT + LOST {
            write!(journal, "line {number} ").expect("never waits");
            writeln!(journal, "ends").expect("never waits");
            if number == 0 {
                first_begun.recv().expect("the thread is there");
            }
        }
        assert!(journal.flush().is_err(), "nothing can be written yet");
        for _ in 0..KEPT + 1 {
            opening.send(()).expect("the gate is there");
        }
        journal.flush().expect("everything can be written");
        writeln!(journal, "last").expect("never waits");
        journal.flush().expect("everything can be written");
        drop(journal);
        let expected = (0..KEPT).map(|number| format!("line {number} ends\n"));
        let last = format!("[{LOST} lines of the log were lost here]\nlast\n");
        assert!(written.iter().eq(expected.chain([last])));
    }
}
