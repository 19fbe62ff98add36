//! RFC 6455, section 8.1: invalid UTF-8 in a text closes the connection with 1007 as soon as it arrives.

mod support;

use support::cases::{
    BINARY, CONTINUATION, Case, PING, PONG, TEXT, accepted, header, rejected, run,
};
use support::raw::{fragment, frame};
use support::{config, watchdog};

/// Invalid byte sequences by RFC 3629.
const INVALID: [(&str, &[u8]); 24] = [
    ("a continuation byte alone", b"\x80"),
    ("the highest continuation byte alone", b"\xbf"),
    ("0xff, never part of UTF-8", b"\xff"),
    ("0xfe, never part of UTF-8", b"\xfe"),
    ("two continuation bytes", b"a\x80\xbf"),
    ("truncated after 1 of 2", b"\xc3"),
    ("truncated after 1 of 3", b"\xe2"),
    ("truncated after 2 of 3", b"\xe2\x82"),
    ("truncated after 3 of 4", b"\xf0\x9f\x90"),
    ("truncated before ASCII", b"\xe2\x82x"),
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
fn texts_fragmented_at_any_byte_round_trip() {
    let _watchdog = watchdog(120);
    let mut cases: Vec<Case> = Vec::new();
    for text in VALID.map(str::as_bytes) {
        let echo: &[(u8, &[u8])] = &[(PONG, b"p"), (TEXT, text)];
        for split in 0..=text.len() {
            let sent = [
                fragment(TEXT, false, &text[..split]),
                frame(PING, b"p"),
                fragment(CONTINUATION, true, &text[split..]),
            ];
            cases.push(accepted(
                "5.6",
                format!("split at {split}: {text:x?}"),
                &sent,
                echo,
            ));
        }
    }
    run(config(), &cases);
}

#[test]
fn invalid_utf8_is_rejected_whole_and_in_fragments() {
    let _watchdog = watchdog(120);
    let mut cases: Vec<Case> = Vec::new();
    for (title, text) in INVALID {
        let continued = [text, b"x"].concat();
        let each_byte = text
            .iter()
            .map(|&byte| fragment(CONTINUATION, false, &[byte]));
        let fragments: Vec<_> = std::iter::once(fragment(TEXT, false, "κ".as_bytes()))
            .chain(each_byte)
            .chain([fragment(CONTINUATION, true, b"")])
            .collect();
        cases.push(rejected("8.1", title, &[frame(TEXT, text)], &[], 1007));
        cases.push(rejected(
            "8.1",
            title,
            &[frame(TEXT, &continued)],
            &[],
            1007,
        ));
        cases.push(rejected("8.1", title, &fragments, &[], 1007));
        cases.push(accepted(
            "5.6",
            title,
            &[frame(BINARY, text)],
            &[(BINARY, text)],
        ));
    }
    run(config(), &cases);
}

#[test]
fn invalid_utf8_fails_fast() {
    let _watchdog = watchdog(120);
    let mut cases: Vec<Case> = Vec::new();
    for (title, text) in INVALID {
        if title.starts_with("truncated after") {
            continue;
        }
        // The header announces more bytes than are sent. Its mask of zeros leaves the payload unchanged.
        let incomplete = [header(TEXT, 2, 60_000), "κόσμε".into(), text.into()];
        let fragments = [
            fragment(TEXT, false, "κόσμε".as_bytes()),
            fragment(CONTINUATION, false, text),
        ];
        let second = [vec![frame(TEXT, b"good")], incomplete.to_vec()].concat();
        cases.push(rejected("8.1", title, &incomplete, &[], 1007));
        cases.push(rejected("8.1", title, &fragments, &[], 1007));
        cases.push(rejected("8.1", title, &second, &[(TEXT, b"good")], 1007));
    }
    run(config(), &cases);
}
