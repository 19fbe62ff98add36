//! Signals: SIGINT and SIGTERM stop the server, SIGHUP reopens the log file and reads the certificate and the secret
//! again. A signal that the parent process ignored stays ignored, as `nohup` and shells without job control intend.
//!
//! The thread `signals` waits for signals. The thread `reload` waits for its requests, and then for the files: to open a
//! FIFO takes until somebody opens its other end. `signals` never waits for `reload`, so that SIGTERM has an effect
//! meanwhile, and nothing waits for the end of either.

use std::fs;
use std::io;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The exit code that shells report for a program ended by SIGINT.
const EXIT_SIGINT: i32 = 130;

/// A further SIGINT or SIGTERM within this time counts as the first: `timeout` signals its child and then the whole
/// process group, within milliseconds.
const REPEAT_WINDOW: Duration = Duration::from_millis(500);

/// Starts the threads that handle signals.
///
/// # Errors
///
/// The system has no threads, or refuses to register the signals.
pub fn start(
    shutdown: impl Fn() + Send + 'static,
    reload: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let ignored = ignored_signals();
    let is_ignored = |signal: i32| ignored >> (signal - 1) & 1 == 1;
    let handled = [SIGINT, SIGTERM, SIGHUP].into_iter();
    let mut signals = Signals::new(handled.filter(|&signal| !is_ignored(signal)))?;
    // A request that has not begun stands for all that follow.
    let (reload_requests, requests) = bounded(1);
    thread::Builder::new()
        .name("reload".into())
        .spawn(move || requests.iter().for_each(|()| reload()))?;
    let handle = move || {
        let mut stopped_at: Option<Instant> = None;
        for signal in &mut signals {
            match stopped_at {
                _ if signal == SIGHUP => drop(reload_requests.try_send(())),
                None => {
                    shutdown();
                    stopped_at = Some(Instant::now());
                }
                Some(at) if at.elapsed() < REPEAT_WINDOW => {}
                Some(_) => {
                    log::warn!("second signal: exiting without closing the remaining connections");
                    log::logger().flush();
                    process::exit(EXIT_SIGINT);
                }
            }
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(handle)?;
    Ok(())
}

/// Returns the signals that the process ignores as a mask, signal 1 in the lowest bit. Systems without Linux's `/proc`
/// give an empty mask.
fn ignored_signals() -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        })
        .unwrap_or(0)
}
