//! The chat page, in a real browser.

mod support;

use serde_json::json;
use support::{Browser, Client, RawClient, TestServer, chat_page, config, eventually, watchdog};
use threadchat::Config;

/// The files of the page and their media types.
const FILES: [(&str, &str); 21] = [
    ("/", "text/html"),
    ("/chat.css", "text/css"),
    ("/messages.css", "text/css"),
    ("/room.css", "text/css"),
    ("/chat.js", "text/javascript"),
    ("/commands.js", "text/javascript"),
    ("/composer.js", "text/javascript"),
    ("/connection.js", "text/javascript"),
    ("/field.js", "text/javascript"),
    ("/links.js", "text/javascript"),
    ("/log_entry.js", "text/javascript"),
    ("/message_log.js", "text/javascript"),
    ("/names.js", "text/javascript"),
    ("/notifier.js", "text/javascript"),
    ("/place.js", "text/javascript"),
    ("/presence.js", "text/javascript"),
    ("/room.js", "text/javascript"),
    ("/secret.js", "text/javascript"),
    ("/storage.js", "text/javascript"),
    ("/unconfirmed.js", "text/javascript"),
    ("/user_list.js", "text/javascript"),
];

/// Sends a GET with these header lines. Returns the head and the body of the response.
fn get(server: &TestServer, path: &str, lines: &str) -> (String, String) {
    let mut raw = RawClient::connect(server.address);
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes());
    let head = raw.head();
    let body = raw.rest().expect("the body ends");
    (head, String::from_utf8(body).expect("the file is UTF-8"))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[test]
fn every_file_has_its_media_type_and_security_headers() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    for (path, media_type) in FILES {
        let (head, body) = get(&server, path, "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        let check = |name, value: &str| assert_eq!(header(&head, name), Some(value), "{path}");
        check("Content-Type", &format!("{media_type}; charset=utf-8"));
        check("Content-Length", &body.len().to_string());
        check("X-Content-Type-Options", "nosniff");
        check("Referrer-Policy", "no-referrer");
        check("Cache-Control", "no-cache");
        let policy = header(&head, "Content-Security-Policy").expect("the policy header is set");
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
    let (head, body) = get(&server, "/?from=a-link", "");
    assert!(head.starts_with("HTTP/1.1 200") && body.starts_with("<!doctype html>"));
}

#[test]
fn cached_file_gets_304_without_a_body() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    for (path, _) in FILES {
        let (head, _) = get(&server, path, "");
        let tag = header(&head, "ETag")
            .expect("the ETag header is set")
            .to_owned();
        let (head, body) = get(&server, path, &format!("If-None-Match: \"x\", W/{tag}\r\n"));
        assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{head}");
        assert_eq!((header(&head, "ETag"), &*body), (Some(&*tag), ""));
        assert_eq!(header(&head, "Content-Length"), None);
        let (head, _) = get(&server, path, "If-None-Match: \"x\"\r\n");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
}

#[test]
fn pages_exchange_messages_commands_and_whispers() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let mut alice = browser.chat(server.address);
    let mut bob = browser.chat(server.address);
    alice.wait_for_entry("notice", "user1 joined.");

    alice.enter("name", "alice");
    bob.wait_for_entry("notice", "user0 is now alice.");
    alice.wait_until("document.getElementById('name').value === 'alice'");
    bob.enter("text", "/nick bob");
    alice.wait_for_entry("notice", "user1 is now bob.");
    for page in [&mut alice, &mut bob] {
        page.wait_until(
            "document.getElementById('names').innerText.match(/\\w+/g).join() === 'alice,bob'",
        );
    }

    alice.enter("text", "hello bob");
    bob.wait_for_entry("message:not(.own)", "alice mentions you hello bob");
    alice.wait_for_entry("message.own", "You hello bob");
    bob.enter("text", "/me waves");
    alice.wait_for_entry("action", "bob waves");
    bob.enter("text", "//me is a command");
    alice.wait_for_entry("message", "/me is a command");
    bob.enter("text", "/w ALICE psst");
    alice.wait_for_entry("whisper:not(.own)", "bob whispers to you psst");
    bob.wait_for_entry("whisper.own", "You whisper to alice psst");

    bob.value("document.querySelector('#names button').click()");
    bob.wait_until("document.activeElement.value === '/whisper alice '");
    bob.enter("text", "/who");
    bob.wait_for_entry("notice", "2 users here: alice, bob.");
    bob.enter("text", "/help");
    bob.wait_for_entry("notice", "/whisper NAME TEXT");

    bob.enter("text", "/quit");
    alice.wait_for_entry("notice", "bob left.");
    bob.wait_until("document.body.dataset.status === 'left'");
    bob.value("document.getElementById('reconnect').click()");
    alice.wait_for_entry("notice", "bob left and joined again.");
}

