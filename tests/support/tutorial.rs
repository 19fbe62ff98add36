//! The steps of the tutorial as processes, and clients that talk and listen at the same time.
#![allow(dead_code, reason = "no test uses all of it")]

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::Message;

use super::support::cases::TEXT;
use super::support::{Client, TIMEOUT, eventually, raw, server_process};

/// How long a test waits for something that does not happen. A step that fails fails for ever, so this need not be long.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the program of an example, which cargo builds before it runs all tests.
pub fn example(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_threadchat"));
    let program = program.with_file_name("examples").join(name);
    assert!(program.exists(), "first run `cargo build --examples`");
    program
}

/// A step that runs, with its terminal. It is killed when dropped.
pub struct Step {
    pub address: SocketAddr,
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

impl Step {
    pub fn start(name: &str) -> Step {
        let mut child = Command::new(example(name))
            .arg("127.0.0.1:0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the step starts");
        server_process::register(&child);
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let (sender, output) = mpsc::channel();
        // Sending fails when the test has ended.
        thread::spawn(move || {
            let mut lines = lines.map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        let mut step = Step {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            input: child.stdin.take(),
            child,
            output,
        };
        let line = step.line();
        let address = line.strip_prefix("listening at ws://");
        let address = address.and_then(|address| address.strip_suffix("/chat")?.parse().ok());
        step.address = address.unwrap_or_else(|| panic!("no address: {line:?}"));
        step
    }

    /// Waits for the next line of the output.
    pub fn line(&mut self) -> String {
        let line = self.output.recv_timeout(TIMEOUT);
        line.expect("the step prints a line")
    }

    /// Types a line into the terminal.
    pub fn type_in(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        writeln!(input, "{line}").expect("the step runs");
    }

    pub fn end_input(&mut self) {
        self.input = None;
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether all threads wait for something.
    pub fn is_idle(&self) -> bool {
        statuses(self.id()).all(|status| status.contains("\nState:\tS"))
    }

    pub fn is_running(&mut self) -> bool {
        let status = self.child.try_wait().expect("the step is a child process");
        status.is_none()
    }

    pub fn wait(&mut self) -> ExitStatus {
        eventually("the step ends", || !self.is_running());
        self.child.wait().expect("the step is a child process")
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        server_process::unregister(&self.child);
        // The step can have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the status files of a process's threads.
fn statuses(id: u32) -> impl Iterator<Item = String> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).expect("the process runs");
    threads.map(|thread| {
        let path = thread.expect("the process runs").path().join("status");
        // A thread can have ended since the directory was read.
        fs::read_to_string(path).unwrap_or_default()
    })
}

/// Returns the sum of a number in the status files of a process's threads.
pub fn sum_of_threads(id: u32, key: &str) -> u64 {
    statuses(id).map(|status| number(&status, key)).sum()
}

/// Returns the resident memory of a process in KiB.
pub fn resident_kb(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process runs");
    number(&status, "VmRSS:")
}

fn number(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// A client that reads all the time, on a thread, while the test sends.
pub struct Talker {
    socket: TcpStream,
    /// Starts of the texts that have arrived. Ends with the connection.
    texts: Receiver<String>,
}

impl Talker {
    /// Connects, and reads the greeting.
    pub fn join(address: SocketAddr) -> Talker {
        let mut client = Client::connect(address, "/chat");
        assert!(client.recv_text().starts_with("You are connected!"));
        let socket = client.socket.get_ref();
        // So that sending to a server that has stopped reading fails.
        let timeout = Some(PATIENCE);
        socket.set_write_timeout(timeout).expect("it is not zero");
        let socket = socket.try_clone().expect("a descriptor is free");
        let (sender, texts) = mpsc::channel();
        thread::spawn(move || {
            while let Ok(message) = client.next_message() {
                if let Message::Text(text) = message {
                    // Fails when the test has ended.
                    let _ = sender.send(text.chars().take(40).collect());
                }
            }
        });
        Talker { socket, texts }
    }

    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.socket.write_all(&raw::frame(TEXT, text.as_bytes()))
    }

    /// Returns whether a text that contains `part` arrives in time.
    pub fn hears(&self, part: &str) -> bool {
        let end = Instant::now() + PATIENCE;
        let next = || {
            let left = end.saturating_duration_since(Instant::now());
            self.texts.recv_timeout(left).ok()
        };
        std::iter::from_fn(next).any(|text| text.contains(part))
    }

    /// Waits for the next text.
    pub fn text(&self) -> String {
        let text = self.texts.recv_timeout(TIMEOUT);
        text.expect("the connection is open, and a text arrives")
    }

    /// Returns whether the server has ended the connection.
    pub fn is_thrown_out(&self) -> bool {
        loop {
            match self.texts.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
    }

    /// Says long messages, one after the other has come back, `mebibytes` in all. Returns whether all have come back.
    pub fn floods(&mut self, mebibytes: usize) -> bool {
        let long = "x".repeat((64 << 10) - 16);
        (0..mebibytes * 16).all(|number| {
            let start = format!("#{number}#");
            self.say(&format!("{start}{long}")).is_ok() && self.hears(&start)
        })
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        // The server can have closed the connection.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
