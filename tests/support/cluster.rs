//! Nodes of one chat, and what their clients send and read.

use std::net::SocketAddr;

use threadchat::protocol::ServerEvent;

use super::crowd::{Crowd, Talker};
use super::redis::RedisServer;
use super::support::{Client, RawClient, ServerProcess};

/// Starts a node that uses this Redis.
pub fn node(redis: &RedisServer, name: &str) -> ServerProcess {
    node_at(redis.address, name)
}

/// Starts a node that reaches Redis at this address.
pub fn node_at(redis: SocketAddr, name: &str) -> ServerProcess {
    let url = format!("redis://{redis}?name={name}");
    ServerProcess::start(&["--cluster", &url, "--history", "1000"])
}

/// Starts Redis and three nodes, a, b and c. Returns `None` if redis-server is not installed.
pub fn three_nodes() -> Option<(RedisServer, [ServerProcess; 3])> {
    let redis = RedisServer::start()?;
    let nodes = ["a", "b", "c"].map(|name| node(&redis, name));
    Some((redis, nodes))
}

/// Starts a talker on each node.
pub fn talk<'a>(nodes: impl IntoIterator<Item = &'a ServerProcess>) -> Crowd {
    let talkers = nodes
        .into_iter()
        .map(|node| Talker::new("talker", node.address));
    let crowd = Crowd::start(talkers.collect());
    crowd.wait_for_all();
    crowd.wait_for_messages(300);
    crowd
}

/// Returns the status of `GET /health`.
pub fn health(node: &ServerProcess) -> u16 {
    let mut raw = RawClient::connect(node.address);
    raw.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = raw.head();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("{head}"))
}

/// Connects with JSON and reads the greeting.
pub fn enter(address: SocketAddr, path: &str) -> (Client, ServerEvent<'static>) {
    let mut client = Client::json(address, path);
    let welcome = next_event(&mut client);
    assert!(
        matches!(welcome, ServerEvent::Welcome { .. }),
        "{welcome:?}"
    );
    (client, welcome)
}

/// Reads and parses the next event.
pub fn next_event(client: &mut Client) -> ServerEvent<'static> {
    parse(&client.recv_text())
}

/// Reads events up to and including the first one that satisfies `is_last`, and returns that one.
pub fn event_that(
    client: &mut Client,
    is_last: impl Fn(&ServerEvent<'_>) -> bool,
) -> ServerEvent<'static> {
    loop {
        let event = next_event(client);
        if is_last(&event) {
            return event;
        }
    }
}

/// Sends a message.
pub fn say(client: &mut Client, text: &str) {
    client.send_text(&format!(r#"{{"type":"message","text":"{text}"}}"#));
}

/// Reads up to the message with this text and returns its id.
pub fn id_of(client: &mut Client, expected: &str) -> u64 {
    loop {
        if let ServerEvent::Message { text, id, .. } = next_event(client)
            && text == expected
        {
            return id;
        }
    }
}

/// Returns the names of the users, after the events that precede the list.
pub fn who(client: &mut Client) -> Vec<String> {
    client.send_text(r#"{"type":"who"}"#);
    match event_that(client, |event| matches!(event, ServerEvent::Who { .. })) {
        ServerEvent::Who { names, .. } => names.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// Parses an event.
pub fn parse(text: &str) -> ServerEvent<'static> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The key of the stream of `/chat`.
pub const LOG_KEY: &str = "threadchat:{/chat}:log";

/// The key of its newest snapshot.
pub const SNAPSHOT_KEY: &str = "threadchat:{/chat}:snapshot";
