//! The log writer: a thread that writes the log, so that logging never waits for a stopped terminal, a full pipe or a slow
//! disk. The dispatcher logs too, and must not wait.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// The capacity of the queue in lines, some hundred KiB. Further lines are dropped and counted.
const QUEUE_CAPACITY: usize = 4096;

/// The time for [`flush`](Write::flush) to wait for room in the queue, and again until all lines are written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Entry {
    Line(Vec<u8>),
    /// A request for a reply when every earlier line is written.
    Flush(Sender<()>),
    /// The output for later lines.
    Output(Box<dyn Write + Send>),
}

/// A writer for a logger that never waits. Each line is written in one piece.
pub struct LogWriter {
    sender: Sender<Entry>,
    line: Vec<u8>,
    dropped: usize,
}

/// Changes the output of a log writer.
pub struct Output(Sender<Entry>);

impl Output {
    /// Writes later lines to `out`, after earlier ones are written to the previous output. If the previous output has
    /// accepted nothing for a second, it stays.
    pub fn replace(&self, out: impl Write + Send + 'static) {
        let _ = self
            .0
            .send_timeout(Entry::Output(Box::new(out)), FLUSH_TIMEOUT);
    }
}

impl LogWriter {
    /// Starts the thread that writes to `out`. The thread ends when the log writer and its [`Output`]s are dropped.
    ///
    /// # Errors
    ///
    /// The system has no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<LogWriter> {
        let (sender, receiver) = bounded(QUEUE_CAPACITY);
        thread::Builder::new()
            .name("log writer".into())
            .spawn(move || write_loop(&receiver, Box::new(out)))?;
        Ok(LogWriter {
            sender,
            line: Vec::new(),
            dropped: 0,
        })
    }

    /// Returns a handle that changes the output.
    pub fn output(&self) -> Output {
        Output(self.sender.clone())
    }

    /// Returns the line that stands for dropped ones.
    fn note(&self) -> Option<Vec<u8>> {
        let note = || format!("[{} log lines were dropped here]\n", self.dropped).into_bytes();
        (self.dropped > 0).then(note)
    }

    fn send(&self, entry: Entry) -> io::Result<()> {
        let sent = self.sender.send_timeout(entry, FLUSH_TIMEOUT);
        sent.map_err(|_| io::ErrorKind::TimedOut.into())
    }

    fn finish_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if let Some(note) = self.note() {
            line.splice(0..0, note);
        }
        match self.sender.try_send(Entry::Line(line)) {
            Ok(()) => self.dropped = 0,
            // The thread does not end before the sender is dropped.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped += 1,
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(part);
        if part.ends_with(b"\n") {
            self.finish_line();
        }
        Ok(part.len())
    }

    /// Waits until every earlier line is written, and how many were dropped.
    ///
    /// # Errors
    ///
    /// `TimedOut`: it took more than three seconds.
    fn flush(&mut self) -> io::Result<()> {
        if let Some(note) = self.note() {
            self.send(Entry::Line(note))?;
            self.dropped = 0;
        }
        let (done, written) = bounded(1);
        self.send(Entry::Flush(done))?;
        written
            .recv_timeout(FLUSH_TIMEOUT)
            .map_err(|_| io::ErrorKind::TimedOut)?;
        Ok(())
    }
}

fn write_loop(receiver: &Receiver<Entry>, mut out: Box<dyn Write + Send>) {
    for entry in receiver {
        match entry {
            // Write errors are ignored: the chat goes on without a log.
            Entry::Line(line) => drop(out.write_all(&line)),
            Entry::Flush(done) => {
                let _ = out.flush();
                // The requester may have timed out.
                let _ = done.try_send(());
            }
            Entry::Output(new) => out = new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink whose writes report that they have begun, and wait until they are let through.
    struct Gate {
        begun: Sender<()>,
        open: Receiver<()>,
        out: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Only the first write is waited for.
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

    /// Waits until everything is written. Each flush has a timeout, which can pass on a busy machine.
    fn flush(writer: &mut LogWriter) {
        let is_written = (0..20).any(|_| writer.flush().is_ok());
        assert!(is_written, "everything can be written");
    }

    #[test]
    fn lines_stay_whole_and_in_order_and_dropped_ones_are_counted() {
        const DROPPED: usize = 7;
        // One line is being written, and the queue is full.
        const KEPT: usize = 1 + QUEUE_CAPACITY;
        let (begun, first_write) = bounded(1);
        let (opening, open) = bounded(KEPT + 2);
        let (out, written) = bounded(KEPT + 2);
        let mut writer = LogWriter::start(Gate { begun, open, out }).expect("a thread");
        for number in 0..KEPT + DROPPED {
            write!(writer, "line {number} ").expect("never waits");
            writeln!(writer, "ends").expect("never waits");
            if number == 0 {
                first_write.recv().expect("the thread runs");
            }
        }
        assert!(writer.flush().is_err(), "nothing can be written yet");
        for _ in 0..KEPT + 2 {
            opening.send(()).expect("the gate is open");
        }
        flush(&mut writer);
        writeln!(writer, "last").expect("never waits");
        flush(&mut writer);
        drop(writer);
        let expected = (0..KEPT).map(|number| format!("line {number} ends\n"));
        let note = format!("[{DROPPED} log lines were dropped here]\n");
        assert!(written.iter().eq(expected.chain([note, "last\n".into()])));
    }
}
