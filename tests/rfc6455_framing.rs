//! RFC 6455, section 5: single frames: lengths, masks, opcodes, control frames.

mod support;

use support::cases::{
    BINARY, CLOSE, CONTINUATION, Case, PING, PONG, TEXT, accepted, header, rejected, run,
};
use support::raw::{fragment, frame};
use support::{TestServer, config, watchdog};

/// The default message limit.
const MAX_MESSAGE: usize = 65536;

#[test]
fn all_lengths_round_trip() {
    let _watchdog = watchdog(120);
    let lengths = [0, 1, 124, 125, 126, 127, 128, 65534, 65535, MAX_MESSAGE];
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
    run(config(), &cases);
}

#[test]
fn messages_over_the_limit_are_rejected_by_header() {
    let _watchdog = watchdog(120);
    let over = MAX_MESSAGE as u64 + 1;
    let half = vec![b'x'; MAX_MESSAGE / 2 + 1];
    let cases = [
        rejected("7.4.1", "text", &[header(TEXT, 8, over)], &[], 1009),
        rejected("7.4.1", "binary", &[header(BINARY, 8, over)], &[], 1009),
        rejected("7.4.1", "4 GiB", &[header(BINARY, 8, 1 << 32)], &[], 1009),
        rejected(
            "7.4.1",
            "largest length",
            &[header(BINARY, 8, u64::MAX >> 1)],
            &[],
            1009,
        ),
        rejected(
            "7.4.1",
            "whole frame",
            &[frame(BINARY, &[0; MAX_MESSAGE + 1])],
            &[],
            1009,
        ),
        rejected(
            "7.4.1",
            "two fragments",
            &[
                fragment(BINARY, false, &half),
                fragment(CONTINUATION, true, &half),
            ],
            &[],
            1009,
        ),
        rejected(
            "7.4.1",
            "after a valid message",
            &[frame(TEXT, b"a"), header(TEXT, 8, over)],
            &[(TEXT, b"a")],
            1009,
        ),
    ];
    run(config(), &cases);
}

#[test]
fn non_minimal_lengths_are_rejected() {
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
    run(config(), &cases);
}

#[test]
fn frames_split_at_any_byte_are_accepted() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    for payload in ["", "x", "žluťoučký 🐎", &"y".repeat(130)] {
        let whole = frame(TEXT, payload.as_bytes());
        let mut raw = support::RawClient::upgraded(server.address, "/echo");
        for split in 0..=whole.len() {
            raw.send(&whole[..split]);
            raw.send(&whole[split..]);
            let echo = raw.frame().expect("the connection stays open");
            assert_eq!(echo, Some((TEXT, payload.into())), "split at {split}");
        }
    }
}

#[test]
fn reserved_bits_reserved_opcodes_and_missing_masks_are_rejected() {
    let _watchdog = watchdog(120);
    let mut cases = Vec::new();
    let before = || frame(TEXT, b"before");
    let echo: &[(u8, &[u8])] = &[(TEXT, b"before")];
    for rsv in 1..8_u8 {
        for first in [TEXT, BINARY, PING, PONG, CLOSE] {
            let title = format!("reserved bits {rsv} on {first:x}");
            let invalid = frame(first | rsv << 4, b"x");
            cases.push(rejected("5.2", title, &[before(), invalid], echo, 1002));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"x"] {
            let title = format!("reserved opcode {opcode}, {} bytes", payload.len());
            let invalid = frame(0x80 | opcode, payload);
            cases.push(rejected(
                "5.2",
                title,
                &[before(), invalid, frame(PING, b"")],
                echo,
                1002,
            ));
        }
    }
    for first in [TEXT, BINARY, PING, PONG, CLOSE] {
        let title = format!("unmasked {first:x}");
        cases.push(rejected(
            "5.1",
            title,
            &[before(), vec![first, 0]],
            echo,
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
    run(config(), &cases);
}

#[test]
fn pings_get_pongs_and_pongs_get_no_reply() {
    let _watchdog = watchdog(120);
    let mut cases = Vec::new();
    for length in 0..=125 {
        let payload = vec![0xfe; length];
        let title = format!("ping of {length}");
        cases.push(accepted(
            "5.5.2",
            title,
            &[frame(PING, &payload)],
            &[(PONG, &payload)],
        ));
    }
    cases.push(accepted(
        "5.5.3",
        "unsolicited pongs",
        &[frame(PONG, b""), frame(PONG, &[0xff; 125])],
        &[],
    ));
    cases.push(accepted(
        "5.5.3",
        "a pong and a ping",
        &[frame(PONG, b"a"), frame(PING, b"b")],
        &[(PONG, b"b")],
    ));
    run(config(), &cases);
}

#[test]
fn consecutive_pings_get_pongs_in_order() {
    let _watchdog = watchdog(60);
    let pings: Vec<_> = (0..10).map(|n| frame(PING, &[n])).collect();
    let numbers: Vec<[u8; 1]> = (0..10).map(|n| [n]).collect();
    let pongs: Vec<(u8, &[u8])> = numbers.iter().map(|n| (PONG, &n[..])).collect();
    run(config(), &[accepted("5.5.2", "ten pings", &pings, &pongs)]);
}

#[test]
fn long_or_fragmented_control_frames_are_rejected() {
    let _watchdog = watchdog(120);
    let mut cases = Vec::new();
    for (name, first) in [("close", CLOSE), ("ping", PING), ("pong", PONG)] {
        let long = format!("{name} of 126, header only");
        cases.push(rejected("5.5", long, &[header(first, 2, 126)], &[], 1002));
        let long = format!("{name} of 65536");
        cases.push(rejected("5.5", long, &[header(first, 8, 65536)], &[], 1002));
        let title = format!("fragmented {name}");
        cases.push(rejected(
            "5.5",
            title,
            &[fragment(first, false, b"")],
            &[],
            1002,
        ));
    }
    let two = [
        fragment(PING, false, b"a"),
        fragment(CONTINUATION, true, b"b"),
    ];
    cases.push(rejected("5.5", "ping in two fragments", &two, &[], 1002));
    run(config(), &cases);
}
