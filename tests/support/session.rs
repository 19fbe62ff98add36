//! Runs the sessions of the tutorial's chapter: several windows, with what is typed and what is printed in each.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio, id};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::support::{TIMEOUT, eventually, server_process};
use super::tutorial::example;

/// How long a window has to be silent where a session says that nothing is printed.
const SILENCE: Duration = Duration::from_secs(1);

/// A window with the program that runs in it. The program is killed when dropped, with those that it started.
struct Window {
    command: String,
    shell: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

impl Window {
    fn start(command: &str, folder: &PathBuf) -> Window {
        let mut shell = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the shell starts");
        server_process::register(&shell);
        let (sender, output) = mpsc::channel();
        forward(shell.stdout.take().expect("stdout is piped"), &sender);
        forward(shell.stderr.take().expect("stderr is piped"), &sender);
        Window {
            command: command.to_owned(),
            input: shell.stdin.take(),
            shell,
            output,
        }
    }

    /// Compares these lines, in any order, with what is printed next.
    fn expect(&self, mut expected: Vec<&str>) -> Result<(), String> {
        while !expected.is_empty() {
            let printed = self.output.recv_timeout(TIMEOUT);
            let printed = printed.map_err(|_| format!("lacks {expected:?}"))?;
            let found = expected.iter().position(|line| matches(line, &printed));
            let found = found.ok_or_else(|| format!("{printed:?} for {expected:?}"))?;
            expected.remove(found);
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        // All programs of the group can have ended.
        let _ = kill_process_group(Pid::from_child(&self.shell), signal);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        server_process::unregister(&self.shell);
        self.signal(Signal::KILL);
        let _ = self.shell.wait();
    }
}

/// Sends the lines of an output, on a thread.
fn forward(output: impl Read + Send + 'static, lines: &Sender<String>) {
    let lines = lines.clone();
    thread::spawn(move || {
        let mut output = BufReader::new(output).lines().map_while(Result::ok);
        // Fails when the window is closed.
        output.try_for_each(|line| lines.send(line))
    });
}

/// The windows of one session, and the folder they are in.
pub struct Session {
    windows: BTreeMap<String, Window>,
    address: String,
    folder: PathBuf,
}

impl Default for Session {
    fn default() -> Session {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("threadchat-session-{}-{number}", id()));
        fs::create_dir(&folder).expect("the folder is new");
        Session {
            windows: BTreeMap::new(),
            // Until the server has told its address: any free port.
            address: "127.0.0.1:0".to_owned(),
            folder,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.windows.clear();
        // What is left of it does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Session {
    pub fn run(&mut self, session: &str) {
        let mut lines = session.lines().peekable();
        while let Some(line) = lines.next() {
            let name: String = line.chars().take_while(|c| c.is_alphabetic()).collect();
            let rest = &line[name.len()..];
            if let Some(command) = rest.strip_prefix("$ ") {
                self.start(&name, command);
            } else if let Some(keys) = rest.strip_prefix("> ") {
                self.type_in(&name, keys);
            } else if rest.starts_with("| ") {
                // Two threads or two outputs can print into one window, so neighbouring lines have no order.
                let prefix = format!("{name}| ");
                let mut expected: Vec<&str> = line.strip_prefix(&prefix).into_iter().collect();
                while let Some(line) = lines.peek().and_then(|line| line.strip_prefix(&prefix)) {
                    expected.push(line);
                    lines.next();
                }
                self.expect(&name, expected);
            } else if rest == " (nothing)" {
                let printed = self.windows[&name].output.recv_timeout(SILENCE);
                assert!(printed.is_err(), "{name}: {printed:?}");
            } else if line == "(ten seconds later)" {
                // The reader waits here, too: for buffers to fill, and time-outs. What is printed after it is waited for.
                let is_output = |line: &&str| {
                    line.trim_start_matches(char::is_alphabetic)
                        .starts_with("| ")
                };
                if !lines.peek().is_some_and(is_output) {
                    thread::sleep(Duration::from_secs(10));
                }
            } else if line == "(the server ends)" {
                let server = self.windows.get_mut("server").expect("it has started");
                eventually("the server ends", || {
                    let status = server.shell.try_wait().expect("the shell is our child");
                    status.is_some_and(|status| status.success())
                });
            } else {
                panic!("not a line of a session: {line:?}");
            }
        }
    }

    fn start(&mut self, name: &str, command: &str) {
        let mut command = command.to_owned();
        if command == "fg" {
            return self.windows[name].signal(Signal::CONT);
        }
        for program in [
            "1_echo",
            "2_connections",
            "3_broadcast",
            "4_names",
            "5_dispatcher",
            "6_bounded",
            "client",
        ] {
            let run = format!("cargo run -q --example {program}");
            let path = example(program);
            let path = path.to_str().expect("the path is UTF-8");
            command = command.replace(&run, &format!("'{path}' {}", self.address));
            if let Some(server) = self.windows.get("server") {
                let find = format!("$(pgrep -x {program})");
                command = command.replace(&find, &server.shell.id().to_string());
            }
        }
        if name == "server" {
            command = format!("exec {command}");
        }
        let window = Window::start(&command, &self.folder);
        if name == "server" {
            let line = window.output.recv_timeout(TIMEOUT);
            let line = line.expect("the server says where it listens");
            let address = line.strip_prefix("listening at ws://");
            let address = address.and_then(|address| address.strip_suffix("/chat"));
            self.address = address.expect("the line has an address").to_owned();
        }
        self.windows.insert(name.to_owned(), window);
    }

    fn type_in(&mut self, name: &str, keys: &str) {
        let window = self.windows.get_mut(name).expect("the window is open");
        if keys == "^Z" {
            return window.signal(Signal::STOP);
        }
        let input = window.input.as_mut().expect("the program has an input");
        writeln!(input, "{keys}").expect("the program reads");
    }

    fn expect(&mut self, name: &str, mut expected: Vec<&str>) {
        let listening = "listening at ws://127.0.0.1:8080/chat";
        if name == "server" {
            // `start` has read this line.
            expected.retain(|line| *line != listening);
        }
        let deadline = Instant::now() + TIMEOUT;
        while let Err(error) = self.windows[name].expect(expected.clone()) {
            let command = self.windows[name].command.clone();
            // On a busy machine, what a command looks at can take longer.
            let looks = command.starts_with("grep ") && Instant::now() < deadline;
            assert!(looks, "{name}: {error}");
            let window = Window::start(&command, &self.folder);
            self.windows.insert(name.to_owned(), window);
        }
    }
}

/// Compares a line with what was printed. `…` at the end stands for any rest. Of numbers with four digits or more, only the
/// size is compared: they differ by a factor of four at most.
fn matches(line: &str, printed: &str) -> bool {
    if let Some(start) = line.strip_suffix('…') {
        return printed.starts_with(start);
    }
    let (mut line, mut printed) = (line.split_whitespace(), printed.split_whitespace());
    loop {
        match (line.next(), printed.next()) {
            (None, None) => return true,
            (Some(expected), Some(word)) if expected == word => {}
            (Some(expected), Some(word)) => match (expected.parse::<f64>(), word.parse::<f64>()) {
                (Ok(a), Ok(b)) if a >= 1000.0 && a / b <= 4.0 && b / a <= 4.0 => {}
                _ => return false,
            },
            _ => return false,
        }
    }
}
