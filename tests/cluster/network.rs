//! Faults of the network between nodes and Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chat_checker::assert_consistent;
use super::cluster::{node, node_at};
use super::crowd::{Crowd, Talker, assert_all_stayed};
use super::fault_proxy::{FaultProxy, seed};
use super::redis::RedisServer;
use super::redis_faults::health;
use super::support::{Line, eventually, watchdog};

#[test]
fn random_faults_lose_and_double_nothing() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let seed = seed();
    let lines = [(); 3].map(|()| Arc::new(Line::start(redis.address)));
    let nodes =
        [0, 1, 2].map(|number: usize| node_at(lines[number].address, &format!("node{number}")));
    let whole = node(&redis, "whole");
    for node in &nodes {
        eventually("the node has started", || health(node) == 200);
    }
    let seeds = lines.iter().zip(seed..);
    let proxies: Vec<_> = seeds
        .map(|(line, seed)| FaultProxy::start(line, seed))
        .collect();
    let mut talkers: Vec<_> = nodes
        .iter()
        .map(|node| Talker::new("talker", node.address))
        .collect();
    talkers.push(Talker::new("talker", whole.address));
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
    while start.elapsed() < Duration::from_secs(15) {
        crowd.wait_for_messages(100);
    }
    let faults: Vec<_> = proxies.into_iter().map(FaultProxy::end).collect();
    let recordings = crowd.finish();
    let events: usize = recordings
        .iter()
        .map(|recording| recording.seen.len())
        .sum();
    println!(
        "{faults:?} faults, {} connections, {events} events",
        recordings.len()
    );
    assert_consistent(&recordings);
}

#[test]
fn lost_replies_double_nothing() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let line = Line::start(redis.address);
    let (near, far) = (node(&redis, "near"), node_at(line.address, "far"));
    let talkers = [&near, &far, &far].map(|node| Talker::new("talker", node.address));
    let crowd = Crowd::start(talkers.to_vec());
    crowd.wait_for_all();
    for _ in 0..20 {
        crowd.wait_for_messages(50);
        line.mute_replies();
        // Enough for what the node sends next to be executed.
        std::thread::sleep(Duration::from_millis(30));
        line.cut();
    }
    crowd.wait_for_messages(100);
    assert_all_stayed(crowd);
}
