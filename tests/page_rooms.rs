//! The rooms of the chat page, in a real browser.

mod support;

use serde_json::json;
use support::browser::Page;
use support::{Browser, Client, TestServer, chat_page, config};
use threadchat::Config;

fn open_room(browser: &mut Browser, server: &TestServer, query: &str) -> Page {
    browser.open_url(&format!("http://{}/?{query}", server.address))
}

/// Opens the form of the rooms with the keyboard, types a name, and presses Enter.
fn enter_room(page: &mut Page, name: &str) {
    page.value("document.getElementById('room-toggle').focus()");
    page.press("Enter", 13, "\r");
    page.wait_until("document.activeElement.id === 'room-name'");
    page.enter("room-name", name);
}

fn wait_for_room(page: &mut Page, title: &str, button: &str) {
    page.wait_until("document.body?.dataset.status === 'connected'");
    page.wait_until(&format!("document.title === {title:?}"));
    page.wait_until(&format!(
        "document.getElementById('room-toggle').textContent === {button:?}"
    ));
}

#[test]
fn the_address_names_the_room() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let mut main = server.client();
    let mut member = Client::connect(server.address, "/chat/lobby-2?name=ann");
    member.recv_text();
    let mut page = open_room(&mut browser, &server, "room=Lobby-2&x=1");
    wait_for_room(&mut page, "lobby-2 – threadchat", "lobby-2");
    page.wait_until("document.querySelectorAll('#names li').length === 2");
    page.enter("text", "hello room");
    assert_eq!(member.recv_text(), "[user1]: hello room");
    member.send_text("hello page");
    page.wait_for_entry("message", "ann hello page");
    // Completion and mentions know the users of this room.
    page.value("document.getElementById('text').focus()");
    page.call("Input.insertText", json!({ "text": "@A" }));
    page.press("Tab", 9, "");
    page.wait_until("document.getElementById('text').value === '@ann '");
    member.send_text("user1, hi");
    page.wait_for_entry("message.mention", "ann mentions you user1, hi");

    // The number of unread messages comes before the name.
    page.value("Object.defineProperty(document, 'hidden', { get: () => true })");
    member.send_text("unread");
    page.wait_until("document.title === '(1) lobby-2 – threadchat'");
    // The main room has heard nothing, and its page shows no room.
    main.send_text("alone");
    assert_eq!(main.recv_text(), "[user0]: alone");
    let mut page = open_room(&mut browser, &server, "room=");
    wait_for_room(&mut page, "threadchat", "Rooms");
    page.wait_for_entry("notice", "Connected as user1. 2 users here.");
}

#[test]
fn the_header_leads_to_another_room() {
    let Some((_browser, _server, mut page)) = chat_page() else {
        return;
    };
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    let hidden = "!document.getElementById('room').checkVisibility()";
    page.wait_until(hidden);
    // Escape closes the form, and the focus returns.
    page.value("document.getElementById('room-toggle').focus()");
    page.press("Enter", 13, "\r");
    page.wait_until("document.activeElement.id === 'room-name'");
    page.press("Escape", 27, "");
    page.wait_until(hidden);
    page.wait_until("document.activeElement.id === 'room-toggle'");
    // A name that cannot be one is not sent.
    enter_room(&mut page, "no spaces");
    page.wait_until("document.querySelector('#room-name:invalid') !== null");
    assert_eq!(page.value("location.search"), "");
    page.press("Escape", 27, "");

    enter_room(&mut page, "Team_7");
    wait_for_room(&mut page, "team_7 – threadchat", "team_7");
    assert_eq!(page.value("location.search"), "?room=team_7");
    // The name goes with the user.
    page.wait_for_entry("notice", "Connected as alice. 1 user here.");
    enter_room(&mut page, "");
    wait_for_room(&mut page, "threadchat", "Rooms");
    assert_eq!(page.value("location.search"), "");
}

