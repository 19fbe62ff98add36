//! What one server promises holds for clients of different nodes.

use super::chat_checker::assert_consistent;
use super::cluster::{enter, event_that, id_of, node, say, three_nodes};
use super::crowd::{Crowd, Talker};
use super::names::name;
use super::redis::RedisServer;
use super::support::{Client, RawClient, ServerProcess, eventually, watchdog};
use threadchat::protocol::ServerEvent;

#[test]
fn all_clients_see_one_order() {
    let _watchdog = watchdog(110);
    let Some((_redis, nodes)) = three_nodes() else {
        return;
    };
    let addresses = [0, 1, 2].map(|n: usize| nodes[n].address);
    let mut talkers = Vec::new();
    for (number, address) in addresses.into_iter().enumerate() {
        talkers.push(Talker::new(&format!("talker{number}"), address));
        talkers.push(Talker {
            renames: true,
            ..Talker::new(&format!("renamer{number}"), address)
        });
        talkers.push(Talker {
            stay: Some(25),
            nodes: [&addresses[number..], &addresses[..number]].concat(),
            ..Talker::new("eve", address)
        });
        talkers.push(Talker {
            pause: None,
            ..Talker::new(&format!("listener{number}"), address)
        });
    }
    let crowd = Crowd::start(talkers);
    crowd.wait_for_messages(3000);
    let recordings = crowd.finish();
    assert!(recordings.len() > 14, "{} connections", recordings.len());
    assert_consistent(&recordings);
}

