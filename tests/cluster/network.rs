//! Faults of the network between nodes and Redis.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::chat_checker::assert_consistent;
use super::cluster::{health, node, node_at, talk};
use super::crowd::{Crowd, Talker, assert_all_stayed};
use super::fault_proxy::{FaultProxy, seed};
use super::redis::RedisServer;
use super::support::{Line, eventually, watchdog};

/// Runs a chat of four nodes, of which three have a bad line, for some time, and checks what was seen.
fn run_with_faults(redis: &RedisServer, max_fault: Duration, duration: Duration) {
    let seed = seed();
    let lines = [(); 3].map(|()| Arc::new(Line::start(redis.address)));
    let node_by = |number: usize| node_at(lines[number].address, &format!("node{number}"));
    let nodes = [0, 1, 2].map(node_by);
    let whole = node(redis, "whole");
    for node in &nodes {
        eventually("the node has started", || health(node) == 200);
    }
    let seeds = lines.iter().zip(seed..);
    let proxies: Vec<_> = seeds
        .map(|(line, seed)| FaultProxy::start(line, seed, max_fault))
        .collect();
    let all = nodes.iter().chain([&whole]);
    let mut talkers: Vec<_> = all
        .map(|node| Talker::new("talker", node.address))
        .collect();
    talkers.push(Talker {
        renames: true,
        ..Talker::new("renamer", nodes[0].address)
    });
    talkers.push(Talker {
        stay: Some(20),
        nodes: nodes.iter().map(|node| node.address).collect(),
        ..Talker::new("mover", nodes[1].address)
    });
    let crowd = Crowd::start(talkers);
    let start = Instant::now();
    while start.elapsed() < duration {
        crowd.wait_for_messages(100);
    }
    let faults: Vec<_> = proxies.into_iter().map(FaultProxy::end).collect();
    let recordings = crowd.finish();
    let events = recordings.iter().map(|recording| recording.seen.len());
    let (connections, events) = (recordings.len(), events.sum::<usize>());
    println!("{faults:?} faults, {connections} connections, {events} events");
    assert_consistent(&recordings);
}

#[test]
fn random_faults_lose_and_double_nothing() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let (max_fault, duration) = (Duration::from_millis(2500), Duration::from_secs(15));
    run_with_faults(&redis, max_fault, duration);
}

#[test]
fn nodes_that_are_cut_off_for_long_come_back_to_one_chat() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let (max_fault, duration) = (Duration::from_secs(16), Duration::from_secs(30));
    run_with_faults(&redis, max_fault, duration);
}

#[test]
fn what_comes_after_a_node_was_given_up_is_ignored() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let line = Line::start(redis.address);
    let (near, far) = (node(&redis, "near"), node_at(line.address, "far"));
    let crowd = talk([&near, &far, &far]);
    line.hold();
    thread::sleep(Duration::from_secs(14));
    // What the node sent before it gave up arrives now.
    line.release();
    eventually("the clients are back", || crowd.connections() >= 5);
    crowd.wait_for_messages(300);
    assert_consistent(&crowd.finish());
}

#[test]
fn lost_replies_double_nothing() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let line = Line::start(redis.address);
    let (near, far) = (node(&redis, "near"), node_at(line.address, "far"));
    let crowd = talk([&near, &far, &far]);
    for _ in 0..20 {
        crowd.wait_for_messages(50);
        line.mute_replies();
        // Enough for what the node sends next to be executed.
        thread::sleep(Duration::from_millis(30));
        line.cut();
    }
    crowd.wait_for_messages(100);
    assert_all_stayed(crowd);
}
