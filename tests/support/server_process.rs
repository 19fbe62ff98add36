//! The real program, as a process of its own.

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

/// The threads of a server without clients: acceptor, dispatcher, signals, journal.
pub const BASELINE_THREADS: usize = 4;

pub struct ServerProcess {
    pub address: SocketAddr,
    child: Child,
    log: Receiver<String>,
}

impl ServerProcess {
    /// Starts it on a free port with these options and waits until it responds.
    pub fn start(args: &[&str]) -> ServerProcess {
        let mut command = Command::new(env!("CARGO_BIN_EXE_threadchat"));
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        ServerProcess::spawn(command)
    }

    /// Starts a command that becomes the program, and waits until it responds.
    pub fn spawn(mut command: Command) -> ServerProcess {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be run");
        RUNNING
            .lock()
            .expect("nobody panics with it")
            .push(Pid::from_child(&child));
        let stderr = BufReader::new(child.stderr.take().expect("is piped"));
        let (line_out, log) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have ended.
                let _ = line_out.send(line);
            }
        });
        let mut program = ServerProcess {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
            log,
        };
        let line = program.wait_for_log("responding at");
        let address = line
            .split("ws://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        program.address = address
            .and_then(|address| address.parse().ok())
            .expect("it says where");
        program
    }

    /// The next line of the log that contains this.
    pub fn wait_for_log(&mut self, part: &str) -> String {
        let mut passed = String::new();
        let end = Instant::now() + TIMEOUT;
        loop {
            match self
                .log
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => passed = passed + &line + "\n",
                Err(_) => panic!("{part:?} was not logged, but:\n{passed}"),
            }
        }
    }

    /// A line of the log that contains this, if there is one by now.
    pub fn find_in_log(&mut self, part: &str) -> Option<String> {
        self.log.try_iter().find(|line| line.contains(part))
    }

    /// What is left of the log, once the program has ended.
    pub fn remaining_log(&self) -> Vec<String> {
        self.log.iter().collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
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

    fn count(&self, what: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{what}", self.id()))
            .expect("it runs")
            .count()
    }

    /// Memory that is its own and in RAM, in KiB.
    pub fn resident_kb(&self) -> usize {
        self.status("VmRSS:")
    }

    /// The most of it so far, in KiB.
    pub fn peak_kb(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .expect("Linux tells");
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .expect("a number")
    }
}

/// The programs that were started here and have not ended: a test that misses its deadline ends them.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Ends what tests have started and not ended.
pub fn kill_all() {
    for pid in RUNNING.lock().expect("nobody panics with it").iter() {
        // It may have ended already.
        let _ = kill_process(*pid, Signal::KILL);
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let pid = self.pid();
        RUNNING
            .lock()
            .expect("nobody panics with it")
            .retain(|running| *running != pid);
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
