//! RFC 6455, sections 5.5.1 and 7: how a connection is closed.

mod support;

use support::cases::{BINARY, CLOSE, Case, PING, TEXT, rejected, run};
use support::raw::frame;
use support::{TestServer, watchdog};

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn a_valid_code_is_sent_back() {
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
    cases.push(rejected("5.5.1", "no code", &[frame(CLOSE, b"")], &[], 0).closed_with(b""));
    run(TestServer::start().address, &cases);
}

#[test]
fn an_invalid_code_is_a_protocol_error() {
    let _watchdog = watchdog(120);
    let codes = [
        0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ];
    let said = b"\x03\xeaProtocol violation";
    let cases = codes.map(|code| {
        rejected("7.4", format!("{code}"), &[close(code, b"")], &[], 1002).closed_with(said)
    });
    run(TestServer::start().address, &cases);
}

#[test]
fn reasons_are_short_and_utf8() {
    let _watchdog = watchdog(120);
    let longest = "ž".repeat(61) + "x";
    let echoed = [&1000_u16.to_be_bytes(), longest.as_bytes()].concat();
    let cases = [
        rejected("5.5.1", "a reason", &[close(1000, b"bye")], &[], 1000)
            .closed_with(b"\x03\xe8bye"),
        rejected(
            "5.5",
            "123 bytes",
            &[close(1000, longest.as_bytes())],
            &[],
            1000,
        )
        .closed_with(&echoed),
        rejected("5.5", "124 bytes", &[close(1000, &[b'x'; 124])], &[], 1002),
        rejected("5.5.1", "one byte", &[frame(CLOSE, b"x")], &[], 1002),
        rejected("8.1", "not UTF-8", &[close(1000, b"\xff")], &[], 1007),
        rejected(
            "8.1",
            "a character cut",
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
    run(TestServer::start().address, &cases);
}

#[test]
fn nothing_counts_behind_a_close() {
    let _watchdog = watchdog(120);
    let bye = || close(1000, b"");
    let flood = vec![frame(BINARY, &[7; 1000]); 1000].concat();
    let cases = [
        rejected("5.5.1", "a text", &[bye(), frame(TEXT, b"late")], &[], 1000),
        rejected("5.5.1", "a ping", &[bye(), frame(PING, b"late")], &[], 1000),
        rejected(
            "5.5.1",
            "another Close",
            &[bye(), close(1001, b"")],
            &[],
            1000,
        ),
        rejected("5.5.1", "garbage", &[bye(), vec![0xff; 50]], &[], 1000),
        rejected("5.5.1", "a megabyte", &[bye(), flood], &[], 1000),
        rejected(
            "5.4",
            "a begun message",
            &[frame(0x01, b"a"), bye(), frame(0x80, b"b")],
            &[],
            1000,
        ),
        rejected(
            "5.5.1",
            "behind a text",
            &[frame(TEXT, b"a"), bye()],
            &[(TEXT, b"a")],
            1000,
        ),
    ];
    run(TestServer::start().address, &cases);
}
