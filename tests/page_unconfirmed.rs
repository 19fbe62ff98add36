//! What the chat page does with messages that the server has not confirmed, in a real browser.

mod support;

use serde_json::json;
use support::browser::Page;
use support::{Browser, Client, Line, RawClient, TestServer, chat_page, config};
use threadchat::Config;

/// From now on, what the page sends waits in `held`.
const HOLD: &str = "{ window.send = WebSocket.prototype.send; window.held = []; \
    WebSocket.prototype.send = function (json) { held.push(() => send.call(this, json)) } }";

const RELEASE: &str = "{ WebSocket.prototype.send = send; held.splice(0).forEach(send => send()) }";

const FIELD: &str = "document.getElementById('text').value";

const PENDING: &str = "document.querySelectorAll('#log .pending').length";

/// Whispers to `victim`, who does not read, until the server refuses. Returns the text of the error.
fn refuse_whisper(sender: &mut Client) -> String {
    loop {
        sender.send_text(&format!("/w victim {}", "x".repeat(60_000)));
        if let Some(error) = sender.recv_text().strip_prefix("* ") {
            return error.to_owned();
        }
    }
}

/// From now on, the page takes the message `late` for this error.
fn inject_error(page: &mut Page, error: &str) {
    let event = json!({ "type": "error", "text": error });
    page.value(&format!(
        "{{ const parse = JSON.parse; \
         JSON.parse = text => (event => event.text === 'late' ? {event} : event)(parse(text)) }}"
    ));
}

/// The node of a whisper's receiver can refuse it after the sender's node has confirmed it.
#[test]
fn a_late_refusal_of_a_whisper_answers_no_other_command() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let _victim = RawClient::upgraded(server.address, "/chat?name=victim");
    let mut client = server.client();
    let refusal = refuse_whisper(&mut client);
    inject_error(&mut page, &refusal);
    let refusals = format!(
        "[...document.querySelectorAll('#log .notice')].filter(e => e.textContent === {}).length",
        json!(refusal)
    );
    // Of a whisper that was the last command.
    client.send_text("late");
    page.wait_until(&format!("{refusals} === 1"));
    // Of a whisper that was followed by a message.
    page.value(HOLD);
    page.enter("text", "a message");
    page.wait_for_entry("message.pending", "a message");
    client.send_text("late");
    page.wait_until(&format!("{refusals} === 2 && {FIELD} === ''"));
    page.value(RELEASE);
    page.wait_for_entry("message.own:not(.pending)", "a message");

    // Of a whisper that was followed by another one, which the page takes for the refused one.
    page.value(HOLD);
    page.enter("text", "/w user2 psst");
    page.enter("text", "the next message");
    client.send_text("late");
    page.wait_until(&format!("{FIELD} === '/w user2 psst'"));
    page.value("held.shift()()");
    page.wait_for_entry("whisper.own:not(.pending)", "psst");
    assert_eq!(page.value(PENDING), 1);
    page.value(RELEASE);
    page.wait_for_entry("message.own:not(.pending)", "the next message");

    // A refusal in place of the copy, as from a server alone.
    let whisper = format!("/w victim {}", "x".repeat(60_000));
    page.enter("text", &whisper);
    page.wait_until("document.getElementById('text-error').textContent.startsWith('victim is')");
    assert_eq!(page.value(FIELD), whisper);
    assert_eq!(page.value(PENDING), 0);
}

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
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    // The page misses each of these messages once.
    page.value(
        "{ const parse = JSON.parse; window.missed = new Set(); JSON.parse = text => { \
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
        page.wait_until(&format!("missed.has('before {code}')"));
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
