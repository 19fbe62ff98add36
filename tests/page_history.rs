//! The chat page shows the messages from before it was opened, and after a lost connection those that it missed, in a real
//! browser.

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::browser::{Page, cut};
use support::{Browser, Client, Line, ServerProcess, TestServer, config};
use threadchat::Config;

fn with_history() -> Config {
    Config {
        history: 1000,
        ..config()
    }
}

/// The texts of the log in their order: `day`, or the text of the entry.
const ENTRIES: &str = "[...document.querySelectorAll('#log > p')].map(p => \
    p.matches('.day') ? 'day' : p.querySelector('.text').textContent)";

fn entries(page: &mut Page) -> Vec<String> {
    let entries = page.value(ENTRIES);
    let entries = entries.as_array().expect("an array");
    let text = |entry: &Value| entry.as_str().expect("a text").to_owned();
    entries.iter().map(text).collect()
}

/// Waits until the page has said this many times that it connected or reconnected.
fn wait_for_greetings(page: &mut Page, number: usize) {
    page.wait_until(&format!(
        "[...document.querySelectorAll('#log .notice')]\
         .filter(p => /^(Connected|Reconnected) as /.test(p.textContent)).length === {number}"
    ));
}

fn wait_for_field(page: &mut Page, text: &str) {
    page.wait_until(&format!(
        "document.getElementById('text').value === {}",
        json!(text)
    ));
}

fn reconnect(page: &mut Page) {
    page.value("document.getElementById('reconnect').click()");
    page.wait_until("document.body.dataset.status === 'connected'");
}

/// From now on, the page ignores what it receives.
const DEAFEN: &str =
    "{ window.parseJson = JSON.parse; JSON.parse = () => { throw new Error('deaf') } }";

#[test]
fn a_new_page_shows_the_history_with_its_times_and_days() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(with_history());
    let mut bob = Client::connect(server.address, "/chat?name=bob");
    bob.recv_text();
    let mut page = browser.chat(server.address);
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    page.enter("text", "my own");
    page.wait_for_entry("message.own", "my own");
    for text in ["hello", "/me waves at alice", "/w alice not kept"] {
        bob.send_text(text);
        bob.recv_text();
    }
    page.wait_for_entry("whisper", "not kept");
    let times = "[...document.querySelectorAll('#log :not(.whisper) > time')].map(time => time.dateTime).join()";
    let before = page.value(times);
    assert_eq!(
        before.as_str().map(|times| times.split(',').count()),
        Some(3)
    );

    page.call("Page.reload", json!({}));
    page.wait_for_entry("notice", "Connected as alice. 2 users here.");
    assert_eq!(
        entries(&mut page),
        [
            "my own",
            "hello",
            "waves at alice",
            "Connected as alice. 2 users here."
        ]
    );
    assert_eq!(page.value(times), before);
    page.wait_for_entry("message.own", "You my own");
    page.wait_for_entry("action.mention", "bob waves at alice");

    // Of the last days. The server's clock is not that of the browser.
    let mut page = browser.open_url("about:blank");
    page.call("Page.enable", json!({}));
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({ "source": "{ const parse = JSON.parse; JSON.parse = text => { \
                const event = parse(text); \
                if (event.id) event.time = new Date(2020, 1, 27 + Math.min(event.id, 2), 23, 59).getTime(); \
                return event } }\
                window.shown = 0; window.Notification = class { static permission = 'granted'; \
                constructor() { shown += 1 } }; localStorage.setItem('notify', 'on'); \
                Object.defineProperty(document, 'hidden', { get: () => true }); \
                window.announced = []; new MutationObserver(records => { \
                for (const node of records.flatMap(record => [...record.addedNodes])) \
                if (node.matches?.('#log[aria-live=polite] > .message')) announced.push(node.innerText) \
                }).observe(document, { childList: true, subtree: true })" }),
    );
    page.call(
        "Page.navigate",
        json!({ "url": format!("http://{}/", server.address) }),
    );
    page.wait_for_entry("notice", "Connected as user3. 3 users here.");
    bob.send_text("live");
    page.wait_for_entry("message", "live");
    assert_eq!(
        entries(&mut page),
        [
            "day",
            "my own",
            "day",
            "hello",
            "waves at alice",
            "Connected as user3. 3 users here.",
            "live"
        ]
    );
    // Each is one text, which is in no other element or attribute.
    page.wait_until(
        "[...document.querySelectorAll('.day')].every(day => day.attributes.length === 1 && \
         !day.ariaHidden && day.childElementCount === 1 && day.textContent.includes('2020'))",
    );
    // What is older than the page is not new, and nobody is notified of it.
    assert_eq!(page.value("document.title"), "(1) threadchat");
    assert_eq!(page.value("shown"), 0);
    assert_eq!(page.value("announced.length"), 1);
}

