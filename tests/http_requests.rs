//! Request heads of every kind: what is answered, and that the answer arrives.

mod support;

use std::net::SocketAddr;

use support::cases::{BINARY, PING, PONG, TEXT};
use support::raw::{frame, handshake};
use support::{Client, RawClient, TestServer, config, eventually, watchdog};

/// Most bytes of a head.
const MAX_HEAD_SIZE: usize = 8 << 10;

/// A plain HTTP answer in its parts.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn has(&self, header: &str) -> bool {
        self.head
            .lines()
            .any(|line| line.eq_ignore_ascii_case(header))
    }
}

/// Sends this and reads the whole answer, which must be one that HTTP allows and end with the connection.
fn ask(address: SocketAddr, request: &[u8]) -> Answer {
    let mut raw = RawClient::connect(address);
    // A server that knows its answer may close before it has read everything.
    let _ = raw.try_send(request);
    answer(&mut raw, &String::from_utf8_lossy(request))
}

fn answer(raw: &mut RawClient, asked: &str) -> Answer {
    let all = raw
        .rest()
        .unwrap_or_else(|error| panic!("{asked:.80?}: {error}"));
    let all = String::from_utf8(all).expect("answers are UTF-8");
    let (head, body) = all
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{asked:.80?}: {all:?}"));
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.split(' ').next());
    let answer = Answer {
        status: status
            .and_then(|status| status.parse().ok())
            .expect("a status line"),
        head: head.to_owned(),
        body: body.to_owned(),
    };
    let length = format!("Content-Length: {}", body.len());
    assert!(
        answer.has(&length) && answer.has("Connection: close"),
        "{asked:.80?}: {all}"
    );
    let plain = answer.has("Content-Type: text/plain; charset=utf-8");
    assert!(
        plain && body.len() > 2 && body.ends_with('\n') && body.lines().count() == 1,
        "{asked:.80?}: {all}"
    );
    answer
}

/// A valid opening handshake with one thing said otherwise.
fn but(instead_of: &str, this: &str) -> String {
    let changed = handshake("/chat", "").replacen(instead_of, this, 1);
    assert_ne!(changed, handshake("/chat", ""), "{instead_of:?}");
    changed
}

