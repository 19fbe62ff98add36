//! The terminal client as a filter. Only tests that need the `client` feature include this file, because its binary does
//! not exist without the feature.
#![allow(dead_code, reason = "no test uses all of it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The terminal client with pipes for stdin, stdout and stderr.
pub struct Filter {
    child: Child,
    /// `None` closes stdin.
    pub input: Option<ChildStdin>,
    /// `None` closes stdout.
    pub output: Option<BufReader<ChildStdout>>,
}

/// The exit code and the text on stderr.
pub type Exit = (Option<i32>, String);

impl Filter {
    pub fn start(args: &[&str]) -> Filter {
        let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat-client"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client starts");
        Filter {
            input: child.stdin.take(),
            output: child.stdout.take().map(BufReader::new),
            child,
        }
    }

    /// Starts a filter in the chat of this server and reads the greeting.
    pub fn join(address: SocketAddr) -> Filter {
        let mut filter = Filter::start(&[&url(address)]);
        let greeting = filter.read_line();
        assert!(greeting.starts_with("You are connected!"), "{greeting}");
        filter
    }

    pub fn write(&mut self, lines: &str) {
        let input = self.input.as_mut().expect("stdin is open");
        input.write_all(lines.as_bytes()).expect("the filter reads");
    }

    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        let output = self.output.as_mut().expect("stdout is open");
        output.read_line(&mut line).expect("the output is UTF-8");
        line.trim_end_matches('\n').to_owned()
    }

    /// Reads lines until the output ends.
    pub fn read_to_end(&mut self) -> Vec<String> {
        let output = self.output.take().expect("stdout is open");
        output
            .lines()
            .map(|line| line.expect("the output is UTF-8"))
            .collect()
    }

    pub fn threads(&self) -> usize {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        tasks.expect("the filter is running").count()
    }

    pub fn wait(&mut self) -> Exit {
        let mut error = String::new();
        let stderr = self.child.stderr.as_mut().expect("stderr is piped");
        stderr.read_to_string(&mut error).expect("stderr is UTF-8");
        (self.child.wait().expect("the filter exits").code(), error)
    }

    /// Runs a filter that fails before it chats. Returns its exit code and its one-line error.
    pub fn fail(args: &[&str]) -> Exit {
        let (code, error) = Filter::start(args).wait();
        assert_eq!(error.matches('\n').count(), 1, "{error:?}");
        let error = error.trim_end().strip_prefix("threadchat-client: ");
        (
            code,
            error.expect("the program's name comes first").to_owned(),
        )
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // The filter can have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn url(address: SocketAddr) -> String {
    format!("ws://{address}/chat")
}

/// The exit of a filter that left the chat without an error.
pub fn success() -> Exit {
    (Some(0), String::new())
}