#[test]
fn a_whisper_reaches_a_user_of_another_node_once() {
    let _watchdog = watchdog(60);
    let Some((_redis, [a, b, c])) = three_nodes() else {
        return;
    };
    let (mut ann, _) = enter(a.address, "/chat?name=ann");
    let (mut bob, _) = enter(b.address, "/chat?name=bob");
    let (mut cleo, _) = enter(c.address, "/chat?name=cleo");
    ann.send_text(r#"{"type":"whisper","to":"BOB","text":"psst"}"#);
    ann.send_text(r#"{"type":"whisper","to":"dan","text":"psst"}"#);
    say(&mut ann, "aloud");
    let expected = ServerEvent::Whisper {
        from: "ann".into(),
        to: "bob".into(),
        text: "psst".into(),
        to_sender: false,
    };
    let is_told = |event: &ServerEvent<'_>| !matches!(event, ServerEvent::Joined { .. });
    for client in [&mut ann, &mut bob] {
        assert_eq!(event_that(client, is_told), expected);
    }
    let refused = event_that(&mut ann, is_told);
    assert!(
        matches!(&refused, ServerEvent::Error { text } if text.contains("dan")),
        "{refused:?}"
    );
    for client in [&mut ann, &mut bob, &mut cleo] {
        let next = event_that(client, is_told);
        assert!(
            matches!(&next, ServerEvent::Message { id: 1, .. }),
            "{next:?}"
        );
    }
}

#[test]
fn whispers_to_a_slow_reader_of_another_node_are_refused() {
    let _watchdog = watchdog(110);
    let Some((_redis, [a, b, _c])) = three_nodes() else {
        return;
    };
    let mut slow = RawClient::upgraded(a.address, "/chat?name=slow");
    let mut sender = Client::join(b.address);
    let whisper = format!("/w slow {}", "x".repeat(60_000));
    let (mut sent, mut refused) = (0, 0);
    while refused < 20 {
        sender.send_text(&whisper);
        sent += 1;
        if sent % 4 == 0 {
            // A client that reads nothing would be disconnected after a while.
            slow.frame().expect("it is connected");
        }
        loop {
            // A refusal follows the copy, because only the other node knows.
            let line = sender.recv_text();
            refused += usize::from(line.contains("slow is reading too slowly"));
            if line.starts_with("[you whisper to slow]") || line.starts_with("* ") {
                break;
            }
        }
    }
    sender.send_text("/who");
    sender.recv_until(|line| line.starts_with("* 2 users here: "));
    while slow
        .frame()
        .expect("it is connected")
        .is_some_and(|(_, text)| !text.ends_with(b"end"))
    {
        sender.send_text("end");
    }
}

#[test]
fn results_keep_the_order_of_commands() {
    const ROUNDS: usize = 50;
    let _watchdog = watchdog(60);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let node = node(&redis, "a");
    let (mut client, _) = enter(node.address, "/chat?name=ann");
    for round in 0..ROUNDS {
        say(&mut client, &round.to_string());
        for command in [
            r#"{"type":"who"}"#,
            r#"{"type":"action","text":"waves"}"#,
            r#"{"type":"help"}"#,
            r#"{"type":"whisper","to":"ann","text":"note"}"#,
            r#"{"type":"dance"}"#,
            r#"{"type":"line","text":"/nick"}"#,
            r#"{"type":"rename","name":"ann"}"#,
            r#"{"type":"whisper","to":"bob","text":"psst"}"#,
        ] {
            client.send_text(command);
        }
    }
    let expected = [
        "message", "who", "action", "help", "whisper", "error", "error", "error", "error",
    ];
    for round in 0..ROUNDS {
        for expected in expected {
            let result = client.recv_text();
            let is_expected = result.starts_with(&format!(r#"{{"type":"{expected}""#));
            assert!(
                is_expected,
                "round {round}: {result} in place of {expected}"
            );
        }
    }
}

#[test]
fn a_client_that_moves_to_another_node_misses_nothing() {
    let _watchdog = watchdog(60);
    let Some((_redis, [a, b, c])) = three_nodes() else {
        return;
    };
    let (mut talker, _) = enter(a.address, "/chat?name=talker");
    let (mut mover, welcome) = enter(b.address, "/chat?name=mover");
    let ServerEvent::Welcome { epoch, .. } = welcome else {
        panic!("{welcome:?}");
    };
    let mut last = 0;
    for (round, node) in [&c, &a, &b, &c].into_iter().enumerate() {
        say(&mut talker, &format!("seen in {round}"));
        last = id_of(&mut mover, &format!("seen in {round}")).max(last);
        drop(mover);
        for number in 0..20 {
            say(&mut talker, &format!("missed {number} in {round}"));
        }
        let end = id_of(&mut talker, &format!("missed 19 in {round}"));
        let path = format!("/chat?epoch={epoch}&since={last}");
        let (client, welcome) = enter(node.address, &path);
        mover = client;
        let ServerEvent::Welcome {
            epoch: now,
            last: newest,
            gap,
            ..
        } = welcome
        else {
            panic!("{welcome:?}");
        };
        assert_eq!((now, gap), (epoch, false), "round {round}");
        assert!(newest >= last, "{newest} after {last}");
        for id in last + 1..=end {
            let expected = format!("missed {} in {round}", id - last - 1);
            assert_eq!(id_of(&mut mover, &expected), id);
        }
        last = end;
    }
}

#[test]
fn the_history_is_the_same_on_all_nodes() {
    let _watchdog = watchdog(60);
    let Some((redis, [a, b, c])) = three_nodes() else {
        return;
    };
    let mut talkers = [&a, &b].map(|node| Client::join(node.address));
    for number in 0..10 {
        let talker = &mut talkers[number % 2];
        talker.send_text(&format!("/me counts {number}"));
        let line = format!(" counts {number}");
        talker.recv_until(|text| text.ends_with(&line));
    }
    let late = node(&redis, "late");
    let history = |node: &ServerProcess| {
        let mut client = Client::join(node.address);
        client.recv_until(|line| line.ends_with(" counts 9"))
    };
    let expected = history(&a);
    assert_eq!(expected.len(), 10);
    for node in [&b, &c, &late] {
        eventually("the node has read the history", || {
            history(node) == expected
        });
    }
}

#[test]
fn a_room_spans_the_nodes_and_ends_with_its_last_user() {
    let _watchdog = watchdog(60);
    let Some((_redis, [a, b, c])) = three_nodes() else {
        return;
    };
    let place = |welcome: &ServerEvent<'_>| match welcome {
        ServerEvent::Welcome {
            epoch,
            last,
            users,
            room,
            ..
        } => (*epoch, *last, *users, room.to_string()),
        other => panic!("{other:?}"),
    };
    let (mut ann, welcome) = enter(a.address, "/chat/tea?name=ann");
    let (epoch, last, users, room) = place(&welcome);
    assert_eq!((last, users, &*room), (0, 1, "tea"));
    let (mut bob, welcome) = enter(b.address, "/chat/TEA?name=bob");
    assert_eq!(place(&welcome), (epoch, 0, 2, "tea".into()));
    let (mut other, welcome) = enter(c.address, "/chat?name=ann");
    assert_eq!(place(&welcome).2, 1);
    say(&mut other, "elsewhere");
    assert_eq!(id_of(&mut other, "elsewhere"), 1);
    say(&mut ann, "tea time");
    assert_eq!(id_of(&mut bob, "tea time"), 1);
    ann.close();
    event_that(&mut bob, |event| {
        matches!(event, ServerEvent::Left { users: 1, .. })
    });
    // The room lives on, on another node than the one where it began.
    let (cleo, welcome) = enter(c.address, "/chat/tea");
    assert_eq!(place(&welcome), (epoch, 1, 2, "tea".into()));
    bob.close();
    cleo.close();
    let empty = || {
        let (client, welcome) = enter(a.address, "/chat/tea");
        let (now, last, users, _) = place(&welcome);
        client.close();
        (now != epoch, last, users) == (true, 0, 1)
    };
    eventually("the room has ended, and begins anew", empty);
}

#[test]
fn each_database_is_a_chat_of_its_own() {
    let _watchdog = watchdog(60);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let start = |database: usize| {
        let url = format!("redis://{}/{database}?name=a", redis.address);
        ServerProcess::start(&["--cluster", &url])
    };
    let (one, two) = (start(1), start(2));
    let (_ann, welcome) = enter(one.address, "/chat?name=ann");
    assert_eq!(name(&welcome), "ann");
    let (_other, welcome) = enter(two.address, "/chat?name=ann");
    assert_eq!(name(&welcome), "ann");
}
