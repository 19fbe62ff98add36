//! `GET /metrics`: its numbers, its format, and that it is off by default.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::cases::{RESERVED_OPCODE, TEXT};
use support::{Client, RawClient, TestServer, config, eventually, python_with, raw, watchdog};
use threadchat::Config;

fn server() -> TestServer {
    TestServer::with_config(Config {
        metrics: true,
        max_connections: 10,
        ..config()
    })
}

fn get(server: &TestServer, path: &str) -> String {
    let mut client = RawClient::connect(server.address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let response = client.rest().expect("the server sends a response");
    String::from_utf8(response).expect("the response is UTF-8")
}

/// Returns the value of a line of the metrics.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{metrics}"));
    line.parse().expect("a number")
}

#[test]
fn metrics_are_off_by_default() {
    let _watchdog = watchdog(60);
    let response = get(&TestServer::start(), "/metrics");
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
}

#[test]
fn the_numbers_are_those_of_the_chat() {
    let _watchdog = watchdog(60);
    let server = server();
    let mut ann = Client::connect(server.address, "/chat?name=ann");
    ann.recv_text();
    let mut json = Client::json(server.address, "/chat");
    json.recv_text();
    let mut away = Client::connect(server.address, "/chat/away");
    away.recv_text();
    ann.send_text("hi");
    ann.recv_text();
    json.recv_text();
    away.send_text("/who");
    away.recv_text();
    // An answer to one client is sent before the end of its batch, when the batch is counted. The writer threads are those
    // of the process, so another test can have some.
    let counted = "threadchat_inbox_to_socket_seconds_count";
    let mut metrics = String::new();
    eventually("the messages are counted", || {
        metrics = get(&server, "/metrics");
        value(&metrics, counted) == 2.0 && value(&metrics, "threadchat_writer_threads") == 0.0
    });
    assert!(metrics.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    for (name, expected) in [
        ("clients", 3.0),
        ("rooms", 2.0),
        ("queued_bytes", 0.0),
        ("messages_received_total", 2.0),
        // `hi` to two, `/who` to one. Plain text has no notice of the joins.
        ("deliveries_total", 3.0),
    ] {
        assert_eq!(
            value(&metrics, &format!("threadchat_{name}")),
            expected,
            "{name}"
        );
    }
    let json_message = r#"{"type":"message","from":"ann","text":"hi","id":1,"time":1234567890123}"#;
    let bytes = "[ann]: hi".len() + json_message.len() + "* 1 user here: user0.".len() + 3 * 2;
    assert_eq!(value(&metrics, "threadchat_sent_bytes_total"), bytes as f64);
    let delay = value(&metrics, "threadchat_inbox_to_socket_seconds_sum");
    assert!(delay > 0.0 && delay < 20.0, "{delay}");
    assert!(
        !metrics.contains("ann") && !metrics.contains("away") && !metrics.contains("127.0.0.1")
    );
}

#[test]
fn counters_survive_the_room_in_which_they_were_counted() {
    let _watchdog = watchdog(60);
    let server = server();
    let mut client = Client::connect(server.address, "/chat/lobby");
    client.recv_text();
    client.send_text("hi");
    client.recv_text();
    client.close();
    eventually("the room has ended and its numbers stay", || {
        let metrics = get(&server, "/metrics");
        value(&metrics, "threadchat_rooms") == 1.0
            && value(&metrics, "threadchat_messages_received_total") == 1.0
            && metrics.contains("threadchat_disconnects_total{reason=\"closed by the client\"} 1\n")
    });
}

#[test]
fn disconnects_have_their_reason_and_refusals_their_status() {
    let _watchdog = watchdog(60);
    let server = server();
    let mut client = RawClient::upgraded(server.address, "/chat");
    client.send(&raw::frame(RESERVED_OPCODE, b""));
    client.rest().expect("the server closes");
    get(&server, "/nowhere");
    get(&server, "/chat");
    get(&server, "/chat");
    let request = || support::client::request(server.address, "/chat");
    let (clients, refused): (Vec<_>, Vec<_>) = (0..11)
        .map(|_| Client::try_connect(server.address, request()))
        .partition(Result::is_ok);
    assert!(!refused.is_empty(), "the limit is 10");
    let over_the_limit = format!(
        "threadchat_rejected_requests_total{{status=\"503\"}} {}",
        refused.len()
    );
    let metrics = get(&server, "/metrics");
    for line in [
        "threadchat_disconnects_total{reason=\"protocol error\"} 1",
        "threadchat_rejected_requests_total{status=\"404\"} 1",
        "threadchat_rejected_requests_total{status=\"426\"} 2",
        &over_the_limit,
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "no {line} in\n{metrics}"
        );
    }
    drop(clients);
}

#[test]
fn clients_that_fall_behind_show_in_queued_bytes_and_writer_threads() {
    let _watchdog = watchdog(60);
    let server = server();
    let stalled = RawClient::upgraded(server.address, "/chat");
    let mut talker = Client::join(server.address);
    let text = "x".repeat(60_000);
    eventually("a writer waits for the client", || {
        let metrics = get(&server, "/metrics");
        let is_behind = value(&metrics, "threadchat_queued_bytes") > 0.0;
        if !is_behind {
            talker.send_text(&text);
            talker.recv_text();
        }
        is_behind && value(&metrics, "threadchat_writer_threads") >= 1.0
    });
    drop(stalled);
    eventually("no writer is left", || {
        value(&get(&server, "/metrics"), "threadchat_writer_threads") == 0.0
    });
}

#[test]
fn a_parser_of_prometheus_accepts_the_text() {
    let _watchdog = watchdog(60);
    let Some(python) = python_with("prometheus_client") else {
        return;
    };
    let server = server();
    let mut client = RawClient::upgraded(server.address, "/chat");
    client.send(&raw::frame(TEXT, b"hi"));
    client.frame().expect("no reset");
    get(&server, "/nowhere");
    drop(client);
    let response = get(&server, "/metrics");
    let (_, body) = response.split_once("\r\n\r\n").expect("a head");
    let script = "import sys\n\
        from prometheus_client.parser import text_string_to_metric_families as parse\n\
        for family in parse(sys.stdin.read()):\n    \
            assert family.documentation and family.samples is not None\n    \
            print(family.name, family.type, len(family.samples))";
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(body.as_bytes()).expect("Python reads");
    drop(stdin);
    let output = child.wait_with_output().expect("Python ends");
    let families = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    for family in [
        "threadchat_clients gauge 1",
        "threadchat_messages_received counter 1",
        "threadchat_rejected_requests counter 1",
        "threadchat_batch_events histogram 13",
        "threadchat_inbox_to_socket_seconds histogram 17",
    ] {
        assert!(
            families.lines().any(|line| line == family),
            "no {family} in\n{families}"
        );
    }
    assert_eq!(families.lines().count(), 11, "{families}");
}
