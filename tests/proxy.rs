//! Behind a reverse proxy that speaks TLS: a real nginx, configured as the README says, and a client by wss.
//!
//! Without nginx and openssl this says that it was skipped and passes, except where CI is set.

mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use support::readme::block;
use support::{Client, ServerProcess, eventually, watchdog};
use tungstenite::{Message, WebSocket};

/// A folder for nginx's files, which goes away with its processes.
struct Nginx {
    folder: PathBuf,
    child: Child,
    port: u16,
}

impl Nginx {
    fn start(server: &str) -> Nginx {
        let folder = std::env::temp_dir().join(format!("threadchat-nginx-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        certificate(&folder);
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
            free.local_addr().expect("it is bound").port()
        };
        let path = |name: &str| folder.join(name).display().to_string();
        let site = [
            ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
            ("/etc/ssl/certs/chat.example.pem", path("pem")),
            ("/etc/ssl/private/chat.example.key", path("key")),
            ("127.0.0.1:8080", server.to_owned()),
        ];
        let block = site
            .iter()
            .fold(block("nginx").to_owned(), |block, (from, to)| {
                assert!(block.contains(from), "the README's block has no {from}");
                block.replace(from, to)
            });
        // What Debian's nginx.conf has around a file in conf.d, for a process of our own.
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
            .expect("it can be run");
        // Written when it listens.
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
        // SIGTERM, so that it ends its workers.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A TLS connection, by openssl's own client.
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
            .expect("it can be run");
        let (stdin, stdout) = (
            child.stdin.take().expect("is piped"),
            child.stdout.take().expect("is piped"),
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
    match socket.read().expect("a message comes") {
        Message::Text(text) => text.to_string(),
        other => panic!("not a text: {other:?}"),
    }
}

#[test]
fn a_client_chats_by_wss_through_nginx() {
    let _watchdog = watchdog(120);
    let there = |program: &str| {
        Command::new(program)
            .arg("-v")
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    if !there("nginx")
        || Command::new("openssl")
            .arg("version")
            .stdout(Stdio::null())
            .status()
            .is_err()
    {
        assert!(
            std::env::var_os("CI").is_none(),
            "nginx and openssl must be there"
        );
        println!("skipped: nginx or openssl is not there");
        return;
    }
    let program = ServerProcess::start(&[]);
    let nginx = Nginx::start(&program.address.to_string());
    let (mut wss, _) = tungstenite::client(
        "wss://chat.example/chat?name=alice",
        Tls::connect(nginx.port),
    )
    .expect("the handshake succeeds");
    assert_eq!(text(&mut wss), "You are connected! There are 1 users here.");
    let mut direct = Client::join(program.address);
    wss.send(Message::text("by TLS 🐎")).expect("it is read");
    assert_eq!(
        (text(&mut wss), direct.recv_text()),
        ("[alice]: by TLS 🐎".into(), "[alice]: by TLS 🐎".into())
    );
    direct.send_text(&"x".repeat(60_000));
    assert_eq!(text(&mut wss).len(), "[user1]: ".len() + 60_000);

    let mut page = Tls::connect(nginx.port);
    page.write_all(b"GET / HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\r\n")
        .expect("it is read");
    let mut answer = Vec::new();
    page.read_to_end(&mut answer).expect("the answer ends");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("Content-Security-Policy"),
        "{answer:.200}"
    );

    wss.close(None).expect("it is read");
    while wss.read().is_ok() {}
    eventually("the dispatcher knows", || {
        direct.send_text("/who");
        direct.recv_text() == "* 1 user here: user1."
    });
}
