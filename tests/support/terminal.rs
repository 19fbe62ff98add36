//! The terminal client on a pseudo-terminal. Only tests that need the `client` feature include this file, because its
//! binary does not exist without the feature.
#![allow(dead_code, reason = "no test uses all of it")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::support::{TIMEOUT, eventually};

pub const UP: &str = "\x1b[A";
pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";

/// The terminal client on a pseudo-terminal of 24 rows, and of 80 columns unless a test asks for others.
pub struct Terminal {
    child: Child,
    keys: File,
    /// Every byte written to the terminal.
    output: Arc<Mutex<Vec<u8>>>,
    /// Offset in the output where the next `wait_for` starts to search.
    searched: usize,
}

impl Terminal {
    pub fn start(args: &[&str]) -> Terminal {
        Terminal::start_with(args, &[("TERM", "xterm")])
    }

    pub fn start_with(args: &[&str], environment: &[(&str, &str)]) -> Terminal {
        Terminal::start_wide(args, environment, 80)
    }

    pub fn start_wide(args: &[&str], environment: &[(&str, &str)], columns: u16) -> Terminal {
        let program = Path::new(env!("CARGO_BIN_EXE_threadchat-client"));
        Terminal::start_program(program, args, environment, columns)
    }

    /// Starts another client.
    pub fn start_program(
        program: &Path,
        args: &[&str],
        environment: &[(&str, &str)],
        columns: u16,
    ) -> Terminal {
        let keys =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal is free");
        grantpt(&keys).expect("the pseudo-terminal is ours");
        unlockpt(&keys).expect("the pseudo-terminal is ours");
        let side = ioctl_tiocgptpeer(&keys, OpenptFlags::RDWR | OpenptFlags::NOCTTY);
        let side: OwnedFd = side.expect("the other side opens");
        set_columns(&side, columns);
        let duplicate = || side.try_clone().expect("a descriptor is free");
        let child = Command::new(program)
            .args(args)
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(duplicate())
            .stdout(duplicate())
            .stderr(duplicate())
            .spawn()
            .expect("the client starts");
        let keys = File::from(keys);
        let mut screen = keys.try_clone().expect("a descriptor is free");
        let output = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&output);
        thread::spawn(move || {
            let mut part = [0; 4096];
            // Reading fails when the client has closed its side.
            while let Ok(n @ 1..) = screen.read(&mut part) {
                written
                    .lock()
                    .expect("the lock is not poisoned")
                    .extend_from_slice(&part[..n]);
            }
        });
        Terminal {
            child,
            keys,
            output,
            searched: 0,
        }
    }

    /// Starts a client in the chat of this server with this name.
    pub fn join(address: SocketAddr, name: &str) -> Terminal {
        let mut terminal = Terminal::start(&["--name", name, &url(address)]);
        terminal.wait_for(&format!("{name}> "));
        terminal
    }

    pub fn type_in(&mut self, keys: &str) {
        self.keys
            .write_all(keys.as_bytes())
            .expect("the terminal is open");
    }

    /// Changes the width. The client receives no signal from a terminal that does not control it, so this sends one.
    pub fn resize(&mut self, columns: u16) {
        set_columns(&self.keys, columns);
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::WINCH).expect("the client is our child");
    }

    pub fn output(&self) -> String {
        let output = self.output.lock().expect("the lock is not poisoned");
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Waits until the terminal shows this text, after everything that was waited for before.
    pub fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + TIMEOUT;
        loop {
            let output = self.output();
            if let Some(at) = output[self.searched..].find(text) {
                self.searched += at + text.len();
                return;
            }
            let rest = &output[self.searched..];
            assert!(Instant::now() < end, "{text:?} is not in {rest:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the client exits", || {
            status = self.child.try_wait().expect("the client is our child");
            status.is_some()
        });
        status.expect("the client has exited")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The client can have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_columns(terminal: &impl AsFd, columns: u16) {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("the size is valid");
}

pub fn url(address: SocketAddr) -> String {
    format!("ws://{address}/chat")
}
