//! HTTP requests, valid and malformed: the status, the headers, and that the whole response arrives.

mod support;

use std::net::SocketAddr;

use support::cases::{BINARY, CLOSE, PING, PONG, TEXT};
use support::raw::{frame, handshake};
use support::{Client, RawClient, TestServer, config, eventually, watchdog};

/// The server's limit of a request head.
const MAX_HEAD_SIZE: usize = 8 << 10;

/// A parsed HTTP response.
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Response {
    fn has_header(&self, header: &str) -> bool {
        self.head
            .lines()
            .any(|line| line.eq_ignore_ascii_case(header))
    }
}

/// Sends a request and reads the response, which must be well-formed and end with the connection.
fn fetch(address: SocketAddr, request: &[u8]) -> Response {
    let mut raw = RawClient::connect(address);
    // The server can respond and close before it has read the whole request.
    let _ = raw.try_send(request);
    read_response(&mut raw, &String::from_utf8_lossy(request))
}

/// Reads the response to `request` and checks the parts that all responses have in common.
fn read_response(raw: &mut RawClient, request: &str) -> Response {
    let all = raw
        .rest()
        .unwrap_or_else(|error| panic!("{request:.80?}: {error}"));
    let all = String::from_utf8(all).expect("responses are UTF-8");
    let (head, body) = all
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{request:.80?}: {all:?}"));
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.split(' ').next());
    let response = Response {
        status: status
            .and_then(|status| status.parse().ok())
            .expect("the response starts with a status line"),
        head: head.to_owned(),
        body: body.to_owned(),
    };
    let length = format!("Content-Length: {}", body.len());
    assert!(
        response.has_header(&length) && response.has_header("Connection: close"),
        "{request:.80?}: {all}"
    );
    let plain = response.has_header("Content-Type: text/plain; charset=utf-8");
    assert!(
        plain && body.len() > 2 && body.ends_with('\n') && body.lines().count() == 1,
        "{request:.80?}: {all}"
    );
    response
}

/// Returns a valid opening handshake with one part replaced.
fn handshake_replacing(from: &str, to: &str) -> String {
    let changed = handshake("/chat", "").replacen(from, to, 1);
    assert_ne!(
        changed,
        handshake("/chat", ""),
        "{from:?} is not part of the handshake"
    );
    changed
}

