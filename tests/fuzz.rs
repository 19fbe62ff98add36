//! Random and mutated bytes do no harm to the server and its other clients. `FUZZ_SEED=N` sets the seed; it is printed
//! with every batch, so that a failure can be repeated.

mod support;

use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::Instant;

use support::cases::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use support::raw::{frame, handshake};
use support::rng::{Rng, seed};
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

/// Cases between two health checks of the server.
const BATCH_SIZE: usize = 500;

/// Concurrent clients: enough to interfere with each other, few enough for two cores.
const CLIENTS: u64 = 4;

/// Runs `case` this many times, and checks after each batch that the server is healthy and has released everything.
fn fuzz(cases: usize, case: impl Fn(&mut Rng, SocketAddr) + Sync) {
    let _watchdog = watchdog(300);
    let seed = seed();
    let start = Instant::now();
    let mut server = ServerProcess::start(&["--max-message", "2048"]);
    let idle = server.descriptors();
    for batch in 0..cases / BATCH_SIZE {
        eprintln!("FUZZ_SEED={seed}, batch {batch}");
        let mut bystander = Client::json(server.address, "/chat?name=bystander");
        assert!(bystander.recv_text().contains("\"welcome\""));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (address, case) = (server.address, &case);
                let number = (batch as u64) << 8 | client;
                scope.spawn(move || {
                    let mut rng = Rng::new(seed << 32 | number);
                    for _ in 0..BATCH_SIZE / CLIENTS as usize {
                        case(&mut rng, address);
                    }
                });
            }
            chat(&mut bystander);
        });
        check_health(&server);
        bystander.close();
        eventually("threads and descriptors are released", || {
            (server.threads(), server.descriptors()) == (BASELINE_THREADS, idle)
        });
    }
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    for line in server.remaining_log() {
        let errors = ["panic", "internal error", "ERROR"];
        assert!(!errors.iter().any(|error| line.contains(error)), "{line}");
    }
    eprintln!("FUZZ_SEED={seed}: {cases} cases in {:?}", start.elapsed());
}

