//! What the clients say during a measurement, and what is counted of what they hear.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::client_pool::Crowd;
use crate::frame;
use crate::process::Process;

/// Before it is measured, so that buffers have grown and whoever sleeps is awake.
pub const WARM_UP: Duration = Duration::from_millis(1500);

/// How long the last messages may take to arrive. What then is missing, is lost.
const ARRIVAL: Duration = Duration::from_secs(3);

/// The longest delay that can be told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// A delay is known to one part in 2^7: two digits.
const DIGITS: u8 = 2;

#[derive(Clone, Copy)]
pub enum Pattern {
    /// Each client keeps this many of its messages in flight.
    Closed { window: usize },
    /// The first `senders` clients send so many messages a second together, whatever becomes of them.
    Rate { per_second: f64, senders: usize },
    /// Nobody says anything.
    Silent,
}

pub struct Measured {
    /// In nanoseconds: from the moment a message is sent, or is due to be, until a client has read it.
    pub delays: Histogram<u64>,
    pub deliveries: u64,
    pub elapsed: Duration,
    /// What the server used during that time.
    pub cpu: Option<Duration>,
    /// The threads' switches for each delivery, the warm-up included.
    pub switches_per_delivery: Option<f64>,
    /// Messages that somebody never got, while they were counted.
    pub missing: u64,
    /// What part of one core the generator used. Near 1 it may be the generator that is measured.
    pub generator: f64,
}

struct Load<'a> {
    crowd: &'a mut Crowd,
    pattern: Pattern,
    begin: Instant,
    delays: Histogram<u64>,
    /// The messages whose delays count, in nanoseconds after `begin`: those due then, or in a closed pattern read then.
    counted: std::ops::Range<u64>,
    deliveries: u64,
    sent: u64,
    ready: Vec<usize>,
}

/// Lets the crowd chat for so long, after a warm-up. `each_moment` is called again and again meanwhile.
pub fn run(
    crowd: &mut Crowd,
    pattern: Pattern,
    length: Duration,
    server: Option<Process>,
    mut each_moment: impl FnMut(Duration),
) -> io::Result<Measured> {
    let counted = WARM_UP.as_nanos() as u64..(WARM_UP + length).as_nanos() as u64;
    let clients = crowd.len() as u64;
    let switches = server.map(Process::switches).transpose()?;
    let mut load = Load {
        crowd,
        pattern,
        begin: Instant::now(),
        delays: Histogram::new_with_bounds(1, LONGEST, DIGITS).map_err(io::Error::other)?,
        counted: counted.clone(),
        deliveries: 0,
        sent: 0,
        ready: Vec::new(),
    };
    load.start();
    load.chat_until(counted.start, &mut each_moment)?;
    let (warmed_up, warm_deliveries) = (load.begin.elapsed(), load.deliveries);
    let cpu = server.map(Process::cpu).transpose()?;
    let own_cpu = Process::own().cpu()?;
    load.chat_until(counted.end, &mut each_moment)?;
    let elapsed = load.begin.elapsed() - warmed_up;
    let deliveries = load.deliveries - warm_deliveries;
    let cpu_end = server.map(Process::cpu).transpose()?;
    let generator = (Process::own().cpu()? - own_cpu).as_secs_f64() / elapsed.as_secs_f64();
    let missing = match pattern {
        Pattern::Rate { .. } => load.await_the_last(clients)?,
        Pattern::Closed { .. } | Pattern::Silent => 0,
    };
    let switches_end = server.map(Process::switches).transpose()?;
    let switched = switches.zip(switches_end);
    Ok(Measured {
        deliveries,
        elapsed,
        cpu: cpu.zip(cpu_end).map(|(start, end)| end - start),
        switches_per_delivery: switched
            .map(|(start, end)| end.saturating_sub(start) as f64 / load.deliveries.max(1) as f64),
        missing,
        generator,
        delays: load.delays,
    })
}