#[test]
fn a_cut_line_loses_and_doubles_nothing_under_load() {
    const TALKERS: usize = 2;
    const MESSAGES: usize = 200;
    let Some(mut browser) = Browser::start() else {
        return;
    };
    // The rate spreads the messages over some seconds, with a burst before.
    let server = TestServer::with_config(Config {
        rate_limit: Some(40),
        ..with_history()
    });
    let address = server.address;
    let line = Line::start(address);
    let mut page = browser.chat(line.address);
    let mut witness = server.client();
    let talkers: Vec<_> = (0..TALKERS)
        .map(|talker| {
            let mut client = Client::connect(address, &format!("/chat?name=talker{talker}"));
            thread::spawn(move || {
                client.recv_text();
                for number in 0..MESSAGES {
                    let text = format!("number {number} of {talker}.");
                    client.send_text(&text);
                    client.recv_until(|line| line.ends_with(&text));
                }
            })
        })
        .collect();
    for (round, number) in [20, 60, 100, 140].into_iter().enumerate() {
        page.wait_for_entry("message", &format!("number {number} of 1."));
        cut(&mut page, &line);
        reconnect(&mut page);
        wait_for_greetings(&mut page, round + 2);
    }
    for (number, talker) in talkers.into_iter().enumerate() {
        talker.join().expect("no talker panics");
        page.wait_for_entry("message", &format!("number {} of {number}.", MESSAGES - 1));
    }
    let sent: Vec<String> = (0..TALKERS * MESSAGES)
        .map(|_| {
            let line = witness.recv_text();
            let (_, text) = line.split_once(": ").expect("a message");
            text.to_owned()
        })
        .collect();
    let mut shown = entries(&mut page);
    assert!(!shown.iter().any(|text| text.contains("may be missing")));
    shown.retain(|text| text.starts_with("number "));
    assert_eq!(shown, sent);
}

#[test]
fn unconfirmed_messages_that_arrived_are_confirmed_and_others_come_back() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(with_history());
    let line = Line::start(server.address);
    let mut page = browser.chat(line.address);
    let mut bob = server.client();
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    bob.recv_text();

    page.value(DEAFEN);
    // The server changes the blanks of the first one.
    page.enter("text", "it      arrived\nand so did this");
    page.enter("text", "/me waves");
    for text in [
        "[alice]: it   arrived",
        "[alice]: and so did this",
        "[alice] waves",
    ] {
        assert_eq!(bob.recv_text(), text);
    }
    page.value("window.send = WebSocket.prototype.send; WebSocket.prototype.send = () => {}");
    page.enter("text", "lost");
    page.enter("text", "also lost, and longer");
    page.wait_for_entry("message.pending", "also lost");
    cut(&mut page, &line);
    // Nobody knows yet what has arrived.
    page.wait_until("document.querySelectorAll('#log .pending').length === 5");
    // Another user has the name for a while.
    bob.send_text("meanwhile");
    bob.recv_text();
    support::eventually("the name is free", || {
        bob.send_text("/nick alice");
        bob.recv_text().ends_with("is now alice.")
    });
    for text in ["not hers", "/nick bob"] {
        bob.send_text(text);
        bob.recv_text();
    }
    page.value("JSON.parse = parseJson; WebSocket.prototype.send = send");
    reconnect(&mut page);
    wait_for_greetings(&mut page, 2);
    wait_for_field(&mut page, "also lost, and longer");
    page.wait_until(
        "document.getElementById('text-error').textContent.startsWith('The connection was lost')",
    );
    page.wait_for_entry("message.failed", "Not confirmed You lost");
    page.wait_until("document.querySelector('.pending') === null");
    page.wait_for_entry("message.own", "You it   arrived");
    page.wait_for_entry("message.own", "You and so did this");
    page.wait_for_entry("action.own", "alice waves");
    page.wait_for_entry("message:not(.own)", "alice not hers");
    let shown = entries(&mut page);
    let from = shown.iter().position(|text| text == "Connection lost.");
    let shown = &shown[from.expect("the page says so") + 1..];
    assert_eq!(
        shown[..5],
        [
            "it   arrived",
            "and so did this",
            "waves",
            "meanwhile",
            "not hers"
        ]
    );
    assert!(shown[5].starts_with("Reconnected as alice."), "{shown:?}");
    assert_eq!(shown[6..], ["lost"]);
}

