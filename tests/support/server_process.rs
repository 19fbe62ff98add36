//! The server as a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::TIMEOUT;

/// Threads of a server without clients: acceptor, dispatcher, signal handler, reload, log writer.
pub const BASELINE_THREADS: usize = 5;

pub struct ServerProcess {
    pub address: SocketAddr,
    child: Child,
    log: Receiver<String>,
}

impl ServerProcess {
    /// Starts the server on a free port with these options and waits until it listens.
    pub fn start(args: &[&str]) -> ServerProcess {
        ServerProcess::start_anywhere(&[&["--listen", "127.0.0.1:0"], args].concat())
    }

    /// Starts the server with these options, which tell where it listens.
    pub fn start_anywhere(args: &[&str]) -> ServerProcess {
        let mut command = Command::new(env!("CARGO_BIN_EXE_threadchat"));
        command.args(args);
        ServerProcess::spawn(command)
    }

    /// Starts a command that becomes the server, and waits until it listens.
    pub fn spawn(mut command: Command) -> ServerProcess {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        ServerProcess::spawn_with_stdio(command)
    }

    /// Starts a command that becomes the server, with its own stdin and stdout, and waits until it listens.
    pub fn spawn_with_stdio(mut command: Command) -> ServerProcess {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        register(&child);
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, log) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The receiver is dropped when the test ends.
                let _ = sender.send(line);
            }
        });
        let mut server = ServerProcess {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
            log,
        };
        let line = server.wait_for_log("listening at");
        let address = line
            .split("://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        // A server with Unix sockets alone has no address.
        if let Some(address) = address {
            server.address = address.parse().expect("the line contains the address");
        }
        server
    }

    /// Waits for the next log line that contains `part`.
    pub fn wait_for_log(&mut self, part: &str) -> String {
        let mut skipped = String::new();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self
                .log
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => skipped = skipped + &line + "\n",
                Err(_) => panic!("{part:?} was not logged; skipped lines:\n{skipped}"),
            }
        }
    }

    /// Returns the next log line that contains `part`, if it is already logged.
    pub fn find_in_log(&mut self, part: &str) -> Option<String> {
        self.log.try_iter().find(|line| line.contains(part))
    }

    /// Returns the unread log lines after the server's exit.
    pub fn remaining_log(&self) -> Vec<String> {
        self.log.iter().collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server is running");
    }

    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the server is a child process")
            {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not exit");
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn threads(&self) -> usize {
        self.count("task")
    }

    pub fn descriptors(&self) -> usize {
        self.count("fd")
    }

    fn count(&self, directory: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{directory}", self.id()))
            .expect("the server is running")
            .count()
    }

    /// Resident memory in KiB.
    pub fn resident_kb(&self) -> usize {
        self.status("VmRSS:")
    }

    /// Peak resident memory in KiB.
    pub fn peak_kb(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))
            .expect("the server is running");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .expect("the status has this key");
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .expect("the value is a number")
    }
}

/// Servers that are running, for a watchdog to kill.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Adds a process to those that a watchdog kills.
pub fn register(child: &Child) {
    let mut running = RUNNING.lock().expect("the lock is not poisoned");
    running.push(Pid::from_child(child));
}

/// Removes a process that is about to be waited for.
pub fn unregister(child: &Child) {
    let mut running = RUNNING.lock().expect("the lock is not poisoned");
    running.retain(|pid| *pid != Pid::from_child(child));
}

/// Kills all running servers.
pub fn kill_all() {
    for pid in RUNNING.lock().expect("the lock is not poisoned").iter() {
        // The server can have exited already.
        let _ = kill_process(*pid, Signal::KILL);
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        unregister(&self.child);
        // The server can have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            for line in self.log.iter() {
                eprintln!("server at {}: {line}", self.address);
            }
        }
    }
}
