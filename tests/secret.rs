//! Only clients that know the secret come in, and the secret stays where it belongs.

mod support;

use std::net::SocketAddr;

use rustix::process::Signal;
use support::raw::handshake;
use support::{
    Client, RawClient, SecretFile, ServerProcess, TestServer, client, config, eventually, watchdog,
};
use threadchat::{Config, Secret, Server, ServerError};

const SECRET: &str = "correct-horse?battery>staple";

/// The secret in base64url without padding.
const ENCODED: &str = "Y29ycmVjdC1ob3JzZT9iYXR0ZXJ5PnN0YXBsZQ";

fn server() -> TestServer {
    TestServer::with_config(Config {
        secret: Some(Secret::Text(SECRET.into())),
        ..config()
    })
}

/// Returns the head of the response to a handshake with these header lines, and the body of one that is refused.
fn respond(address: SocketAddr, path: &str, lines: &str) -> (String, String) {
    let mut raw = RawClient::connect(address);
    raw.send(handshake(path, lines).as_bytes());
    let head = raw.head();
    if head.starts_with("HTTP/1.1 101 ") {
        return (head, String::new());
    }
    let body = raw.rest().expect("the body ends");
    (head, String::from_utf8(body).expect("the body is UTF-8"))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .next()
}

fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}\r\n")
}

fn subprotocols(names: &str) -> String {
    format!("Sec-WebSocket-Protocol: {names}\r\n")
}

/// Returns whether a client with this secret gets in.
fn gets_in(address: SocketAddr, secret: &str) -> bool {
    let (head, _) = respond(address, "/chat", &bearer(secret));
    assert!(head.starts_with("HTTP/1.1 101 ") || head.starts_with("HTTP/1.1 401 "));
    head.starts_with("HTTP/1.1 101 ")
}

#[test]
fn only_clients_with_the_secret_get_in() {
    let _watchdog = watchdog(60);
    let server = server();
    for path in ["/chat", "/chat?name=ann", "/chat/lobby", "/echo"] {
        for lines in [
            bearer(SECRET),
            subprotocols(&format!("threadchat.secret.{ENCODED}")),
        ] {
            let (head, _) = respond(server.address, path, &lines);
            assert!(head.starts_with("HTTP/1.1 101 "), "{path} {lines}: {head}");
        }
    }
    // A path that is no room tells nothing to a client without the secret.
    for path in [
        "/chat",
        "/chat/lobby",
        "/chat/no such room",
        "/chat/",
        "/echo",
    ] {
        let path = &path.replace(' ', "%20");
        for (lines, help) in [
            (String::new(), "Authorization: Bearer"),
            (subprotocols("threadchat.json"), "Authorization: Bearer"),
            (bearer("guess"), "not the secret"),
            (bearer(""), "not the secret"),
            (bearer(ENCODED), "not the secret"),
            (subprotocols("threadchat.secret.Z3Vlc3M"), "not the secret"),
        ] {
            let (head, body) = respond(server.address, path, &lines);
            assert!(head.starts_with("HTTP/1.1 401 "), "{path} {lines}: {head}");
            assert_eq!(header(&head, "WWW-Authenticate"), Some("Bearer"));
            assert!(body.contains(help) && body.ends_with('\n'), "{body}");
        }
    }
}

#[test]
fn a_secret_in_a_url_is_not_accepted() {
    let _watchdog = watchdog(60);
    let server = server();
    let escaped = SECRET.replace('>', "%3E");
    for query in [
        format!("secret={escaped}"),
        format!("access_token={escaped}"),
        format!("name=ann&secret={ENCODED}"),
    ] {
        let (head, _) = respond(server.address, &format!("/chat?{query}"), "");
        assert!(head.starts_with("HTTP/1.1 401 "), "{query}: {head}");
    }
}