#[test]
fn an_invalid_room_is_refused_and_no_other_one_is_entered() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let mut client = server.client();
    let long = "x".repeat(33);
    for (query, name) in [
        ("room=no%20spaces", "no spaces"),
        ("room=%C3%A4", "ä"),
        // The Kelvin sign, whose lower case is k.
        ("room=%E2%84%AA", "\u{212a}"),
        ("room=a/b", "a/b"),
        (&format!("room={long}"), &long),
    ] {
        let mut page = open_room(&mut browser, &server, query);
        page.wait_for_entry("notice", &format!("There is no room “{name}”"));
        page.wait_until("document.body.dataset.status === 'invalid-room'");
        page.wait_until("document.getElementById('status').textContent === 'Not connected'");
        // The only field is that of the room's name.
        page.wait_until("document.activeElement.id === 'room-name'");
        page.wait_until("!document.getElementById('text').checkVisibility()");
        page.wait_until("!document.getElementById('name').checkVisibility()");
        page.value("dispatchEvent(new Event('online'))");
        page.wait_until("document.body.dataset.status === 'invalid-room'");
    }
    client.send_text("/who");
    assert_eq!(client.recv_text(), "* 1 user here: user0.");
    let mut page = open_room(&mut browser, &server, "room=a.b");
    page.wait_until("document.activeElement?.id === 'room-name'");
    page.enter("room-name", "ab");
    wait_for_room(&mut page, "ab – threadchat", "ab");
}

#[test]
fn a_room_that_has_no_place_is_reported() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(Config {
        max_rooms: 1,
        ..config()
    });
    let client = Client::connect(server.address, "/chat/lobby");
    let mut page = open_room(&mut browser, &server, "room=another");
    page.wait_for_entry("notice", "Or it has no place for another room.");
    client.close();
    page.wait_for_entry("notice", "Connected as user0.");
}

/// All visible elements of the header have one line in common, and none is narrower than a fingertip.
const ONE_LINE: &str = "[...document.querySelectorAll('header h1, header > button, header #rename button, \
     header #name, #status')]\
    .filter(e => e.checkVisibility() && getComputedStyle(e).position !== 'absolute')\
    .map(e => e.getBoundingClientRect())\
    .every(({ top, bottom }, _, [first]) => Math.abs(top + bottom - first.top - first.bottom) < 6)";

#[test]
fn the_longest_name_of_a_room_fits_into_the_header() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let name = "a-room-of-thirty-two-characters_";
    let _clients: Vec<Client> = (0..12)
        .map(|_| Client::connect(server.address, &format!("/chat/{name}")))
        .collect();
    let mut page = open_room(&mut browser, &server, &format!("room={name}"));
    wait_for_room(&mut page, &format!("{name} – threadchat"), name);
    page.enter("name", "a-name-of-thirty-two-characters_");
    page.wait_for_entry("notice", "You are now");
    for (width, height, header) in [
        (320, 256, 100),
        (360, 740, 100),
        (390, 844, 100),
        (568, 320, 60),
        (667, 375, 60),
        (844, 390, 60),
        (1280, 800, 60),
    ] {
        page.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        page.wait_until(&format!("innerWidth === {width}"));
        page.wait_until(&format!(
            "document.querySelector('header').offsetHeight < {header} && innerWidth === {width}"
        ));
        page.wait_until("document.documentElement.scrollWidth <= innerWidth");
        if header < 100 {
            page.wait_until(ONE_LINE);
        }
        page.wait_until("document.getElementById('room-toggle').offsetWidth >= 40");
        page.value("document.getElementById('room-toggle').click()");
        for field in ["#room-name", "#room button"] {
            page.wait_until(&format!(
                "(e => {{ const r = e.getBoundingClientRect(); \
                 return r.left >= 0 && r.right <= innerWidth && r.bottom <= innerHeight && \
                 e.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2)) }})\
                 (document.querySelector('{field}'))"
            ));
        }
        page.press("Escape", 27, "");
    }
}
