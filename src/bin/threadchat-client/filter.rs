//! Lines in, lines out: what is read is said, and what is heard is written as the plain-text dialect has it.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use threadchat::protocol::plain;
use threadchat::protocol::{ClientCommand, ServerEvent};

use crate::Result;
use crate::cli::Target;
use crate::connection::{Connection, Ended, Outgoing};
use crate::render::{self as lines, Own};

/// The longest line that is read, so that no input fills the memory. Servers accept far less.
const MAX_LINE: u64 = 1 << 20;

/// What is said, in bytes, before we wait until it has come back. More than one of the largest messages that servers
/// accept by default, and far less than what they let wait for a client: one that says much faster than it can hear
/// would be cut off.
const WINDOW: usize = 128 << 10;

/// What a message has around its text, roughly.
const OVERHEAD: usize = 64;

/// Chats until the input ends, and everything said has come back.
pub fn run(target: &Target, name: Option<&str>) -> Result<()> {
    let mut connection = Connection::open(target, name)?;
    let leaving = Arc::new(AtomicBool::new(false));
    let (answered, answers) = bounded(1);
    let speaker = Speaker {
        outgoing: connection.outgoing(),
        answers,
    };
    let input = thread::Builder::new().name("input".into()).spawn({
        let leaving = Arc::clone(&leaving);
        move || {
            let read = speaker.say_all(io::stdin().lock());
            // When the connection has ended, the hearing side tells why: here and below.
            let _ = speaker.settle();
            leaving.store(true, Ordering::Release);
            let _ = speaker.outgoing.close();
            read
        }
    })?;

    let mut own = Own::default();
    loop {
        match connection.hear() {
            // Nobody waits for more than one.
            Ok(ServerEvent::Help { .. }) => drop(answered.try_send(())),
            Ok(mut told) => {
                own.follow(&mut told);
                print(&told)?;
            }
            Err(Ended::Closed(_)) if leaving.load(Ordering::Acquire) => break,
            Err(ended) => return Err(ended.into()),
        }
    }
    match input.join() {
        Ok(read) => Ok(read?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The connection has ended.
struct Over;

/// The thread that reads the input.
struct Speaker {
    outgoing: Outgoing,
    answers: Receiver<()>,
}

impl Speaker {
    /// Says every line, up to the end of the input, `/quit`, or the end of the connection.
    fn say_all(&self, mut input: impl BufRead) -> io::Result<()> {
        let (mut line, mut unsettled) = (Vec::new(), 0);
        loop {
            line.clear();
            let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            if read as u64 == MAX_LINE && !line.ends_with(b"\n") {
                let what = format!("a line of the input is longer than {MAX_LINE} bytes");
                return Err(io::Error::new(ErrorKind::InvalidData, what));
            }
            let text = String::from_utf8_lossy(&line);
            match plain::decode(text.trim_end_matches(['\r', '\n'])) {
                ClientCommand::Quit => return Ok(()),
                ClientCommand::Help {} => print(&lines::help())?,
                ClientCommand::Invalid(why) => print(&ServerEvent::Error { text: why.into() })?,
                request => {
                    if self.outgoing.send(&request, None).is_err() {
                        return Ok(());
                    }
                    unsettled += read + OVERHEAD;
                }
            }
            if unsettled >= WINDOW {
                if self.settle().is_err() {
                    return Ok(());
                }
                unsettled = 0;
            }
        }
    }

    /// Waits until everything said has been dealt with.
    ///
    /// Requests are answered in their order, so the answer to one more, for help, comes behind all that was said before.
    /// A Close wouldn't do, as a server may answer it at once. `/help` itself is answered here, so no other request has
    /// that answer.
    fn settle(&self) -> std::result::Result<(), Over> {
        self.outgoing
            .send(&ClientCommand::Help {}, None)
            .map_err(|_| Over)?;
        self.answers.recv().map_err(|_| Over)
    }
}

fn print(told: &ServerEvent<'_>) -> io::Result<()> {
    let mut text = lines::plain(told).join("\n");
    if text.is_empty() {
        return Ok(());
    }
    text.push('\n');
    io::stdout().write_all(text.as_bytes())
}