#[test]
fn requests_get_their_status_and_headers() {
    let _watchdog = watchdog(120);
    let server = TestServer::with_config(threadchat::Config {
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
        (handshake_replacing("HTTP/1.1", "HTTP/1.0"), 505, ""),
        (
            handshake_replacing("Connection: Upgrade\r\n", ""),
            426,
            "Upgrade: websocket",
        ),
        (
            handshake_replacing("Connection: Upgrade", "Connection: close"),
            426,
            "Upgrade: websocket",
        ),
        (
            handshake_replacing("Upgrade: websocket\r\n", ""),
            426,
            "Upgrade: websocket",
        ),
        (
            handshake_replacing("Upgrade: websocket", "Upgrade: h2c"),
            426,
            "Upgrade: websocket",
        ),
        (
            handshake_replacing("Version: 13", "Version: 8"),
            426,
            "Sec-WebSocket-Version: 13",
        ),
        (
            handshake_replacing("Sec-WebSocket-Version: 13\r\n", ""),
            426,
            "Sec-WebSocket-Version: 13",
        ),
        (
            handshake_replacing("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            400,
            "",
        ),
        (handshake_replacing("dGhlIHNhbXBsZSBub25jZQ==", ""), 400, ""),
        (
            handshake_replacing("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
            400,
            "",
        ),
        (
            handshake_replacing("dGhlIHNhbXBsZSBub25jZQ==", "no base64, no base64!!!!"),
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
        let response = fetch(server.address, request.as_bytes());
        assert_eq!(response.status, *status, "{request}\n{}", response.body);
        assert!(
            header.is_empty() || response.has_header(header),
            "{request}\n{}",
            response.head
        );
        // RFC 9110, section 7.8: a sender of Upgrade names it as an option of the connection.
        assert_eq!(
            response.has_header("Upgrade: websocket"),
            response.has_header("Connection: upgrade"),
            "{request}"
        );
    }
    eprintln!("{} requests sent", cases.len());
}

#[test]
fn malformed_requests_get_400() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    let random: Vec<u8> = (0..=255).cycle().skip(7).step_by(3).take(500).collect();
    let cases: [&[u8]; 13] = [
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
        &random,
    ];
    for request in cases {
        let response = fetch(server.address, request);
        assert_eq!(response.status, 400, "{request:?}: {}", response.body);
    }
}

/// Returns a handshake of exactly this many bytes.
fn handshake_of_size(bytes: usize) -> String {
    let empty = handshake("/echo", "X-Filler: \r\n").len();
    handshake(
        "/echo",
        &format!("X-Filler: {}\r\n", "x".repeat(bytes - empty)),
    )
}

#[test]
fn heads_are_limited_to_8_kib_and_124_lines() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut raw = RawClient::connect(server.address);
    raw.send(handshake_of_size(MAX_HEAD_SIZE).as_bytes());
    assert!(raw.head().starts_with("HTTP/1.1 101 "));
    let lines = "X-Line: 1\r\n".repeat(200);
    for request in [
        handshake_of_size(MAX_HEAD_SIZE + 1),
        handshake_of_size(20 * MAX_HEAD_SIZE),
        handshake("/echo", &lines),
        format!("GET /{}", "x".repeat(MAX_HEAD_SIZE)),
        format!("{}\n", " ".repeat(MAX_HEAD_SIZE)),
    ] {
        let response = fetch(server.address, request.as_bytes());
        let status = if request.starts_with("GET") { 431 } else { 400 };
        assert_eq!(response.status, status, "{request:.60}");
    }
}

#[test]
fn unusual_but_valid_requests_are_accepted() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let connection = "Connection: Upgrade";
    let cases = [
        handshake_replacing(connection, "Connection: keep-alive, Upgrade"),
        handshake_replacing(connection, "Connection: keep-alive,Upgrade,x"),
        handshake_replacing(connection, "Connection: keep-alive\r\nConnection: Upgrade"),
        handshake_replacing(connection, "Connection: Upgrade\r\nConnection: keep-alive"),
        handshake_replacing("Upgrade: websocket", "UPGRADE: WebSocket"),
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
        let mut raw = RawClient::connect(server.address);
        raw.send(request.as_bytes());
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{request}\n{head}");
        // The example key and its accept value of RFC 6455, section 1.3. No extension or subprotocol is negotiated.
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
        let (first, greeting) = raw
            .frame()
            .expect("the connection is not reset")
            .expect("the connection stays open");
        assert!(first == TEXT && greeting.starts_with(b"You are connected!"));
        raw.send(&frame(PING, b"?"));
        let pong = std::iter::from_fn(|| raw.frame().expect("the connection is not reset"))
            .find(|(first, _)| *first != TEXT);
        assert_eq!(pong, Some((PONG, b"?".to_vec())), "{request}");
    }
}

#[test]
fn frames_sent_with_the_handshake_are_not_lost() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let frames: Vec<Vec<u8>> = (0..=255).map(|n| frame(BINARY, &[n; 100])).collect();
    let all = [handshake("/echo", "").into_bytes(), frames.concat()].concat();
    // As a whole, and split within the head, at its end, and within the first frame.
    let end = handshake("/echo", "").len();
    for split in [all.len(), 1, end - 1, end, end + 1, end + 7, end + 1000] {
        let mut raw = RawClient::connect(server.address);
        raw.send(&all[..split]);
        raw.send(&all[split..]);
        assert!(raw.head().starts_with("HTTP/1.1 101 "), "split at {split}");
        for n in 0..=255 {
            assert_eq!(
                raw.frame().expect("the connection is not reset"),
                Some((BINARY, vec![n; 100])),
                "split at {split}"
            );
        }
    }
    let mut raw = RawClient::connect(server.address);
    raw.send(&[handshake("/echo", "").as_bytes(), &[0xc1, 0x80, 0, 0, 0, 0]].concat());
    raw.head();
    assert_eq!(
        raw.frame().expect("the connection is not reset"),
        Some((CLOSE, vec![0x03, 0xea]))
    );
}

#[test]
fn each_connection_serves_one_request() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let health = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let response = fetch(server.address, health.repeat(3).as_bytes());
    assert_eq!((response.status, response.body.as_str()), (200, "ok\n"));
    // An unread request body must not turn the response into a reset.
    let post = [
        b"POST /chat HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
        &[b'x'; 1_000_000][..],
    ]
    .concat();
    assert_eq!(fetch(server.address, &post).status, 405);
}

#[test]
fn over_the_limit_gets_503_with_retry_after() {
    let _watchdog = watchdog(60);
    let server = TestServer::with_config(threadchat::Config {
        max_connections: 1,
        ..config()
    });
    let first = server.client();
    for path in ["/chat", "/echo"] {
        let response = fetch(server.address, handshake(path, "").as_bytes());
        assert_eq!(response.status, 503);
        assert!(response.has_header("Retry-After: 5"), "{}", response.head);
    }
    let health = fetch(server.address, b"GET /health HTTP/1.1\r\n\r\n");
    assert_eq!(health.status, 200);
    first.close();
    eventually("a connection is permitted again", || {
        Client::try_connect(
            server.address,
            support::client::request(server.address, "/chat"),
        )
        .is_ok()
    });
}
