//! A server listens at a Unix socket: its file, its clients, and the limits that hold for them.

mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use support::{Client, RawClient, ServerProcess, TestServer, config, eventually, raw, watchdog};
use threadchat::config::ListenAddress;
use threadchat::{Config, Server};

/// A folder for the socket of one test, which is removed with its files.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let name = format!("threadchat-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        Folder(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("chat.sock")
    }

    /// Returns the option `--listen` for the socket.
    fn listen(&self) -> String {
        format!("--listen=unix:{}", self.socket().display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a server that does not start, and ends it if it does. Returns its message.
fn failure(args: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_threadchat")])
        .args(args)
        .output()
        .expect("the server's program runs");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("it is UTF-8");
    let last = message.lines().last().expect("there is a message");
    last.to_owned()
}

fn get(path: &Path, request: &str) -> String {
    let mut raw = RawClient::connect_unix(path);
    raw.send(request.as_bytes());
    let response = raw.rest().expect("the server closes");
    String::from_utf8(response).expect("it is UTF-8")
}

#[test]
fn clients_of_both_kinds_of_sockets_are_in_one_chat() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("chat");
    let mut server = ServerProcess::start(&[&folder.listen()]);
    server.wait_for_log(&format!("listening at unix:{}", folder.socket().display()));
    let mut tcp = Client::join(server.address);
    let mut unix = Client::join_unix(&folder.socket());
    server.wait_for_log("user1 joined from unix (2 users)");
    let long = "x".repeat(60_000);
    unix.send_text(&long);
    for client in [&mut tcp, &mut unix] {
        assert_eq!(client.recv_text(), format!("[user1]: {long}"));
    }
    let health = get(&folder.socket(), "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    unix.close();
    server.wait_for_log("user1 left from unix: closed by the client");
    tcp.close();
}

#[test]
fn the_file_is_for_owner_and_group_and_goes_with_the_server() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("mode");
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_threadchat");
    let script = format!("umask 0; exec '{program}' {}", folder.listen());
    command.args(["-c", &script]);
    let mut server = ServerProcess::spawn(command);
    let metadata = fs::metadata(folder.socket()).expect("it exists");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    let mut client = Client::join_unix(&folder.socket());
    server.signal(Signal::TERM);
    assert_eq!(client.expect_close(), 1001);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!folder.socket().exists());
}

#[test]
fn a_file_left_behind_is_replaced() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("stale");
    let mut killed = ServerProcess::start_anywhere(&[&folder.listen()]);
    killed.signal(Signal::KILL);
    killed.wait();
    assert!(folder.socket().exists(), "nobody has removed it");
    let _server = ServerProcess::start_anywhere(&[&folder.listen()]);
    Client::join_unix(&folder.socket()).close();
}

#[test]
fn a_server_that_lives_keeps_its_socket() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("live");
    let _server = ServerProcess::start_anywhere(&[&folder.listen()]);
    let message = failure(&[&folder.listen()]);
    assert!(message.contains("Address already in use"), "{message}");
    Client::join_unix(&folder.socket()).close();
}

#[test]
fn a_server_that_is_too_busy_to_accept_keeps_its_socket() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("busy");
    let server = ServerProcess::start_anywhere(&[&folder.listen(), "--listen-backlog=1"]);
    server.signal(Signal::STOP);
    let waiting: Vec<_> = (0..2)
        .map(|_| UnixStream::connect(folder.socket()).expect("there is room"))
        .collect();
    let message = failure(&[&folder.listen()]);
    assert!(message.contains("Address already in use"), "{message}");
    server.signal(Signal::CONT);
    drop(waiting);
    Client::join_unix(&folder.socket()).close();
}

#[test]
fn a_file_that_is_no_socket_is_kept() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("file");
    fs::write(folder.socket(), "a letter").expect("the folder is writable");
    let message = failure(&[&folder.listen()]);
    assert!(message.contains("a file that is no socket"), "{message}");
    let kept = fs::read_to_string(folder.socket()).expect("it exists");
    assert_eq!(kept, "a letter");
}

#[test]
fn a_path_that_cannot_be_a_socket_is_named() {
    let _watchdog = watchdog(60);
    for path in [
        "/nowhere/chat.sock".to_owned(),
        format!("/tmp/{}", "x".repeat(200)),
    ] {
        let message = failure(&["--listen", &format!("unix:{path}")]);
        let expected = format!("threadchat: cannot listen on unix:{path}: ");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn the_file_of_the_next_server_is_kept() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("next");
    let mut first = ServerProcess::start_anywhere(&[&folder.listen()]);
    fs::remove_file(folder.socket()).expect("it exists");
    let _next = ServerProcess::start_anywhere(&[&folder.listen()]);
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code(), Some(0));
    Client::join_unix(&folder.socket()).close();
}

