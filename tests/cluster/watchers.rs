//! The page and the terminal client, while nodes and Redis die.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use threadchat::protocol::ServerEvent;

use super::behind_nginx::{site, start};
use super::chat_checker::assert_consistent;
use super::cluster::{enter, health, next_event};
use super::crowd::{Crowd, Talker};
use super::nginx::{Nginx, tools_are_installed};
use super::redis::{RedisServer, free_address};
use super::support::{Browser, ServerProcess, eventually, watchdog};
use super::terminal::{Terminal, url};

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

/// Returns the numbers of the texts of the talker, in the order in which they are shown. Each ends with a row of x.
fn numbers(shown: &str) -> Vec<usize> {
    let texts = shown.split(" xxxxxxxx");
    let number = |text: &str| text.rsplit_once("0.")?.1.parse().ok();
    texts.filter_map(number).collect()
}

#[test]
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
    let expected = history(&nodes[0]);
    let last = expected.last().expect("bob has talked");
    terminal.wait_for(&format!("0.{last} xxxxxxxx"));
    page.wait_for_entry("text", &format!("0.{last} xxxxxxxx"));
    assert_eq!(numbers(&terminal.output()), expected, "in the terminal");
    let log = page.value("document.getElementById('log').textContent");
    let log = log.as_str().expect("a text").to_owned();
    assert_eq!(numbers(&log), expected, "on the page");
    drop((browser, terminal));
    assert_consistent(&crowd.finish());
}

/// Returns the numbers of all texts, which the node keeps.
fn history(node: &ServerProcess) -> Vec<usize> {
    let (mut client, welcome) = enter(node.address, "/chat");
    let ServerEvent::Welcome { last, .. } = welcome else {
        panic!("{welcome:?}");
    };
    let mut texts = String::new();
    loop {
        if let ServerEvent::Message { id, text, .. } = next_event(&mut client) {
            texts += &text;
            if id == last {
                return numbers(&texts);
            }
        }
    }
}