/// Starts the server at this address.
fn start_at(address: SocketAddr) -> ServerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadchat"));
    command.args(["--history", "100", "--listen", &address.to_string()]);
    ServerProcess::spawn(command)
}

#[test]
fn a_server_that_was_killed_is_a_gap() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut server = start_at(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = server.address;
    let mut page = browser.chat(address);
    page.enter("text", "of the first server");
    page.wait_for_entry("message.own:not(.pending)", "of the first server");
    page.value(DEAFEN);
    page.enter("text", "lost with the server");
    page.wait_for_entry("message.pending", "lost with the server");
    server.signal(Signal::KILL);
    server.wait();
    page.wait_until("document.body.dataset.status === 'disconnected'");
    page.value("JSON.parse = parseJson");

    let _server = start_at(address);
    let mut bob = Client::join(address);
    for text in ["one", "two", "three"] {
        bob.send_text(text);
        bob.recv_text();
    }
    wait_for_greetings(&mut page, 2);
    wait_for_field(&mut page, "lost with the server");
    bob.send_text("live");
    page.wait_for_entry("message", "live");
    let shown = entries(&mut page);
    let from = shown.iter().position(|text| text == "Connection lost.");
    // The page can have connected before.
    let rest: Vec<&str> = shown[from.expect("the page says so") + 1..]
        .iter()
        .map(String::as_str)
        .filter(|text| !text.starts_with("Reconnected") && !text.ends_with(" joined."))
        .collect();
    assert_eq!(
        rest,
        [
            "Messages sent meanwhile may be missing.",
            "one",
            "two",
            "three",
            "live"
        ]
    );
}

#[test]
fn arrivals_are_told_apart_from_missed_messages() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(with_history());
    let line = Line::start(server.address);
    let mut page = browser.chat(line.address);
    let connect = |name: &str| {
        let mut client = Client::connect(server.address, &format!("/chat?name={name}"));
        client.recv_text();
        client
    };
    let mut bob = connect("bob");
    page.wait_for_entry("notice", "bob joined.");
    cut(&mut page, &line);
    // While the page is away.
    let carol = connect("carol");
    bob.send_text("missed");
    carol.close();
    bob.recv_text();
    reconnect(&mut page);
    let _dave = connect("dave");
    page.wait_for_entry("notice", "dave joined.");
    let shown = entries(&mut page);
    assert_eq!(shown[1..4], ["bob joined.", "Connection lost.", "missed"]);
    assert!(shown[4].starts_with("Reconnected as user"), "{shown:?}");
    assert_eq!(shown[5..], ["dave joined."]);
    // Only users who are here are listed and completed.
    page.wait_until("document.querySelectorAll('#names li').length === 3");
    bob.close();
    page.wait_for_entry("notice", "dave joined. bob left.");
}

#[test]
fn without_a_history_a_gap_is_reported() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let line = Line::start(server.address);
    let mut page = browser.chat(line.address);
    wait_for_greetings(&mut page, 1);
    // Nothing was said, so nothing is missing.
    cut(&mut page, &line);
    reconnect(&mut page);
    wait_for_greetings(&mut page, 2);
    cut(&mut page, &line);
    let mut bob = server.client();
    bob.send_text("missed");
    bob.recv_text();
    reconnect(&mut page);
    wait_for_greetings(&mut page, 3);
    let notices = entries(&mut page);
    let gaps: Vec<usize> = (0..notices.len())
        .filter(|at| notices[*at] == "Messages sent meanwhile may be missing.")
        .collect();
    assert_eq!(gaps, [notices.len() - 2], "{notices:?}");
}
