//! The messages that the chat page shows, in a real browser.

mod support;

use serde_json::json;
use support::browser::Page;
use support::{Client, chat_page};

#[test]
fn urls_are_links_that_open_apart_from_the_page() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut sender = server.client();
    for (text, links) in [
        ("see http://a.example/x.", "http://a.example/x"),
        (
            "(HTTPS://b.example/y_(z)?q=1&r#s), https://c.example!",
            "HTTPS://b.example/y_(z)?q=1&r#s https://c.example",
        ),
        ("https://d.example/<b>", "https://d.example/"),
        ("javascript:alert(1) data:text/html,x ftp://e.example", ""),
        ("xhttp://f.example http:// https://[ https://%", ""),
        ("https://שלום.example/א", "https://שלום.example/א"),
    ] {
        for (command, class) in [
            ("", "message"),
            ("/me ", "action"),
            ("/w user0 ", "whisper"),
        ] {
            sender.send_text(&format!("{command}{text}"));
            page.wait_until(&format!(
                "(text => text?.textContent === {} && \
                 [...text.querySelectorAll('a')].map(a => a.textContent).join(' ') === {})\
                 ([...document.querySelectorAll('#log .{class} .text')].at(-1))",
                json!(text),
                json!(links)
            ));
        }
    }
    sender.send_text("http://a.example/?x<script>");
    page.wait_for_entry("message", "<script>");
    assert_eq!(
        page.value(
            "(a => [a.href, a.rel, a.target])([...document.querySelectorAll('#log a')].at(-1))"
        ),
        json!([
            "http://a.example/?x",
            "noopener noreferrer nofollow",
            "_blank"
        ])
    );
    // Neither many links nor much punctuation after one takes long.
    sender.send_text(&"http://a.example ".repeat(3000));
    sender.send_text(&format!("http://b.example/{}", ").".repeat(30_000)));
    sender.send_text("the end");
    page.wait_for_entry("message", "the end");
    assert_eq!(
        page.value(
            "[...document.querySelectorAll('#log .message')].slice(-3)\
             .map(p => p.querySelectorAll('a').length)"
        ),
        json!([100, 1, 0])
    );
}

#[test]
fn a_crowd_that_comes_and_goes_is_one_notice() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut sender = server.client();
    sender.send_text("first");
    page.wait_for_entry("message", "first");
    let crowd: Vec<Client> = (0..12).map(|_| server.client()).collect();
    let notice = "[...document.querySelectorAll('#log .notice')].at(-1).textContent";
    page.wait_until(&format!(
        "{notice} === 'user2, user3, user4, user5, user6 and 7 more joined.'"
    ));
    crowd.into_iter().for_each(Client::close);
    page.wait_until(&format!(
        "{notice} === 'user2, user3, user4, user5, user6 and 7 more joined and left.'"
    ));
    let mut alice = Client::connect(server.address, "/chat?name=alice");
    page.wait_until(&format!(
        "{notice}.endsWith(' more joined and left.') && {notice}.startsWith('alice joined. user2, ')"
    ));
    // A message ends the notice, and the next one begins.
    alice.send_text("hello");
    page.wait_for_entry("message", "alice hello");
    alice.close();
    page.wait_until(&format!("{notice} === 'alice left.'"));
    // After a visit the notice is the same.
    page.value(
        "{ const parse = JSON.parse; window.left = 0; JSON.parse = text => { \
         const event = parse(text); left += event.type === 'left'; return event } }",
    );
    let mut alice = Client::connect(server.address, "/chat?name=alice");
    // A visit that ends at once is not announced.
    alice.recv_text();
    alice.close();
    page.wait_until("left === 1");
    wait_for_frame(&mut page);
    assert_eq!(page.value(notice), "alice left.");
    let _alice = Client::connect(server.address, "/chat?name=alice");
    page.wait_until(&format!("{notice} === 'alice left and joined again.'"));
    assert_eq!(
        page.value("document.querySelectorAll('#log p').length"),
        // Connected, user1, first, the crowd, hello, alice.
        6
    );
}

