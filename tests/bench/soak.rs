//! The soak: all kinds of clients mixed for as long as somebody likes, with everything checked that can be.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::process::Process;
use crate::progress::Progress;
use crate::report::grouped;
use crate::server::Server;
use crate::soak_clients::Chatters;
use crate::{hostile_clients, slow_clients};

const REPORT: Duration = Duration::from_secs(10);

/// By when everything is given back: half heads and clients that have fallen behind have ten seconds.
const GIVEN_BACK: Duration = Duration::from_secs(40);

/// How much more memory than before the first client may stay resident. The allocator keeps what it was given for the
/// threads of a busy hour; a leak goes on and passes any bound.
const GROWTH_KIB: u64 = 16 << 10;

#[derive(Clone, Copy)]
struct Resources {
    threads: u64,
    descriptors: u64,
    resident_kib: u64,
}

/// Runs it for so long.
///
/// # Errors
///
/// The first thing that was wrong.
pub fn run(length: Duration) -> Result<()> {
    let server = Server::start(&[]);
    let process = server.process.ok_or("the server has no process")?;
    let mut progress = Progress::new();
    progress.step(format!("soak for {} minutes", length.as_secs() / 60));
    let before = settled(process, None)?;
    let begin = Instant::now();
    let (stop, connections, cut_off) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let checked = thread::scope(|scope| {
        let troubles = [
            scope.spawn(|| slow_clients::run(&server.endpoint, &stop, &connections, &cut_off)),
            scope.spawn(|| hostile_clients::run(&server.endpoint, &stop, &connections)),
        ];
        let mut chat = || -> Result<(u64, u64)> {
            let mut chatters = Chatters::new(server.endpoint.clone())?;
            let mut next_report = begin + REPORT;
            // They end before they are told only when something was wrong.
            while begin.elapsed() < length && !troubles.iter().any(|thread| thread.is_finished()) {
                chatters.chat()?;
                if Instant::now() >= next_report {
                    next_report += REPORT;
                    progress.note(&format!(
                        "{:>6} s: {} messages checked, {} connections, {} cut off; {} chat; {}",
                        begin.elapsed().as_secs(),
                        grouped(chatters.checked as f64, 0),
                        chatters.connections + connections.load(Ordering::Relaxed),
                        cut_off.load(Ordering::Relaxed),
                        chatters.present(),
                        resources(process)?.told(),
                    ));
                }
            }
            chatters.finish()
        };
        let chatted = chat();
        stop.store(true, Ordering::Relaxed);
        for trouble in troubles {
            trouble
                .join()
                .map_err(|_| "a client of the soak panicked")??;
        }
        chatted
    });
    let (checked, well_behaved) =
        checked.map_err(|error| format!("soak: after {:?}: {error}", begin.elapsed()))?;
    let after = settled(process, Some(before))?;
    println!(
        "{} messages checked, {} connections made, {} clients cut off",
        grouped(checked as f64, 0),
        grouped((well_behaved + connections.into_inner()) as f64, 0),
        cut_off.into_inner(),
    );
    println!("before: {}", before.told());
    println!("after:  {}", after.told());
    if (after.threads, after.descriptors) != (before.threads, before.descriptors) {
        return Err(format!("soak: not all was given back in {GIVEN_BACK:?}").into());
    }
    if after.resident_kib > before.resident_kib + GROWTH_KIB {
        return Err(format!("soak: it keeps more than {GROWTH_KIB} KiB").into());
    }
    println!("nothing missing, nothing doubled, nothing out of order, nothing left behind");
    Ok(())
}

impl Resources {
    fn told(self) -> String {
        let Resources {
            threads,
            descriptors,
            resident_kib,
        } = self;
        let resident = grouped(resident_kib as f64, 0);
        format!("{threads} threads, {descriptors} descriptors, {resident} KiB")
    }
}

fn resources(process: Process) -> Result<Resources> {
    Ok(Resources {
        threads: process.threads()?,
        descriptors: process.descriptors()?,
        resident_kib: process.resident_kib()?,
    })
}

/// What the server holds when nobody is there: like `before`, or when the time for that is over.
fn settled(process: Process, before: Option<Resources>) -> Result<Resources> {
    const LOOK: Duration = Duration::from_millis(200);
    let end = Instant::now() + GIVEN_BACK;
    loop {
        thread::sleep(LOOK);
        let now = resources(process)?;
        let same = |before: Resources| {
            (now.threads, now.descriptors) == (before.threads, before.descriptors)
        };
        if before.is_none_or(same) || Instant::now() > end {
            return Ok(now);
        }
    }
}
