//! The terminal client over TLS, and what it says about certificates.

#![cfg(all(feature = "tls", feature = "client"))]

#[path = "support/filter.rs"]
mod filter;
mod support;

use std::process::Command;

use filter::{Filter, success};
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
