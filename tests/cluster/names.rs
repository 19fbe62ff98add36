//! Users and their names on several nodes.

use std::collections::BTreeSet;
use std::thread;

use rustix::process::Signal;
use threadchat::protocol::ServerEvent;

use super::cluster::{enter, event_that, next_event, node, three_nodes, who};
use super::redis::RedisServer;
use super::support::{Client, RawClient, eventually, watchdog};

/// Returns the name in a greeting.
pub fn name(welcome: &ServerEvent<'_>) -> String {
    match welcome {
        ServerEvent::Welcome { name, .. } => name.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn simultaneous_joins_get_unique_names() {
    const CLIENTS: usize = 240;
    const WANTED: usize = 6;
    let _watchdog = watchdog(110);
    let Some((_redis, nodes)) = three_nodes() else {
        return;
    };
    let clients: Vec<_> = thread::scope(|scope| {
        let join = |number: usize| {
            let address = nodes[number % 3].address;
            let path = format!("/chat?name=wanted{}", number / 3 % WANTED);
            scope.spawn(move || enter(address, &path))
        };
        let threads: Vec<_> = (0..CLIENTS).map(join).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().expect("all enter"));
        joined.collect()
    });
    let names: BTreeSet<String> = clients.iter().map(|(_, welcome)| name(welcome)).collect();
    assert_eq!(names.len(), CLIENTS, "{names:?}");
    let counted: Vec<usize> = names
        .iter()
        .filter_map(|name| name.strip_prefix("user")?.parse().ok())
        .collect();
    assert_eq!(
        counted.len(),
        CLIENTS - WANTED,
        "each wanted name has one user"
    );
    assert!(
        counted.iter().all(|number| *number < CLIENTS),
        "{counted:?}"
    );
    let mut lists = nodes.each_ref().map(|node| enter(node.address, "/chat").0);
    eventually("all nodes list the same users", || {
        let lists = lists.each_mut().map(who);
        lists[0].len() == 100 && lists[0] == lists[1] && lists[1] == lists[2]
    });
}

#[test]
fn users_come_and_go_on_all_nodes() {
    let _watchdog = watchdog(60);
    let Some((_redis, [a, b, mut c])) = three_nodes() else {
        return;
    };
    let (mut ann, _) = enter(a.address, "/chat?name=ann");
    let (mut bob, welcome) = enter(b.address, "/chat?name=Ann");
    assert_eq!(name(&welcome), "user1");
    let refused = next_event(&mut bob);
    assert!(matches!(refused, ServerEvent::Error { .. }), "{refused:?}");
    bob.send_text(r#"{"type":"rename","name":"bob"}"#);
    let (mut cleo, welcome) = enter(c.address, "/chat");
    assert_eq!(name(&welcome), "user2");
    eventually("bob has his name", || {
        let mut lists = [&mut ann, &mut bob, &mut cleo].map(who);
        lists.iter_mut().for_each(|list| list.sort());
        lists.iter().all(|list| *list == ["ann", "bob", "user2"])
    });
    // Users of a node that is shut down leave with it.
    c.signal(Signal::TERM);
    let left = event_that(&mut ann, |event| matches!(event, ServerEvent::Left { .. }));
    assert_eq!(
        left,
        ServerEvent::Left {
            name: "user2".into(),
            users: 2
        }
    );
    assert_eq!(cleo.expect_close(), 1001);
    assert!(c.wait().success());
    bob.close();
    let left = event_that(&mut ann, |event| matches!(event, ServerEvent::Left { .. }));
    assert_eq!(
        left,
        ServerEvent::Left {
            name: "bob".into(),
            users: 1
        }
    );
}

#[test]
fn who_lists_users_in_the_order_of_their_joins() {
    let _watchdog = watchdog(60);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let (a, b) = (node(&redis, "a"), node(&redis, "b"));
    let mut clients = Vec::new();
    for (node, path) in [
        (&b, "/chat?name=first"),
        (&a, "/chat?name=second"),
        (&b, "/chat?name=third"),
        (&a, "/chat?name=fourth"),
    ] {
        clients.push(enter(node.address, path).0);
    }
    let expected = ["first", "second", "third", "fourth"];
    for client in &mut clients {
        eventually("the node has read the joins", || {
            who(client).len() == expected.len()
        });
        assert_eq!(who(client), expected);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_name_of_a_slow_user_is_reserved_on_all_nodes() {
    let _watchdog = watchdog(110);
    let Some((_redis, [a, b, c])) = three_nodes() else {
        return;
    };
    let stalled = RawClient::upgraded(a.address, "/chat?name=alice");
    let mut sender = Client::join(b.address);
    sender.flood_until_gone("alice");
    let mut other = Client::connect_from([127, 0, 0, 2], c.address, "/chat?name=alice");
    other.recv_text();
    let error = other.recv_text();
    assert!(error.contains("taken"), "{error}");
    let mut alice = Client::connect(b.address, "/chat?name=alice");
    alice.recv_text();
    alice.send_text("back");
    alice.recv_until(|line| line == "[alice]: back");
    drop(stalled);
}
