//! Names, whispers and commands, as a plain-text client meets them.

mod support;

use support::{Client, Host, Raw, deadline, eventually, raw};

#[test]
fn a_rename_is_told_to_all_and_used_from_then_on() {
    let _deadline = deadline(60);
    let host = Host::start();
    let (mut one, mut other) = (host.client(), host.client());
    one.say("/nick alice");
    one.say("hi");
    for client in [&mut one, &mut other] {
        assert_eq!(client.hear(), "* user0 is now alice.");
        assert_eq!(client.hear(), "[alice]: hi");
    }
    for (refused, why) in [
        ("/nick ALICE", "taken"),
        ("/nick user9", "reserved"),
        ("/nick a b", "1 to 32"),
        ("/nick", "/nick NAME"),
    ] {
        other.say(refused);
        let reply = other.hear();
        assert!(
            reply.starts_with("* ") && reply.contains(why),
            "{refused}: {reply}"
        );
    }
    other.say("still user1");
    assert_eq!(
        (one.hear(), other.hear()),
        ("[user1]: still user1".into(), "[user1]: still user1".into())
    );
}

#[test]
fn a_name_can_be_asked_for_at_connect_and_is_free_when_its_owner_has_left() {
    let _deadline = deadline(60);
    let host = Host::start();
    let mut alice = Client::connect(host.address, "/chat?name=alice");
    assert_eq!(alice.hear(), "You are connected! There are 1 users here.");
    alice.say("hi");
    assert_eq!(alice.hear(), "[alice]: hi");
    for (path, why) in [
        ("/chat?name=Alice", "taken"),
        ("/chat?x&name=user0", "reserved"),
        ("/chat?name=", "1 to 32"),
        ("/chat?name=a%20b", "1 to 32"),
    ] {
        let mut second = Client::connect(host.address, path);
        assert!(second.hear().starts_with("You are connected! "));
        let reply = second.hear();
        assert!(
            reply.starts_with("* ") && reply.contains(why),
            "{path}: {reply}"
        );
        second.leave();
    }
    alice.leave();
    eventually("the name is free", || {
        let mut next = Client::connect(host.address, "/chat?name=ALICE");
        next.hear();
        next.say("me");
        let heard = next.hear();
        next.leave();
        heard == "[ALICE]: me"
    });
}

#[test]
fn a_whisper_reaches_one_alone() {
    let _deadline = deadline(60);
    let host = Host::start();
    let (mut from, mut to, mut third) = (host.client(), host.client(), host.client());
    from.say("/w USER1 psst\n🐎");
    assert_eq!(from.hear(), "[you whisper to user1]: psst 🐎");
    assert_eq!(to.hear(), "[user0 whispers]: psst 🐎");
    from.say("/whisper user0 me");
    assert_eq!(from.hear(), "[user0 whispers]: me");
    to.leave();
    eventually("user1 has left", || {
        from.say("/who");
        !from.hear().contains("user1")
    });
    from.say("/w user1 gone?");
    assert!(from.hear().starts_with("* Nobody here is called user1."));
    from.say("aloud");
    assert_eq!(third.hear(), "[user0]: aloud");
}

#[test]
fn the_other_commands() {
    let _deadline = deadline(60);
    let host = Host::start();
    let (mut one, mut other) = (host.client(), host.client());
    for (line, all) in [
        ("/me waves", "[user0] waves"),
        ("//me", "[user0]: /me"),
        (" /me", "[user0]:  /me"),
    ] {
        one.say(line);
        assert_eq!((one.hear().as_str(), other.hear().as_str()), (all, all));
    }
    one.say("/who");
    assert_eq!(one.hear(), "* 2 users here: user0, user1.");
    one.say("/help");
    let help = one.hear_until(|line| line.starts_with("* //TEXT"));
    assert!(
        help.len() == 7 && help.iter().all(|line| line.starts_with("* /")),
        "{help:?}"
    );
    one.say("/dance");
    assert!(one.hear().starts_with("* There is no command /dance."));
    one.say("last words");
    one.say("/quit");
    one.say("after that");
    assert_eq!(one.hear(), "[user0]: last words");
    assert_eq!(one.closed(), 1000);
    assert_eq!(other.hear(), "[user0]: last words");
    other.say("/who");
    assert_eq!(other.hear(), "* 1 user here: user1.");
}

#[test]
fn who_quits_and_does_not_close_is_cut_off() {
    let _deadline = deadline(60);
    let host = Host::start();
    let mut quits = Raw::upgraded(host.address, "/chat");
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
    other.say("alone");
    assert_eq!(other.hear(), "[user1]: alone");
}

#[test]
fn nobody_can_forge_a_line() {
    let _deadline = deadline(60);
    let host = Host::start();
    let mut client = host.client();
    client.say("hi\n* user0 is now root.\r\n[server]: x\u{202e}\u{9b}31m");
    assert_eq!(
        client.hear(),
        "[user0]: hi * user0 is now root.  [server]: x 31m"
    );
}
