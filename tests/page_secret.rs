//! The chat page and a server that wants a secret, in a real browser.

mod support;

use support::browser::Page;
use support::{Browser, TestServer, chat_page, config};
use threadchat::config::ListenAddress;
use threadchat::{Config, Secret};

const SECRET: &str = "correct-horse?battery>staple";

/// The secret in base64url without padding.
const ENCODED: &str = "Y29ycmVjdC1ob3JzZT9iYXR0ZXJ5PnN0YXBsZQ";

const LOCKED: &str = "document.body?.dataset.status === 'locked' && document.activeElement.id === 'secret' && \
     document.getElementById('secret').checkVisibility() && !document.getElementById('text').checkVisibility()";

const CONNECTED: &str = "document.body?.dataset.status === 'connected' && !document.getElementById('secret').checkVisibility() && \
     document.getElementById('text').checkVisibility()";

fn server(secret: &str, listen: Vec<ListenAddress>) -> TestServer {
    TestServer::with_config(Config {
        listen,
        secret: Some(Secret::Text(secret.into())),
        ..config()
    })
}

fn shows_error(page: &mut Page, text: &str) {
    page.wait_until(&format!(
        "document.getElementById('secret-error').textContent === {text:?}"
    ));
}

#[test]
fn page_asks_for_the_secret_and_keeps_it_for_the_tab() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = server(SECRET, config().listen);
    let mut page = browser.open(server.address);
    page.wait_until(LOCKED);
    shows_error(&mut page, "");
    // A wrong one, one that no server can have, and the right one.
    for wrong in ["guess", "päss", "two words"] {
        page.enter("secret", wrong);
        shows_error(&mut page, "This is not the secret of this chat.");
        page.wait_until(LOCKED);
    }
    page.enter("secret", &format!(" {SECRET} "));
    page.wait_until(CONNECTED);
    shows_error(&mut page, "");
    page.wait_until("document.activeElement.id === 'text'");
    page.enter("text", "hello");
    page.wait_for_entry("message.own", "hello");

    // The tab has it after a reload; it is in no URL and no field, and another tab has to ask.
    page.value("window.before = true");
    page.call("Page.reload", serde_json::json!({}));
    page.wait_until("window.before === undefined && document.body?.dataset.status === 'connected'");
    assert_eq!(page.value("document.getElementById('secret').value"), "");
    assert_eq!(
        page.value(&format!("location.href.includes({SECRET:?})")),
        false
    );
    assert_eq!(page.value("'secret' in localStorage"), false);
    browser.open(server.address).wait_until(LOCKED);
}

#[test]
fn page_asks_again_when_the_secret_has_changed() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let before = server(SECRET, config().listen);
    let address = before.address;
    let mut page = browser.open(address);
    page.wait_until(LOCKED);
    page.enter("secret", SECRET);
    page.wait_until(CONNECTED);
    before.shutdown().expect("the server stops");
    let _after = server("changed-meanwhile", vec![address.into()]);
    page.wait_until(LOCKED);
    shows_error(&mut page, "This is not the secret of this chat.");
    page.enter("secret", "changed-meanwhile");
    page.wait_until(CONNECTED);
}

#[test]
fn page_without_a_secret_is_not_asked() {
    let Some((_browser, _server, mut page)) = chat_page() else {
        return;
    };
    page.wait_until(CONNECTED);
}

#[test]
fn plain_text_of_a_browser_needs_a_subprotocol_that_is_confirmed() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = server(SECRET, config().listen);
    let mut page = browser.open(server.address);
    page.wait_until(LOCKED);
    let connect = |offered: &str| {
        format!(
            "{{ window.received = null; const s = new WebSocket('ws://{}/chat', {offered}); \
             s.onmessage = e => window.received ??= s.protocol + '|' + e.data; s.onerror = () => window.received = 'failed' }}",
            server.address
        )
    };
    page.value(&connect(&format!(
        "['threadchat.text', 'threadchat.secret.{ENCODED}']"
    )));
    page.wait_until("window.received?.startsWith('threadchat.text|You are connected!') === true");
    // The server confirms none of these, and the browser gives up.
    page.value(&connect(&format!("['threadchat.secret.{ENCODED}']")));
    page.wait_until("window.received === 'failed'");
}
