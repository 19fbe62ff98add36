//! Nodes that die, hang, start late, or fall behind.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use threadchat::protocol::ServerEvent;

use super::chat_checker::{End, assert_consistent};
use super::cluster::{
    LOG_KEY, enter, event_that, id_of, next_event, node, node_at, say, talk, three_nodes, who,
};
use super::crowd::{Crowd, Talker, assert_all_stayed};
use super::redis::{RedisServer, free_address};
use super::support::{Client, Line, RawClient, ServerProcess, eventually, watchdog};

/// The log time after which the users of a silent node are removed.
const NODE_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn users_of_a_killed_node_leave_after_ten_seconds() {
    let _watchdog = watchdog(110);
    let Some((_redis, [a, b, c])) = three_nodes() else {
        return;
    };
    let mut talkers: Vec<Talker> = [&a, &b, &c]
        .map(|node| Talker::new("talker", node.address))
        .to_vec();
    // The one of the node that dies goes on elsewhere.
    talkers[2].nodes.push(a.address);
    let crowd = Crowd::start(talkers);
    crowd.wait_for_all();
    let (mut ann, _) = enter(a.address, "/chat?name=ann");
    let (_dora, _) = enter(c.address, "/chat?name=dora");
    let joined = |event: &ServerEvent<'_>| matches!(event, ServerEvent::Joined { name, .. } if name == "dora");
    event_that(&mut ann, joined);
    let killed = Instant::now();
    c.signal(Signal::KILL);
    let left =
        |event: &ServerEvent<'_>| matches!(event, ServerEvent::Left { name, .. } if name == "dora");
    event_that(&mut ann, left);
    let after = killed.elapsed();
    let expected = NODE_TIMEOUT - Duration::from_secs(2)..NODE_TIMEOUT + Duration::from_secs(4);
    assert!(expected.contains(&after), "{after:?}");
    // The name is available again, on any node.
    let (dora, welcome) = enter(b.address, "/chat?name=dora");
    assert!(
        matches!(&welcome, ServerEvent::Welcome { name, .. } if name == "dora"),
        "{welcome:?}"
    );
    dora.close();
    ann.close();
    assert_consistent(&crowd.finish());
}

#[test]
fn a_node_that_hung_closes_its_clients_and_comes_back() {
    let _watchdog = watchdog(110);
    let Some((_redis, [a, b, c])) = three_nodes() else {
        return;
    };
    let crowd = talk([&a, &b, &c]);
    c.signal(Signal::STOP);
    // What this measures is time itself.
    thread::sleep(2 * NODE_TIMEOUT);
    c.signal(Signal::CONT);
    eventually("the client of the node is back", || {
        crowd.connections() >= 4
    });
    crowd.wait_for_messages(300);
    let recordings = crowd.finish();
    let closed = recordings
        .iter()
        .filter(|closed| closed.end == End::Closed(1013));
    let closed = closed.filter(|closed| !closed.seen.is_empty());
    assert_eq!(closed.count(), 1, "one client was closed with 1013");
    assert_consistent(&recordings);
}

#[test]
fn a_short_hang_of_a_node_goes_unnoticed() {
    let _watchdog = watchdog(110);
    let Some((_redis, [a, b, c])) = three_nodes() else {
        return;
    };
    let crowd = talk([&a, &b, &c]);
    c.signal(Signal::STOP);
    thread::sleep(Duration::from_secs(4));
    c.signal(Signal::CONT);
    crowd.wait_for_messages(300);
    assert_all_stayed(crowd);
}

#[test]
fn a_node_joins_in_the_middle_of_a_flood() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let nodes = ["a", "b"].map(|name| node(&redis, name));
    let late = free_address();
    let mut talkers: Vec<Talker> = (0..6)
        .map(|number| Talker {
            pause: Some(Duration::from_millis(1)),
            renames: number == 0,
            ..Talker::new(&format!("talker{number}"), nodes[number % 2].address)
        })
        .collect();
    talkers.push(Talker::new("late", late));
    let crowd = Crowd::start(talkers);
    crowd.wait_for_messages(3000);
    let url = redis.url("late");
    let listen = late.to_string();
    let _late = ServerProcess::start_anywhere(&[
        "--listen",
        &listen,
        "--cluster",
        &url,
        "--history",
        "1000",
    ]);
    crowd.wait_for_all();
    crowd.wait_for_messages(3000);
    assert_consistent(&crowd.finish());
}

/// Returns the id of the first or the last entry of a stream.
fn entry_id(redis: &RedisServer, command: &str) -> Option<(u64, u64)> {
    let (id, _) = redis.entry(command, LOG_KEY)?;
    let (time, number) = id.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

#[test]
fn a_node_that_was_behind_a_trim_is_in_the_same_chat_again() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let nodes = ["a", "b"].map(|name| node(&redis, name));
    let line = Line::start(redis.address);
    let behind = node_at(line.address, "behind");
    let mut talkers: Vec<Talker> = (0..6)
        .map(|number| Talker {
            pause: Some(Duration::ZERO),
            padding: 8000,
            ..Talker::new(&format!("talker{number}"), nodes[number % 2].address)
        })
        .collect();
    talkers.push(Talker::new("behind", behind.address));
    let crowd = Crowd::start(talkers);
    crowd.wait_for_all();
    crowd.wait_for_messages(500);
    line.hold();
    let held = entry_id(&redis, "XREVRANGE");
    let deadline = Instant::now() + Duration::from_secs(40);
    while entry_id(&redis, "XRANGE") <= held {
        assert!(Instant::now() < deadline, "the stream is not trimmed");
        thread::sleep(Duration::from_millis(20));
    }
    line.release();
    assert_consistent(&crowd.finish());
}

