//! Connects a client through a TLS reverse proxy, by TCP and by a Unix socket: nginx with the configurations from operations.md.
//!
//! Without nginx and openssl the test reports that it was skipped, and passes, unless CI is set.

#[path = "support/nginx.rs"]
mod nginx;
mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nginx::{Nginx, tools_are_installed};
use support::readme::OPERATIONS;
use support::{Client, ServerProcess, eventually, watchdog};
use tungstenite::{Message, WebSocket};

/// Starts nginx in front of the server at this URL.
fn start_nginx(name: &str, server: &str) -> Nginx {
    Nginx::start(name, |site| {
        let documented = "http://127.0.0.1:8080";
        assert!(site.contains(documented), "{site}");
        site.replace(documented, server)
    })
}

/// A TLS connection through openssl's s_client.
struct Tls(Child, ChildStdin, ChildStdout);

impl Tls {
    fn connect(port: u16) -> Tls {
        let mut child = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-servername",
                "chat.example",
                "-connect",
                &format!("127.0.0.1:{port}"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let (stdin, stdout) = (
            child.stdin.take().expect("stdin and stdout are piped"),
            child.stdout.take().expect("stdin and stdout are piped"),
        );
        Tls(child, stdin, stdout)
    }
}

impl Read for Tls {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.2.read(buf)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(socket: &mut WebSocket<Tls>) -> String {
    match socket.read().expect("a message is received") {
        Message::Text(text) => text.to_string(),
        other => panic!("not a text: {other:?}"),
    }
}

#[test]
fn client_chats_over_wss_through_nginx() {
    let _watchdog = watchdog(120);
    if !tools_are_installed() {
        return;
    }
    let server = ServerProcess::start(&[]);
    let nginx = start_nginx("tcp", &format!("http://{}", server.address));
    let (mut wss, _) = tungstenite::client(
        "wss://chat.example/chat?name=alice",
        Tls::connect(nginx.port),
    )
    .expect("the handshake succeeds");
    assert_eq!(text(&mut wss), "You are connected! There are 1 users here.");
    let mut direct = Client::join(server.address);
    wss.send(Message::text("by TLS 🐎"))
        .expect("the connection is open");
    assert_eq!(
        (text(&mut wss), direct.recv_text()),
        ("[alice]: by TLS 🐎".into(), "[alice]: by TLS 🐎".into())
    );
    direct.send_text(&"x".repeat(60_000));
    assert_eq!(text(&mut wss).len(), "[user1]: ".len() + 60_000);

    let mut page = Tls::connect(nginx.port);
    page.write_all(b"GET / HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\r\n")
        .expect("the connection is open");
    let mut response = Vec::new();
    page.read_to_end(&mut response).expect("the response ends");
    let response = String::from_utf8_lossy(&response);
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains("Content-Security-Policy"),
        "{response:.200}"
    );

    wss.close(None).expect("the connection is open");
    while wss.read().is_ok() {}
    eventually("the dispatcher has removed alice", || {
        direct.send_text("/who");
        direct.recv_text() == "* 1 user here: user1."
    });
}

#[test]
fn nginx_passes_clients_and_their_addresses_to_a_unix_socket() {
    let _watchdog = watchdog(120);
    if !tools_are_installed() {
        return;
    }
    let path = std::env::temp_dir().join(format!("threadchat-proxy-{}", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let mut server = ServerProcess::start_anywhere(&[
        "--listen",
        &listen,
        "--trusted-proxy",
        "unix",
        "--log-level",
        "debug",
    ]);
    // In place of a group for the user of nginx.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("it is ours");
    let line = OPERATIONS.blocks("nginx")[1].trim();
    let target = line.strip_prefix("proxy_pass ").expect("a proxy_pass");
    let target = target.trim_end_matches(';');
    let documented = "/run/threadchat/chat.sock";
    assert!(target.contains(documented), "{target}");
    let nginx = start_nginx(
        "unix",
        &target.replace(documented, path.to_str().expect("ASCII")),
    );
    let url = "wss://chat.example/chat?name=alice";
    let (mut wss, _) =
        tungstenite::client(url, Tls::connect(nginx.port)).expect("the handshake succeeds");
    assert_eq!(text(&mut wss), "You are connected! There are 1 users here.");
    server.wait_for_log("alice joined from 127.0.0.1 (1 users)");
    wss.close(None).expect("the connection is open");
    while wss.read().is_ok() {}
    server.wait_for_log("alice left from 127.0.0.1: closed by the client");
}
