//! "Several machines" of operations.md, as written: three nodes behind nginx.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::chat_checker::assert_consistent;
use super::cluster::health;
use super::crowd::{Crowd, Talker};
use super::nginx::{Nginx, tools_are_installed};
use super::redis::{RedisServer, free_address};
use super::support::readme::OPERATIONS;
use super::support::{ServerProcess, eventually, watchdog};

/// Returns the documented site for the nodes, without TLS.
pub fn site(site: &str, nodes: &[ServerProcess]) -> String {
    let blocks = OPERATIONS.blocks("nginx");
    let upstream = blocks.iter().find(|block| block.contains("upstream"));
    let mut upstream = (*upstream.expect("the document has it")).to_owned();
    for (documented, node) in ["127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"]
        .iter()
        .zip(nodes)
    {
        assert!(upstream.contains(documented), "{upstream}");
        upstream = upstream.replace(documented, &node.address.to_string());
    }
    let lines = blocks
        .iter()
        .find(|block| block.contains("proxy_next_upstream"));
    let lines = lines.expect("the document has it");
    let (before, after) = site.split_once("proxy_pass ").expect("the site has it");
    let (_, after) = after.split_once(';').expect("lines end");
    let site = format!("{upstream}{before}{lines}{after}");
    site.replace(" ssl;", ";")
}

/// Starts a node with the documented options.
pub fn start(redis: &RedisServer, name: &str, address: &str) -> ServerProcess {
    let args = ["--listen", address, "--history", "1000"];
    ServerProcess::start_anywhere(&[&args[..], &["--cluster", &redis.url(name)]].concat())
}

#[test]
fn the_chat_survives_a_node_and_redis() {
    let _watchdog = watchdog(110);
    let Some(mut redis) = RedisServer::start() else {
        return;
    };
    if !tools_are_installed() {
        return;
    }
    let mut nodes = ["a", "b", "c"].map(|name| start(&redis, name, &free_address().to_string()));
    let nginx = Nginx::start("cluster", |block| site(&block, &nodes));
    let address = ([127, 0, 0, 1], nginx.port).into();
    let talkers = (0..6).map(|number| Talker::new(&format!("talker{number}"), address));
    let crowd = Crowd::start(talkers.collect());
    crowd.wait_for_all();
    crowd.wait_for_messages(500);
    let listen = nodes[1].address.to_string();
    nodes[1].signal(Signal::KILL);
    nodes[1].wait();
    eventually("two clients are back", || crowd.connections() >= 8);
    crowd.wait_for_messages(500);
    nodes[1] = start(&redis, "b", &listen);
    eventually("the node is back", || health(&nodes[1]) == 200);
    redis.kill();
    thread::sleep(Duration::from_secs(3));
    redis.restart();
    crowd.wait_for_messages(500);
    let recordings = crowd.finish();
    assert_consistent(&recordings);
    // Who comes at once again can be closed without a greeting.
    let greeted = recordings.iter().filter(|one| !one.seen.is_empty());
    assert_eq!(
        greeted.count(),
        8,
        "only the dead node's clients lost their connections"
    );
}
