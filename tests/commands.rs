//! Names, whispers and commands of the plain-text dialect.

mod support;

use support::cases::{CLOSE, TEXT};
use support::{Client, RawClient, TestServer, eventually, raw, watchdog};

#[test]
fn nick_renames_and_notifies_all_users() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let (mut one, mut other) = (server.client(), server.client());
    one.send_text("/nick alice");
    one.send_text("hi");
    for client in [&mut one, &mut other] {
        assert_eq!(client.recv_text(), "* user0 is now alice.");
        assert_eq!(client.recv_text(), "[alice]: hi");
    }
    for (command, reason) in [
        ("/nick ALICE", "taken"),
        ("/nick user9", "reserved"),
        ("/nick a b", "1 to 32"),
        ("/nick", "/nick NAME"),
    ] {
        other.send_text(command);
        let reply = other.recv_text();
        assert!(
            reply.starts_with("* ") && reply.contains(reason),
            "{command}: {reply}"
        );
    }
    other.send_text("still user1");
    assert_eq!(
        (one.recv_text(), other.recv_text()),
        ("[user1]: still user1".into(), "[user1]: still user1".into())
    );
}

#[test]
fn name_requested_at_connect_is_available_after_its_user_disconnects() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut alice = Client::connect(server.address, "/chat?name=alice");
    assert_eq!(
        alice.recv_text(),
        "You are connected! There are 1 users here."
    );
    alice.send_text("hi");
    assert_eq!(alice.recv_text(), "[alice]: hi");
    for (path, reason) in [
        ("/chat?name=Alice", "taken"),
        ("/chat?x&name=user0", "reserved"),
        ("/chat?name=", "1 to 32"),
        ("/chat?name=a%20b", "1 to 32"),
    ] {
        let mut second = Client::connect(server.address, path);
        assert!(second.recv_text().starts_with("You are connected! "));
        let reply = second.recv_text();
        assert!(
            reply.starts_with("* ") && reply.contains(reason),
            "{path}: {reply}"
        );
        second.close();
    }
    alice.close();
    eventually("the name is available", || {
        let mut next = Client::connect(server.address, "/chat?name=ALICE");
        next.recv_text();
        next.send_text("me");
        let echo = next.recv_text();
        next.close();
        echo == "[ALICE]: me"
    });
}

#[test]
fn whispers_reach_only_their_recipient() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let (mut from, mut to, mut third) = (server.client(), server.client(), server.client());
    from.send_text("/w USER1 psst\n🐎");
    assert_eq!(from.recv_text(), "[you whisper to user1]: psst 🐎");
    assert_eq!(to.recv_text(), "[user0 whispers]: psst 🐎");
    from.send_text("/whisper user0 me");
    assert_eq!(from.recv_text(), "[user0 whispers]: me");
    to.close();
    eventually("user1 has left", || {
        from.send_text("/who");
        !from.recv_text().contains("user1")
    });
    from.send_text("/w user1 gone?");
    assert!(
        from.recv_text()
            .starts_with("* Nobody here is called user1.")
    );
    from.send_text("aloud");
    assert_eq!(third.recv_text(), "[user0]: aloud");
}

#[test]
fn me_who_help_and_quit_reply() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let (mut one, mut other) = (server.client(), server.client());
    for (command, broadcast) in [
        ("/me waves", "[user0] waves"),
        ("//me", "[user0]: /me"),
        (" /me", "[user0]:  /me"),
    ] {
        one.send_text(command);
        assert_eq!(
            (one.recv_text().as_str(), other.recv_text().as_str()),
            (broadcast, broadcast)
        );
    }
    one.send_text("/who");
    assert_eq!(one.recv_text(), "* 2 users here: user0, user1.");
    one.send_text("/help");
    let help = one.recv_until(|line| line.starts_with("* //TEXT"));
    assert!(
        help.len() == 7 && help.iter().all(|line| line.starts_with("* /")),
        "{help:?}"
    );
    one.send_text("/dance");
    assert!(one.recv_text().starts_with("* There is no command /dance."));
    one.send_text("last words");
    one.send_text("/quit");
    one.send_text("after that");
    assert_eq!(one.recv_text(), "[user0]: last words");
    assert_eq!(one.expect_close(), 1000);
    assert_eq!(other.recv_text(), "[user0]: last words");
    other.send_text("/who");
    assert_eq!(other.recv_text(), "* 1 user here: user1.");
}

#[test]
fn quit_without_a_closing_handshake_is_disconnected() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut raw = RawClient::upgraded(server.address, "/chat");
    raw.send(&raw::frame(TEXT, b"/quit"));
    while raw
        .frame()
        .expect("the connection is not reset yet")
        .is_some_and(|frame| frame.0 != CLOSE)
    {}
    // Messages after /quit are not broadcast.
    let mut other = server.client();
    eventually("the connection is closed", || {
        raw.try_send(&raw::frame(TEXT, b"still here")).is_err()
    });
    other.send_text("alone");
    assert_eq!(other.recv_text(), "[user1]: alone");
}

#[test]
fn control_characters_cannot_forge_a_line() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = server.client();
    client.send_text("hi\n* user0 is now root.\r\n[server]: x\u{202e}\u{9b}31m");
    assert_eq!(
        client.recv_text(),
        "[user0]: hi * user0 is now root.  [server]: x 31m"
    );
}