#[test]
fn every_answer_of_the_table_arrives_whole() {
    let _watchdog = watchdog(120);
    let host = TestServer::with_config(threadchat::Config {
        allow_origin: vec!["https://chat.example".into()],
        ..config()
    });
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let cases = [
        (get("/health"), 200, "Cache-Control: no-store"),
        (get("/health?x=y"), 200, ""),
        (get("/chat"), 426, "Upgrade: websocket"),
        (get("/echo"), 426, "Upgrade: websocket"),
        (get("/chat?name=alice"), 426, "Upgrade: websocket"),
        (get("/nowhere"), 404, ""),
        (get("/chat/"), 404, ""),
        (get("/%00"), 404, ""),
        (get("*"), 404, ""),
        (get("localhost:80"), 404, ""),
        (get("http://localhost/health"), 200, ""),
        (get("http://localhost/nowhere"), 404, ""),
        (get("/nowhere").replace("GET", "POST"), 405, "Allow: GET"),
        (get("/health").replace("GET", "HEAD"), 405, "Allow: GET"),
        (get("*").replace("GET", "OPTIONS"), 405, "Allow: GET"),
        (get("/chat").replace("GET", "get"), 405, "Allow: GET"),
        (get("/health").replace("1.1", "1.0"), 505, ""),
        (but("HTTP/1.1", "HTTP/1.0"), 505, ""),
        (
            but("Connection: Upgrade\r\n", ""),
            426,
            "Upgrade: websocket",
        ),
        (
            but("Connection: Upgrade", "Connection: close"),
            426,
            "Upgrade: websocket",
        ),
        (but("Upgrade: websocket\r\n", ""), 426, "Upgrade: websocket"),
        (
            but("Upgrade: websocket", "Upgrade: h2c"),
            426,
            "Upgrade: websocket",
        ),
        (
            but("Version: 13", "Version: 8"),
            426,
            "Sec-WebSocket-Version: 13",
        ),
        (
            but("Sec-WebSocket-Version: 13\r\n", ""),
            426,
            "Sec-WebSocket-Version: 13",
        ),
        (
            but("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            400,
            "",
        ),
        (but("dGhlIHNhbXBsZSBub25jZQ==", ""), 400, ""),
        (but("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400, ""),
        (
            but("dGhlIHNhbXBsZSBub25jZQ==", "no base64, no base64!!!!"),
            400,
            "",
        ),
        (
            handshake("/chat", "Origin: https://evil.example\r\n"),
            403,
            "",
        ),
        (handshake("/chat", "Origin: null\r\n"), 403, ""),
        (handshake("/nowhere", ""), 404, ""),
    ];
    for (request, status, header) in &cases {
        let answer = ask(host.address, request.as_bytes());
        assert_eq!(answer.status, *status, "{request}\n{}", answer.body);
        assert!(
            header.is_empty() || answer.has(header),
            "{request}\n{}",
            answer.head
        );
    }
    eprintln!("{} requests answered", cases.len());
}

#[test]
fn what_is_no_request_is_told_so() {
    let _watchdog = watchdog(120);
    let host = TestServer::start();
    let random: Vec<u8> = (0..=255).cycle().skip(7).step_by(3).take(500).collect();
    let cases: [&[u8]; 14] = [
        b"garbage\r\n\r\n",
        b"\0\0\0\0",
        b"GET\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /chat\r\n\r\n",
        b"GET /chat HTTP/9.9\r\n\r\n",
        b"GET /chat HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        b"GET /ch\0at HTTP/1.1\r\n\r\n",
        b"GET /chat HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET /chat HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        &random,
    ];
    for request in cases {
        let answer = ask(host.address, request);
        assert_eq!(answer.status, 400, "{request:?}: {}", answer.body);
    }
}

/// A handshake of exactly this many bytes.
fn head_of(bytes: usize) -> String {
    let empty = handshake("/echo", "X-Filler: \r\n").len();
    handshake(
        "/echo",
        &format!("X-Filler: {}\r\n", "x".repeat(bytes - empty)),
    )
}

#[test]
fn a_head_has_8_kib_and_124_lines() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut raw = RawClient::connect(host.address);
    raw.send(head_of(MAX_HEAD_SIZE).as_bytes());
    assert!(raw.head().starts_with("HTTP/1.1 101 "));
    let lines = "X-Line: 1\r\n".repeat(200);
    for request in [
        head_of(MAX_HEAD_SIZE + 1),
        head_of(20 * MAX_HEAD_SIZE),
        handshake("/echo", &lines),
        format!("GET /{}", "x".repeat(MAX_HEAD_SIZE)),
        format!("{}\n", " ".repeat(MAX_HEAD_SIZE)),
    ] {
        let answer = ask(host.address, request.as_bytes());
        let refused = if request.starts_with("GET") { 431 } else { 400 };
        assert_eq!(answer.status, refused, "{request:.60}");
    }
}

#[test]
fn unusual_heads_that_are_right_are_taken() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let tokens = "Connection: Upgrade";
    let cases = [
        but(tokens, "Connection: keep-alive, Upgrade"),
        but(tokens, "Connection: keep-alive,Upgrade,x"),
        but(tokens, "Connection: keep-alive\r\nConnection: Upgrade"),
        but(tokens, "Connection: Upgrade\r\nConnection: keep-alive"),
        but("Upgrade: websocket", "UPGRADE: WebSocket"),
        handshake("/chat", "")
            .to_ascii_lowercase()
            .replace("http/1.1", "HTTP/1.1")
            .replace("get ", "GET ")
            .replace("dghlihnhbxbszsbub25jzq==", "dGhlIHNhbXBsZSBub25jZQ=="),
        handshake("/chat", "").replace("\r\n", "\n"),
        format!("\r\n\r\n{}", handshake("/chat", "")),
        handshake("http://localhost/chat?name=alice", ""),
        handshake("/chat", "Origin: https://anywhere.example\r\n"),
        handshake("/chat", "X-Latin: \u{e9}\r\n"),
        handshake("/chat", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        handshake(
            "/chat",
            "Sec-WebSocket-Protocol: nonsense, also nonsense\r\n",
        ),
    ];
    for request in &cases {
        let mut raw = RawClient::connect(host.address);
        raw.send(request.as_bytes());
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{request}\n{head}");
        // The key is the one in RFC 6455, section 1.3, and so is its answer. Nothing else was agreed to.
        let accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        assert!(
            head.to_ascii_lowercase()
                .contains(&accept.to_ascii_lowercase()),
            "{head}"
        );
        assert!(
            !head.contains("xtensions") && !head.contains("et-protocol"),
            "{head}"
        );
        let (first, greeting) = raw.frame().expect("it lives").expect("it is open");
        assert!(first == TEXT && greeting.starts_with(b"You are connected!"));
        raw.send(&frame(PING, b"?"));
        let pong =
            std::iter::from_fn(|| raw.frame().expect("it lives")).find(|(first, _)| *first != TEXT);
        assert_eq!(pong, Some((PONG, b"?".to_vec())), "{request}");
    }
}

#[test]
fn frames_right_behind_the_head_are_not_lost() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let frames: Vec<Vec<u8>> = (0..=255).map(|n| frame(BINARY, &[n; 100])).collect();
    let all = [handshake("/echo", "").into_bytes(), frames.concat()].concat();
    // In one packet, and cut inside the head, at its end, inside the first frame.
    let end = handshake("/echo", "").len();
    for cut in [all.len(), 1, end - 1, end, end + 1, end + 7, end + 1000] {
        let mut raw = RawClient::connect(host.address);
        raw.send(&all[..cut]);
        raw.send(&all[cut..]);
        assert!(raw.head().starts_with("HTTP/1.1 101 "), "cut at {cut}");
        for n in 0..=255 {
            assert_eq!(
                raw.frame().expect("it lives"),
                Some((BINARY, vec![n; 100])),
                "cut at {cut}"
            );
        }
    }
    let mut raw = RawClient::connect(host.address);
    raw.send(&[handshake("/echo", "").as_bytes(), &[0xc1, 0x80, 0, 0, 0, 0]].concat());
    raw.head();
    assert_eq!(
        raw.frame().expect("it lives"),
        Some((0x88, vec![0x03, 0xea]))
    );
}

#[test]
fn one_request_gets_one_answer() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let health = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = ask(host.address, health.repeat(3).as_bytes());
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    // A body that nobody asked for does not make the answer a reset.
    let post = [
        b"POST /chat HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
        &[b'x'; 1_000_000][..],
    ]
    .concat();
    assert_eq!(ask(host.address, &post).status, 405);
}

#[test]
fn one_client_too_many_is_told_to_try_again() {
    let _watchdog = watchdog(60);
    let host = TestServer::with_config(threadchat::Config {
        max_connections: 1,
        ..config()
    });
    let first = host.client();
    for path in ["/chat", "/echo"] {
        let answer = ask(host.address, handshake(path, "").as_bytes());
        assert_eq!(answer.status, 503);
        assert!(answer.has("Retry-After: 5"), "{}", answer.head);
    }
    let health = ask(host.address, b"GET /health HTTP/1.1\r\n\r\n");
    assert_eq!(health.status, 200);
    first.close();
    eventually("the place is free again", || {
        Client::try_connect(
            host.address,
            support::client::request(host.address, "/chat"),
        )
        .is_ok()
    });
}
