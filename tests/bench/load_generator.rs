//! The messages that clients send during a measurement, and the metrics of their delivery.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::client_pool::ClientPool;
use crate::frame;
use crate::process::Process;

/// Time before the measurement, in which buffers grow and threads wake up.
pub const WARM_UP: Duration = Duration::from_millis(1500);

/// Time after the measurement in which the last messages must arrive. Later ones count as missing.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest delay that the histogram records, in nanoseconds.
const MAX_DELAY: u64 = 60_000_000_000;

/// Significant decimal digits of a delay: a resolution of one part in 2^7.
const SIGNIFICANT_DIGITS: u8 = 2;

/// Longest wait for events, so that progress is shown and time limits are kept.
const MAX_WAIT: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
pub enum LoadModel {
    /// Each client keeps `window` of its messages in flight.
    ClosedLoop { window: usize },
    /// The first `senders` clients together send `per_second` messages a second, independently of their delivery.
    OpenLoop { per_second: f64, senders: usize },
}

/// The result of a measurement.
pub struct Measurement {
    /// Delays in nanoseconds, from the time a message is sent, in an open loop the time it is due, until a client has
    /// read it.
    pub delays: Histogram<u64>,
    pub deliveries: u64,
    pub elapsed: Duration,
    /// CPU time of the server during `elapsed`.
    pub cpu_time: Option<Duration>,
    /// Context switches of the server's threads per delivery, warm-up included.
    pub switches_per_delivery: Option<f64>,
    /// Deliveries that had not arrived by the drain timeout.
    pub missing: u64,
    /// CPU time of the load generator as a fraction of one core. A value near 1 means that the generator might be the
    /// bottleneck.
    pub generator_cores: f64,
}

struct LoadGenerator<'a> {
    pool: &'a mut ClientPool,
    model: LoadModel,
    start: Instant,
    delays: Histogram<u64>,
    /// Time range of the messages whose delays are recorded, in nanoseconds after `start`. It applies to the time a
    /// message is due, in a closed loop to the time it is read.
    recorded: std::ops::Range<u64>,
    deliveries: u64,
    sent: u64,
    ready: Vec<usize>,
}

/// Generates load for `duration` after a warm-up, and measures it. Calls `on_tick` repeatedly with the elapsed time.
pub fn run(
    pool: &mut ClientPool,
    model: LoadModel,
    duration: Duration,
    server: Option<Process>,
    mut on_tick: impl FnMut(Duration),
) -> io::Result<Measurement> {
    let recorded = WARM_UP.as_nanos() as u64..(WARM_UP + duration).as_nanos() as u64;
    let clients = pool.len() as u64;
    let switches_before = server.map(Process::context_switches).transpose()?;
    let mut generator = LoadGenerator {
        pool,
        model,
        start: Instant::now(),
        delays: Histogram::new_with_bounds(1, MAX_DELAY, SIGNIFICANT_DIGITS)
            .map_err(io::Error::other)?,
        recorded: recorded.clone(),
        deliveries: 0,
        sent: 0,
        ready: Vec::new(),
    };
    generator.fill_windows();
    generator.run_until(recorded.start, &mut on_tick)?;
    let (warm_up, warm_up_deliveries) = (generator.start.elapsed(), generator.deliveries);
    let cpu_before = server.map(Process::cpu_time).transpose()?;
    let own_cpu_before = Process::current().cpu_time()?;
    generator.run_until(recorded.end, &mut on_tick)?;
    let elapsed = generator.start.elapsed() - warm_up;
    let deliveries = generator.deliveries - warm_up_deliveries;
    let cpu_after = server.map(Process::cpu_time).transpose()?;
    let own_cpu = Process::current().cpu_time()? - own_cpu_before;
    let missing = match model {
        LoadModel::OpenLoop { .. } => generator.drain(clients)?,
        LoadModel::ClosedLoop { .. } => 0,
    };
    let switches_after = server.map(Process::context_switches).transpose()?;
    let switches_per_delivery = switches_before.zip(switches_after).map(|(before, after)| {
        after.saturating_sub(before) as f64 / generator.deliveries.max(1) as f64
    });
    Ok(Measurement {
        deliveries,
        elapsed,
        cpu_time: cpu_before
            .zip(cpu_after)
            .map(|(before, after)| after - before),
        switches_per_delivery,
        missing,
        generator_cores: own_cpu.as_secs_f64() / elapsed.as_secs_f64(),
        delays: generator.delays,
    })
}