impl Load<'_> {
    fn start(&mut self) {
        let Pattern::Closed { window } = self.pattern else {
            return;
        };
        for sender in 0..self.crowd.len() {
            for _ in 0..window {
                let text = Text::new(sender, nanos(self.begin));
                // Who is gone is counted at the end.
                let _ = self.crowd.send(sender, frame::TEXT, &text.0);
            }
        }
    }

    fn chat_until(&mut self, end: u64, each_moment: &mut impl FnMut(Duration)) -> io::Result<()> {
        loop {
            let now = nanos(self.begin);
            if now >= end {
                return Ok(());
            }
            each_moment(Duration::from_nanos(now));
            let due = self.send_what_is_due(now).min(end);
            let pause = Duration::from_nanos(due.saturating_sub(now));
            self.hear(pause.min(Duration::from_millis(20)))?;
        }
    }

    /// Returns when the next is due.
    fn send_what_is_due(&mut self, now: u64) -> u64 {
        let Pattern::Rate {
            per_second,
            senders,
        } = self.pattern
        else {
            return u64::MAX;
        };
        loop {
            let due = (self.sent as f64 / per_second * 1e9) as u64;
            if due > now {
                return due;
            }
            let sender = (self.sent % senders as u64) as usize;
            // It tells when it was due: a generator or a server that stands still can't hide the delay.
            let text = Text::new(sender, due);
            let _ = self.crowd.send(sender, frame::TEXT, &text.0);
            self.sent += 1;
        }
    }

    /// Takes in what has come, for no longer than this where nothing has.
    fn hear(&mut self, timeout: Duration) -> io::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.crowd.wait(timeout, &mut ready)?;
        let closed = matches!(self.pattern, Pattern::Closed { .. });
        for &place in &ready {
            let now = nanos(self.begin);
            let (delays, deliveries, counted) =
                (&mut self.delays, &mut self.deliveries, &self.counted);
            let _ = self.crowd.receive(place, |opcode, payload, unsent| {
                let Some((sender, sent)) = Text::read(opcode, payload) else {
                    return;
                };
                *deliveries += 1;
                if counted.contains(if closed { &now } else { &sent }) {
                    delays.saturating_record(now.saturating_sub(sent).max(1));
                }
                if closed && sender == place {
                    frame::put(unsent, frame::TEXT, &Text::new(sender, now).0);
                }
            });
        }
        self.ready = ready;
        Ok(())
    }

    /// How many deliveries are still missing when all should have come.
    fn await_the_last(&mut self, clients: u64) -> io::Result<u64> {
        let end = Instant::now() + ARRIVAL;
        while self.deliveries < self.sent * clients && Instant::now() < end {
            self.hear(Duration::from_millis(20))?;
        }
        Ok((self.sent * clients).saturating_sub(self.deliveries))
    }
}

fn nanos(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

/// A message of 32 bytes, about what people write: a mark, its sender, when it was sent, and filling. Its length makes
/// it easy to find behind whatever name the server puts before it.
struct Text([u8; Text::BYTES]);

impl Text {
    const BYTES: usize = 32;
    const MARK: u8 = b'~';
    /// How many characters hold the sender, of six bits each; the time follows.
    const SENDER: usize = 3;
    const TIME: usize = 10;
    /// The character for 0. The 64 from here on are printable ASCII.
    const ZERO: u8 = b'0';

    fn new(sender: usize, nanos: u64) -> Text {
        let mut text = [b'.'; Text::BYTES];
        text[0] = Text::MARK;
        let (sender_field, time_field) =
            text[1..1 + Text::SENDER + Text::TIME].split_at_mut(Text::SENDER);
        write_number(sender_field, sender as u64);
        write_number(time_field, nanos);
        Text(text)
    }

    /// Who sent it and when, if it is one.
    #[inline]
    fn read(opcode: u8, payload: &[u8]) -> Option<(usize, u64)> {
        let text = payload.last_chunk::<{ Text::BYTES }>()?;
        if opcode != frame::TEXT || text[0] != Text::MARK {
            return None;
        }
        let (sender, rest) = text[1..].split_at(Text::SENDER);
        Some((
            read_number(sender) as usize,
            read_number(&rest[..Text::TIME]),
        ))
    }
}

fn write_number(field: &mut [u8], mut number: u64) {
    for byte in field.iter_mut().rev() {
        *byte = Text::ZERO + (number & 0x3f) as u8;
        number >>= 6;
    }
}

#[inline]
fn read_number(field: &[u8]) -> u64 {
    let digit = |byte: &u8| u64::from(byte.wrapping_sub(Text::ZERO));
    field
        .iter()
        .fold(0, |number, byte| number << 6 | digit(byte))
}
