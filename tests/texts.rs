//! Texts reach other users without characters that forge a line or hide a text.

mod support;

use support::{TestServer, watchdog};

#[test]
fn invisible_characters_and_long_runs_of_spaces_are_removed() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = server.client();
    let filler = " ".repeat(60);
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{2764}\u{fe0f}";
    for (text, expected) in [
        (
            format!("hi{filler}* The server stops."),
            "hi   * The server stops.",
        ),
        (
            "a\u{ad}b\u{200b}c\u{200e}d\u{2060}e\u{feff}f\u{e0061}g\u{fe0f}".to_owned(),
            "abcdefg",
        ),
        (family.to_owned(), family),
    ] {
        client.send_text(&text);
        assert_eq!(client.recv_text(), format!("[user0]: {expected}"));
        client.send_text(&format!("/me {text}"));
        assert_eq!(client.recv_text(), format!("[user0] {expected}"));
        client.send_text(&format!("/w user0 {text}"));
        assert_eq!(client.recv_text(), format!("[user0 whispers]: {expected}"));
    }
}
