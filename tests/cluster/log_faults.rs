//! A log with entries that no node wrote, and one that is begun, left, and begun again all the time.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use threadchat::protocol::ServerEvent;
use tungstenite::Message;

use super::chat_checker::assert_consistent;
use super::cluster::{
    LOG_KEY, SNAPSHOT_KEY, enter, health, id_of, node, node_at, say, talk, three_nodes, who,
};
use super::crowd::{Crowd, Talker, assert_all_stayed};
use super::redis::RedisServer;
use super::start::assert_refused;
use super::support::{Client, Line, eventually, watchdog};

/// Appends what no node wrote to the log, and checks that the nodes stop with these words, and go on without it.
fn assert_stops(field: &str, value: &[u8], words: &str) {
    let Some((redis, mut nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    let append = [b"XADD", LOG_KEY.as_bytes(), b"*", field.as_bytes(), value];
    let id = redis.command(&append).text();
    for node in &mut nodes {
        node.wait_for_log(words);
    }
    eventually("all nodes are unhealthy", || {
        nodes.each_ref().map(health) == [503; 3]
    });
    node(&redis, "d").wait_for_log(words);
    redis.command(&["XDEL", LOG_KEY, &id]);
    crowd.wait_for_messages(100);
    assert_consistent(&crowd.finish());
}

#[test]
fn an_entry_that_is_none_stops_the_room() {
    let _watchdog = watchdog(110);
    assert_stops("foreign", b"value", "is no entry of threadchat");
}

#[test]
fn an_entry_of_another_version_stops_the_room() {
    let _watchdog = watchdog(110);
    assert_stops("e", b"\x02\x00", "is of version 0x2");
}

#[test]
fn a_node_of_another_version_than_the_snapshot_does_not_start() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let first = node(&redis, "a");
    let (mut ann, _) = enter(first.address, "/chat");
    for number in 0..30 {
        say(&mut ann, &number.to_string());
        id_of(&mut ann, &number.to_string());
    }
    // The second node asks the first one for a snapshot.
    redis.command(&["XTRIM", LOG_KEY, "MAXLEN", "20"]);
    let second = node(&redis, "b");
    eventually("the second node is here", || health(&second) == 200);
    eventually("there is a snapshot", || {
        redis.number(&["XLEN", SNAPSHOT_KEY]) == 1
    });
    drop((ann, first, second));
    // The log is one that another version goes on with.
    let (id, _) = redis
        .entry("XREVRANGE", SNAPSHOT_KEY)
        .expect("there is one");
    redis.command(&["DEL", LOG_KEY]);
    let append = [
        b"XADD",
        LOG_KEY.as_bytes(),
        id.as_bytes(),
        b"e",
        b"\x02\x00",
    ];
    redis.command(&append);
    assert_refused(&redis.url("c"), &["is of version 0x2"]);
    assert_eq!(
        redis.number(&["XLEN", LOG_KEY]),
        1,
        "it has appended nothing"
    );
}

#[test]
fn a_snapshot_that_is_none_keeps_nodes_from_starting() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let first = node(&redis, "a");
    eventually("the node is healthy", || health(&first) == 200);
    let (id, _) = redis.entry("XRANGE", LOG_KEY).expect("the log has begun");
    redis.command(&["XADD", SNAPSHOT_KEY, &id, "e", "{}"]);
    assert_refused(&redis.url("b"), &["snapshot"]);
    assert_eq!(health(&first), 200);
}