/// Waits until the page has shown what it has received, and has seen its new position.
fn wait_for_frame(page: &mut Page) {
    page.call(
        "Runtime.evaluate",
        json!({ "awaitPromise": true, "expression":
                "new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))" }),
    );
}

/// Makes the server's messages have this time, which a JavaScript expression gives.
fn set_time(page: &mut Page, time: &str) {
    page.value(&format!(
        "{{ window.parseJson ??= JSON.parse; \
           JSON.parse = text => ({{ ...parseJson(text), time: {time} }}) }}"
    ));
}

#[test]
fn messages_have_the_servers_time_and_days_are_marked() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut sender = server.client();
    let times = "[...document.querySelectorAll('#log time')].map(time => time.dateTime).join()";
    let entries = "[...document.querySelectorAll('#log p:not(.notice)')].map(p => \
                   p.matches('.day') ? p.textContent : p.querySelector('.text').textContent).join('|')";

    // Without a time, the message has the time at which it arrived.
    let before = page.value("Date.now()");
    sender.send_text("now");
    page.wait_for_entry("message", "now");
    page.wait_until(&format!(
        "(time => time >= Math.floor({before}) && time <= Date.now())(Date.parse({times}))"
    ));
    assert_eq!(page.value(entries), "now");
    page.value("document.querySelector('#log .message').remove()");

    set_time(&mut page, "new Date(2020, 1, 28, 23, 59).getTime()");
    sender.send_text("one");
    sender.send_text("/me two");
    page.wait_for_entry("action", "two");
    set_time(&mut page, "new Date(2020, 1, 29, 0, 0).getTime()");
    sender.send_text("three");
    page.wait_for_entry("message", "three");
    set_time(&mut page, "new Date(2020, 1, 29, 23, 59).getTime()");
    sender.send_text("four");
    page.wait_for_entry("message", "four");
    assert_eq!(
        page.value(&entries.replace("p.textContent", "p.textContent.match(/[0-9]+/g).sort()[0]")),
        "2020|one|two|2020|three|four"
    );
    assert_eq!(
        page.value(&format!(
            "{times} === [[28, 23, 59], [28, 23, 59], [29, 0, 0], [29, 23, 59]]\
             .map(([d, h, m]) => new Date(2020, 1, d, h, m).toISOString()).join()"
        )),
        true
    );
    // The time comes before the text, and messages of different minutes are not grouped.
    page.wait_until(
        "[...document.querySelectorAll('#log time')].every(time => \
         time.compareDocumentPosition(time.parentNode.querySelector('.text')) & 4)",
    );
    assert_eq!(
        page.value("document.querySelectorAll('.grouped').length"),
        0
    );
}

#[test]
fn text_that_is_read_stays_in_its_place() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut sender = server.client();
    let mut send = |page: &mut Page, first: usize, last: usize| {
        for number in first..=last {
            let words = "word ".repeat(number % 50);
            sender.send_text(&format!("message {number}, {words}"));
            sender.recv_text();
        }
        page.wait_for_entry("message", &format!("message {last},"));
    };
    send(&mut page, 1, 600);
    let entries = "document.querySelectorAll('#log p').length";
    assert_eq!(page.value(entries), 500);

    let position = |number: usize| {
        format!(
            "(text => text && Math.round(text.getBoundingClientRect().top - \
             document.getElementById('log').getBoundingClientRect().top))\
             ([...document.querySelectorAll('#log .text')].find(text => text.textContent.startsWith('message {number},')))"
        )
    };
    let first_visible = "(log => [...log.querySelectorAll('.text')].find(text => \
         text.getBoundingClientRect().bottom > log.getBoundingClientRect().top)\
         .textContent.match(/[0-9]+/)[0])(document.getElementById('log'))";
    let read = |page: &mut Page, scroll_top: usize| {
        page.value(&format!(
            "document.getElementById('log').scrollTop = {scroll_top}"
        ));
        // The page has seen the new position when it has hidden or shown the button, a frame later.
        wait_for_frame(page);
        let number = page.value(first_visible);
        let number = number.as_str().and_then(|number| number.parse().ok());
        number.expect("a message is visible")
    };

    // Near the oldest message: more messages are kept, so that it is not removed.
    let number = read(&mut page, 200);
    let top = page.value(&position(number));
    send(&mut page, 601, 900);
    assert_eq!(page.value(&position(number)), top);
    // In the middle of more than the page keeps: older messages are removed above the text.
    let number = read(&mut page, 20_000);
    let top = page.value(&position(number));
    assert!(number > 250, "{number}");
    send(&mut page, 901, 1200);
    assert_eq!(page.value(entries), 1000);
    assert_eq!(page.value(&position(number)), top);
    // On a narrower screen the texts above have more lines.
    let height = page.value("document.getElementById('log').scrollHeight");
    page.call(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": 400, "height": 600, "deviceScaleFactor": 1, "mobile": false }),
    );
    page.wait_until(&format!(
        "document.getElementById('log').scrollHeight > {height}"
    ));
    page.wait_until(&format!("Math.abs({} - {top}) <= 1", position(number)));

    page.value("document.getElementById('unseen').click()");
    send(&mut page, 1201, 1201);
    page.wait_until(&format!("{entries} === 500"));
}

