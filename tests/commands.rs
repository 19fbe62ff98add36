//! Names, whispers and commands, as a plain-text client meets them.

mod support;

use support::{Client, RawClient, TestServer, eventually, raw, watchdog};

#[test]
fn a_rename_is_told_to_all_and_used_from_then_on() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let (mut one, mut other) = (host.client(), host.client());
    one.send_text("/nick alice");
    one.send_text("hi");
    for client in [&mut one, &mut other] {
        assert_eq!(client.recv_text(), "* user0 is now alice.");
        assert_eq!(client.recv_text(), "[alice]: hi");
    }
    for (refused, why) in [
        ("/nick ALICE", "taken"),
        ("/nick user9", "reserved"),
        ("/nick a b", "1 to 32"),
        ("/nick", "/nick NAME"),
    ] {
        other.send_text(refused);
        let reply = other.recv_text();
        assert!(
            reply.starts_with("* ") && reply.contains(why),
            "{refused}: {reply}"
        );
    }
    other.send_text("still user1");
    assert_eq!(
        (one.recv_text(), other.recv_text()),
        ("[user1]: still user1".into(), "[user1]: still user1".into())
    );
}

#[test]
fn a_name_can_be_asked_for_at_connect_and_is_free_when_its_owner_has_left() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut alice = Client::connect(host.address, "/chat?name=alice");
    assert_eq!(
        alice.recv_text(),
        "You are connected! There are 1 users here."
    );
    alice.send_text("hi");
    assert_eq!(alice.recv_text(), "[alice]: hi");
    for (path, why) in [
        ("/chat?name=Alice", "taken"),
        ("/chat?x&name=user0", "reserved"),
        ("/chat?name=", "1 to 32"),
        ("/chat?name=a%20b", "1 to 32"),
    ] {
        let mut second = Client::connect(host.address, path);
        assert!(second.recv_text().starts_with("You are connected! "));
        let reply = second.recv_text();
        assert!(
            reply.starts_with("* ") && reply.contains(why),
            "{path}: {reply}"
        );
        second.close();
    }
    alice.close();
    eventually("the name is free", || {
        let mut next = Client::connect(host.address, "/chat?name=ALICE");
        next.recv_text();
        next.send_text("me");
        let heard = next.recv_text();
        next.close();
        heard == "[ALICE]: me"
    });
}

#[test]
fn a_whisper_reaches_one_alone() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let (mut from, mut to, mut third) = (host.client(), host.client(), host.client());
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
fn the_other_commands() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let (mut one, mut other) = (host.client(), host.client());
    for (line, all) in [
        ("/me waves", "[user0] waves"),
        ("//me", "[user0]: /me"),
        (" /me", "[user0]:  /me"),
    ] {
        one.send_text(line);
        assert_eq!(
            (one.recv_text().as_str(), other.recv_text().as_str()),
            (all, all)
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
fn who_quits_and_does_not_close_is_cut_off() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut quits = RawClient::upgraded(host.address, "/chat");
    quits.send(&raw::frame(0x81, b"/quit"));
    while quits
        .frame()
        .expect("no reset yet")
        .is_some_and(|frame| frame.0 != 0x88)
    {}
    // It goes on sending, and nobody hears it.
    let mut other = host.client();
    eventually("the connection is gone", || {
        quits.try_send(&raw::frame(0x81, b"still here")).is_err()
    });
    other.send_text("alone");
    assert_eq!(other.recv_text(), "[user1]: alone");
}

#[test]
fn nobody_can_forge_a_line() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut client = host.client();
    client.send_text("hi\n* user0 is now root.\r\n[server]: x\u{202e}\u{9b}31m");
    assert_eq!(
        client.recv_text(),
        "[user0]: hi * user0 is now root.  [server]: x 31m"
    );
}
