//! RFC 6455, section 5.4: messages in fragments, and sizes up to 16 MiB.

mod support;

use std::io::Write;
use std::thread;

use support::cases::{
    BINARY, CLOSE, MORE, PING, PONG, TEXT, accepted, rejected, run, with_max_message,
};
use support::raw::frame;
use support::{RawClient, TestServer, watchdog};

/// First bytes: the first frame of several, one between, the last.
const BEGIN: u8 = TEXT - MORE;
const BEGIN_BINARY: u8 = BINARY - MORE;
const BETWEEN: u8 = 0x00;
const LAST: u8 = 0x80;

#[test]
fn fragments_become_one_message() {
    let _watchdog = watchdog(120);
    let ab: &[(u8, &[u8])] = &[(TEXT, b"ab")];
    let ping_between = [frame(BEGIN, b"a"), frame(PING, b"p"), frame(LAST, b"b")];
    let pong_between = [frame(BEGIN, b"a"), frame(PONG, b"p"), frame(LAST, b"b")];
    let empties: Vec<_> = std::iter::once(frame(BEGIN, b"a"))
        .chain((0..1000).map(|_| frame(BETWEEN, b"")))
        .chain([frame(LAST, b"b")])
        .collect();
    let cases = [
        accepted("5.4", "two", &[frame(BEGIN, b"a"), frame(LAST, b"b")], ab),
        accepted(
            "5.4",
            "two, binary",
            &[frame(BEGIN_BINARY, &[0xff]), frame(LAST, &[0])],
            &[(BINARY, &[0xff, 0])],
        ),
        accepted(
            "5.4",
            "all empty",
            &[frame(BEGIN, b""), frame(BETWEEN, b""), frame(LAST, b"")],
            &[(TEXT, b"")],
        ),
        accepted(
            "5.4",
            "only the middle",
            &[frame(BEGIN, b""), frame(BETWEEN, b"ab"), frame(LAST, b"")],
            ab,
        ),
        accepted("5.4", "a thousand empty", &empties, ab),
        accepted(
            "5.4",
            "a ping between",
            &ping_between,
            &[(PONG, b"p"), (TEXT, b"ab")],
        ),
        accepted("5.4", "a pong between", &pong_between, ab),
        accepted(
            "5.4",
            "two messages",
            &[ping_between.concat(), ping_between.concat()],
            &[(PONG, b"p"), (TEXT, b"ab"), (PONG, b"p"), (TEXT, b"ab")],
        ),
        accepted("5.4", "a close between", &[frame(BEGIN, b"a")], &[]),
    ];
    run(TestServer::start().address, &cases);
}

#[test]
fn fragments_out_of_order_end_the_connection() {
    let _watchdog = watchdog(120);
    let a: &[(u8, &[u8])] = &[(TEXT, b"a")];
    let cases = [
        rejected(
            "5.4",
            "last without a first",
            &[frame(LAST, b"a")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "between without a first",
            &[frame(BETWEEN, b"a")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "continued after its end",
            &[frame(TEXT, b"a"), frame(LAST, b"b")],
            a,
            1002,
        ),
        rejected(
            "5.4",
            "a text within a text",
            &[frame(BEGIN, b"a"), frame(TEXT, b"b")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "a binary within a text",
            &[frame(BEGIN, b"a"), frame(BINARY, b"b")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "begun twice",
            &[frame(BEGIN_BINARY, b"a"), frame(BEGIN_BINARY, b"b")],
            &[],
            1002,
        ),
        rejected(
            "5.4",
            "begun twice after a ping",
            &[frame(BEGIN, b"a"), frame(PING, b""), frame(BEGIN, b"")],
            &[(PONG, b"")],
            1002,
        ),
    ];
    run(TestServer::start().address, &cases);
}

/// Sends a message in frames of this size while it reads the echo.
fn comes_back(host: &TestServer, first: u8, message: &[u8], fragment: usize) {
    let mut raw = RawClient::upgraded(host.address, "/echo");
    let mut sender = raw.socket.try_clone().expect("there are descriptors");
    let last = message.len().div_ceil(fragment) - 1;
    let frames: Vec<_> = message
        .chunks(fragment)
        .enumerate()
        .map(|(number, part)| {
            let opcode = if number == 0 { first & 0x0f } else { 0 };
            frame(opcode | if number == last { 0x80 } else { 0 }, part)
        })
        .collect();
    let frames = frames.concat();
    thread::scope(|scope| {
        scope.spawn(move || sender.write_all(&frames).expect("the server reads"));
        let back = raw.frame().expect("it comes back");
        assert!(
            back == Some((first, message.into())),
            "{} in {fragment}",
            message.len()
        );
    });
    raw.send(&frame(CLOSE, &[]));
    assert_eq!(raw.frame().expect("a Close"), Some((CLOSE, Vec::new())));
}

#[test]
fn large_messages_in_fragments_of_every_size_come_back() {
    let _watchdog = watchdog(240);
    let host = TestServer::with_config(with_max_message(16 << 20));
    let text = "ž🐎x".repeat((16 << 20) / 7).into_bytes();
    for (size, fragment) in [
        (16 << 20, 16 << 20),
        (16 << 20, 1 << 20),
        (4 << 20, 4096),
        (1 << 20, 64),
        (65_536, 1),
    ] {
        let size = size.min(text.len()) / 7 * 7;
        comes_back(&host, TEXT, &text[..size], fragment);
        comes_back(&host, BINARY, &text[1..size], fragment);
    }
}
