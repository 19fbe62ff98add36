//! The terminal client over TLS, and what it says about certificates.

#![cfg(all(feature = "tls", feature = "client"))]

#[path = "support/filter.rs"]
mod filter;
mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::Command;
use std::thread;

use filter::{Filter, success};
use rustix::process::Signal;
use support::certificates::Certificates;
use support::tls::server_process;
use support::{ServerProcess, watchdog};

fn wss(server: &ServerProcess) -> String {
    format!("wss://localhost:{}/chat", server.address.port())
}

#[test]
fn it_chats_with_a_certificate_of_ones_own() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let ca = certificates.path("cert.pem").display().to_string();
    let mut filter = Filter::start(&["--ca", &ca, "--name", "ann", &wss(&server)]);
    assert!(filter.read_line().starts_with("You are connected!"));
    filter.write("hello\n");
    assert_eq!(filter.read_line(), "[ann]: hello");
    let long = "x".repeat(50_000);
    filter.write(&format!("{long}\n"));
    assert_eq!(filter.read_line(), format!("[ann]: {long}"));
    filter.input = None;
    assert_eq!(filter.wait(), success());
}

/// Makes `cert.pem` with these extensions, signed by the authority in `ca.pem`.
fn sign(certificates: &Certificates, days: i32, name: &str, extensions: &str) {
    certificates.openssl(&format!(
        "test -e ca.pem || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 \
           -keyout ca.key -out ca.pem -subj /CN=authority
         openssl req -new -key key.pem -subj /CN={name} -out request.csr
         printf 'subjectAltName=DNS:{name}\\n{extensions}' > extensions
         openssl x509 -req -in request.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} \
           -extfile extensions -out cert.pem"
    ));
}

/// Makes `cert.pem` with a validity that begins in 2050, signed by the authority in `ca.pem`.
fn sign_for_later(certificates: &Certificates) {
    certificates.openssl(
        "printf '[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=number\nnew_certs_dir=.\npolicy=any\n\
         [any]\ncommonName=supplied\n' > ca.conf
         touch index && echo 01 > number
         openssl req -new -key key.pem -subj /CN=localhost -out request.csr
         printf 'subjectAltName=DNS:localhost' > extensions
         openssl ca -batch -config ca.conf -md sha256 -cert ca.pem -keyfile ca.key -in request.csr -out cert.pem -notext \
           -startdate 20500101000000Z -enddate 20510101000000Z -extfile extensions",
    );
}

#[test]
fn each_wrong_certificate_has_its_line() {
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let fail = |ca: Option<&str>, expected: &[&str]| {
        let server = server_process(&certificates, &[]);
        let ca = ca.map(path);
        let mut args = Vec::new();
        if let Some(ca) = &ca {
            args.extend(["--ca", ca]);
        }
        let url = wss(&server);
        args.push(&url);
        let (code, error) = Filter::fail(&args);
        assert_eq!(code, Some(1), "{error}");
        for part in expected {
            assert!(error.contains(part), "{part}: {error}");
        }
    };
    fail(None, &["self-signed", "--ca FILE"]);
    sign(&certificates, 5, "localhost", "");
    fail(
        None,
        &["an authority that this system does not know", "--ca FILE"],
    );
    fail(
        Some("cert.pem"),
        &["an authority that this system does not know"],
    );
    sign(&certificates, 5, "chat.example", "");
    fail(
        Some("ca.pem"),
        &["not for localhost, but for", "chat.example"],
    );
    sign(&certificates, -1, "localhost", "");
    fail(Some("ca.pem"), &["has expired"]);
    sign(&certificates, 5, "localhost", "basicConstraints=CA:TRUE");
    fail(Some("ca.pem"), &["that of an authority", "CA:FALSE"]);
    sign_for_later(&certificates);
    fail(Some("ca.pem"), &["is not valid yet", "clock"]);
    fail(
        Some("none.pem"),
        &["cannot use the certificates in", "none.pem"],
    );
    fail(Some("key.pem"), &["there is none in PEM format"]);
}

#[test]
fn the_wrong_port_has_a_line_that_says_what_to_type() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let url = format!("ws://{}/chat", server.address);
    let (code, error) = Filter::fail(&[&url]);
    assert_eq!(code, Some(1));
    assert!(error.contains("try wss://"), "{error}");
    let plain = ServerProcess::start(&[]);
    let (code, error) = Filter::fail(&[&wss(&plain)]);
    assert_eq!(code, Some(1));
    assert!(error.contains("try ws://"), "{error}");
}

/// Starts a server that answers the first bytes of its only client with these, and waits until the client ends the connection.
fn answer(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener.local_addr().expect("the socket is bound");
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client connects");
        let read = socket.read(&mut [0; 4096]);
        read.expect("the client sends something");
        socket.write_all(response).expect("the client reads");
        let ended = socket.shutdown(Shutdown::Write);
        ended.expect("the connection is open");
        // A reset is an end, too.
        let _ = socket.read_to_end(&mut Vec::new());
    });
    address
}

#[test]
fn a_server_without_a_common_version_or_protocol_has_a_line() {
    let _watchdog = watchdog(60);
    let no_version = "have no version of TLS in common";
    let no_tls = "try ws:// in place of wss://";
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    // Alerts: protocol_version, handshake_failure (RFC 8446, section 6).
    let cases: [(&str, &'static [u8], &str); 5] = [
        ("wss", &[21, 3, 3, 0, 2, 2, 70], no_version),
        ("wss", &[21, 3, 3, 0, 2, 2, 40], no_version),
        ("wss", http, no_tls),
        ("wss", &[], no_tls),
        (
            "ws",
            &[21, 3, 3, 0, 2, 2, 10],
            "try wss:// in place of ws://",
        ),
    ];
    for (scheme, response, expected) in cases {
        let (code, error) = Filter::fail(&[&format!("{scheme}://{}/chat", answer(response))]);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn a_server_that_does_not_answer_has_a_line() {
    let _watchdog = watchdog(60);
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener.local_addr().expect("the socket is bound");
    let (code, error) = Filter::fail(&[&format!("wss://{address}/chat")]);
    assert_eq!(code, Some(1));
    assert_eq!(
        error,
        "the server did not complete the TLS handshake in time"
    );
}

#[test]
fn a_connection_without_close_notify_is_lost() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let ca = certificates.path("cert.pem").display().to_string();
    let mut filter = Filter::start(&["--ca", &ca, &wss(&server)]);
    assert!(filter.read_line().starts_with("You are connected!"));
    server.signal(Signal::KILL);
    let line = "threadchat-client: the connection was lost\n";
    assert_eq!(filter.wait(), (Some(1), line.to_owned()));
}

#[test]
fn the_help_names_wss() {
    let output = Command::new(env!("CARGO_BIN_EXE_threadchat-client"))
        .arg("--help")
        .output()
        .expect("the client runs");
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(
        help.contains("wss://") && help.contains("--ca FILE"),
        "{help}"
    );
}
