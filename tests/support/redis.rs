//! A Redis of the test's own, and the commands that a test sends to it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{TIMEOUT, eventually, server_process};

/// Debian's redis-server on a free port, with a folder of its own. It keeps what it was told: an append-only file is
/// written before each reply.
pub struct RedisServer {
    pub address: SocketAddr,
    /// The folder of its files, among them `redis.sock`.
    pub folder: PathBuf,
    args: Vec<String>,
    child: Child,
}

/// Returns whether redis-server is installed. In CI, it has to be.
pub fn is_installed() -> bool {
    let mut command = Command::new("redis-server");
    let version = command.arg("--version").stdout(Stdio::null()).status();
    if version.is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs redis-server");
        println!("skipped: redis-server is not installed");
    }
    version.is_ok()
}

impl RedisServer {
    /// Starts a server. Returns `None` if redis-server is not installed.
    pub fn start() -> Option<RedisServer> {
        RedisServer::with_args(&[])
    }

    /// Starts a server with further options. Returns `None` if redis-server is not installed.
    pub fn with_args(args: &[&str]) -> Option<RedisServer> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !is_installed() {
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("threadchat-redis-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        loop {
            let address = free_address();
            let mut server = RedisServer {
                address,
                child: spawn(address, &folder, &args),
                args: args.clone(),
                folder: folder.clone(),
            };
            if server.listens() {
                return Some(server);
            }
            // Another test has taken the port. The folder is needed again.
            server.folder = PathBuf::new();
        }
    }

    /// Returns the option's value that lets a node with this name use the server.
    pub fn url(&self, node: &str) -> String {
        format!("redis://{}?name={node}", self.address)
    }

    /// Waits until the server has loaded its files. Returns false if it has exited.
    fn listens(&mut self) -> bool {
        let mut exited = false;
        eventually("redis-server has loaded its files", || {
            let status = self.child.try_wait().expect("it is a child process");
            exited = status.is_some();
            let reply = self.try_command(&["PING"]);
            // NOAUTH comes from a server with a password.
            let ready = |text: &str| text == "PONG" || text.starts_with("NOAUTH");
            exited || matches!(reply, Ok(Reply::Status(text) | Reply::Error(text)) if ready(&text))
        });
        !exited
    }

    /// Kills the server, without giving it time to write anything.
    pub fn kill(&mut self) {
        server_process::unregister(&self.child);
        self.child.kill().expect("the server is running");
        self.child.wait().expect("the server is a child process");
    }

    /// Starts the server again after [`kill`](RedisServer::kill), on its port and with its files.
    pub fn restart(&mut self) {
        self.child = spawn(self.address, &self.folder, &self.args);
        assert!(self.listens(), "the port is still free");
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server is running");
    }

    /// Sends a command and returns the reply, which is no error.
    pub fn command<W: AsRef<[u8]>>(&self, words: &[W]) -> Reply {
        let name = words
            .first()
            .map(|name| String::from_utf8_lossy(name.as_ref()));
        match self.try_command(words) {
            Ok(Reply::Error(error)) => panic!("{name:?}: {error}"),
            Ok(reply) => reply,
            Err(error) => panic!("{name:?}: {error}"),
        }
    }

    /// Sends a command whose reply is a number.
    pub fn number(&self, words: &[&str]) -> i64 {
        match self.command(words) {
            Reply::Number(number) => number,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    /// Sends a command and returns the reply.
    ///
    /// # Errors
    ///
    /// The server is not reachable or does not reply in time.
    pub fn try_command<W: AsRef<[u8]>>(&self, words: &[W]) -> io::Result<Reply> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            request.extend(format!("${}\r\n", word.len()).bytes());
            request.extend([word, b"\r\n"].concat());
        }
        socket.write_all(&request)?;
        read_reply(&mut BufReader::new(socket))
    }

    /// Returns the id and the bytes of a stream's first entry (XRANGE) or last one (XREVRANGE), unless it is empty.
    pub fn entry(&self, command: &str, key: &str) -> Option<(String, Vec<u8>)> {
        let (from, to) = if command == "XRANGE" {
            ("-", "+")
        } else {
            ("+", "-")
        };
        let Reply::List(entries) = self.command(&[command, key, from, to, "COUNT", "1"]) else {
            return None;
        };
        let Some(Reply::List(entry)) = entries.first() else {
            return None;
        };
        let Reply::List(fields) = &entry[1] else {
            panic!("no fields: {entry:?}");
        };
        let Reply::Bulk(Some(bytes)) = &fields[1] else {
            panic!("no bytes: {fields:?}");
        };
        Some((entry[0].text(), bytes.clone()))
    }

    /// Makes this server a replica, and waits until it has what the other one has.
    pub fn replicate(&self, primary: SocketAddr) {
        let (host, port) = (primary.ip().to_string(), primary.port().to_string());
        self.command(&["REPLICAOF", &host, &port]);
        eventually("the replica is in sync", || {
            let replication = self.command(&["INFO", "replication"]);
            replication.text().contains("master_link_status:up")
        });
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        server_process::unregister(&self.child);
        // The server can have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns a port that no program listens at.
pub fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    free.local_addr().expect("the listener is bound")
}

fn spawn(address: SocketAddr, folder: &PathBuf, args: &[String]) -> Child {
    let child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .arg("--dir")
        .arg(folder)
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args([
            "--save",
            "",
            "--logfile",
            "log",
            "--repl-diskless-sync-delay",
            "0",
        ])
        .arg("--unixsocket")
        .arg(folder.join("redis.sock"))
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    server_process::register(&child);
    child
}

/// A reply in RESP.
#[derive(Debug, PartialEq)]
pub enum Reply {
    Status(String),
    Error(String),
    Number(i64),
    Bulk(Option<Vec<u8>>),
    List(Vec<Reply>),
}

impl Reply {
    /// Returns the text of a bulk reply.
    pub fn text(&self) -> String {
        match self {
            Reply::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("no text: {other:?}"),
        }
    }
}

fn read_reply(reader: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a reply");
    let kind = line.chars().next().ok_or_else(invalid)?;
    let rest = line[kind.len_utf8()..].trim_end();
    let number = || rest.parse::<i64>().map_err(|_| invalid());
    Ok(match kind {
        '+' => Reply::Status(rest.to_owned()),
        '-' => Reply::Error(rest.to_owned()),
        ':' => Reply::Number(number()?),
        '$' => match usize::try_from(number()?) {
            Err(_) => Reply::Bulk(None),
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                reader.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Reply::Bulk(Some(bytes))
            }
        },
        '*' => {
            let replies = (0..number()?).map(|_| read_reply(reader));
            Reply::List(replies.collect::<io::Result<_>>()?)
        }
        _ => return Err(invalid()),
    })
}
