//! The chat page, in a real browser.

mod support;

use serde_json::json;
use support::{Browser, Client, RawClient, TestServer, config, eventually, watchdog};
use threadchat::Config;

/// What the page is made of, with the media types.
const FILES: [(&str, &str); 6] = [
    ("/", "text/html"),
    ("/chat.css", "text/css"),
    ("/chat.js", "text/javascript"),
    ("/commands.js", "text/javascript"),
    ("/log.js", "text/javascript"),
    ("/people.js", "text/javascript"),
];

/// The head and the body of an answer to a GET with these header lines.
fn get(host: &TestServer, path: &str, lines: &str) -> (String, String) {
    let mut raw = RawClient::connect(host.address);
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes());
    let head = raw.head();
    let body = raw.rest().expect("the body ends");
    (head, String::from_utf8(body).expect("the page is UTF-8"))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[test]
fn every_file_has_its_headers() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    for (path, media_type) in FILES {
        let (head, body) = get(&host, path, "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        let is = |name, value: &str| assert_eq!(header(&head, name), Some(value), "{path}");
        is("Content-Type", &format!("{media_type}; charset=utf-8"));
        is("Content-Length", &body.len().to_string());
        is("X-Content-Type-Config", "nosniff");
        is("Referrer-Policy", "no-referrer");
        is("Cache-Control", "no-cache");
        let policy = header(&head, "Content-Security-Policy").expect("there is a policy");
        for rule in [
            "default-src 'none';",
            "script-src 'self';",
            "connect-src 'self';",
            "base-uri 'none';",
            "form-action 'none';",
            "frame-ancestors 'none';",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
    }
    let (head, body) = get(&host, "/?from=a-link", "");
    assert!(head.starts_with("HTTP/1.1 200") && body.starts_with("<!doctype html>"));
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    for (path, _) in FILES {
        let (head, _) = get(&host, path, "");
        let tag = header(&head, "ETag").expect("there is a tag").to_owned();
        let (head, body) = get(&host, path, &format!("If-None-Match: \"x\", W/{tag}\r\n"));
        assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{head}");
        assert_eq!((header(&head, "ETag"), &*body), (Some(&*tag), ""));
        assert_eq!(header(&head, "Content-Length"), None);
        let (head, _) = get(&host, path, "If-None-Match: \"x\"\r\n");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
}

#[test]
fn two_pages_chat() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::start();
    let mut alice = browser.chat(host.address);
    let mut bob = browser.chat(host.address);
    alice.sees("notice", "user1 came.");

    alice.enter("name", "alice");
    bob.sees("notice", "user0 is now alice.");
    alice.until("document.getElementById('name').value === 'alice'");
    bob.enter("text", "/nick bob");
    alice.sees("notice", "user1 is now bob.");
    for page in [&mut alice, &mut bob] {
        page.until(
            "document.getElementById('names').innerText.match(/\\w+/g).join() === 'alice,bob'",
        );
    }

    alice.enter("text", "hello bob");
    bob.sees("message:not(.own)", "alice hello bob");
    alice.sees("message.own", "You hello bob");
    bob.enter("text", "/me waves");
    alice.sees("action", "bob waves");
    bob.enter("text", "//me is a command");
    alice.sees("message", "/me is a command");
    bob.enter("text", "/w ALICE psst");
    alice.sees("whisper:not(.own)", "bob whispers to you psst");
    bob.sees("whisper.own", "You whisper to alice psst");

    bob.value("document.querySelector('#names button').click()");
    bob.until("document.activeElement.value === '/whisper alice '");
    bob.enter("text", "/who");
    bob.sees("notice", "2 here: alice, bob.");
    bob.enter("text", "/help");
    bob.sees("notice", "/whisper NAME TEXT");

    bob.enter("text", "/quit");
    alice.sees("notice", "bob left.");
    bob.until("document.body.dataset.state === 'left'");
    bob.value("document.getElementById('again').click()");
    alice.sees("notice", "bob came.");
}

#[test]
fn a_hostile_message_stays_text() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::start();
    let mut page = browser.chat(host.address);
    let mut enemy = host.client();
    for (say, kind) in [
        ("", "message"),
        ("/me ", "action"),
        ("/w user0 ", "whisper"),
    ] {
        let text =
            format!("<img src=x onerror=\"document.title='{kind}'\"><script>alert(1)</script>");
        enemy.send_text(&format!("{say}{text}"));
        page.sees(kind, &text);
    }
    enemy.send_text("/w user0 \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} שלום");
    page.sees(
        "whisper",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} שלום",
    );
    assert_eq!(
        page.value("document.querySelectorAll('#log img, #log script').length"),
        0
    );
    assert_eq!(page.value("document.title"), "threadchat");
    // Nor could the page itself, should it ever try.
    page.until("(() => { try { document.body.innerHTML = '' } catch { return true } })()");
}

