//! RFC 6455, section 5: frames, one by one.

mod support;

use support::cases::{BINARY, Case, PING, PONG, TEXT, accepted, header, rejected, run};
use support::raw::frame;
use support::{TestServer, watchdog};

/// The default limit of a message.
const LIMIT: usize = 65536;

#[test]
fn every_length_comes_back() {
    let _watchdog = watchdog(120);
    let lengths = [0, 1, 124, 125, 126, 127, 128, 65534, 65535, LIMIT];
    let mut cases: Vec<Case> = Vec::new();
    for length in lengths {
        let (text, binary) = (vec![b'x'; length], vec![0xfe; length]);
        cases.push(accepted(
            "5.2",
            format!("text of {length}"),
            &[frame(TEXT, &text)],
            &[(TEXT, &text)],
        ));
        cases.push(accepted(
            "5.2",
            format!("binary of {length}"),
            &[frame(BINARY, &binary)],
            &[(BINARY, &binary)],
        ));
    }
    run(TestServer::start().address, &cases);
}

#[test]
fn a_length_over_the_limit_is_refused_by_its_header() {
    let _watchdog = watchdog(120);
    let over = LIMIT as u64 + 1;
    let half = vec![b'x'; LIMIT / 2 + 1];
    let cases = [
        rejected("7.4.1", "text", &[header(TEXT, 8, over)], &[], 1009),
        rejected("7.4.1", "binary", &[header(BINARY, 8, over)], &[], 1009),
        rejected("7.4.1", "4 GiB", &[header(BINARY, 8, 1 << 32)], &[], 1009),
        rejected(
            "7.4.1",
            "most",
            &[header(BINARY, 8, u64::MAX >> 1)],
            &[],
            1009,
        ),
        rejected(
            "7.4.1",
            "whole",
            &[frame(BINARY, &[0; LIMIT + 1])],
            &[],
            1009,
        ),
        rejected(
            "7.4.1",
            "in two",
            &[frame(0x02, &half), frame(0x80, &half)],
            &[],
            1009,
        ),
        rejected(
            "7.4.1",
            "after a good one",
            &[frame(TEXT, b"a"), header(TEXT, 8, over)],
            &[(TEXT, b"a")],
            1009,
        ),
    ];
    run(TestServer::start().address, &cases);
}

#[test]
fn a_length_has_one_way_to_be_written() {
    let _watchdog = watchdog(120);
    let cases = [
        rejected("5.2", "0 in 2 bytes", &[header(TEXT, 2, 0)], &[], 1002),
        rejected("5.2", "125 in 2 bytes", &[header(TEXT, 2, 125)], &[], 1002),
        rejected("5.2", "0 in 8 bytes", &[header(BINARY, 8, 0)], &[], 1002),
        rejected("5.2", "126 in 8 bytes", &[header(TEXT, 8, 126)], &[], 1002),
        rejected(
            "5.2",
            "65535 in 8 bytes",
            &[header(TEXT, 8, 65535)],
            &[],
            1002,
        ),
        rejected(
            "5.2",
            "a ping's 5 in 2 bytes",
            &[header(PING, 2, 5)],
            &[],
            1002,
        ),
        rejected(
            "5.2",
            "highest bit set",
            &[header(BINARY, 8, 1 << 63)],
            &[],
            1002,
        ),
        rejected(
            "5.2",
            "every bit set",
            &[header(BINARY, 8, u64::MAX)],
            &[],
            1002,
        ),
    ];
    run(TestServer::start().address, &cases);
}

#[test]
fn a_frame_may_be_cut_at_every_byte() {
    let _watchdog = watchdog(120);
    let host = TestServer::start();
    for payload in ["", "x", "žluťoučký 🐎", &"y".repeat(130)] {
        let whole = frame(TEXT, payload.as_bytes());
        let mut raw = support::RawClient::upgraded(host.address, "/echo");
        for cut in 0..=whole.len() {
            raw.send(&whole[..cut]);
            raw.send(&whole[cut..]);
            let back = raw.frame().expect("the connection stays");
            assert_eq!(back, Some((TEXT, payload.into())), "cut at {cut}");
        }
    }
}

#[test]
fn reserved_bits_and_opcodes_and_missing_masks() {
    let _watchdog = watchdog(120);
    let mut cases = Vec::new();
    let before = || frame(TEXT, b"before");
    let back: &[(u8, &[u8])] = &[(TEXT, b"before")];
    for rsv in 1..8_u8 {
        for first in [TEXT, BINARY, PING, PONG, 0x88] {
            let what = format!("reserved bits {rsv} on {first:x}");
            let wrong = frame(first | rsv << 4, b"x");
            cases.push(rejected("5.2", what, &[before(), wrong], back, 1002));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"x"] {
            let what = format!("reserved opcode {opcode}, {} bytes", payload.len());
            let wrong = frame(0x80 | opcode, payload);
            cases.push(rejected(
                "5.2",
                what,
                &[before(), wrong, frame(PING, b"")],
                back,
                1002,
            ));
        }
    }
    for first in [TEXT, BINARY, PING, PONG, 0x88] {
        let what = format!("unmasked {first:x}");
        cases.push(rejected(
            "5.1",
            what,
            &[before(), vec![first, 0]],
            back,
            1002,
        ));
    }
    cases.push(rejected(
        "5.1",
        "unmasked with payload",
        &[vec![TEXT, 1, b'x']],
        &[],
        1002,
    ));
    run(TestServer::start().address, &cases);
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    let _watchdog = watchdog(120);
    let mut cases = Vec::new();
    for length in 0..=125 {
        let payload = vec![0xfe; length];
        let what = format!("ping of {length}");
        cases.push(accepted(
            "5.5.2",
            what,
            &[frame(PING, &payload)],
            &[(PONG, &payload)],
        ));
    }
    cases.push(accepted(
        "5.5.3",
        "unasked pongs",
        &[frame(PONG, b""), frame(PONG, &[0xff; 125])],
        &[],
    ));
    cases.push(accepted(
        "5.5.3",
        "a pong and a ping",
        &[frame(PONG, b"a"), frame(PING, b"b")],
        &[(PONG, b"b")],
    ));
    run(TestServer::start().address, &cases);
}

#[test]
fn ten_pings_at_once_are_all_answered_in_order() {
    let _watchdog = watchdog(60);
    let pings: Vec<_> = (0..10).map(|n| frame(PING, &[n])).collect();
    let numbers: Vec<[u8; 1]> = (0..10).map(|n| [n]).collect();
    let pongs: Vec<(u8, &[u8])> = numbers.iter().map(|n| (PONG, &n[..])).collect();
    run(
        TestServer::start().address,
        &[accepted("5.5.2", "ten pings", &pings, &pongs)],
    );
}

#[test]
fn control_frames_are_short_and_whole() {
    let _watchdog = watchdog(120);
    let mut cases = Vec::new();
    for (name, first) in [("close", 0x88), ("ping", PING), ("pong", PONG)] {
        let long = format!("{name} of 126, its header alone");
        cases.push(rejected("5.5", long, &[header(first, 2, 126)], &[], 1002));
        let long = format!("{name} of 65536");
        cases.push(rejected("5.5", long, &[header(first, 8, 65536)], &[], 1002));
        let part = format!("fragmented {name}");
        cases.push(rejected(
            "5.5",
            part,
            &[frame(first & 0x0f, b"")],
            &[],
            1002,
        ));
    }
    let two = [frame(0x09, b"a"), frame(0x80, b"b")];
    cases.push(rejected("5.5", "ping in two", &two, &[], 1002));
    run(TestServer::start().address, &cases);
}
