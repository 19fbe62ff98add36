//! Random and mutated bytes against the real program. `FUZZ_SEED=N` plays other ones; a failure names its seed.

mod support;

use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::Instant;

use support::cases::{CLOSE, PING, TEXT};
use support::raw::{frame, handshake};
use support::rng::{Rng, seed};
use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, watchdog};

/// Cases between two looks at the server's health.
const BATCH: usize = 500;

/// Clients at a time: enough to get in each other's way, few enough for two cores.
const AT_ONCE: u64 = 4;

/// Plays this many cases of one kind, and after each batch makes sure that nothing has come of them.
fn fuzz(cases: usize, play: impl Fn(&mut Rng, SocketAddr) + Sync) {
    let _watchdog = watchdog(300);
    let seed = seed();
    let start = Instant::now();
    let mut program = ServerProcess::start(&["--max-message", "2048"]);
    let idle = program.descriptors();
    for batch in 0..cases / BATCH {
        eprintln!("FUZZ_SEED={seed}, batch {batch}");
        let mut bystander = Client::json(program.address, "/chat?name=bystander");
        assert!(bystander.recv_text().contains("\"welcome\""));
        thread::scope(|scope| {
            for client in 0..AT_ONCE {
                let (address, play) = (program.address, &play);
                let number = (batch as u64) << 8 | client;
                scope.spawn(move || {
                    let mut random = Rng::new(seed << 32 | number);
                    for _ in 0..BATCH / AT_ONCE as usize {
                        play(&mut random, address);
                    }
                });
            }
            chat_along(&mut bystander);
        });
        healthy(&program);
        bystander.close();
        eventually("no thread and no descriptor is left", || {
            (program.threads(), program.descriptors()) == (BASELINE_THREADS, idle)
        });
    }
    program.signal(rustix::process::Signal::TERM);
    assert!(program.wait().success());
    for line in program.remaining_log() {
        let bad = ["panic", "internal error", "ERROR"];
        assert!(!bad.iter().any(|bad| line.contains(bad)), "{line}");
    }
    eprintln!("FUZZ_SEED={seed}: {cases} cases in {:?}", start.elapsed());
}

/// Says numbers and hears each once and in order, whatever the others say.
fn chat_along(bystander: &mut Client) {
    for number in 0..100 {
        let text = format!("number {number}");
        bystander.send_text(&format!(r#"{{"type":"message","text":"{text}"}}"#));
        let own = format!(r#"{{"type":"message","from":"bystander","text":"{text}"}}"#);
        loop {
            let heard = bystander.recv_text();
            if heard == own {
                break;
            }
            assert!(!heard.contains(r#""from":"bystander""#), "{heard}");
        }
    }
}

fn healthy(program: &ServerProcess) {
    let mut raw = RawClient::connect(program.address);
    raw.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = raw.rest().expect("an answer");
    assert!(
        answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"ok\n"),
        "{answer:?}"
    );
}

/// Sends these bytes in parts, says that no more come, and hears the server out to the end of the connection.
fn throw(random: &mut Rng, mut raw: RawClient, bytes: &[u8]) {
    let part = 1 + random.gen_range(bytes.len().max(1));
    let whole = bytes.chunks(part).all(|part| raw.try_send(part).is_ok());
    if whole && random.gen_range(4) == 0 {
        // Vanishes, and does not want to know.
        return;
    }
    let _ = raw.socket.shutdown(Shutdown::Write);
    if let Err(error) = raw.rest() {
        use std::io::ErrorKind::{ConnectionReset, TimedOut, WouldBlock};
        assert!(
            ![TimedOut, WouldBlock].contains(&error.kind()),
            "no end after {bytes:?}"
        );
        assert_eq!(error.kind(), ConnectionReset, "{bytes:?}");
    }
}

#[test]
fn heads() {
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
    fuzz(6000, |random, address| {
        let bytes = if random.gen_range(8) == 0 {
            random.bytes(9000)
        } else {
            let more: String = (0..random.gen_range(4))
                .map(|_| format!("{}\r\n", random.choose(&LINES)))
                .collect();
            let mut bytes = handshake(random.choose(&TARGETS), &more).into_bytes();
            random.mutate(&mut bytes);
            bytes
        };
        throw(random, RawClient::connect(address), &bytes);
    });
}

/// Some frame, mostly a good one.
fn any_frame(random: &mut Rng) -> Vec<u8> {
    const FIRST: [u8; 8] = [TEXT, 0x01, 0x00, 0x80, 0x82, 0x02, PING, 0x8a];
    let first = match random.gen_range(20) {
        0 => random.next() as u8,
        1 => CLOSE,
        _ => random.choose(&FIRST),
    };
    let payload = match random.gen_range(3) {
        0 => random.bytes(300),
        1 => "žluťoučký 🐎 ".repeat(random.gen_range(9)).into_bytes(),
        _ => vec![b'x'; random.gen_range(126)],
    };
    frame(first, &payload)
}

#[test]
fn frames() {
    fuzz(8000, |random, address| {
        let path = if random.gen_range(2) == 0 {
            "/echo"
        } else {
            "/chat"
        };
        let raw = RawClient::upgraded(address, path);
        let mut bytes = match random.gen_range(8) {
            0 => random.bytes(3000),
            _ => (0..=random.gen_range(9))
                .flat_map(|_| any_frame(random))
                .collect(),
        };
        if random.gen_range(3) > 0 {
            random.mutate(&mut bytes);
        }
        throw(random, raw, &bytes);
    });
}

/// Says lines as texts, and asks for its own echo behind them all: who is not answered was thrown out.
fn say(random: &mut Rng, mut raw: RawClient, lines: Vec<Vec<u8>>, last: &[u8], echo: &str) {
    for line in lines {
        let line = String::from_utf8_lossy(&line).into_owned();
        raw.send(&frame(TEXT, line.as_bytes()));
    }
    raw.send(&frame(TEXT, last));
    loop {
        match raw.frame() {
            Ok(Some((TEXT, text))) => {
                let text = String::from_utf8(text).expect("the server's texts are UTF-8");
                let raw_control = text.chars().find(|c| c.is_control());
                assert_eq!(raw_control, None, "{text:?}");
                if text.contains(echo) {
                    break;
                }
            }
            other => panic!("after good texts: {other:?}"),
        }
    }
    throw(random, raw, &frame(CLOSE, b""));
}

#[test]
fn commands() {
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
    fuzz(4000, |random, address| {
        let lines = (0..random.gen_range(9)).map(|_| {
            let mut line = random.choose(&LINES).as_bytes().to_vec();
            random.mutate(&mut line);
            line
        });
        let lines = lines.collect();
        let raw = RawClient::upgraded(address, "/chat");
        let end = format!("end {}", random.next());
        say(random, raw, lines, end.as_bytes(), &end);
    });
}

#[test]
fn json() {
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
    fuzz(4000, |random, address| {
        let lines = (0..random.gen_range(9)).map(|_| {
            let mut line = random.choose(&OBJECTS).as_bytes().to_vec();
            random.mutate(&mut line);
            line
        });
        let lines = lines.collect();
        let mut raw = RawClient::connect(address);
        raw.send(handshake.as_bytes());
        raw.head();
        let end = format!("end {}", random.next());
        let last = format!(r#"{{"type":"message","text":"{end}"}}"#);
        say(random, raw, lines, last.as_bytes(), &end);
    });
}
