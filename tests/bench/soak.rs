//! The soak: all kinds of clients at once for a given time, with every checkable property checked.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::process::Process;
use crate::progress::Progress;
use crate::report::format_number;
use crate::server::Server;
use crate::soak_clients::SoakClients;
use crate::{hostile_clients, slow_clients};

const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Time by which the server must have released all resources. It keeps unfinished requests and clients that have fallen
/// behind for ten seconds.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(40);

/// Allowed growth of the resident memory, in KiB, compared with the server before the first client. The allocator keeps
/// memory it needed for the threads of a busy hour, whereas a leak keeps growing and exceeds any bound.
const MAX_GROWTH_KIB: u64 = 16 << 10;

#[derive(Clone, Copy)]
struct Resources {
    threads: u64,
    descriptors: u64,
    resident_kib: u64,
}

/// Runs a soak.
///
/// # Errors
///
/// Returns the first violation.
pub fn run(duration: Duration) -> Result<()> {
    let server = Server::start(&[]);
    let process = server.process.ok_or("the server has no process")?;
    let mut progress = Progress::new();
    progress.start_step(format!("soak for {} minutes", duration.as_secs() / 60));
    let before = wait_for_release(process, None)?;
    let start = Instant::now();
    let (stop, connections, disconnected) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let result = thread::scope(|scope| {
        let misbehaving = [
            scope.spawn(|| slow_clients::run(&server.endpoint, &stop, &connections, &disconnected)),
            scope.spawn(|| hostile_clients::run(&server.endpoint, &stop, &connections)),
        ];
        let mut chat = || -> Result<(u64, u64)> {
            let mut clients = SoakClients::new(server.endpoint.clone())?;
            let mut next_report = start + REPORT_INTERVAL;
            // These threads end before `stop` is set only after a violation.
            while start.elapsed() < duration
                && !misbehaving.iter().any(|thread| thread.is_finished())
            {
                clients.step()?;
                if Instant::now() >= next_report {
                    next_report += REPORT_INTERVAL;
                    progress.print(&format!(
                        "{:>6} s: {} messages checked, {} connections, {} slow clients disconnected; \
                         {} well-behaved clients; {}",
                        start.elapsed().as_secs(),
                        format_number(clients.checked as f64, 0),
                        clients.connections + connections.load(Ordering::Relaxed),
                        disconnected.load(Ordering::Relaxed),
                        clients.len(),
                        resources(process)?,
                    ));
                }
            }
            clients.drain()
        };
        let result = chat();
        stop.store(true, Ordering::Relaxed);
        for thread in misbehaving {
            thread
                .join()
                .map_err(|_| "a thread of misbehaving clients panicked")??;
        }
        result
    });
    let (checked, well_behaved) =
        result.map_err(|error| format!("soak: after {:?}: {error}", start.elapsed()))?;
    let after = wait_for_release(process, Some(before))?;
    println!(
        "{} messages checked, {} connections, {} slow clients disconnected",
        format_number(checked as f64, 0),
        format_number((well_behaved + connections.into_inner()) as f64, 0),
        disconnected.into_inner(),
    );
    println!("before: {before}");
    println!("after:  {after}");
    if (after.threads, after.descriptors) != (before.threads, before.descriptors) {
        return Err(
            format!("soak: threads or descriptors not released in {RELEASE_TIMEOUT:?}").into(),
        );
    }
    if after.resident_kib > before.resident_kib + MAX_GROWTH_KIB {
        return Err(format!("soak: memory has grown by more than {MAX_GROWTH_KIB} KiB").into());
    }
    println!("no message lost, duplicated or reordered; all resources released");
    Ok(())
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resources {
            threads,
            descriptors,
            resident_kib,
        } = *self;
        let resident = format_number(resident_kib as f64, 0);
        write!(
            f,
            "{threads} threads, {descriptors} descriptors, {resident} KiB"
        )
    }
}

fn resources(process: Process) -> Result<Resources> {
    Ok(Resources {
        threads: process.threads()?,
        descriptors: process.descriptors()?,
        resident_kib: process.resident_kib()?,
    })
}

/// Waits until a server without clients holds as many threads and descriptors as in `before`, or until the timeout.
/// Returns its resources then.
fn wait_for_release(process: Process, before: Option<Resources>) -> Result<Resources> {
    const POLL_INTERVAL: Duration = Duration::from_millis(200);
    let deadline = Instant::now() + RELEASE_TIMEOUT;
    loop {
        thread::sleep(POLL_INTERVAL);
        let now = resources(process)?;
        let is_released = |before: Resources| {
            (now.threads, now.descriptors) == (before.threads, before.descriptors)
        };
        if before.is_none_or(is_released) || Instant::now() > deadline {
            return Ok(now);
        }
    }
}