#[test]
fn hostile_messages_stay_text() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut attacker = server.client();
    for (command, class) in [
        ("", "message"),
        ("/me ", "action"),
        ("/w user0 ", "whisper"),
    ] {
        let text =
            format!("<img src=x onerror=\"document.title='{class}'\"><script>alert(1)</script>");
        attacker.send_text(&format!("{command}{text}"));
        page.wait_for_entry(class, &text);
    }
    attacker.send_text("/w user0 \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} שלום");
    page.wait_for_entry(
        "whisper",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} שלום",
    );
    assert_eq!(
        page.value("document.querySelectorAll('#log img, #log script').length"),
        0
    );
    assert_eq!(page.value("document.title"), "threadchat");
    // The content security policy rejects HTML from the page's own scripts too.
    page.wait_until("(() => { try { document.body.innerHTML = '' } catch { return true } })()");
}

#[test]
fn errors_are_shown_at_the_field_that_caused_them() {
    let Some((_browser, _server, mut page)) = chat_page() else {
        return;
    };
    let error = |id: &str, text: &str| {
        format!("document.getElementById('{id}-error').textContent.includes({text:?})")
    };
    let value =
        |id: &str, text: &str| format!("document.getElementById('{id}').value === {text:?}");

    // From the page itself, from the server, and at the other field.
    page.enter("text", "/me");
    page.wait_until(&error("text", "That needs what you do"));
    page.wait_until(&value("text", "/me"));
    page.enter("text", "/dance");
    page.wait_until(&error("text", "There is no command /dance."));
    page.wait_until(&value("text", "/dance"));
    page.enter("text", "/w nobody hi");
    page.wait_until(&error("text", "Nobody here is called nobody."));
    page.wait_until(&value("text", "/w nobody hi"));
    page.enter("name", "no spaces");
    page.wait_until(&error("name", "a name is 1 to 32"));
    page.wait_until(&value("name", "no spaces"));
    page.press("Escape", 27, "");
    page.wait_until(&value("name", "user0"));

    page.enter("text", "hi");
    page.wait_for_entry("message.own", "hi");
    page.wait_until("document.getElementById('text-error').textContent === ''");
    assert_eq!(
        page.value("document.querySelectorAll('#log .notice').length"),
        1
    );
}

#[test]
fn unknown_command_is_sent_to_the_server_as_typed() {
    let Some((_browser, _server, mut page)) = chat_page() else {
        return;
    };
    // The second line's word is a property of every JavaScript object.
    page.value(
        "{ const send = WebSocket.prototype.send; window.sent = []; \
         WebSocket.prototype.send = function (json) { sent.push(json); send.call(this, json) } }",
    );
    for line in ["/roll  2d6 ", "/constructor x"] {
        page.enter("text", line);
        let word = &line[..line.find(' ').expect("there is an argument")];
        page.wait_until(&format!(
            "document.getElementById('text-error').textContent === \
             'There is no command {word}. /help lists those there are.'"
        ));
        page.wait_until(&format!(
            "document.getElementById('text').value === {line:?}"
        ));
        let command = format!(r#"{{"type":"line","text":"{line}"}}"#);
        page.wait_until(&format!("sent.includes({command:?})"));
    }
    // Both lines have been answered, so the next answer belongs to the next command.
    page.enter("text", "/who");
    page.wait_for_entry("notice", "1 user here: user0.");
}

#[test]
fn message_over_the_limit_is_restored_to_the_field() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(Config {
        max_message: 1000,
        ..config()
    });
    let mut page = browser.chat(server.address);
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    page.enter("text", &"long ".repeat(300));
    page.wait_until("document.getElementById('text-error').textContent.includes('longer than the server accepts')");
    page.wait_until("document.getElementById('text').value.length === 1500");
    page.wait_for_entry("notice", "Reconnected as alice.");
    // The page knows the limit now and does not send the message.
    page.enter("text", &"longer ".repeat(300));
    page.wait_until("document.getElementById('text').value.length === 2100");
    page.enter("text", "short");
    page.wait_for_entry("message.own", "short");
    assert_eq!(page.value("document.body.dataset.status"), "connected");
}

