//! The chat page on small screens, zoomed, with few colours, and without motion, in a real browser.

mod support;

use std::{env, fs};

use serde_json::{Value, json};
use support::browser::Page;
use support::{Client, chat_page};

fn resize(page: &mut Page, width: u32, height: u32, scale: u32) {
    page.call(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false }),
    );
    page.wait_until(&format!(
        "innerWidth === {width} && innerHeight === {height}"
    ));
}

fn emulate(page: &mut Page, feature: &str, value: &str) {
    page.call(
        "Emulation.setEmulatedMedia",
        json!({ "features": [{ "name": feature, "value": value }] }),
    );
    page.wait_until(&format!("matchMedia('({feature}: {value})').matches"));
}

/// All visible elements of the header have one line in common.
const ONE_LINE: &str = "[...document.querySelectorAll('header h1, header button, header input, #status')]\
    .filter(e => e.checkVisibility() && getComputedStyle(e).position !== 'absolute')\
    .map(e => e.getBoundingClientRect())\
    .every(({ top, bottom }, _, [first]) => Math.abs(top + bottom - first.top - first.bottom) < 6)";

#[test]
fn in_a_phones_landscape_the_header_is_one_line() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let _clients: Vec<Client> = (0..12).map(|_| server.client()).collect();
    page.enter("name", "a-name-of-thirty-two-characters_");
    page.wait_until("document.getElementById('users-toggle').textContent === '13 users'");
    let sizes = [(568, 320), (667, 375), (740, 360), (844, 390), (932, 430)];
    let check = |page: &mut Page| {
        for (width, height) in sizes {
            resize(page, width, height, 1);
            page.wait_until(ONE_LINE);
            page.wait_until("document.querySelector('header').offsetHeight < 60");
            page.wait_until("document.documentElement.scrollWidth <= innerWidth");
            page.wait_until("document.getElementById('name').offsetWidth > 60");
        }
    };
    check(&mut page);
    server.shutdown().expect("the server stops");
    page.wait_until("document.body.dataset.status === 'disconnected'");
    check(&mut page);
}

#[test]
fn in_a_phones_landscape_the_names_have_the_whole_column() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let _clients: Vec<Client> = (0..40).map(|_| server.client()).collect();
    page.wait_until("document.getElementById('names').children.length === 41");
    // The last pixels of the column, where a page that is high enough has the notifications.
    let bottom = |control: &str| {
        format!(
            "(r => document.elementFromPoint(r.left + r.width / 2, r.bottom - 8)\
             .closest('{control}') !== null)(document.getElementById('users').getBoundingClientRect())"
        )
    };
    resize(&mut page, 740, 360, 1);
    page.wait_until(&bottom("#names"));
    resize(&mut page, 740, 600, 1);
    page.wait_until(&bottom("#notifications"));
}

/// Returns whether an element can be scrolled to, is inside the page, and is not covered.
fn is_usable(id: &str) -> String {
    format!(
        "(e => {{ e.scrollIntoView(); const r = e.getBoundingClientRect(); \
         return r.left >= 0 && r.right <= innerWidth && r.top >= -1 && r.bottom <= innerHeight + 1 && \
         e.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2)) }})\
         (document.querySelector({id:?}))"
    )
}

#[test]
fn at_400_percent_everything_can_be_used() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let mut client = Client::connect(
        server.address,
        "/chat?name=a-name-of-thirty-two-characters_",
    );
    client.send_text(&format!(
        "{} https://a.example/{}",
        "word ".repeat(50),
        "x".repeat(300)
    ));
    page.enter("text", "/help");
    page.wait_for_entry("help", "/whisper");
    // 1280 by 1024 and 1280 by 720 pixels.
    for (width, height) in [(320, 256), (320, 180)] {
        resize(&mut page, width, height, 4);
        page.enter("text", "/w nobody one\ntwo\nthree\nfour\nfive\nsix");
        page.wait_until("document.getElementById('text-error').textContent !== ''");
        for control in [
            "#room-toggle",
            "#name",
            "#rename button",
            "#users-toggle",
            "#text",
            "#composer button",
        ] {
            page.wait_until(&is_usable(control));
        }
        page.wait_until("document.documentElement.scrollWidth <= innerWidth");
        page.wait_until(
            "(log => log.scrollWidth <= log.clientWidth && log.clientHeight > 40 && \
             log.clientHeight < innerHeight && log.scrollTop > 0)(document.getElementById('log'))",
        );
        page.value("document.getElementById('users-toggle').click()");
        for control in ["#names button", "#notify"] {
            page.wait_until(&is_usable(control));
        }
        page.value("document.getElementById('users-toggle').click()");
        page.value("scrollTo(0, 0)");
        page.wait_until("document.querySelector('header').offsetHeight < 100");
    }
}

