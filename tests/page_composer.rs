//! The message field of the chat page, in a real browser.

mod support;

use serde_json::json;
use support::browser::Page;
use support::{Client, TestServer, chat_page, config};
use threadchat::Config;

/// Appends a line break to the text of the message field, as Shift+Enter does.
fn press_shift_enter(page: &mut Page) {
    for kind in ["keyDown", "keyUp"] {
        page.call(
            "Input.dispatchKeyEvent",
            json!({ "type": kind, "key": "Enter", "code": "Enter", "text": "\r", "modifiers": 8,
                    "windowsVirtualKeyCode": 13 }),
        );
    }
}

fn type_text(page: &mut Page, text: &str) {
    page.call("Input.insertText", json!({ "text": text }));
}

fn wait_for_text(page: &mut Page, text: &str) {
    page.wait_until(&format!(
        "document.getElementById('text').value === {}",
        json!(text)
    ));
}

#[test]
fn shift_enter_starts_a_line_and_each_line_is_a_message() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut client = server.client();
    let height = "document.getElementById('text').offsetHeight";
    let one_line = page.value(height).as_f64().expect("a number");
    page.value("document.getElementById('text').focus()");
    type_text(&mut page, "one");
    press_shift_enter(&mut page);
    type_text(&mut page, "/nick two");
    press_shift_enter(&mut page);
    press_shift_enter(&mut page);
    type_text(&mut page, "three");
    wait_for_text(&mut page, "one\n/nick two\n\nthree");
    // The field grows with its lines, to a limit, and no line is hidden before.
    page.wait_until(&format!("{height} > {one_line} + 50"));
    page.wait_until(
        "(field => field.scrollHeight <= field.clientHeight)(document.getElementById('text'))",
    );
    page.press("Enter", 13, "\r");
    for line in ["one", "/nick two", "three"] {
        assert_eq!(client.recv_text(), format!("[user0]: {line}"));
    }
    page.wait_until(&format!("{height} === {one_line}"));
    page.enter("text", &"line\n".repeat(40));
    page.wait_until(&format!("{height} === {one_line}"));
    type_text(&mut page, &"line\n".repeat(40));
    page.wait_until(&format!("{height} < innerHeight / 2"));
    page.enter("text", "");

    // All lines go to whom the first one goes to.
    client.recv_until(|line| line == "[user0]: line");
    page.enter("text", "/w user1 psst\n/me too");
    client.recv_until(|line| line == "[user0 whispers]: psst");
    assert_eq!(client.recv_text(), "[user0 whispers]: /me too");
    page.enter("text", "/me waves\nand nods");
    assert_eq!(client.recv_text(), "[user0] waves");
    assert_eq!(client.recv_text(), "[user0] and nods");

    // What cannot be sent so stays in the field.
    for (draft, error) in [
        ("/who\nhello", "Only messages, /me and /whisper"),
        (&*"x\n".repeat(51), "At most 50"),
        ("/w user1\nhello", "That needs a text"),
    ] {
        page.enter("text", draft);
        page.wait_until(&format!(
            "document.getElementById('text-error').textContent.includes({error:?})"
        ));
        wait_for_text(&mut page, draft);
    }
    page.enter("text", "//end");
    assert_eq!(client.recv_text(), "[user0]: /end");
}

#[test]
fn refused_lines_come_back_together() {
    let Some((_browser, _server, mut page)) = chat_page() else {
        return;
    };
    page.enter("text", "/w nobody one\n/two");
    wait_for_text(&mut page, "/w nobody one\n/two");
    page.wait_until("document.getElementById('text-error').textContent.startsWith('Nobody here')");
    // A refused text does not replace what the user has typed since. It stays in the log.
    page.value(
        "{ window.send = WebSocket.prototype.send; window.held = []; \
         WebSocket.prototype.send = function (json) { held.push(() => send.call(this, json)) } }",
    );
    page.enter("text", "/w nobody three");
    page.value("document.getElementById('text').select()");
    type_text(&mut page, "something else");
    page.value("held.splice(0).forEach(send => send())");
    page.wait_for_entry("whisper.failed", "Not sent You whisper to nobody three");
    wait_for_text(&mut page, "something else");
}

#[test]
fn an_unconfirmed_message_looks_so() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut client = server.client();
    page.value(
        "{ window.send = WebSocket.prototype.send; window.held = []; \
         WebSocket.prototype.send = function (json) { held.push(() => send.call(this, json)) } }",
    );
    page.enter("text", "slow");
    page.wait_for_entry("message.own.pending", "Sending You slow");
    client.send_text("quick");
    page.wait_for_entry("message", "quick");
    let messages = "[...document.querySelectorAll('#log .message')].map(message => \
                    message.querySelector('.text').textContent + message.matches('.pending')).join()";
    // Messages of others come before it, as the server will order them.
    page.wait_until(&format!("{messages} === 'quickfalse,slowtrue'"));
    let colour = "(text => [getComputedStyle(text).color, getComputedStyle(text).borderTopStyle].join())\
                  ([...document.querySelectorAll('#log .text')].at(-1))";
    let pending = page.value(colour);
    page.value("held.splice(0).forEach(send => send())");
    page.wait_until(&format!("{messages} === 'quickfalse,slowfalse'"));
    assert_ne!(page.value(colour), pending);

    // Of several messages that were lost with the connection, one is put back, and the others say so.
    page.enter("text", "a long one\nof two lines");
    page.enter("text", "short");
    page.enter("text", "/me nods");
    page.wait_for_entry("action.pending", "user0 nods");
    let listen = vec![server.address.into()];
    server.shutdown().expect("the server stops");
    let _server = TestServer::with_config(Config { listen, ..config() });
    wait_for_text(&mut page, "a long one\nof two lines");
    page.wait_for_entry("message.failed", "Not confirmed You short");
    page.wait_for_entry("action.failed", "Not confirmed user0 nods");
    page.wait_until("document.querySelector('.pending') === null");
}