#[test]
fn the_file_goes_with_a_server_that_is_dropped() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("drop");
    let server = Server::bind(Config {
        listen: vec![ListenAddress::Unix(folder.socket())],
        ..config()
    });
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    assert!(folder.socket().exists());
    drop(server);
    assert!(!folder.socket().exists());
}

#[test]
fn the_clients_of_unix_sockets_are_one_address() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("limit");
    let server = ServerProcess::start(&[&folder.listen(), "--max-per-address=2"]);
    let _two = [(); 2].map(|()| Client::join_unix(&folder.socket()));
    let refused = get(&folder.socket(), &raw::handshake("/chat", ""));
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    Client::join(server.address).close();
}

#[test]
fn the_clients_of_unix_sockets_have_no_limit_of_joins() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("joins");
    let _server = ServerProcess::start_anywhere(&[&folder.listen()]);
    for _ in 0..150 {
        Client::join_unix(&folder.socket()).close();
    }
}

#[test]
fn a_trusted_proxy_at_a_unix_socket_forwards_addresses() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("proxy");
    for trusted in [true, false] {
        let trust = if trusted { "unix" } else { "0.0.0.0/0" };
        let args = [
            &folder.listen(),
            "--max-per-address=1",
            "--trusted-proxy",
            trust,
        ];
        let mut server = ServerProcess::start_anywhere(&args);
        let request = |address: &str| {
            let header = format!("X-Forwarded-For: {address}\r\n");
            let mut raw = RawClient::connect_unix(&folder.socket());
            raw.send(raw::handshake("/chat", &header).as_bytes());
            (raw.head(), raw)
        };
        let (head, _first) = request("203.0.113.7");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let address = if trusted { "203.0.113.7" } else { "unix" };
        server.wait_for_log(&format!("user0 joined from {address} (1 users)"));
        let (head, _second) = request("203.0.113.7");
        assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        server.wait_for_log(&format!("{address} rejected: connection limit of the"));
        let (head, _third) = request("203.0.113.8");
        let expected = if trusted {
            "HTTP/1.1 101 "
        } else {
            "HTTP/1.1 429 "
        };
        assert!(head.starts_with(expected), "{head}");
    }
}

#[test]
fn a_client_that_does_not_read_delays_no_other() {
    let _watchdog = watchdog(120);
    let folder = Folder::new("stalled");
    let unix = ListenAddress::Unix(folder.socket());
    let server = TestServer::with_config(Config {
        listen: [config().listen, vec![unix]].concat(),
        ..config()
    });
    let mut stalled = RawClient::connect_unix(&folder.socket());
    stalled.send(raw::handshake("/chat", "").as_bytes());
    stalled.head();
    let mut client = server.client();
    // More than its socket and its queue hold, until it is disconnected.
    let text = "x".repeat(60_000);
    let users = |client: &mut Client| {
        client.send_text("/who");
        client.recv_until(|text| text.starts_with("* ")).pop()
    };
    while users(&mut client).is_some_and(|who| who.starts_with("* 2 users")) {
        client.send_text(&text);
        client.recv_text();
    }
    assert!(stalled.rest().is_ok_and(|rest| rest.len() > 100_000));
}

#[test]
fn a_client_that_is_silent_is_disconnected() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("ping");
    let mut server = ServerProcess::start_anywhere(&[&folder.listen(), "--ping=1"]);
    let mut silent = RawClient::connect_unix(&folder.socket());
    silent.send(raw::handshake("/chat", "").as_bytes());
    server.wait_for_log("user0 left from unix: ping timeout");
    assert!(silent.rest().is_ok());
}

#[test]
fn a_server_started_by_a_dead_listener_replaces_its_file() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("closed");
    // std leaves the file.
    drop(UnixListener::bind(folder.socket()).expect("the folder is writable"));
    let server = ServerProcess::start_anywhere(&[&folder.listen()]);
    eventually("it listens", || {
        UnixStream::connect(folder.socket()).is_ok()
    });
    drop(server);
}

#[cfg(feature = "tls")]
#[test]
fn a_certificate_is_for_tcp_only() {
    let _watchdog = watchdog(60);
    let folder = Folder::new("tls");
    let certificates = support::certificates::Certificates::new();
    let tls = certificates.args();
    let mut args: Vec<&str> = tls.iter().map(String::as_str).collect();
    let listen = folder.listen();
    args.push(&listen);
    let server = ServerProcess::start(&args);
    Client::join_unix(&folder.socket()).close();
    let mut plain = RawClient::connect(server.address);
    plain.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(plain.head().starts_with("HTTP/1.1 308 "));
}