#[test]
fn forced_colours_and_reduced_motion_are_respected() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    page.enter("text", "hello");
    page.wait_for_entry("message.own", "hello");
    emulate(&mut page, "forced-colors", "active");
    // The ring of a connection is filled, and messages and buttons have an edge.
    let background =
        "getComputedStyle(document.getElementById('status'), '::before').backgroundColor";
    let canvas = "getComputedStyle(document.body).backgroundColor";
    page.wait_until(&format!("{background} !== {canvas}"));
    let filled = page.value(background);
    for element in ["#log .own .text", "#composer button", "#text", "#notify"] {
        // Such a border is visible, whatever its colour.
        page.wait_until(&format!(
            "(style => style.appearance === 'auto' || style.borderTopStyle !== 'none' && \
             parseFloat(style.borderTopWidth) >= 1)(getComputedStyle(document.querySelector('{element}')))"
        ));
    }
    server.shutdown().expect("the server stops");
    page.wait_until("document.body.dataset.status === 'disconnected'");
    page.wait_until(&format!("{background} !== {filled}"));

    // There is no motion, whether the user wants less of it or not.
    for preference in ["no-preference", "reduce"] {
        emulate(&mut page, "prefers-reduced-motion", preference);
        page.wait_until(
            "[...document.querySelectorAll('*')].map(e => getComputedStyle(e)).every(style => \
             style.transitionDuration === '0s' && style.animationName === 'none' && \
             style.scrollBehavior === 'auto')",
        );
    }
}

/// Asserts that axe-core finds nothing wrong with what the page shows.
fn assert_accessible(page: &mut Page, state: &str) {
    let result = page.call(
        "Runtime.evaluate",
        json!({ "awaitPromise": true, "returnByValue": true, "expression":
                "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => \
                 [id, nodes.map(node => [node.html, node.failureSummary])]))" }),
    );
    assert_eq!(result["result"]["value"], json!([]), "{state}: {result:#}");
}

/// Needs `axe.min.js` of the npm package axe-core, whose path is in the environment variable `AXE_CORE`.
#[test]
fn axe_core_finds_nothing() {
    let Ok(path) = env::var("AXE_CORE") else {
        eprintln!("skipped: AXE_CORE is not set");
        return;
    };
    let axe = fs::read_to_string(path).expect("AXE_CORE is the path of axe.min.js");
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    page.call("Page.enable", json!({}));
    page.value(&axe);
    let mut client = server.client();
    page.enter("text", "hello http://a.example");
    for text in [
        "hi",
        "user0, see https://b.example",
        "/me waves",
        "/w user0 psst",
    ] {
        client.send_text(text);
    }
    page.wait_for_entry("whisper", "psst");
    // Names of all hues.
    let _clients: Vec<Client> = (0..90)
        .map(|number| Client::connect(server.address, &format!("/chat?name=n{}", number * 7919)))
        .collect();
    page.enter("text", "/help");
    page.wait_for_entry("help", "/whisper");
    page.enter("text", "/w nobody hi");
    page.wait_until("document.getElementById('text-error').textContent !== ''");
    page.enter("name", "server");
    page.wait_until("document.getElementById('name-error').textContent !== ''");
    page.value(
        "{ const parse = JSON.parse; \
         JSON.parse = text => ({ ...parse(text), time: new Date(2100, 1, 1).getTime() }) }",
    );
    page.value("WebSocket.prototype.send = () => {}");
    page.enter("text", "pending");
    page.wait_for_entry("message.pending", "pending");
    page.enter("text", "/me nods");
    page.wait_for_entry("action.pending", "nods");
    client.send_text("on another day");
    page.wait_for_entry("day", "2100");
    for scheme in ["light", "dark"] {
        emulate(&mut page, "prefers-color-scheme", scheme);
        resize(&mut page, 1280, 800, 1);
        assert_accessible(&mut page, &format!("connected, {scheme}"));
        resize(&mut page, 390, 780, 1);
        assert_accessible(&mut page, &format!("on a phone, {scheme}"));
        page.value("document.getElementById('users-toggle').click()");
        assert_accessible(&mut page, &format!("with the list of users, {scheme}"));
        page.value("document.getElementById('text').focus()");
        resize(&mut page, 320, 180, 1);
        assert_accessible(&mut page, &format!("zoomed, {scheme}"));
        page.value("document.getElementById('room').showPopover()");
        assert_accessible(&mut page, &format!("with the form of the rooms, {scheme}"));
        page.value("document.getElementById('room').hidePopover()");
    }
    page.value("document.getElementById('log').scrollTop = 0");
    client.send_text("unseen");
    page.wait_until("!document.getElementById('unseen').hidden");
    assert_accessible(&mut page, "with unseen messages");
    server.shutdown().expect("the server stops");
    page.wait_until("document.body.dataset.status === 'disconnected'");
    page.wait_for_entry("failed", "Not confirmed");
    for scheme in ["light", "dark"] {
        emulate(&mut page, "prefers-color-scheme", scheme);
        resize(&mut page, 1280, 800, 1);
        assert_accessible(&mut page, &format!("disconnected, {scheme}"));
    }
    let version = page.value("axe.version");
    assert!(matches!(version, Value::String(_)));
}
