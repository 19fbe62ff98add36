//! TLS with programs that others have written: Python, curl, openssl, Chromium.

#![cfg(feature = "tls")]

mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use support::certificates::Certificates;
use support::tls::{Tunnel, client_config, server_process};
use support::{Browser, Client, ServerProcess, python_with_websockets, watchdog};

/// Returns a client over TLS that shows that the server goes on.
fn witness(server: &ServerProcess, certificates: &Certificates) -> Client {
    let config = client_config(certificates, rustls::ALL_VERSIONS);
    Client::join(Tunnel::start(server.address, config).address)
}

const PYTHON: &str = "
import asyncio, ssl, sys, websockets
async def main():
    context = ssl.create_default_context(cafile=sys.argv[2])
    if sys.argv[3] == '1.2':
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with websockets.connect(sys.argv[1], ssl=context) as chat:
        print(await chat.recv())
        await chat.send('hello from python')
        print(await chat.recv())
        await chat.send('x' * 60000)
        print(len(await chat.recv()))
        await (await chat.ping())
asyncio.run(main())
";

#[test]
fn python_chats() {
    let _watchdog = watchdog(60);
    let Some(python) = python_with_websockets() else {
        return;
    };
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    for version in ["1.2", "1.3"] {
        let output = Command::new(python)
            .args(["-c", PYTHON])
            .arg(format!("wss://localhost:{}/chat", server.address.port()))
            .arg(certificates.path("cert.pem"))
            .arg(version)
            .output()
            .expect("Python was found");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().collect();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        assert!(lines[1].ends_with("]: hello from python"), "{text}");
        assert_eq!(lines[2], "60009");
    }
}

#[test]
fn curl_fetches_the_page_and_health() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    for (path, version, expected) in [
        ("health", "1.2", "ok\n"),
        ("health", "1.3", "ok\n"),
        ("", "1.3", "<!doctype html>"),
        ("chat.css", "1.2", "{"),
    ] {
        let curl = Command::new("curl")
            .args(["-sS", "--tls-max", version, "--cacert"])
            .arg(certificates.path("cert.pem"))
            .arg(format!(
                "https://localhost:{}/{path}",
                server.address.port()
            ))
            .output();
        let output = match curl {
            Err(_) if std::env::var_os("CI").is_none() => return println!("skipped: no curl"),
            output => output.expect("CI needs curl"),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(expected), "{path}: {text}");
        // curl reports an end without close_notify.
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{path}");
    }
}

/// What `openssl s_client` prints when it takes commands.
const CONNECTED: &str = "Verify return code";

/// Runs `openssl s_client` until it ends, or until its output contains `expected`. Types each input when the output
/// contains the text before it.
fn s_client(
    server: &ServerProcess,
    args: &[&str],
    inputs: &[(&str, &str)],
    expected: &str,
) -> String {
    // Errors and output in their order.
    let mut child = Command::new("sh")
        .args(["-c", "exec openssl s_client \"$@\" 2>&1", "sh"])
        .args(["-connect", &server.address.to_string()])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let (mut output, mut inputs) = (String::new(), inputs.iter().peekable());
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stdout.read(&mut buffer) {
        output.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if let Some((_, input)) = inputs.next_if(|(prompt, _)| output.contains(prompt)) {
            let written = stdin.write_all(input.as_bytes());
            written.expect("openssl reads its input");
        }
        if output.contains(expected) {
            break;
        }
    }
    let _ = child.kill();
    child.wait().expect("it was started");
    output
}

#[test]
fn renegotiation_is_refused() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let mut witness = witness(&server, &certificates);
    let output = s_client(&server, &["-tls1_2"], &[(CONNECTED, "R\n")], "never");
    assert!(output.contains("RENEGOTIATING"), "{output}");
    assert!(output.contains("no renegotiation"), "{output}");
    witness.send_text("still here");
    assert_eq!(witness.recv_text(), "[user0]: still here");
}

#[test]
fn a_key_update_of_openssl_is_answered() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    // K asks for a key update of both sides. The request after it uses the new keys.
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let inputs = [(CONNECTED, "K\n"), ("KEYUPDATE", request)];
    let output = s_client(&server, &["-tls1_3"], &inputs, "\nok\n");
    assert!(
        output.contains("KEYUPDATE") && output.contains("200 OK"),
        "{output}"
    );
}

#[test]
fn a_browser_chats() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let mut witness = witness(&server, &certificates);
    let mut page = browser.open_url(&format!("https://{}/", server.address));
    page.wait_until("document.body?.dataset.status === 'connected'");
    assert_eq!(page.value("location.protocol"), "https:");
    page.enter("text", "hello over TLS");
    witness.recv_until(|text| text.ends_with("]: hello over TLS"));
    witness.send_text("hello back");
    page.wait_for_entry("message", "hello back");
}
