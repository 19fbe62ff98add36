//! Names in any script.
#![cfg(feature = "unicode-names")]

mod support;

use support::{Client, TestServer, watchdog};
use threadchat::text::percent_encode;

/// Joins with a requested name and returns the client, without the greeting.
fn join(server: &TestServer, name: &str) -> Client {
    let path = format!("/chat?name={}", percent_encode(name));
    let mut client = Client::connect(server.address, &path);
    client.recv_text();
    client
}

/// Returns the reply to a line.
fn reply(client: &mut Client, line: &str) -> String {
    client.send_text(line);
    client.recv_text()
}

#[test]
fn names_of_any_script_are_taken_from_the_query_and_from_renames() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    for name in ["Jürgen", "Иван", "日本", "नरेन्द्र", "דוד", "김철수"]
    {
        let mut client = join(&server, name);
        assert_eq!(reply(&mut client, "hi"), format!("[{name}]: hi"));
        assert_eq!(
            reply(&mut client, "/nick Ζωή"),
            format!("* {name} is now Ζωή.")
        );
        client.send_text("/quit");
        client.expect_close();
    }
    // The composed form is the name, however it was typed.
    let mut client = join(&server, "Ju\u{308}rgen");
    assert_eq!(reply(&mut client, "hi"), "[Jürgen]: hi");
    assert!(reply(&mut client, "/nick Ju\u{308}rgen").contains("You are called Jürgen already"));
}

#[test]
fn a_name_that_looks_like_one_in_the_room_is_refused() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut alice = join(&server, "alice");
    // Cyrillic а, Cyrillic С, capital I.
    for name in ["аlice", "ALIСE", "aIice"] {
        let mut other = join(&server, name);
        let refusal = other.recv_text();
        assert!(
            refusal.contains("looks like one that is taken"),
            "{refusal}"
        );
        let refusal = reply(&mut other, &format!("/nick {name}"));
        assert!(
            refusal.contains("looks like one that is taken"),
            "{refusal}"
        );
        other.close();
    }
    let refusal = join(&server, "ALICE").recv_text();
    assert!(refusal.contains("it is taken"), "{refusal}");
    // A user can take another spelling of its own name, and the look goes with the user.
    assert_eq!(reply(&mut alice, "/nick аlice"), "* alice is now аlice.");
    alice.send_text("/quit");
    alice.expect_close();
    let mut alice = join(&server, "alice");
    assert_eq!(reply(&mut alice, "hi"), "[alice]: hi");
}

#[test]
fn names_that_look_reserved_are_refused() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = server.client();
    for name in ["usеr7", "user७", "userO", "yоu", "ѕerver"] {
        let refusal = reply(&mut client, &format!("/nick {name}"));
        assert!(refusal.contains("reserved"), "{refusal}");
    }
}

#[test]
fn whispers_find_a_name_in_any_spelling_and_no_other_name() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut receiver = join(&server, "Jürgen");
    let mut sender = join(&server, "Zoë");
    for name in ["jürgen", "JÜRGEN", "ju\u{308}rgen"] {
        assert_eq!(
            reply(&mut sender, &format!("/whisper {name} psst")),
            "[you whisper to Jürgen]: psst"
        );
        assert_eq!(receiver.recv_text(), "[Zoë whispers]: psst");
    }
    // What is meant for one user does not reach another that looks the same. The last letter is Cyrillic.
    let flood = "\u{301}".repeat(20_000);
    for name in ["jurgen", "jürgeп", "ϳürgen", &flood] {
        let error = reply(&mut sender, &format!("/whisper {name} psst"));
        assert!(error.contains("Nobody here is called"), "{error}");
    }
}

#[test]
fn malformed_names_are_refused_with_the_rule() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    for (query, rule) in [
        ("J%FCrgen", "1 to 32"),
        ("%zz", "1 to 32"),
        ("J%C3", "1 to 32"),
        ("%F0%9F%91%A9", "1 to 32"),
        ("a%E2%80%8Bb", "1 to 32"),
        ("a%E2%80%AEb", "1 to 32"),
        ("x%CC%81%CC%81", "1 to 32"),
        ("%D7%90a", "right-to-left"),
    ] {
        let mut client = Client::connect(server.address, &format!("/chat?name={query}"));
        client.recv_text();
        let refusal = client.recv_text();
        assert!(
            refusal.contains("You can't be called") && refusal.contains(rule),
            "{query}: {refusal}"
        );
    }
}
