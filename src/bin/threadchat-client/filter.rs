//! Lines in, lines out: what is read is said, and what is heard is written as the plain-text dialect has it.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use threadchat::plain;
use threadchat::protocol::{Request, Told};

use crate::Result;
use crate::connection::{Connection, Ended, Outgoing};
use crate::lines::{self, Own};
use crate::options::Target;

/// The longest line that is read, so that no input fills the memory. Servers accept far less.
const MAX_LINE: u64 = 1 << 20;

/// Chats until the input ends, and everything said has come back.
///
/// Asking for help marks that end: answers come in the order of the requests, so when this one is here, everything
/// before it has been dealt with. A Close alone wouldn't do, as a server may answer it at once. `/help` itself is
/// answered here, so no other request has that answer.
pub fn run(target: &Target, name: Option<&str>) -> Result<()> {
    let mut connection = Connection::open(target, name)?;
    let outgoing = connection.outgoing();
    let ending = Arc::new(AtomicBool::new(false));
    let input = thread::Builder::new().name("input".into()).spawn({
        let (outgoing, ending) = (outgoing.clone(), Arc::clone(&ending));
        move || {
            let read = say_all(io::stdin().lock(), &outgoing);
            ending.store(true, Ordering::Release);
            // When the connection has ended, the reading side tells why.
            let _ = outgoing.send(&Request::Help {}, None);
            read
        }
    })?;

    let mut own = Own::default();
    let mut leaving = false;
    loop {
        match connection.hear() {
            Ok(Told::Help { .. }) if ending.load(Ordering::Acquire) && !leaving => {
                leaving = true;
                // As above.
                let _ = outgoing.close();
            }
            Ok(mut told) => {
                own.follow(&mut told);
                print(&told)?;
            }
            Err(Ended::Closed(_)) if leaving => break,
            Err(ended) => return Err(ended.into()),
        }
    }
    match input.join() {
        Ok(read) => Ok(read?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Says every line, up to the end of the input or `/quit`.
fn say_all(mut input: impl BufRead, outgoing: &Outgoing) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") {
            let what = format!("a line of the input is longer than {MAX_LINE} bytes");
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        let line = String::from_utf8_lossy(&line);
        match plain::decode(line.trim_end_matches(['\r', '\n'])) {
            Request::Quit => return Ok(()),
            Request::Help {} => print(&lines::help())?,
            Request::Wrong(why) => print(&Told::Error { text: why.into() })?,
            request => {
                if outgoing.send(&request, None).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

fn print(told: &Told<'_>) -> io::Result<()> {
    let mut text = lines::plain(told).join("\n");
    if text.is_empty() {
        return Ok(());
    }
    text.push('\n');
    io::stdout().write_all(text.as_bytes())
}
