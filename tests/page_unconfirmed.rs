//! What the chat page does with messages that the server has not confirmed, in a real browser.

mod support;

use serde_json::json;
use support::{Browser, Line, TestServer, config};
use threadchat::Config;

/// From now on, what the page sends waits in `held`.
const HOLD: &str = "{ window.send = WebSocket.prototype.send; window.held = []; \
    WebSocket.prototype.send = function (json) { held.push(() => send.call(this, json)) } }";

const FIELD: &str = "document.getElementById('text').value";

const PENDING: &str = "document.querySelectorAll('#log .pending').length";

#[test]
fn messages_that_arrived_before_a_close_are_confirmed() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(Config {
        history: 100,
        ..config()
    });
    let line = Line::start(server.address);
    let mut page = browser.chat(line.address);
    let mut bob = server.client();
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    bob.recv_text();
    // The page misses each of these messages once.
    page.value(
        "{ const parse = JSON.parse; const missed = new Set(); JSON.parse = text => { \
         const event = parse(text); \
         if (/^before /.test(event.text) && missed.size < missed.add(event.text).size) throw new Error('missed'); \
         return event } }",
    );
    // From a node that stops, and from one that has lost its place among the others.
    for code in [1001, 1013] {
        page.value(&format!(
            "delete Object.defineProperty(CloseEvent.prototype, 'code', {{ configurable: true, value: {code} }}).x"
        ));
        page.enter("text", &format!("before {code}"));
        bob.recv_until(|line| line == format!("[alice]: before {code}"));
        line.cut();
        page.wait_for_entry(
            "message.own:not(.pending, .failed)",
            &format!("You before {code}"),
        );
        page.wait_until(&format!("{PENDING} === 0"));
        assert_eq!(page.value(FIELD), "");
    }
}

#[test]
fn a_message_that_might_have_arrived_is_not_called_unsent() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let line = Line::start(server.address);
    let mut page = browser.chat(line.address);
    page.value(HOLD);
    page.enter("text", "unconfirmed");
    page.call("Input.insertText", json!({ "text": "something else" }));
    page.wait_until(&format!("{FIELD} === 'something else'"));
    page.value("WebSocket.prototype.send = send");
    line.cut();
    page.wait_for_entry("message.failed", "Not confirmed You unconfirmed");
    assert_eq!(page.value(FIELD), "something else");
}
