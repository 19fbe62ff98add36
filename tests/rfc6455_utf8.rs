//! RFC 6455, section 8.1: a text that is not UTF-8 ends the connection with 1007, and at once.

mod support;

use support::cases::{BINARY, Case, PING, PONG, TEXT, accepted, header, rejected, run};
use support::raw::frame;
use support::{TestServer, watchdog};

/// What no UTF-8 has, by RFC 3629.
const INVALID: [(&str, &[u8]); 24] = [
    ("a tail alone", b"\x80"),
    ("the last tail alone", b"\xbf"),
    ("never a byte of UTF-8", b"\xff"),
    ("nor this", b"\xfe"),
    ("two tails", b"a\x80\xbf"),
    ("cut after 1 of 2", b"\xc3"),
    ("cut after 1 of 3", b"\xe2"),
    ("cut after 2 of 3", b"\xe2\x82"),
    ("cut after 3 of 4", b"\xf0\x9f\x90"),
    ("cut before ASCII", b"\xe2\x82x"),
    ("overlong slash in 2", b"\xc0\xaf"),
    ("overlong slash in 3", b"\xe0\x80\xaf"),
    ("overlong slash in 4", b"\xf0\x80\x80\xaf"),
    ("overlong NUL", b"\xc0\x80"),
    ("highest overlong in 2", b"\xc1\xbf"),
    ("highest overlong in 3", b"\xe0\x9f\xbf"),
    ("highest overlong in 4", b"\xf0\x8f\xbf\xbf"),
    ("first surrogate", b"\xed\xa0\x80"),
    ("last surrogate", b"\xed\xbf\xbf"),
    ("pair of surrogates", b"\xed\xa0\x80\xed\xb0\x80"),
    ("U+110000", b"\xf4\x90\x80\x80"),
    ("five bytes", b"\xf8\x88\x80\x80\x80"),
    ("six bytes", b"\xfc\x84\x80\x80\x80\x80"),
    ("UTF-16", b"\xff\xfea\0"),
];

const VALID: [&str; 10] = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\0\u{1}\u{7f}",
    "\u{80}\u{7ff}",
    "\u{800}\u{ffff}",
    "\u{10000}\u{10ffff}",
    "\u{d7ff}\u{e000}",
    "\u{fffd}\u{fffe}\u{feff}",
    "日本語 한국어 עברית ไทย",
    "👩\u{200d}👩\u{200d}👧",
];

#[test]
fn every_text_comes_back_however_it_is_cut() {
    let _watchdog = watchdog(120);
    let mut cases: Vec<Case> = Vec::new();
    for text in VALID.map(str::as_bytes) {
        let back: &[(u8, &[u8])] = &[(PONG, b"p"), (TEXT, text)];
        for cut in 0..=text.len() {
            let sent = [
                frame(0x01, &text[..cut]),
                frame(PING, b"p"),
                frame(0x80, &text[cut..]),
            ];
            cases.push(accepted(
                "5.6",
                format!("cut at {cut}: {text:x?}"),
                &sent,
                back,
            ));
        }
    }
    run(TestServer::start().address, &cases);
}

#[test]
fn what_is_no_utf8_is_refused_in_whole_and_in_fragments() {
    let _watchdog = watchdog(120);
    let mut cases: Vec<Case> = Vec::new();
    for (what, text) in INVALID {
        let behind = [text, b"x"].concat();
        let each_byte = text.iter().map(|&byte| frame(0x00, &[byte]));
        let fragments: Vec<_> = std::iter::once(frame(0x01, "κ".as_bytes()))
            .chain(each_byte)
            .chain([frame(0x80, b"")])
            .collect();
        cases.push(rejected("8.1", what, &[frame(TEXT, text)], &[], 1007));
        cases.push(rejected("8.1", what, &[frame(TEXT, &behind)], &[], 1007));
        cases.push(rejected("8.1", what, &fragments, &[], 1007));
        cases.push(accepted(
            "5.6",
            what,
            &[frame(BINARY, text)],
            &[(BINARY, text)],
        ));
    }
    run(TestServer::start().address, &cases);
}

#[test]
fn what_is_no_utf8_is_refused_before_its_message_is_complete() {
    let _watchdog = watchdog(120);
    let mut cases: Vec<Case> = Vec::new();
    for (what, text) in INVALID {
        if what.starts_with("cut after") {
            continue;
        }
        // The frame announces more than ever comes; with a mask of zeros the payload is as it is.
        let begun = [header(TEXT, 2, 60_000), "κόσμε".into(), text.into()];
        let fragment = [frame(0x01, "κόσμε".as_bytes()), frame(0x00, text)];
        let behind = [vec![frame(TEXT, b"good")], begun.to_vec()].concat();
        cases.push(rejected("8.1", what, &begun, &[], 1007));
        cases.push(rejected("8.1", what, &fragment, &[], 1007));
        cases.push(rejected("8.1", what, &behind, &[(TEXT, b"good")], 1007));
    }
    run(TestServer::start().address, &cases);
}
