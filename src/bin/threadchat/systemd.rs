//! What systemd passes to a service by the environment: sockets that listen (sd_listen_fds(3)), where to report its state
//! (sd_notify(3)), and the period of the watchdog (sd_watchdog_enabled(3)).

use std::env;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use listenfd::ListenFd;
use threadchat::net::Listener;

/// The time for the service manager to take a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause between two health checks of a server that has not responded yet.
const STARTING_INTERVAL: Duration = Duration::from_millis(100);

/// Takes the sockets that the service manager has opened, none if it has not. Changes the environment, so it is called before
/// the first thread is started.
///
/// # Errors
///
/// One of them is not a socket that accepts clients.
pub fn take_listeners() -> Result<Vec<Listener>, String> {
    let mut passed = ListenFd::from_env();
    (0..passed.len())
        .map(|index| {
            take_listener(&mut passed, index)
                .map_err(|error| format!("cannot use the socket {index} of LISTEN_FDS: {error}"))
        })
        .collect()
}

fn take_listener(passed: &mut ListenFd, index: usize) -> io::Result<Listener> {
    if let Ok(Some(unix)) = passed.take_unix_listener(index) {
        return unix.try_into();
    }
    match passed.take_tcp_listener(index)? {
        Some(tcp) => tcp.try_into(),
        // Nothing else takes it.
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Reports the state of the service.
pub struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl Notifier {
    /// Returns the notifier, if the service manager wants to know the state.
    ///
    /// # Errors
    ///
    /// The address is invalid, or the process has no further descriptor.
    pub fn from_env() -> io::Result<Option<Notifier>> {
        let Some(address) = env::var_os("NOTIFY_SOCKET") else {
            return Ok(None);
        };
        let manager = match address.as_encoded_bytes() {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            [b'@', name @ ..] => {
                use std::os::linux::net::SocketAddrExt;
                SocketAddr::from_abstract_name(name)?
            }
            _ => SocketAddr::from_pathname(&address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Some(Notifier { socket, manager }))
    }

    fn send(&self, state: &str) {
        if let Err(error) = self.socket.send_to_addr(state.as_bytes(), &self.manager) {
            log::warn!("cannot report {state} to the service manager: {error}");
        }
    }

    /// Reports that the server stops.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }
}

/// Starts the thread that reports when the server serves, and then, if the service has a watchdog, for as long as it does.
///
/// # Errors
///
/// The system has no thread.
pub fn start(
    notifier: Arc<Notifier>,
    is_healthy: impl Fn() -> bool + Send + 'static,
) -> io::Result<()> {
    let period = watchdog_period();
    thread::Builder::new()
        .name("systemd".into())
        .spawn(move || report(period, &is_healthy, |state| notifier.send(state)))?;
    Ok(())
}

/// Returns the time within which the watchdog must be told that the service is well, if it watches this process.
fn watchdog_period() -> Option<Duration> {
    let is_own = |pid: String| pid.parse() == Ok(process::id());
    let micros = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    let watches = env::var("WATCHDOG_PID").map_or(true, is_own);
    (watches && micros > 0).then(|| Duration::from_micros(micros))
}

/// Waits until the server serves, and reports it. Then reports twice in each period of the watchdog that it does, unless it
/// does not.
fn report(period: Option<Duration>, is_healthy: &dyn Fn() -> bool, send: impl Fn(&str)) {
    while !is_healthy() {
        thread::sleep(STARTING_INTERVAL);
    }
    send("READY=1");
    let Some(period) = period else { return };
    loop {
        if is_healthy() {
            send("WATCHDOG=1");
        } else {
            log::error!(
                "a dispatcher does not respond, so the watchdog is not told that all is well"
            );
        }
        thread::sleep(period / 2);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_a_healthy_server_is_reported() {
        let (health, checks) = mpsc::channel();
        let (sender, reports) = mpsc::channel();
        thread::spawn(move || {
            // Ends this thread with the test.
            let is_healthy = || checks.recv().expect("the test goes on");
            let send = |state: &str| sender.send(state.to_owned()).expect("the test goes on");
            report(Some(Duration::from_millis(2)), &is_healthy, send);
        });
        for healthy in [false, false, true, true, false, false, true] {
            health.send(healthy).expect("the thread runs");
        }
        let sent: Vec<String> = reports.iter().take(3).collect();
        assert_eq!(sent, ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
        assert!(reports.try_recv().is_err());
    }
}
