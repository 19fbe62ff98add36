//! The user's name on the chat page, in a real browser.

mod support;

use support::browser::cut;
use support::{Browser, Client, Line, TestServer, chat_page, config, eventually};
use threadchat::Config;

#[test]
fn a_new_tab_offers_the_last_name() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let mut first = browser.chat(server.address);
    first.wait_until("document.getElementById('offer').hidden");
    first.enter("name", "alice");
    first.wait_for_entry("notice", "You are now alice.");
    first.wait_until("document.getElementById('offer').hidden");

    // The name is not offered while a user has it.
    let mut second = browser.chat(server.address);
    second.enter("text", "/who");
    second.wait_for_entry("notice", "2 users here: alice, user1.");
    second.wait_until("document.getElementById('offer').hidden");
    first.enter("text", "/quit");
    second.wait_for_entry("notice", "alice left.");

    let mut third = browser.chat(server.address);
    third.wait_until("document.getElementById('offer').textContent === 'Be alice again'");
    third.wait_until("!document.getElementById('offer').hidden");
    assert_eq!(
        third.value("document.getElementById('name').value"),
        "user2"
    );
    third.value("document.getElementById('offer').click()");
    third.wait_for_entry("notice", "You are now alice.");
    third.wait_until("document.getElementById('offer').hidden");
}

#[test]
fn a_refusal_goes_when_the_rename_succeeds() {
    let Some((_browser, _server, mut page)) = chat_page() else {
        return;
    };
    let shows = |id: &str, text: &str| {
        format!("document.getElementById('{id}-error').textContent.includes({text:?})")
    };
    // Refused in the message field, and then chosen in the field of the name.
    page.enter("text", "/nick server");
    page.wait_until(&shows("text", "reserved"));
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    page.wait_until(
        "['text-error', 'text'].every(id => \
         (e => (e.value ?? e.textContent) === '' && !e.ariaInvalid)(document.getElementById(id)))",
    );
    // The other way around.
    page.enter("name", "server");
    page.wait_until(&shows("name", "reserved"));
    page.enter("text", "/nick bob");
    page.wait_for_entry("notice", "You are now bob.");
    page.wait_until("document.getElementById('name-error').textContent === ''");
    page.wait_until("document.getElementById('name').value === 'bob'");
    // An error of something else stays, and so does a draft.
    page.enter("text", "/w nobody hi");
    page.wait_until(&shows("text", "Nobody here"));
    page.enter("name", "carol");
    page.wait_for_entry("notice", "You are now carol.");
    page.wait_until(&shows("text", "Nobody here"));
    page.wait_until("document.getElementById('text').value === '/w nobody hi'");
}

#[test]
fn messages_address_the_user_by_a_name_that_is_not_back_yet() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::with_config(Config {
        history: 100,
        ..config()
    });
    let line = Line::start(server.address);
    let mut page = browser.chat(line.address);
    let mut bob = Client::connect(server.address, "/chat?name=bob");
    page.enter("name", "alice");
    page.wait_for_entry("notice", "You are now alice.");
    // Another client takes the name, as the lost connection would keep it until a ping times out.
    cut(&mut page, &line);
    let mut other = server.client();
    eventually("the name is free", || {
        other.send_text("/nick alice");
        other.recv_text().ends_with(" is now alice.")
    });
    bob.send_text("@alice missed?");
    bob.recv_until(|line| line == "[bob]: @alice missed?");
    page.value("document.getElementById('reconnect').click()");
    page.wait_for_entry("notice", "Reconnected as user3.");
    page.wait_for_entry("message.mention", "bob mentions you @alice missed?");
    bob.send_text("@alice are you there?");
    page.wait_for_entry("message.mention", "bob mentions you @alice are you there?");

    // When the page no longer requests the name, it is another user's.
    page.value("window.setTimeout = callback => setTimer(callback, 0)");
    line.cut();
    page.wait_for_entry("notice", "The name alice is still taken.");
    bob.send_text("@alice of another user");
    page.wait_for_entry("message:not(.mention)", "bob @alice of another user");
}

#[cfg(feature = "unicode-names")]
#[test]
fn names_of_any_script_are_kept_completed_and_mentioned() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let server = TestServer::start();
    let mut client = server.client();
    client.send_text("/nick Zoë");
    client.recv_text();
    let mut page = browser.chat(server.address);
    // As macOS decomposes it.
    page.enter("name", "Ju\u{308}rgen");
    page.wait_for_entry("notice", "You are now Jürgen.");
    page.wait_until("document.getElementById('name').value === 'Jürgen'");
    // The name is in the URL of the next connection.
    page.value("document.getElementById('name').value = ''");
    page.enter("text", "/quit");
    page.wait_for_entry("notice", "You left the chat.");
    page.value("document.getElementById('reconnect').click()");
    page.wait_for_entry("notice", "Reconnected as Jürgen. 2 users here.");
    // The names come after the greeting.
    page.wait_until("document.querySelectorAll('#names li').length === 2");
    page.value("document.getElementById('text').value = '/w zoE\u{308}'");
    page.press("Tab", 9, "");
    page.wait_until("document.getElementById('text').value === '/w Zoë '");
    client.send_text("hi @JÜRGEN");
    page.wait_for_entry("message.mention", "Zoë mentions you hi @JÜRGEN");
}