impl LoadGenerator<'_> {
    /// Sends the first messages of a closed loop.
    fn fill_windows(&mut self) {
        let LoadModel::ClosedLoop { window } = self.model else {
            return;
        };
        for sender in 0..self.pool.len() {
            for _ in 0..window {
                let message = TimestampedMessage::new(sender, nanos_since(self.start));
                // A client whose connection has failed is counted at the end.
                let _ = self.pool.send(sender, frame::TEXT, &message.0);
            }
        }
    }

    fn run_until(&mut self, end: u64, on_tick: &mut impl FnMut(Duration)) -> io::Result<()> {
        loop {
            let now = nanos_since(self.start);
            if now >= end {
                return Ok(());
            }
            on_tick(Duration::from_nanos(now));
            let next_due = self.send_due(now).min(end);
            let wait = Duration::from_nanos(next_due.saturating_sub(now));
            self.receive(wait.min(MAX_WAIT))?;
        }
    }

    /// Sends the messages of an open loop that are due. Returns the time at which the next one is due.
    fn send_due(&mut self, now: u64) -> u64 {
        let LoadModel::OpenLoop {
            per_second,
            senders,
        } = self.model
        else {
            return u64::MAX;
        };
        loop {
            let due = (self.sent as f64 / per_second * 1e9) as u64;
            if due > now {
                return due;
            }
            let sender = (self.sent % senders as u64) as usize;
            // The timestamp is the time the message is due, so a stall of the generator or the server counts as delay
            // (no coordinated omission).
            let message = TimestampedMessage::new(sender, due);
            let _ = self.pool.send(sender, frame::TEXT, &message.0);
            self.sent += 1;
        }
    }

    /// Receives from all clients that are ready, after waiting at most `timeout` for the first.
    fn receive(&mut self, timeout: Duration) -> io::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.pool.wait(timeout, &mut ready)?;
        let closed_loop = matches!(self.model, LoadModel::ClosedLoop { .. });
        for &slot in &ready {
            let now = nanos_since(self.start);
            let (delays, deliveries, recorded) =
                (&mut self.delays, &mut self.deliveries, &self.recorded);
            let _ = self.pool.receive(slot, |opcode, payload, unsent| {
                let Some((sender, sent)) = TimestampedMessage::parse(opcode, payload) else {
                    return;
                };
                *deliveries += 1;
                if recorded.contains(if closed_loop { &now } else { &sent }) {
                    delays.saturating_record(now.saturating_sub(sent).max(1));
                }
                if closed_loop && sender == slot {
                    frame::encode(unsent, frame::TEXT, &TimestampedMessage::new(sender, now).0);
                }
            });
        }
        self.ready = ready;
        Ok(())
    }

    /// Waits for the deliveries that have not arrived yet. Returns the number missing at the timeout.
    fn drain(&mut self, clients: u64) -> io::Result<u64> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while self.deliveries < self.sent * clients && Instant::now() < deadline {
            self.receive(MAX_WAIT)?;
        }
        Ok((self.sent * clients).saturating_sub(self.deliveries))
    }
}

fn nanos_since(start: Instant) -> u64 {
    start.elapsed().as_nanos() as u64
}

/// A message of 32 bytes, a typical length in a chat: a marker, the sender, the time it was sent, and padding. The
/// server puts a name of any length before it; with its fixed length it is found from the end.
struct TimestampedMessage([u8; TimestampedMessage::SIZE]);

impl TimestampedMessage {
    const SIZE: usize = 32;
    const MARKER: u8 = b'~';
    /// Characters of the sender and of the time after it, six bits each.
    const SENDER_DIGITS: usize = 3;
    const TIME_DIGITS: usize = 10;
    /// Character for the digit 0. It and the 63 characters after it are printable ASCII.
    const ZERO: u8 = b'0';

    fn new(sender: usize, nanos: u64) -> TimestampedMessage {
        let mut text = [b'.'; Self::SIZE];
        text[0] = Self::MARKER;
        let (sender_field, time_field) =
            text[1..1 + Self::SENDER_DIGITS + Self::TIME_DIGITS].split_at_mut(Self::SENDER_DIGITS);
        write_number(sender_field, sender as u64);
        write_number(time_field, nanos);
        TimestampedMessage(text)
    }

    /// Returns the sender and the time of the message at the end of a payload, or `None` for any other frame.
    #[inline]
    fn parse(opcode: u8, payload: &[u8]) -> Option<(usize, u64)> {
        let text = payload.last_chunk::<{ TimestampedMessage::SIZE }>()?;
        if opcode != frame::TEXT || text[0] != Self::MARKER {
            return None;
        }
        let (sender, rest) = text[1..].split_at(Self::SENDER_DIGITS);
        Some((
            read_number(sender) as usize,
            read_number(&rest[..Self::TIME_DIGITS]),
        ))
    }
}

fn write_number(field: &mut [u8], mut number: u64) {
    for byte in field.iter_mut().rev() {
        *byte = TimestampedMessage::ZERO + (number & 0x3f) as u8;
        number >>= 6;
    }
}

#[inline]
fn read_number(field: &[u8]) -> u64 {
    let digit = |byte: &u8| u64::from(byte.wrapping_sub(TimestampedMessage::ZERO));
    field
        .iter()
        .fold(0, |number, byte| number << 6 | digit(byte))
}
