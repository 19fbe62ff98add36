//! The handshake of TLS: versions, protocols, clients that stop in the middle, and clients on the wrong port.

#![cfg(feature = "tls")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

use support::certificates::Certificates;
use support::server_process::BASELINE_THREADS;
use support::tls::{TlsClient, client, client_config, server_process};
use support::{Client, ServerProcess, TIMEOUT, eventually, raw, watchdog};

const LOG: [&str; 2] = ["--log-level", "debug"];

#[test]
fn tls_1_2_and_1_3_carry_the_chat() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    for version in rustls::ALL_VERSIONS {
        let config = client_config(&certificates, &[version]);
        let mut client = TlsClient::connect(server.address, &config);
        assert_eq!(client.tls.protocol_version(), Some(version.version));
        client.send(raw::handshake("/chat", "").as_bytes());
        client.read_until("users here.");
        client.send(&raw::frame(0x81, b"hello"));
        client.read_until("]: hello");
    }
}

#[test]
fn only_clients_without_http_1_1_are_refused() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &[]);
    for (protocols, is_accepted) in [
        (vec!["http/1.1"], true),
        (vec!["h2", "http/1.1"], true),
        (vec![], true),
        (vec!["h2"], false),
    ] {
        let mut config = client_config(&certificates, rustls::ALL_VERSIONS);
        let config_mut = Arc::get_mut(&mut config).expect("there is one handle");
        config_mut.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        let mut client = TlsClient::begin(server.address, &config);
        let alert = match client.try_handshake() {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        let expected = if is_accepted {
            ""
        } else {
            "received fatal alert: NoApplicationProtocol"
        };
        assert_eq!(alert, expected, "{protocols:?}");
    }
    server.wait_for_log("TLS handshake failed: peer doesn't support any known protocol");
}

#[test]
fn records_can_be_cut_at_every_byte() {
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &["--max-connections", "2000"]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut length = usize::MAX;
    let mut cut = 1;
    while cut < length {
        let mut client = TlsClient::connect(server.address, &config);
        client.socket.set_nodelay(true).expect("TCP has the option");
        let request = raw::handshake("/echo", "");
        let records = client.records(&[request.as_bytes(), &raw::frame(0x81, b"cut")].concat());
        length = records.len();
        let (first, second) = records.split_at(cut);
        client.socket.write_all(first).expect("the server reads");
        client.socket.write_all(second).expect("the server reads");
        client.read_until("\x03cut");
        cut += 1;
    }
    assert!(length > 150, "{length}");
}

#[test]
fn unfinished_handshakes_end_after_ten_seconds() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &[]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut hello = Vec::new();
    let written = client(&config).write_tls(&mut hello);
    written.expect("a vector takes everything");
    // Nothing, one byte, a part of the first record, all of it, and a handshake without a request.
    let mut sockets = Vec::new();
    for length in [0, 1, hello.len() / 2, hello.len()] {
        let mut socket = TcpStream::connect(server.address).expect("the server listens");
        socket.set_read_timeout(Some(TIMEOUT)).expect("not zero");
        socket
            .write_all(&hello[..length])
            .expect("the server reads");
        sockets.push(socket);
    }
    sockets.push(TlsClient::connect(server.address, &config).socket);
    for socket in &mut sockets {
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).expect("the server ends it");
    }
    server.wait_for_log("TLS handshake failed: the client took too long");
    eventually("the threads have ended", || {
        server.threads() == BASELINE_THREADS
    });
}

/// Sends HTTP without TLS and returns the response.
fn fetch(server: &ServerProcess, request: &str) -> String {
    let mut socket = TcpStream::connect(server.address).expect("the server listens");
    socket.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    socket
        .write_all(request.as_bytes())
        .expect("the server reads");
    let mut response = String::new();
    socket.read_to_string(&mut response).expect("no reset");
    response
}

#[test]
fn http_without_tls_is_redirected() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &[LOG[0], LOG[1], "--metrics"]);
    let response = fetch(&server, "GET /a?b HTTP/1.1\r\nHost: chat.home:8443\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 308 "), "{response}");
    assert!(
        response.contains("\r\nLocation: https://chat.home:8443/a?b\r\n"),
        "{response}"
    );
    assert!(response.contains("https:// or wss://"), "{response}");
    for request in ["GET / HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n"] {
        let response = fetch(&server, request);
        assert!(
            response.starts_with("HTTP/1.1 400 "),
            "{request}: {response}"
        );
        assert!(response.contains("https:// or wss://"), "{response}");
    }
    server.wait_for_log("HTTP without TLS");
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut client = TlsClient::connect(server.address, &config);
    client.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_until("threadchat_rejected_requests_total{status=\"400\"} 2");
}

#[test]
fn tls_without_a_certificate_is_named_in_the_log() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let mut server = ServerProcess::start(&LOG);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut client = TlsClient::begin(server.address, &config);
    assert!(client.try_handshake().is_err());
    server.wait_for_log("a TLS handshake, but this server has no certificate");
    Client::join(server.address).close();
}

#[test]
fn unusable_files_end_the_program_with_one_line() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    certificates.openssl("openssl ecparam -genkey -name prime256v1 -noout -out other.pem");
    certificates.openssl("openssl pkey -in key.pem -aes256 -passout pass:x -out passphrase.pem");
    std::fs::write(certificates.path("empty.pem"), "").expect("the folder is writable");
    let cases = [
        ("none.pem", "key.pem", "cannot read"),
        ("cert.pem", "none.pem", "cannot read"),
        ("empty.pem", "key.pem", "no certificate in PEM format"),
        ("key.pem", "key.pem", "no certificate in PEM format"),
        ("cert.pem", "cert.pem", "no private key in PEM format"),
        (
            "cert.pem",
            "passphrase.pem",
            "has a passphrase; openssl pkey",
        ),
        (
            "cert.pem",
            "other.pem",
            "does not belong to the certificate",
        ),
    ];
    for (cert, key, expected) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_threadchat"))
            .args(["--listen", "127.0.0.1:0", "--tls-cert"])
            .arg(certificates.path(cert))
            .arg("--tls-key")
            .arg(certificates.path(key))
            .output()
            .expect("the program runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn an_expired_certificate_is_warned_of_with_its_date() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    certificates.openssl(
        "openssl req -new -key key.pem -subj /CN=old -out old.csr && \
         openssl x509 -req -in old.csr -signkey key.pem -days -1 -out cert.pem",
    );
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"])
        .arg(certificates.path("cert.pem"))
        .output()
        .expect("openssl runs");
    let end = String::from_utf8_lossy(&output.stdout);
    let day = end.trim().trim_start_matches("notAfter=").split(' ').next();
    let day = day.expect("openssl prints the date");
    // The program ends because its port is taken.
    let taken = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = taken.local_addr().expect("the socket is bound").to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", &address])
        .args(certificates.args())
        .output()
        .expect("the program runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        log.contains(&format!("has expired on {day}")),
        "{day}: {log}"
    );
}