#[test]
fn requests_without_a_handshake_learn_that_a_secret_is_needed() {
    let _watchdog = watchdog(60);
    let server = server();
    for (lines, status) in [
        (String::new(), "401"),
        (bearer("guess"), "401"),
        (bearer(SECRET), "426"),
    ] {
        let mut raw = RawClient::connect(server.address);
        raw.send(format!("GET /chat HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes());
        let head = raw.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[test]
fn metrics_need_the_secret() {
    let _watchdog = watchdog(60);
    for (metrics, lines, status) in [
        (true, String::new(), "401"),
        (true, bearer("guess"), "401"),
        (true, bearer(SECRET), "200"),
        (false, String::new(), "404"),
    ] {
        let server = TestServer::with_config(Config {
            metrics,
            secret: Some(Secret::Text(SECRET.into())),
            ..config()
        });
        let mut raw = RawClient::connect(server.address);
        raw.send(format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes());
        let head = raw.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[test]
fn page_its_files_and_health_stay_open() {
    let _watchdog = watchdog(60);
    let server = server();
    for path in ["/", "/chat.js", "/chat.css", "/connection.js", "/health"] {
        let mut raw = RawClient::connect(server.address);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    }
}

#[test]
fn the_subprotocol_that_is_confirmed_is_never_the_secret() {
    let _watchdog = watchdog(60);
    let server = server();
    let secret = format!("threadchat.secret.{ENCODED}");
    for (path, offered, confirmed) in [
        (
            "/chat",
            format!("threadchat.json, {secret}"),
            Some("threadchat.json"),
        ),
        (
            "/chat",
            format!("{secret},threadchat.json"),
            Some("threadchat.json"),
        ),
        (
            "/chat",
            format!("{secret}, threadchat.text"),
            Some("threadchat.text"),
        ),
        (
            "/echo",
            format!("{secret}, threadchat.text"),
            Some("threadchat.text"),
        ),
        ("/echo", format!("{secret}, threadchat.json"), None),
        ("/chat", secret.clone(), None),
    ] {
        let (head, _) = respond(server.address, path, &subprotocols(&offered));
        assert!(head.starts_with("HTTP/1.1 101 "), "{offered}: {head}");
        let found = header(&head, "Sec-WebSocket-Protocol");
        assert_eq!(found, confirmed, "{offered}");
        assert!(!head.contains(ENCODED), "{head}");
    }
}

#[test]
fn a_client_with_the_secret_chats_as_without_one() {
    let _watchdog = watchdog(60);
    let server = server();
    let mut request = client::request(server.address, "/chat");
    let value = format!("Bearer {SECRET}").parse().expect("it is visible");
    request.headers_mut().insert("Authorization", value);
    let mut client = Client::try_connect(server.address, request).expect("the secret is right");
    let greeting = client.recv_text();
    assert_eq!(greeting, "You are connected! There are 1 users here.");
    client.send_text("hello");
    assert_eq!(client.recv_text(), "[user0]: hello");
}

#[test]
fn without_the_option_a_secret_is_ignored() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let offered = format!("threadchat.json, threadchat.secret.{ENCODED}");
    let (head, _) = respond(server.address, "/chat", &subprotocols(&offered));
    assert_eq!(
        header(&head, "Sec-WebSocket-Protocol"),
        Some("threadchat.json")
    );
    assert!(gets_in(server.address, "anything"));
}

#[test]
fn no_level_of_the_log_has_the_secret() {
    let _watchdog = watchdog(60);
    let file = SecretFile::new(&format!("{SECRET}\n"));
    let mut server = ServerProcess::start(&["--secret-file", file.path(), "--log-level", "trace"]);
    for lines in [
        bearer(SECRET),
        subprotocols(&format!("threadchat.json, threadchat.secret.{ENCODED}")),
        bearer("a-wrong-guess"),
        subprotocols("threadchat.secret.d3Jvbmc"),
        String::new(),
    ] {
        for path in ["/chat", "/echo", "/chat/lobby"] {
            respond(server.address, path, &lines);
        }
    }
    server.signal(Signal::HUP);
    let mut log = Vec::new();
    eventually("the secret is read again", || {
        log.extend(std::iter::from_fn(|| server.find_in_log("")));
        let last = log.last();
        last.is_some_and(|line: &String| line.contains("new clients need the secret"))
    });
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    log.extend(server.remaining_log());
    let log = log.join("\n");
    assert!(log.contains("101") || log.contains("joined from"), "{log}");
    assert!(log.contains("401 Unauthorized"), "{log}");
    for word in [SECRET, ENCODED, "a-wrong-guess", "d3Jvbmc"] {
        assert!(!log.contains(word), "{log}");
    }
}

#[test]
fn wrong_secrets_are_logged_once_a_minute() {
    let _watchdog = watchdog(60);
    let file = SecretFile::new(&format!("{SECRET}\n"));
    let mut server = ServerProcess::start(&["--secret-file", file.path()]);
    for guess in 0..20 {
        assert!(!gets_in(server.address, &format!("guess{guess}")));
        // The page's first request brings none.
        respond(server.address, "/chat", "");
    }
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    let log = server.remaining_log();
    let refusals: Vec<_> = log
        .iter()
        .filter(|line| line.contains("rejected"))
        .collect();
    let [refusal] = refusals[..] else {
        panic!("{refusals:?}")
    };
    let shown = "[WARN] 127.0.0.1:";
    assert!(
        refusal.contains(shown) && refusal.ends_with("rejected: wrong secret"),
        "{refusal}"
    );
}

#[test]
fn an_embedding_program_cannot_start_with_an_invalid_secret() {
    for text in ["", "with space", "é"] {
        let server = Server::bind(Config {
            secret: Some(Secret::Text(text.into())),
            ..config()
        });
        let error = server.map(|_| ()).expect_err("the secret is invalid");
        assert!(matches!(error, ServerError::Secret(_)), "{error}");
        assert!(error.to_string().starts_with("the secret must be 1 to 256"));
    }
}