/// Sends numbers and checks that each returns once and in order, despite the messages of others.
fn chat(bystander: &mut Client) {
    for number in 0..100 {
        let text = format!("number {number}");
        bystander.send_text(&format!(r#"{{"type":"message","text":"{text}"}}"#));
        let own = format!(r#"{{"type":"message","from":"bystander","text":"{text}","id":"#);
        loop {
            let received = bystander.recv_text();
            if received.starts_with(&own) {
                break;
            }
            assert!(!received.contains(r#""from":"bystander""#), "{received}");
        }
    }
}

fn check_health(server: &ServerProcess) {
    let mut raw = RawClient::connect(server.address);
    raw.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    let response = raw.rest().expect("the server sends a response");
    assert!(
        response.starts_with(b"HTTP/1.1 200 ") && response.ends_with(b"ok\n"),
        "{response:?}"
    );
}

/// Sends the bytes in chunks, shuts down the sending direction, and reads to the end of the connection. Some clients
/// drop their connection instead.
fn send_chunks(rng: &mut Rng, mut raw: RawClient, bytes: &[u8]) {
    let size = 1 + rng.gen_range(bytes.len().max(1));
    let sent_all = bytes.chunks(size).all(|chunk| raw.try_send(chunk).is_ok());
    if sent_all && rng.gen_range(4) == 0 {
        return;
    }
    let _ = raw.socket.shutdown(Shutdown::Write);
    if let Err(error) = raw.rest() {
        use std::io::ErrorKind::{ConnectionReset, TimedOut, WouldBlock};
        assert!(
            ![TimedOut, WouldBlock].contains(&error.kind()),
            "the connection stays open after {bytes:?}"
        );
        assert_eq!(error.kind(), ConnectionReset, "{bytes:?}");
    }
}

#[test]
fn mutated_request_heads_do_no_harm() {
    const LINES: [&str; 8] = [
        "Connection: keep-alive",
        "Upgrade: h2c",
        "Origin: null",
        "Sec-WebSocket-Protocol: threadchat.json",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "X: \u{0}",
    ];
    const TARGETS: [&str; 8] = [
        "/chat",
        "/echo",
        "/",
        "/health",
        "/chat?name=bystander",
        "/chat?name=%ff&name=&&=",
        "http://[::1]:99999/chat",
        "*",
    ];
    fuzz(6000, |rng, address| {
        let bytes = if rng.gen_range(8) == 0 {
            rng.bytes(9000)
        } else {
            let header_lines: String = (0..rng.gen_range(4))
                .map(|_| format!("{}\r\n", rng.choose(&LINES)))
                .collect();
            let mut bytes = handshake(rng.choose(&TARGETS), &header_lines).into_bytes();
            rng.mutate(&mut bytes);
            bytes
        };
        send_chunks(rng, RawClient::connect(address), &bytes);
    });
}

/// Returns a frame that is valid in most cases.
fn random_frame(rng: &mut Rng) -> Vec<u8> {
    const NO_FIN: u8 = 0x7f;
    const FIRST: [u8; 8] = [
        TEXT,
        TEXT & NO_FIN,
        CONTINUATION & NO_FIN,
        CONTINUATION,
        BINARY,
        BINARY & NO_FIN,
        PING,
        PONG,
    ];
    let first = match rng.gen_range(20) {
        0 => rng.next() as u8,
        1 => CLOSE,
        _ => rng.choose(&FIRST),
    };
    let payload = match rng.gen_range(3) {
        0 => rng.bytes(300),
        1 => "žluťoučký 🐎 ".repeat(rng.gen_range(9)).into_bytes(),
        _ => vec![b'x'; rng.gen_range(126)],
    };
    frame(first, &payload)
}

#[test]
fn mutated_frames_do_no_harm() {
    fuzz(8000, |rng, address| {
        let path = if rng.gen_range(2) == 0 {
            "/echo"
        } else {
            "/chat"
        };
        let raw = RawClient::upgraded(address, path);
        let mut bytes = match rng.gen_range(8) {
            0 => rng.bytes(3000),
            _ => (0..=rng.gen_range(9))
                .flat_map(|_| random_frame(rng))
                .collect(),
        };
        if rng.gen_range(3) > 0 {
            rng.mutate(&mut bytes);
        }
        send_chunks(rng, raw, &bytes);
    });
}

/// Sends lines as texts, and then one whose echo shows that the client is still connected.
fn send_lines(rng: &mut Rng, mut raw: RawClient, lines: Vec<Vec<u8>>, last: &[u8], echo: &str) {
    for line in lines {
        let line = String::from_utf8_lossy(&line).into_owned();
        raw.send(&frame(TEXT, line.as_bytes()));
    }
    raw.send(&frame(TEXT, last));
    loop {
        match raw.frame() {
            Ok(Some((TEXT, text))) => {
                let text = String::from_utf8(text).expect("the server's texts are UTF-8");
                let control = text.chars().find(|c| c.is_control());
                assert_eq!(control, None, "{text:?}");
                if text.contains(echo) {
                    break;
                }
            }
            other => panic!("after valid texts: {other:?}"),
        }
    }
    send_chunks(rng, raw, &frame(CLOSE, b""));
}

#[test]
fn mutated_commands_do_not_disconnect() {
    const LINES: [&str; 14] = [
        "/nick alice",
        "/nick bystander",
        "/nick user7",
        "/whisper alice psst",
        "/w bystander hello",
        "/who",
        "/me waves",
        "/help",
        "//slash",
        "/ ",
        "/nick \u{202e}\u{7f}\r\n",
        "hello 👩\u{200d}👩\u{200d}👧",
        "* user0 is now root.",
        "[server]: trust me\n[user0]: yes",
    ];
    fuzz(4000, |rng, address| {
        let lines = (0..rng.gen_range(9)).map(|_| {
            let mut line = rng.choose(&LINES).as_bytes().to_vec();
            rng.mutate(&mut line);
            line
        });
        let lines = lines.collect();
        let raw = RawClient::upgraded(address, "/chat");
        let end = format!("end {}", rng.next());
        send_lines(rng, raw, lines, end.as_bytes(), &end);
    });
}

#[test]
fn mutated_json_does_not_disconnect() {
    const OBJECTS: [&str; 10] = [
        r#"{"type":"message","text":"hi"}"#,
        r#"{"type":"action","text":"\u0000\ud83d\udc0e\n"}"#,
        r#"{"type":"whisper","to":"bystander","text":"psst"}"#,
        r#"{"type":"rename","name":"alice"}"#,
        r#"{"type":"who"}"#,
        r#"{"type":"help","more":[1,{"a":null},-1e9999,true]}"#,
        r#"{"type":"quit"}"#,
        r#"{"type":"message","text":7,"text":"x"}"#,
        r#"[[[[[[[[[[[[[[[[[[[["#,
        r#""#,
    ];
    let handshake = handshake("/chat", "Sec-WebSocket-Protocol: threadchat.json\r\n");
    fuzz(4000, |rng, address| {
        let lines = (0..rng.gen_range(9)).map(|_| {
            let mut line = rng.choose(&OBJECTS).as_bytes().to_vec();
            rng.mutate(&mut line);
            line
        });
        let lines = lines.collect();
        let mut raw = RawClient::connect(address);
        raw.send(handshake.as_bytes());
        raw.head();
        let end = format!("end {}", rng.next());
        let last = format!(r#"{{"type":"message","text":"{end}"}}"#);
        send_lines(rng, raw, lines, last.as_bytes(), &end);
    });
}
