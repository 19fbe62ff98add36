//! RFC 6455, section 5.4: fragmented messages, in sizes up to 16 MiB.

mod support;

use std::io::Write;
use std::thread;

use support::cases::{
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accepted, rejected, run, with_max_message,
};
use support::raw::{fragment, frame};
use support::{RawClient, TestServer, config, watchdog};

#[test]
fn fragments_become_one_message() {
    let _watchdog = watchdog(120);
    let ab: &[(u8, &[u8])] = &[(TEXT, b"ab")];
    let ping_between = [
        fragment(TEXT, false, b"a"),
        frame(PING, b"p"),
        fragment(CONTINUATION, true, b"b"),
    ];
    let pong_between = [
        fragment(TEXT, false, b"a"),
        frame(PONG, b"p"),
        fragment(CONTINUATION, true, b"b"),
    ];
    let empties: Vec<_> = std::iter::once(fragment(TEXT, false, b"a"))
        .chain((0..1000).map(|_| fragment(CONTINUATION, false, b"")))
        .chain([fragment(CONTINUATION, true, b"b")])
        .collect();
    let cases = [
        accepted(
            "5.4",
            "two fragments",
            &[
                fragment(TEXT, false, b"a"),
                fragment(CONTINUATION, true, b"b"),
            ],
            ab,
        ),
        accepted(
            "5.4",
            "two binary fragments",
            &[
                fragment(BINARY, false, &[0xff]),
                fragment(CONTINUATION, true, &[0]),
            ],
            &[(BINARY, &[0xff, 0])],
        ),
        accepted(
            "5.4",
            "all fragments empty",
            &[
                fragment(TEXT, false, b""),
                fragment(CONTINUATION, false, b""),
                fragment(CONTINUATION, true, b""),
            ],
            &[(TEXT, b"")],
        ),
        accepted(
            "5.4",
            "only the middle fragment has a payload",
            &[
                fragment(TEXT, false, b""),
                fragment(CONTINUATION, false, b"ab"),
                fragment(CONTINUATION, true, b""),
            ],
            ab,
        ),
        accepted("5.4", "a thousand empty fragments", &empties, ab),
        accepted(
            "5.4",
            "a ping between fragments",
            &ping_between,
            &[(PONG, b"p"), (TEXT, b"ab")],
        ),
        accepted("5.4", "a pong between fragments", &pong_between, ab),
        accepted(
            "5.4",
            "two messages with pings between fragments",
            &[ping_between.concat(), ping_between.concat()],
            &[(PONG, b"p"), (TEXT, b"ab"), (PONG, b"p"), (TEXT, b"ab")],
        ),
        accepted(
            "5.4",
            "a Close between fragments",
            &[fragment(TEXT, false, b"a")],
            &[],
        ),
    ];
    run(config(), &cases);
}

#[test]
fn misplaced_fragments_are_protocol_errors() {
    let _watchdog = watchdog(120);
    let a: &[(u8, &[u8])] = &[(TEXT, b"a")];
    let cases = [
        rejected(
            "5.4",
            "final continuation without a first fragment",
            &[fragment(CONTINUATION, true, b"a")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "continuation without a first fragment",
            &[fragment(CONTINUATION, false, b"a")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "continuation after the final frame",
            &[frame(TEXT, b"a"), fragment(CONTINUATION, true, b"b")],
            a,
            1002,
        ),
        rejected(
            "5.4",
            "a text frame within a fragmented text",
            &[fragment(TEXT, false, b"a"), frame(TEXT, b"b")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "a binary frame within a fragmented text",
            &[fragment(TEXT, false, b"a"), frame(BINARY, b"b")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "two first fragments",
            &[fragment(BINARY, false, b"a"), fragment(BINARY, false, b"b")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "two first fragments, after a ping",
            &[
                fragment(TEXT, false, b"a"),
                frame(PING, b""),
                fragment(TEXT, false, b""),
            ],
            &[(PONG, b"")],
            1002,
        ),
    ];
    run(config(), &cases);
}

#[test]
fn more_than_1024_empty_fragments_violate_the_policy() {
    let _watchdog = watchdog(60);
    let message = |empty: usize| {
        let mut frames = vec![fragment(TEXT, false, b"a")];
        frames.extend(vec![fragment(CONTINUATION, false, b""); empty]);
        // Control frames between fragments do not count, and a new message has its own count.
        frames.push(frame(PING, b""));
        frames.push(fragment(CONTINUATION, true, b"b"));
        frames.concat()
    };
    let echo: &[(u8, &[u8])] = &[(PONG, b""), (TEXT, b"ab"), (PONG, b""), (TEXT, b"ab")];
    let allowed = [message(1024), message(1024)];
    let cases = [
        accepted("5.4", "1024 empty fragments, twice", &allowed, echo),
        rejected("5.4", "1025 empty fragments", &[message(1025)], &[], 1008),
    ];
    run(config(), &cases);
}

/// Sends a message in frames of `size` bytes while reading, and checks that the echo is identical.
fn round_trips(server: &TestServer, first: u8, message: &[u8], size: usize) {
    let mut raw = RawClient::upgraded(server.address, "/echo");
    let mut sender = raw.socket.try_clone().expect("the socket can be cloned");
    let last = message.len().div_ceil(size) - 1;
    let frames: Vec<_> = message
        .chunks(size)
        .enumerate()
        .map(|(number, part)| {
            let first = if number == 0 { first } else { CONTINUATION };
            fragment(first, number == last, part)
        })
        .collect();
    let frames = frames.concat();
    thread::scope(|scope| {
        scope.spawn(move || sender.write_all(&frames).expect("the server is reading"));
        let echo = raw.frame().expect("the server sends the echo");
        assert!(
            echo == Some((first, message.into())),
            "{} bytes in fragments of {size}",
            message.len()
        );
    });
    raw.send(&frame(CLOSE, &[]));
    assert_eq!(
        raw.frame().expect("the server replies to the Close"),
        Some((CLOSE, Vec::new()))
    );
}

#[test]
fn large_fragmented_messages_round_trip() {
    let _watchdog = watchdog(240);
    let server = TestServer::with_config(with_max_message(16 << 20));
    let text = "ž🐎x".repeat((16 << 20) / 7).into_bytes();
    for (size, fragment) in [
        (16 << 20, 16 << 20),
        (16 << 20, 1 << 20),
        (4 << 20, 4096),
        (1 << 20, 64),
        (65_536, 1),
    ] {
        let size = size.min(text.len()) / 7 * 7;
        round_trips(&server, TEXT, &text[..size], fragment);
        round_trips(&server, BINARY, &text[1..size], fragment);
    }
}