#[test]
fn the_limit_counts_bytes() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(Config {
        max_message: 1000,
        ..config()
    });
    let mut page = browser.chat(server.address);
    page.enter("text", &"長".repeat(400));
    page.wait_for_entry("notice", "Reconnected as");
    // As many characters of one byte each are fewer bytes.
    let text = "x".repeat(600);
    page.enter("text", &text);
    page.wait_for_entry("message.own:not(.pending)", &text);
}

#[test]
fn page_reconnects_and_keeps_its_name() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let listen = server.address;
    let mut page = browser.chat(listen);
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");

    server.shutdown().expect("the server stops");
    page.wait_until("document.body.dataset.status === 'disconnected'");
    page.enter("text", "too early");
    page.wait_until("document.getElementById('text-error').textContent.includes('Not connected')");
    page.wait_until("document.getElementById('text').value === 'too early'");

    let listen = vec![listen.into()];
    let server = TestServer::with_config(Config { listen, ..config() });
    page.wait_for_entry("notice", "Reconnected as alice.");
    page.wait_until("document.getElementById('text-error').textContent === ''");
    let mut client = server.client();
    page.enter("text", "back again");
    assert_eq!(client.recv_text(), "[alice]: back again");
    page.wait_for_entry("message.own", "back again");
}

#[test]
fn page_retries_a_name_until_it_is_free() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    let url = format!("http://{}/", server.address);
    page.call("Page.navigate", json!({ "url": url }));
    page.wait_for_entry("notice", "Connected as alice.");

    // Another client takes the name, as the lost connection of the page would until a ping times out.
    page.call("Page.navigate", json!({ "url": "about:blank" }));
    let mut other = server.client();
    eventually("the name is free", || {
        other.send_text("/nick alice");
        other.recv_text().ends_with(" is now alice.")
    });
    page.call("Page.navigate", json!({ "url": url }));
    page.wait_for_entry("notice", "Connected as user");
    other.close();
    page.wait_for_entry("notice", "You are now alice.");
}

#[test]
fn message_log_is_bounded_and_keeps_its_scroll_position() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut sender = server.client();
    let entries = "document.querySelectorAll('#log > p').length";
    for number in 0..5000 {
        sender.send_text(&format!("message {number}"));
        sender.recv_text();
    }
    page.wait_for_entry("message", "message 4999");
    assert_eq!(page.value(entries), 500);
    let end = "(log => log.scrollHeight - log.clientHeight - log.scrollTop < 2)(document.getElementById('log'))";
    page.wait_until(end);

    // The scroll position does not change, and a button counts the new messages.
    page.value("document.getElementById('log').scrollTop = 100");
    page.wait_until("document.getElementById('log').scrollTop === 100");
    sender.send_text("below");
    page.wait_until("document.getElementById('unseen').textContent.startsWith('1 new message')");
    assert_eq!(page.value(end), false);
    page.wait_until(
        "(button => { const { x, y } = button.getBoundingClientRect(); \
         return document.elementFromPoint(x + 20, y + 20) === button })\
         (document.getElementById('unseen'))",
    );
    page.value("document.getElementById('unseen').click()");
    page.wait_until(end);
    page.wait_until("document.getElementById('unseen').hidden");

    // The bound on characters applies to few long messages.
    for _ in 0..20 {
        sender.send_text(&"x".repeat(60_000));
        sender.recv_text();
    }
    sender.send_text("the last");
    page.wait_for_entry("message", "the last");
    page.wait_until("document.getElementById('log').textContent.length <= 500_000");
}

#[test]
fn user_list_names_a_hundred_users_and_counts_the_rest() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let mut clients: Vec<Client> = (0..120).map(|_| server.client()).collect();
    let mut page = browser.chat(server.address);
    let shows = |names: usize, more: usize| {
        format!(
            "document.querySelectorAll('#names li').length === {names} && \
             (more => more.hidden ? {more} === 0 : more.textContent === 'and {more} more')\
             (document.getElementById('more'))"
        )
    };
    page.wait_until(&shows(100, 21));
    // When listed users leave, the list names users that it only counted before.
    clients.drain(..50).for_each(Client::close);
    page.wait_until(&shows(71, 0));
}
