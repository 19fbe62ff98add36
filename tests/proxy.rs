//! Connects a client through a TLS reverse proxy, by TCP and by a Unix socket: nginx with the configurations from operations.md.
//!
//! Without nginx and openssl the test reports that it was skipped, and passes, unless CI is set.

mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use support::readme::OPERATIONS;
use support::{Client, ServerProcess, eventually, watchdog};
use tungstenite::{Message, WebSocket};

/// A running nginx and the folder of its files. Both end when this is dropped.
struct Nginx {
    folder: PathBuf,
    child: Child,
    port: u16,
}

impl Nginx {
    /// Starts nginx in front of the server at this URL.
    fn start(name: &str, server: &str) -> Nginx {
        let folder =
            std::env::temp_dir().join(format!("threadchat-nginx-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        certificate(&folder);
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
            free.local_addr().expect("the listener is bound").port()
        };
        let path = |name: &str| folder.join(name).display().to_string();
        let site = [
            ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
            ("/etc/ssl/certs/chat.example.pem", path("pem")),
            ("/etc/ssl/private/chat.example.key", path("key")),
            ("http://127.0.0.1:8080", server.to_owned()),
        ];
        let block = site
            .iter()
            .fold(OPERATIONS.block("nginx").to_owned(), |block, (from, to)| {
                assert!(
                    block.contains(from),
                    "the block in operations.md has no {from}"
                );
                block.replace(from, to)
            });
        // The settings that Debian's nginx.conf has around a file in conf.d, for an unprivileged process.
        let conf = format!(
            "daemon off; pid {pid}; error_log stderr; events {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {t}; proxy_temp_path {t}; fastcgi_temp_path {t}; uwsgi_temp_path {t}; scgi_temp_path {t};\n{block}}}\n",
            pid = path("pid"),
            t = path("temp"),
        );
        fs::write(folder.join("conf"), conf).expect("the folder is writable");
        let child = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .args(["-c", "conf"])
            .spawn()
            .expect("the program runs");
        // nginx writes the file when it listens.
        eventually("nginx listens", || folder.join("pid").exists());
        Nginx {
            folder,
            child,
            port,
        }
    }
}

fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=chat.example",
        ])
        .arg("-keyout")
        .arg(folder.join("key"))
        .arg("-out")
        .arg(folder.join("pem"))
        .stderr(Stdio::null())
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "openssl makes a certificate"
    );
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // On SIGTERM nginx ends its workers too.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
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

/// Returns whether nginx and openssl are installed.
fn tools_are_installed() -> bool {
    let runs = |program: &str, arg: &str| {
        let mut command = Command::new(program);
        command.arg(arg).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    };
    let installed = runs("nginx", "-v") && runs("openssl", "version");
    if !installed {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs nginx and openssl"
        );
        println!("skipped: nginx or openssl is not installed");
    }
    installed
}

#[test]
fn client_chats_over_wss_through_nginx() {
    let _watchdog = watchdog(120);
    if !tools_are_installed() {
        return;
    }
    let server = ServerProcess::start(&[]);
    let nginx = Nginx::start("tcp", &format!("http://{}", server.address));
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
    let nginx = Nginx::start(
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