#[test]
fn tab_completes_names() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let _clients = ["Alice", "albert", "bob"]
        .map(|name| Client::connect(server.address, &format!("/chat?name={name}")));
    page.wait_until("document.querySelectorAll('#names li').length === 4");
    page.value("document.getElementById('text').focus()");
    let completes = |page: &mut Page, typed: &str, completed: &[&str]| {
        page.value("document.getElementById('text').select()");
        type_text(page, typed);
        for text in completed {
            page.press("Tab", 9, "");
            wait_for_text(page, text);
            page.wait_until("document.activeElement.id === 'text'");
        }
        // When there is no other name, Tab moves the focus, as everywhere.
        page.press("Tab", 9, "");
        page.wait_until("document.activeElement.id !== 'text'");
        page.value("document.getElementById('text').focus()");
    };
    completes(&mut page, "hi @b", &["hi @bob "]);
    completes(&mut page, "@AL", &["@albert ", "@Alice "]);
    completes(
        &mut page,
        "/whisper ",
        &["/whisper albert ", "/whisper Alice ", "/whisper bob "],
    );
    completes(&mut page, "/W bo", &["/W bob "]);
    for typed in ["", "bob", "mail@b", "@x", "/me @b, /w "] {
        completes(&mut page, typed, &[]);
    }
    // A name in the middle of a text.
    page.value("document.getElementById('text').select()");
    type_text(&mut page, "hello @b, hello");
    page.value("document.getElementById('text').setSelectionRange(8, 8)");
    page.press("Tab", 9, "");
    wait_for_text(&mut page, "hello @bob , hello");
    assert_eq!(
        page.value("document.getElementById('text').selectionStart"),
        11
    );
}

#[test]
fn selecting_a_name_keeps_the_draft() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let _clients =
        ["alice", "bob"].map(|name| Client::connect(server.address, &format!("/chat?name={name}")));
    page.wait_until("document.querySelectorAll('#names li').length === 3");
    let selects = |page: &mut Page, name: &str, expected: &str| {
        page.value(&format!(
            "[...document.querySelectorAll('#names button')]\
             .find(button => button.textContent === {name:?}).click()"
        ));
        wait_for_text(page, expected);
        type_text(page, "x");
    };
    selects(&mut page, "bob", "/whisper bob ");
    // The caret is at the end.
    selects(&mut page, "alice", "/whisper alice x");
    for (draft, expected) in [
        ("a long\ntext", "/whisper bob a long\ntext"),
        ("/w alice a long\ntext", "/whisper bob a long\ntext"),
        ("/Whisper  alice", "/whisper bob "),
        ("/w alice\ntext", "/whisper bob \ntext"),
        ("/wave text", "/whisper bob /wave text"),
    ] {
        page.value("document.getElementById('text').select()");
        type_text(&mut page, draft);
        selects(&mut page, "bob", expected);
    }
}

#[test]
fn arrow_up_brings_back_what_was_typed() {
    let Some((_browser, _server, mut page)) = chat_page() else {
        return;
    };
    page.enter("text", "first");
    page.enter("text", "second\nline");
    page.enter("text", "/w nobody hi");
    page.wait_until("document.getElementById('text-error').textContent !== ''");
    page.value("document.getElementById('text').select()");
    page.press("Backspace", 8, "");
    wait_for_text(&mut page, "");
    let press = |page: &mut Page, key: &str, text: &str| {
        page.press(key, if key == "ArrowUp" { 38 } else { 40 }, "");
        wait_for_text(page, text);
    };
    press(&mut page, "ArrowUp", "/w nobody hi");
    press(&mut page, "ArrowUp", "second\nline");
    // The caret is in the second line, and moves to the first one.
    press(&mut page, "ArrowUp", "second\nline");
    press(&mut page, "ArrowUp", "first");
    press(&mut page, "ArrowUp", "first");
    press(&mut page, "ArrowDown", "second\nline");
    press(&mut page, "ArrowDown", "/w nobody hi");
    press(&mut page, "ArrowDown", "");
    // A draft is never replaced.
    type_text(&mut page, "draft");
    press(&mut page, "ArrowUp", "draft");
    press(&mut page, "ArrowDown", "draft");
    page.press("Enter", 13, "\r");
    page.wait_for_entry("message.own", "draft");
    press(&mut page, "ArrowUp", "draft");
}
