//! The name of a user that was disconnected for being slow is reserved for its address.
#![cfg(target_os = "linux")]

mod support;

use support::{Client, RawClient, TestServer, watchdog};

#[test]
fn name_of_a_slow_user_is_reserved_for_its_address() {
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    let stalled = RawClient::upgraded(server.address, "/chat?name=alice");
    let mut sender = server.client();
    sender.flood_until_gone("alice");
    let mut other = Client::connect_from([127, 0, 0, 2], server.address, "/chat?name=alice");
    other.recv_text();
    let error = other.recv_text();
    assert!(
        error.starts_with("* ") && error.contains("taken"),
        "{error}"
    );
    let mut alice = Client::connect(server.address, "/chat?name=alice");
    alice.recv_text();
    alice.send_text("back");
    assert_eq!(alice.recv_text(), "[alice]: back");
    drop(stalled);
}
