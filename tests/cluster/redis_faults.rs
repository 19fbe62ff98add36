//! Faults of Redis under running nodes.

use std::os::unix::net::UnixDatagram;
use std::process::{self, Command};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::process::Signal;
use threadchat::protocol::ServerEvent;
use tungstenite::Error;

use super::chat_checker::{End, Recording, assert_consistent};
use super::cluster::{LOG_KEY, enter, health, id_of, node, node_at, say, talk, three_nodes};
use super::crowd::{Crowd, Talker, assert_all_stayed};
use super::redis::{RedisServer, free_address};
use super::support::client::request;
use super::support::{Client, Line, ServerProcess, TIMEOUT, eventually, watchdog};

/// Returns the status of the response to a newcomer.
fn newcomer(node: &ServerProcess) -> u16 {
    match Client::try_connect(node.address, request(node.address, "/chat")) {
        Ok(client) => client.response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

/// Returns the number of users that were sent away. Who comes at once again can be closed without a greeting.
fn sent_away(recordings: &[Recording]) -> usize {
    let closed = recordings
        .iter()
        .filter(|closed| closed.end == End::Closed(1013));
    closed.filter(|closed| !closed.seen.is_empty()).count()
}

#[test]
fn a_killed_redis_that_comes_back_loses_nothing() {
    let _watchdog = watchdog(110);
    let Some((mut redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    for away in [0, 1, 3] {
        redis.kill();
        thread::sleep(Duration::from_secs(away));
        redis.restart();
        crowd.wait_for_messages(300);
    }
    assert_all_stayed(crowd);
}

#[test]
fn a_redis_that_hangs_loses_nothing() {
    let _watchdog = watchdog(110);
    let Some((redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    redis.signal(Signal::STOP);
    thread::sleep(Duration::from_secs(4));
    redis.signal(Signal::CONT);
    crowd.wait_for_messages(300);
    assert_all_stayed(crowd);
}

/// The watchdog would end and restart the node all the time, until the service manager gives up.
#[test]
fn while_redis_is_away_the_watchdog_is_told_that_the_node_responds() {
    let _watchdog = watchdog(110);
    let Some(mut redis) = RedisServer::start() else {
        return;
    };
    let path = env::temp_dir().join(format!("threadchat-watchdog-{}", process::id()));
    let manager = UnixDatagram::bind(&path).expect("the temporary folder is writable");
    manager
        .set_read_timeout(Some(TIMEOUT))
        .expect("the timeout is not zero");
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadchat"));
    command
        .args(["--listen", "127.0.0.1:0", "--cluster", &redis.url("a")])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000");
    let node = ServerProcess::spawn(command);
    redis.kill();
    eventually("the node is unhealthy", || health(&node) == 503);
    // What the watchdog was told before.
    manager.set_nonblocking(true).expect("it is open");
    while manager.recv(&mut [0; 100]).is_ok() {}
    manager.set_nonblocking(false).expect("it is open");
    let mut state = [0; 100];
    let received = manager.recv(&mut state).expect("the watchdog is told");
    assert_eq!(&state[..received], b"WATCHDOG=1");
    fs::remove_file(&path).expect("it exists");
}

#[test]
fn while_redis_is_away_for_long_clients_are_sent_away() {
    let _watchdog = watchdog(110);
    let Some((mut redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    assert_eq!(nodes.each_ref().map(health), [200; 3]);
    let killed = Instant::now();
    redis.kill();
    eventually("all nodes are unhealthy", || {
        nodes.each_ref().map(health) == [503; 3]
    });
    eventually("newcomers are refused", || {
        nodes.each_ref().map(newcomer) == [503; 3]
    });
    let after = killed.elapsed();
    assert!(after > Duration::from_secs(8), "{after:?}");
    redis.restart();
    eventually("all nodes are healthy", || {
        nodes.each_ref().map(health) == [200; 3]
    });
    crowd.wait_for_messages(300);
    let recordings = crowd.finish();
    assert_eq!(sent_away(&recordings), 3);
    assert_consistent(&recordings);
}

#[test]
fn a_full_redis_loses_nothing() {
    let _watchdog = watchdog(110);
    let Some((redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    thread::sleep(Duration::from_secs(3));
    let full = crowd.received();
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    crowd.wait_for_messages(300);
    assert!(full > 0);
    assert_all_stayed(crowd);
}

#[test]
fn a_redis_that_stays_full_sends_clients_away() {
    let _watchdog = watchdog(110);
    let Some((redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    eventually("newcomers are refused", || {
        nodes.each_ref().map(newcomer) == [503; 3]
    });
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    eventually("all nodes are healthy", || {
        nodes.each_ref().map(health) == [200; 3]
    });
    crowd.wait_for_messages(300);
    let recordings = crowd.finish();
    assert_eq!(sent_away(&recordings), 3);
    assert_consistent(&recordings);
}

#[test]
fn a_flushed_redis_gets_no_second_room() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let nodes = ["a", "b"].map(|name| node(&redis, name));
    let third = free_address();
    let mut talkers: Vec<_> = nodes
        .iter()
        .map(|node| Talker::new("ann", node.address))
        .collect();
    // The third node does not run yet.
    talkers.push(Talker::new("ann", third));
    let crowd = Crowd::start(talkers);
    crowd.wait_for_messages(300);
    redis.command(&["FLUSHALL"]);
    let (url, listen) = (redis.url("c"), third.to_string());
    let _third = ServerProcess::start_anywhere(&["--listen", &listen, "--cluster", &url]);
    crowd.wait_for_all();
    crowd.wait_for_messages(300);
    let recordings = crowd.finish();
    assert_eq!(sent_away(&recordings), 2);
    assert_consistent(&recordings);
}

#[test]
fn a_redis_that_restarts_empty_gets_no_second_room() {
    let _watchdog = watchdog(110);
    let Some(mut redis) = RedisServer::with_args(&["--appendonly", "no"]) else {
        return;
    };
    let nodes = ["a", "b", "c"].map(|name| node(&redis, name));
    let crowd = talk(&nodes);
    redis.kill();
    redis.restart();
    crowd.wait_for_messages(300);
    let recordings = crowd.finish();
    assert_eq!(sent_away(&recordings), 3);
    assert_consistent(&recordings);
}

#[test]
fn a_log_that_is_removed_gets_no_second_room() {
    let _watchdog = watchdog(110);
    let Some((redis, nodes)) = three_nodes() else {
        return;
    };
    let crowd = talk(&nodes);
    redis.command(&["DEL", LOG_KEY]);
    crowd.wait_for_messages(300);
    assert_consistent(&crowd.finish());
}

#[test]
fn the_promotion_of_a_replica_that_lacks_entries_is_noticed() {
    let _watchdog = watchdog(110);
    let (Some(mut primary), Some(replica)) = (RedisServer::start(), RedisServer::start()) else {
        return;
    };
    let replication = Line::start(primary.address);
    replica.replicate(replication.address);
    let line = Line::start(primary.address);
    let mut nodes = ["a", "b", "c"].map(|name| node_at(line.address, name));
    let crowd = talk(&nodes);
    replication.hold();
    crowd.wait_for_messages(200);
    primary.kill();
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    line.lead_to(replica.address);
    line.cut();
    eventually("all clients are closed and back", || {
        crowd.connections() >= 6
    });
    crowd.wait_for_messages(300);
    let recordings = crowd.finish();
    assert_eq!(sent_away(&recordings), 3);
    assert_consistent(&recordings);
    for node in &mut nodes {
        node.wait_for_log("lost");
    }
}

/// Starts Redis, a replica, and nodes with clients. Returns them when the replica has all entries; the nodes' line is held, so
/// that no others follow.
fn chat_with_replica() -> Option<(RedisServer, RedisServer, Line, [ServerProcess; 3], Crowd)> {
    let (primary, replica) = (RedisServer::start()?, RedisServer::start()?);
    let line = Line::start(primary.address);
    let nodes = ["a", "b", "c"].map(|name| node_at(line.address, name));
    let crowd = talk(&nodes);
    replica.replicate(primary.address);
    crowd.wait_for_messages(100);
    line.hold();
    eventually("the replica has all entries", || {
        let length = |redis: &RedisServer| redis.number(&["XLEN", LOG_KEY]);
        length(&primary) == length(&replica)
    });
    Some((primary, replica, line, nodes, crowd))
}

#[test]
fn a_replica_that_has_all_entries_takes_over_unnoticed() {
    let _watchdog = watchdog(110);
    let Some((mut primary, replica, line, _nodes, crowd)) = chat_with_replica() else {
        return;
    };
    primary.kill();
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    line.lead_to(replica.address);
    line.cut();
    line.release();
    crowd.wait_for_messages(300);
    assert_all_stayed(crowd);
}

#[test]
fn a_replica_and_its_primary_change_places_unnoticed() {
    let _watchdog = watchdog(110);
    let Some((primary, replica, line, _nodes, crowd)) = chat_with_replica() else {
        return;
    };
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    // The connections of the moment stay open, and lead to a server that cannot be written any more.
    line.lead_to(replica.address);
    primary.replicate(replica.address);
    line.release();
    crowd.wait_for_messages(300);
    assert_all_stayed(crowd);
}

#[test]
fn a_node_ends_while_redis_is_away() {
    let _watchdog = watchdog(110);
    let Some(mut redis) = RedisServer::start() else {
        return;
    };
    let nodes = ["a", "b"].map(|name| node(&redis, name));
    let clients = nodes.each_ref().map(|node| enter(node.address, "/chat"));
    let rooms = nodes
        .each_ref()
        .map(|node| enter(node.address, "/chat/tea"));
    let [mut a, mut b] = nodes;
    redis.signal(Signal::STOP);
    end(&mut a);
    redis.signal(Signal::CONT);
    redis.kill();
    end(&mut b);
    for (mut client, _) in clients.into_iter().chain(rooms) {
        // The second node may have missed Redis for ten seconds before it was told to end.
        let code = client.expect_close();
        assert!([1001, 1013].contains(&code), "{code}");
    }
}

/// Ends a node, and checks that this takes no longer than without Redis.
fn end(node: &mut ServerProcess) {
    let start = Instant::now();
    node.signal(Signal::TERM);
    assert!(node.wait().success());
    let after = start.elapsed();
    assert!(after < Duration::from_secs(12), "{after:?}");
}

#[test]
fn a_room_opens_when_redis_is_back() {
    let _watchdog = watchdog(110);
    let Some(mut redis) = RedisServer::start() else {
        return;
    };
    let node = node(&redis, "a");
    let (mut ann, _) = enter(node.address, "/chat?name=ann");
    redis.kill();
    let address = node.address;
    let entering = thread::spawn(move || enter(address, "/chat/tea?name=ann"));
    say(&mut ann, "is anybody here?");
    thread::sleep(Duration::from_secs(2));
    redis.restart();
    let (mut tea, _) = entering.join().expect("the room opens");
    say(&mut tea, "yes");
    id_of(&mut tea, "yes");
    id_of(&mut ann, "is anybody here?");
}

/// A machine that crashes, and takes longer to start than the nodes wait.
#[test]
fn what_redis_has_lost_while_it_was_away_for_long_is_noticed() {
    let _watchdog = watchdog(110);
    let (Some(mut primary), Some(replica)) = (RedisServer::start(), RedisServer::start()) else {
        return;
    };
    let line = Line::start(primary.address);
    let node = node_at(line.address, "a");
    let (mut ann, before) = enter(node.address, "/chat?name=ann");
    let replication = Line::start(primary.address);
    replica.replicate(replication.address);
    replication.hold();
    say(&mut ann, "lost");
    id_of(&mut ann, "lost");
    primary.kill();
    assert_eq!(ann.expect_close(), 1013);
    eventually("the node is away", || health(&node) == 503);
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    line.lead_to(replica.address);
    eventually("the node is back", || health(&node) == 200);
    let (_, after) = enter(node.address, "/chat?name=bob");
    let epoch = |welcome: ServerEvent<'_>| match welcome {
        ServerEvent::Welcome { epoch, .. } => epoch,
        other => panic!("{other:?}"),
    };
    assert_ne!(epoch(before), epoch(after));
}
