//! The chat page in a real browser, when the server refuses its WebSocket.

mod support;

use support::{Browser, TestServer, config};
use threadchat::Config;

/// The state of a page that the server refuses.
const REFUSED: &str = "document.body.dataset.status === 'disconnected' && \
    document.getElementById('status').textContent === 'Refused. Retrying…'";

#[test]
fn page_reports_that_its_origin_is_not_allowed() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(Config {
        allow_origin: vec!["https://chat.example".to_owned()],
        ..config()
    });
    let mut page = browser.open(server.address);
    page.wait_for_entry("notice", "refuses this page (origin not allowed)");
    page.wait_until(REFUSED);
    // The connection can no longer be refused, because there is no server.
    server.shutdown().expect("the server stops");
    page.wait_until("document.getElementById('status').textContent === 'Reconnecting…'");
    assert_eq!(
        page.value("document.querySelectorAll('#log .notice').length"),
        1
    );
}

#[test]
fn page_reports_a_full_server_and_retries() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(Config {
        max_connections: 1,
        ..config()
    });
    let client = server.client();
    let mut page = browser.open(server.address);
    page.wait_for_entry("notice", "The server is full");
    page.wait_until(REFUSED);
    client.close();
    page.wait_until("document.body.dataset.status === 'connected'");
    page.wait_for_entry("notice", "Connected as user1.");
}

#[test]
fn page_reports_a_limit_of_its_address() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(Config {
        max_per_address: Some(1),
        ..config()
    });
    let client = server.client();
    let mut page = browser.open(server.address);
    page.wait_for_entry("notice", "has too many connections from your address");
    page.wait_until(REFUSED);
    client.close();
    page.wait_for_entry("notice", "Connected as user1.");
}