#[test]
fn the_stream_stays_bounded() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let nodes = ["a", "b"].map(|name| node(&redis, name));
    let talkers = (0..6).map(|number| Talker {
        pause: Some(Duration::ZERO),
        padding: 8000,
        ..Talker::new(&format!("talker{number}"), nodes[number % 2].address)
    });
    let crowd = Crowd::start(talkers.collect());
    let mut trims = 0;
    let mut longest = 0;
    let mut length = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    while trims < 2 {
        assert!(
            Instant::now() < deadline,
            "{length} entries, and {trims} trims"
        );
        let before = std::mem::replace(&mut length, redis.number(&["XLEN", LOG_KEY]));
        trims += usize::from(length < before);
        longest = longest.max(length);
        thread::sleep(Duration::from_millis(5));
    }
    println!("at most {longest} entries");
    assert_consistent(&crowd.finish());
}

#[test]
fn the_last_node_leaves_a_chat_that_the_next_one_goes_on_with() {
    let _watchdog = watchdog(60);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let mut first = node(&redis, "a");
    let (mut client, _) = enter(first.address, "/chat?name=ann");
    say(&mut client, "hello");
    id_of(&mut client, "hello");
    first.signal(Signal::TERM);
    assert_eq!(client.expect_close(), 1001);
    assert!(first.wait().success());
    let second = node(&redis, "a");
    let mut client = Client::json(second.address, "/chat?name=ann");
    let welcome = next_event(&mut client);
    let expected = |event: &ServerEvent<'_>| matches!(event, ServerEvent::Welcome { name, users: 1, last: 1, .. } if name == "ann");
    assert!(expected(&welcome), "{welcome:?}");
    assert_eq!(id_of(&mut client, "hello"), 1);
}

#[test]
fn a_second_node_of_a_name_takes_the_place_of_the_first() {
    let _watchdog = watchdog(60);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let mut first = node(&redis, "a");
    let (mut ann, _) = enter(first.address, "/chat?name=ann");
    let second = node(&redis, "a");
    let (mut bob, _) = enter(second.address, "/chat?name=bob");
    assert_eq!(ann.expect_close(), 1013);
    first.wait_for_log("begun anew as a");
    // It does not drive the other one out again.
    first.wait_for_log("another node is called a; each needs a name of its own");
    assert_eq!(who(&mut bob), ["bob"]);
}

#[test]
fn users_of_a_killed_node_leave_when_it_starts_again() {
    let _watchdog = watchdog(60);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let (a, b) = (node(&redis, "a"), node(&redis, "b"));
    let (mut ann, _) = enter(a.address, "/chat?name=ann");
    let (_bob, _) = enter(b.address, "/chat?name=bob");
    // A user who joins and leaves at once is not announced.
    event_that(&mut ann, |event| {
        matches!(event, ServerEvent::Joined { .. })
    });
    let killed = Instant::now();
    b.signal(Signal::KILL);
    let _b = node(&redis, "b");
    let left = event_that(&mut ann, |event| matches!(event, ServerEvent::Left { .. }));
    assert!(
        matches!(&left, ServerEvent::Left { name, users: 1 } if name == "bob"),
        "{left:?}"
    );
    // The node's last entry is at most a second older than its end.
    assert!(killed.elapsed() < NODE_TIMEOUT - Duration::from_secs(1));
}

#[test]
fn the_largest_messages_pass() {
    const SIZE: usize = 10 << 20;
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let nodes = ["a", "b"].map(|name| {
        ServerProcess::start(&["--cluster", &redis.url(name), "--max-message", "16777216"])
    });
    let (mut ann, _) = enter(nodes[0].address, "/chat");
    let (mut bob, _) = enter(nodes[1].address, "/chat");
    for round in 0..3 {
        say(&mut ann, &format!("{round}{}", "x".repeat(SIZE)));
        let message = event_that(&mut bob, |event| {
            matches!(event, ServerEvent::Message { .. })
        });
        let is_whole = |text: &str| text.len() == SIZE + 1 && text.starts_with(&round.to_string());
        assert!(matches!(&message, ServerEvent::Message { text, .. } if is_whole(text)));
        event_that(&mut ann, |event| {
            matches!(event, ServerEvent::Message { .. })
        });
    }
}

#[test]
fn metrics_tell_about_the_log() {
    let _watchdog = watchdog(60);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let node = ServerProcess::start(&["--cluster", &redis.url("a"), "--metrics"]);
    let (mut ann, _) = enter(node.address, "/chat");
    for number in 0..10 {
        say(&mut ann, &number.to_string());
        id_of(&mut ann, &number.to_string());
    }
    let mut raw = RawClient::connect(node.address);
    raw.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let metrics = raw.rest().expect("the server sends a response");
    let metrics = String::from_utf8(metrics).expect("it is UTF-8");
    let value = |name: &str| -> f64 {
        let mut values = metrics
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = values.next().and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in\n{metrics}"))
    };
    assert!(value("threadchat_cluster_round_trip_seconds_count") >= 11.0);
    assert!(value("threadchat_cluster_lag_milliseconds") < 10_000.0);
    assert_eq!(value("threadchat_cluster_losses_total"), 0.0);
}
