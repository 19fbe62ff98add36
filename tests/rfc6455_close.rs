//! RFC 6455, sections 5.5.1 and 7: the closing handshake.

mod support;

use std::net::Shutdown;

use support::cases::{BINARY, CLOSE, CONTINUATION, Case, PING, TEXT, rejected, run};
use support::raw::{fragment, frame};
use support::{RawClient, TestServer, config, watchdog};

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn valid_close_codes_are_echoed() {
    let _watchdog = watchdog(120);
    let codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999,
    ];
    let mut cases: Vec<Case> = Vec::new();
    for code in codes {
        cases.push(rejected(
            "7.4",
            format!("{code}"),
            &[close(code, b"")],
            &[],
            code,
        ));
    }
    cases.push(rejected("5.5.1", "no code", &[frame(CLOSE, b"")], &[], 0).with_close_payload(b""));
    run(config(), &cases);
}

#[test]
fn invalid_close_codes_are_protocol_errors() {
    let _watchdog = watchdog(120);
    let codes = [
        0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ];
    let payload = b"\x03\xeaProtocol violation";
    let cases = codes.map(|code| {
        rejected("7.4", format!("{code}"), &[close(code, b"")], &[], 1002)
            .with_close_payload(payload)
    });
    run(config(), &cases);
}

#[test]
fn close_reasons_are_short_and_valid_utf8() {
    let _watchdog = watchdog(120);
    let longest = "ž".repeat(61) + "x";
    let echoed = [&1000_u16.to_be_bytes(), longest.as_bytes()].concat();
    let cases = [
        rejected("5.5.1", "a reason", &[close(1000, b"bye")], &[], 1000)
            .with_close_payload(b"\x03\xe8bye"),
        rejected(
            "5.5",
            "123 bytes",
            &[close(1000, longest.as_bytes())],
            &[],
            1000,
        )
        .with_close_payload(&echoed),
        rejected("5.5", "124 bytes", &[close(1000, &[b'x'; 124])], &[], 1002),
        rejected(
            "5.5.1",
            "one byte of payload",
            &[frame(CLOSE, b"x")],
            &[],
            1002,
        ),
        rejected("8.1", "invalid UTF-8", &[close(1000, b"\xff")], &[], 1007),
        rejected(
            "8.1",
            "a truncated character",
            &[close(1000, b"bye \xe2\x82")],
            &[],
            1007,
        ),
        rejected(
            "8.1",
            "a surrogate",
            &[close(1000, b"\xed\xa0\x80")],
            &[],
            1007,
        ),
    ];
    run(config(), &cases);
}

#[test]
fn frames_after_close_are_ignored() {
    let _watchdog = watchdog(120);
    let close_1000 = || close(1000, b"");
    let flood = vec![frame(BINARY, &[7; 1000]); 1000].concat();
    let cases = [
        rejected(
            "5.5.1",
            "a text",
            &[close_1000(), frame(TEXT, b"late")],
            &[],
            1000,
        ),
        rejected(
            "5.5.1",
            "a ping",
            &[close_1000(), frame(PING, b"late")],
            &[],
            1000,
        ),
        rejected(
            "5.5.1",
            "another Close",
            &[close_1000(), close(1001, b"")],
            &[],
            1000,
        ),
        rejected(
            "5.5.1",
            "garbage",
            &[close_1000(), vec![0xff; 50]],
            &[],
            1000,
        ),
        rejected("5.5.1", "a megabyte", &[close_1000(), flood], &[], 1000),
        rejected(
            "5.4",
            "within a fragmented message",
            &[
                fragment(TEXT, false, b"a"),
                close_1000(),
                fragment(CONTINUATION, true, b"b"),
            ],
            &[],
            1000,
        ),
        rejected(
            "5.5.1",
            "after a text",
            &[frame(TEXT, b"a"), close_1000()],
            &[(TEXT, b"a")],
            1000,
        ),
    ];
    run(config(), &cases);
}

#[test]
fn a_half_closed_client_receives_its_messages_and_the_close() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let message = frame(TEXT, b"last words");
    let last_words = [message.repeat(20), close(1000, b"")].concat();
    for number in 0..100 {
        let mut client = RawClient::upgraded(server.address, "/chat");
        client.send(&last_words);
        let ended = client.socket.shutdown(Shutdown::Write);
        ended.expect("the connection is open");
        let mut messages = 0;
        let close = loop {
            match client.frame().expect("no reset") {
                Some((TEXT, text)) if text.ends_with(b": last words") => messages += 1,
                Some((TEXT, _)) => {}
                other => break other,
            }
        };
        let received = (messages, close);
        let expected = (20, Some((CLOSE, 1000_u16.to_be_bytes().to_vec())));
        assert_eq!(received, expected, "client {number}");
    }
}