#[test]
fn a_log_without_its_beginning_is_begun_anew_when_it_is_removed() {
    let _watchdog = watchdog(110);
    let Some((redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    redis.command(&["XTRIM", LOG_KEY, "MAXLEN", "1"]);
    redis.command(&["DEL", LOG_KEY]);
    crowd.wait_for_messages(300);
    assert_consistent(&crowd.finish());
}

#[test]
fn nodes_store_a_snapshot_for_one_that_finds_none() {
    let _watchdog = watchdog(110);
    let Some((redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    // What the nodes read next is left.
    redis.command(&["XTRIM", LOG_KEY, "MAXLEN", "100"]);
    let mut late = node(&redis, "d");
    late.wait_for_log("this node is d");
    assert_eq!(redis.number(&["XLEN", SNAPSHOT_KEY]), 1);
    eventually("the node takes clients", || {
        let mut client = Client::json(late.address, "/chat");
        matches!(client.next_message(), Ok(Message::Text(_)))
    });
    crowd.wait_for_messages(100);
    assert_all_stayed(crowd);
}

#[test]
fn a_node_whose_first_entry_is_lost_begins_again() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    drop(node(&redis, "a"));
    // The node reads for some seconds until it comes to its own entry. Further first entries are ignored.
    let (_, genesis) = redis.entry("XRANGE", LOG_KEY).expect("the log has begun");
    let script = "for _ = 1, 5000 do redis.call('XADD', KEYS[1], '*', 'e', ARGV[1]) end";
    let eval = ["EVAL", script, "1", LOG_KEY].map(str::as_bytes);
    redis.command(&[&eval[..], &[&genesis]].concat());
    let line = Line::start(redis.address);
    line.delay(Duration::from_millis(20));
    let mut late = node_at(line.address, "late");
    let (hello, _) = redis.entry("XREVRANGE", LOG_KEY).expect("it is there");
    redis.command(&["XDEL", LOG_KEY, &hello]);
    line.delay(Duration::ZERO);
    late.wait_for_log("the first entry of this node is missing");
    eventually("the node is healthy", || health(&late) == 200);
    let (mut ann, _) = enter(late.address, "/chat?name=ann");
    say(&mut ann, "hello");
    id_of(&mut ann, "hello");
}

#[test]
fn a_node_that_gets_its_number_again_after_a_loss_takes_clients() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    drop(node(&redis, "first"));
    let (last, _) = redis
        .entry("XREVRANGE", LOG_KEY)
        .expect("the log has begun");
    let line = Line::start(redis.address);
    let mut node = node_at(line.address, "a");
    // When it has sent a heartbeat, the next one is a second away, and it is back before.
    let length = || redis.number(&["XLEN", LOG_KEY]);
    let before = length();
    eventually("there is a heartbeat", || length() > before);
    let script = "for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+')) \
        do redis.call('XDEL', KEYS[1], entry[1]) end";
    redis.command(&["EVAL", script, "1", LOG_KEY, &last]);
    line.cut();
    node.wait_for_log("has lost entry");
    node.wait_for_log("incarnation 2");
    let (mut ann, _) = enter(node.address, "/chat?name=ann");
    say(&mut ann, "hello");
    id_of(&mut ann, "hello");
}

#[test]
fn a_clock_that_jumps_sends_nobody_away() {
    let _watchdog = watchdog(110);
    let Some((redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    // What was there before is ignored, but its id counts: the server gives none below it.
    let (_, bytes) = redis.entry("XREVRANGE", LOG_KEY).expect("there is one");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let hour_later = now.expect("the clock is set") + Duration::from_secs(3600);
    let id = format!("{}-0", hour_later.as_millis());
    let append = [
        b"XADD",
        LOG_KEY.as_bytes(),
        id.as_bytes(),
        b"e",
        bytes.as_slice(),
    ];
    redis.command(&append);
    crowd.wait_for_messages(1000);
    assert_all_stayed(crowd);
}

#[test]
fn nodes_that_start_at_once_begin_one_log() {
    let _watchdog = watchdog(110);
    for round in 0..5 {
        let Some(redis) = RedisServer::start() else {
            return;
        };
        let nodes: Vec<_> = thread::scope(|scope| {
            let start = |number: usize| {
                let redis = &redis;
                scope.spawn(move || node(redis, &format!("node{number}")))
            };
            let threads: Vec<_> = (0..4).map(start).collect();
            let started = threads.into_iter().map(|thread| thread.join());
            started.map(|node| node.expect("the node starts")).collect()
        });
        let mut clients: Vec<_> = nodes
            .iter()
            .map(|node| enter(node.address, "/chat?name=ann"))
            .collect();
        let epoch = |welcome: &ServerEvent<'_>| match welcome {
            ServerEvent::Welcome { epoch, .. } => *epoch,
            other => panic!("{other:?}"),
        };
        let first = epoch(&clients[0].1);
        assert!(
            clients.iter().all(|(_, welcome)| epoch(welcome) == first),
            "round {round}"
        );
        eventually("all are there", || {
            clients.iter_mut().all(|(client, _)| who(client).len() == 4)
        });
    }
}

#[test]
fn a_room_that_ends_all_the_time_is_one_room() {
    let _watchdog = watchdog(110);
    let Some((_redis, nodes)) = three_nodes() else {
        return;
    };
    let addresses = [0, 1, 2].map(|number: usize| nodes[number].address);
    let talkers = (0..3).map(|number| Talker {
        path: "/chat/tea",
        stay: Some(2),
        nodes: [&addresses[number..], &addresses[..number]].concat(),
        ..Talker::new("ann", addresses[0])
    });
    let crowd = Crowd::start(talkers.collect());
    crowd.wait_for_messages(300);
    let recordings = crowd.finish();
    println!("{} connections", recordings.len());
    assert_consistent(&recordings);
}