#[test]
fn a_mention_stands_out() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    page.enter("name", "al");
    page.wait_for_entry("notice", "You are now al.");
    let mut sender = server.client();
    for (text, mentions) in [
        ("al", true),
        ("@AL: hi", true),
        ("to al, please", true),
        ("all", false),
        ("an-al al_x", false),
        ("alé éal", false),
        ("all of al", true),
        ("", false),
    ] {
        sender.send_text(&format!("{text}."));
        page.wait_until(&format!(
            "(p => p?.querySelector('.text').textContent === {} && p.matches('.mention') === {mentions} && \
             p.querySelector('.sender').textContent === {})([...document.querySelectorAll('#log .message')].at(-1))",
            json!(format!("{text}.")),
            json!(if mentions { "user1 mentions you" } else { "user1" })
        ));
    }
    sender.send_text("/me waves at al");
    page.wait_for_entry("action.mention", "user1 waves at al");
    page.enter("text", "al is me");
    page.wait_for_entry("message.own:not(.mention)", "You al is me");
}

#[test]
fn help_is_a_table_of_commands_and_keys() {
    let Some((_browser, _server, mut page)) = chat_page() else {
        return;
    };
    page.enter("text", "/help");
    page.wait_for_entry("help", "/whisper NAME TEXT");
    let rows = "[...document.querySelectorAll('.help dt')].map(dt => \
                [dt.textContent, dt.nextElementSibling.textContent])";
    let rows = page.value(rows);
    let rows = rows.as_array().expect("rows");
    assert!(
        rows.contains(&json!(["/who", "list the users"])),
        "{rows:?}"
    );
    let shift_enter = rows.iter().find(|row| row[0] == "Shift+Enter");
    assert!(shift_enter.is_some(), "{rows:?}");
    // The two columns are aligned.
    for cell in ["dt", "dd"] {
        page.wait_until(&format!(
            "new Set([...document.querySelectorAll('.help {cell}')]\
             .map(cell => cell.getBoundingClientRect().left)).size === 1"
        ));
    }
}

#[test]
fn a_long_text_is_shown_in_part_until_all_is_asked_for() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut sender = server.client();
    // A change of direction at every other character is expensive.
    let text = "aש".repeat(20_000);
    sender.send_text(&text);
    page.wait_for_entry("message", "Show all 40000 characters");
    let length = "document.querySelector('#log .message .text').textContent.length";
    let shown = page.value(length).as_u64().expect("a number");
    assert!((4000..4100).contains(&shown), "{shown}");
    page.value("document.querySelector('#log .message button').click()");
    page.wait_until(&format!("{length} === 40000"));
    // Half of a character is not shown.
    sender.send_text(&format!("x{}", "\u{1f40e}".repeat(3000)));
    page.wait_for_entry("message", "Show all 6001 characters");
    page.wait_until("!/\\ud83d…/.test(document.getElementById('log').textContent)");
    // What is not shown counts for the bound on memory.
    for _ in 0..20 {
        sender.send_text(&"x".repeat(60_000));
    }
    sender.send_text("the last");
    page.wait_for_entry("message", "the last");
    page.wait_until("document.querySelectorAll('#log .message').length < 12");
}
