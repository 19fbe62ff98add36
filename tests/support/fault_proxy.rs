//! Faults of the network between a node and Redis, at random moments that a seed gives.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::support::Line;
use super::support::rng::Rng;

/// The longest time without a fault, in milliseconds.
const MAX_PAUSE: usize = 400;

/// A thread that makes faults on a line. The line is whole when this has ended.
pub struct FaultProxy {
    ended: Arc<AtomicBool>,
    faults: Option<JoinHandle<usize>>,
}

/// Returns the seed from `CLUSTER_SEED`, or a random one, and prints it.
pub fn seed() -> u64 {
    let given = env::var("CLUSTER_SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let mut bytes = [0; 4];
        let random = std::fs::File::open("/dev/urandom");
        let read = random.and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
        read.expect("the system has random numbers");
        u32::from_ne_bytes(bytes).into()
    });
    println!("CLUSTER_SEED={seed}");
    seed
}

impl FaultProxy {
    /// Begins the faults that a seed gives. None lasts longer than `max_fault`.
    pub fn start(line: &Arc<Line>, seed: u64, max_fault: Duration) -> FaultProxy {
        let ended = Arc::new(AtomicBool::new(false));
        let faults = {
            let (line, ended) = (Arc::clone(line), Arc::clone(&ended));
            let max_fault = max_fault.as_millis() as usize;
            thread::spawn(move || run(&line, Rng::new(seed), max_fault, &ended))
        };
        FaultProxy {
            ended,
            faults: Some(faults),
        }
    }

    /// Ends the faults and returns their number.
    pub fn end(mut self) -> usize {
        self.stop()
    }

    fn stop(&mut self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        let faults = self.faults.take().map(JoinHandle::join);
        faults.map_or(0, |number| number.expect("the thread does not panic"))
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(line: &Line, mut rng: Rng, max_fault: usize, ended: &AtomicBool) -> usize {
    let mut faults = 0;
    while !ended.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(rng.gen_range(MAX_PAUSE) as u64));
        fault(line, &mut rng, max_fault);
        faults += 1;
    }
    faults
}

fn fault(line: &Line, rng: &mut Rng, max_fault: usize) {
    let time = |rng: &mut Rng, max: usize| Duration::from_millis(rng.gen_range(max + 1) as u64);
    match rng.gen_range(5) {
        // What is on its way in either direction is lost.
        0 => line.cut(),
        // Commands are executed, and their replies lost.
        1 => {
            line.mute_replies();
            thread::sleep(time(rng, 100));
            line.cut();
        }
        // The connections seem open, and are not.
        2 => {
            line.mute();
            thread::sleep(time(rng, max_fault));
            line.cut();
        }
        3 => {
            line.hold();
            thread::sleep(time(rng, max_fault));
            line.release();
        }
        _ => {
            line.delay(time(rng, 20));
            thread::sleep(time(rng, 200));
            line.cut();
            line.delay(Duration::ZERO);
        }
    }
}
