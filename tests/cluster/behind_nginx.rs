//! "Several machines" of operations.md, as written: three nodes behind nginx.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::chat_checker::assert_consistent;
#[cfg(feature = "client")]
use super::cluster::{enter, next_event};
use super::crowd::{Crowd, Talker};
use super::nginx::{Nginx, tools_are_installed};
use super::redis::{RedisServer, free_address};
use super::redis_faults::health;
use super::support::readme::OPERATIONS;
use super::support::{Browser, ServerProcess, eventually, watchdog};
#[cfg(feature = "client")]
use super::terminal::{Terminal, url};
#[cfg(feature = "client")]
use threadchat::protocol::ServerEvent;

/// Returns the documented site for the nodes, without TLS.
fn site(site: &str, nodes: &[ServerProcess]) -> String {
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
fn start(redis: &RedisServer, name: &str, address: &str) -> ServerProcess {
    let args = ["--listen", address, "--history", "1000"];
    ServerProcess::start_anywhere(&[&args[..], &["--cluster", &redis.url(name)]].concat())
}

/// Starts a node again, at its address.
fn start_again(redis: &RedisServer, name: &str, node: &mut ServerProcess) {
    let listen = node.address.to_string();
    node.signal(Signal::KILL);
    node.wait();
    // Its clients come back by another node.
    thread::sleep(Duration::from_secs(2));
    *node = start(redis, name, &listen);
    eventually("the node is back", || health(node) == 200);
}

/// Returns the numbers of the texts of one talker, in the order in which they are shown. Each ends with a row of x.
fn numbers(shown: &str) -> Vec<usize> {
    let texts = shown.split(" xxxxxxxx");
    let number = |text: &str| text.rsplit_once("0.")?.1.parse().ok();
    texts.filter_map(number).collect()
}

/// Returns the numbers of the texts in a node's history.
#[cfg(feature = "client")]
fn history(node: &ServerProcess) -> Vec<usize> {
    let (mut client, welcome) = enter(node.address, "/chat");
    let ServerEvent::Welcome { last, .. } = welcome else {
        panic!("{welcome:?}");
    };
    let texts = (0..last).map(|_| match next_event(&mut client) {
        ServerEvent::Message { text, .. } => text.into_owned(),
        other => panic!("{other:?}"),
    });
    numbers(&texts.collect::<String>())
}

#[test]
#[cfg(feature = "client")]
fn page_and_terminal_miss_nothing_when_nodes_and_redis_die() {
    let _watchdog = watchdog(110);
    let Some(mut redis) = RedisServer::start() else {
        return;
    };
    if !tools_are_installed() {
        return;
    }
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut nodes = ["a", "b", "c"].map(|name| start(&redis, name, &free_address().to_string()));
    let nginx = Nginx::start("watchers", |block| site(&block, &nodes));
    let address = ([127, 0, 0, 1], nginx.port).into();
    let mut page = browser.chat(address);
    let mut terminal = Terminal::start_wide(
        &["--name", "tess", &url(address)],
        &[("TERM", "xterm")],
        200,
    );
    terminal.wait_for("tess> ");
    let crowd = Crowd::start(vec![Talker {
        pause: Some(Duration::from_millis(100)),
        padding: 8,
        ..Talker::new("bob", address)
    }]);
    crowd.wait_for_messages(10);
    for (name, node) in ["a", "b", "c"].iter().zip(&mut nodes) {
        start_again(&redis, name, node);
        crowd.wait_for_messages(10);
    }
    redis.kill();
    eventually("the clients are sent away", || {
        nodes.each_ref().map(health) == [503; 3]
    });
    redis.restart();
    crowd.wait_for_messages(10);
    crowd.fall_silent();
    // What was sent to nodes that had lost Redis is not in the chat.
    let expected = history(&nodes[0]);
    let last = expected.last().expect("somebody has talked");
    terminal.wait_for(&format!("0.{last} xxxxxxxx"));
    page.wait_for_entry("text", &format!("0.{last} xxxxxxxx"));
    assert_eq!(numbers(&terminal.output()), expected, "in the terminal");
    let log = page.value("document.getElementById('log').textContent");
    let log = log.as_str().expect("a text").to_owned();
    assert_eq!(numbers(&log), expected, "on the page");
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
    eventually("two clients are back", || crowd.connections() == 8);
    crowd.wait_for_messages(500);
    nodes[1] = start(&redis, "b", &listen);
    eventually("the node is back", || health(&nodes[1]) == 200);
    redis.kill();
    thread::sleep(Duration::from_secs(3));
    redis.restart();
    crowd.wait_for_messages(500);
    let recordings = crowd.finish();
    assert_consistent(&recordings);
    assert_eq!(
        recordings.len(),
        8,
        "only the dead node's clients lost their connections"
    );
}