#[test]
fn a_refusal_is_shown_where_it_was_typed() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::start();
    let mut page = browser.chat(host.address);
    let said = |id: &str, what: &str| {
        format!("document.getElementById('{id}-refusal').textContent.includes({what:?})")
    };
    let value =
        |id: &str, what: &str| format!("document.getElementById('{id}').value === {what:?}");

    // By the page itself, by the server, and at the other field.
    page.enter("text", "/dance");
    page.until(&said("text", "There is no command /dance."));
    page.until(&value("text", "/dance"));
    page.enter("text", "/w nobody hi");
    page.until(&said("text", "Nobody here is called nobody."));
    page.until(&value("text", "/w nobody hi"));
    page.enter("name", "no spaces");
    page.until(&said("name", "a name is 1 to 32"));
    page.until(&value("name", "no spaces"));
    page.press("Escape", 27, "");
    page.until(&value("name", "user0"));

    page.enter("text", "hi");
    page.sees("message.own", "hi");
    page.until("document.getElementById('text-refusal').textContent === ''");
    assert_eq!(
        page.value("document.querySelectorAll('#log .notice').length"),
        1
    );
}

#[test]
fn a_message_over_the_limit_comes_back() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::with_config(Config {
        max_message: 1000,
        ..config()
    });
    let mut page = browser.chat(host.address);
    page.enter("name", "alice");
    page.sees("notice", "You are now alice.");
    page.enter("text", &"long ".repeat(300));
    page.until("document.getElementById('text-refusal').textContent.includes('longer than the server takes')");
    page.until("document.getElementById('text').value.length === 1500");
    page.sees("notice", "You are connected again as alice.");
    // It has learned.
    page.enter("text", &"longer ".repeat(300));
    page.until("document.getElementById('text').value.length === 2100");
    page.enter("text", "short");
    page.sees("message.own", "short");
    assert_eq!(page.value("document.body.dataset.state"), "connected");
}

#[test]
fn the_page_comes_back_when_the_server_does() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::start();
    let listen = host.address;
    let mut page = browser.chat(listen);
    page.enter("name", "alice");
    page.sees("notice", "You are now alice.");

    host.shutdown().expect("it stops");
    page.until("document.body.dataset.state === 'lost'");
    page.enter("text", "too early");
    page.until("document.getElementById('text-refusal').textContent.includes('Not connected')");
    page.until("document.getElementById('text').value === 'too early'");

    let host = TestServer::with_config(Config { listen, ..config() });
    page.sees("notice", "You are connected again as alice.");
    page.until("document.getElementById('text-refusal').textContent === ''");
    let mut client = host.client();
    page.enter("text", "back again");
    assert_eq!(client.recv_text(), "[alice]: back again");
    page.sees("message.own", "back again");
}

#[test]
fn a_name_that_a_dying_connection_has_is_had_again() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::start();
    let mut page = browser.chat(host.address);
    page.enter("name", "alice");
    page.sees("notice", "You are now alice.");
    let url = format!("http://{}/", host.address);
    page.call("Page.navigate", json!({ "url": url }));
    page.sees("notice", "You are connected as alice.");

    // Somebody has it while the page is away, as its old self has until the server misses it.
    page.call("Page.navigate", json!({ "url": "about:blank" }));
    let mut ghost = host.client();
    eventually("the name is free", || {
        ghost.send_text("/nick alice");
        ghost.recv_text().ends_with(" is now alice.")
    });
    page.call("Page.navigate", json!({ "url": url }));
    page.sees("notice", "You are connected as user");
    ghost.close();
    page.sees("notice", "You are now alice.");
}

#[test]
fn a_long_chat_stays_bounded() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::start();
    let mut page = browser.chat(host.address);
    let mut talker = host.client();
    let entries = "document.getElementById('log').childElementCount";
    for number in 0..5000 {
        talker.send_text(&format!("message {number}"));
        talker.recv_text();
    }
    page.sees("message", "message 4999");
    assert_eq!(page.value(entries), 500);
    let end = "(log => log.scrollHeight - log.clientHeight - log.scrollTop < 2)(document.getElementById('log'))";
    page.until(end);

    // The view stays where it was scrolled to, and tells what came.
    page.value("document.getElementById('log').scrollTop = 100");
    page.until("document.getElementById('log').scrollTop === 100");
    talker.send_text("below");
    page.until("document.getElementById('unseen').textContent.startsWith('1 new message')");
    assert_eq!(page.value(end), false);
    page.until(
        "(button => { const { x, y } = button.getBoundingClientRect(); \
         return document.elementFromPoint(x + 20, y + 20) === button })\
         (document.getElementById('unseen'))",
    );
    page.value("document.getElementById('unseen').click()");
    page.until(end);
    page.until("document.getElementById('unseen').hidden");

    // Few messages may be much text.
    for _ in 0..20 {
        talker.send_text(&"x".repeat(60_000));
        talker.recv_text();
    }
    talker.send_text("the last");
    page.sees("message", "the last");
    page.until("document.getElementById('log').textContent.length <= 500_000");
}

#[test]
fn a_crowd_is_named_as_far_as_the_server_names_it() {
    let _watchdog = watchdog(120);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let host = TestServer::start();
    let mut crowd: Vec<Client> = (0..120).map(|_| host.client()).collect();
    let mut page = browser.chat(host.address);
    let shows = |names: usize, more: usize| {
        format!(
            "document.querySelectorAll('#names li').length === {names} && \
             (more => more.hidden ? {more} === 0 : more.textContent === 'and {more} more')\
             (document.getElementById('more'))"
        )
    };
    page.until(&shows(100, 21));
    // The named leave first; those who were only counted take their place.
    crowd.drain(..50).for_each(Client::close);
    page.until(&shows(71, 0));
}
