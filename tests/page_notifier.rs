//! Notifications and sounds of the chat page, in a real browser.

mod support;

use serde_json::json;
use support::browser::Page;
use support::chat_page;

/// Records notifications and sounds, and lets the test choose whether the page is hidden. The time is that of one moment.
const RECORD: &str = "{ \
    window.shown = []; window.sounds = 0; window.isHidden = false; \
    const now = Date.now(); Date.now = () => now; \
    const Original = Notification; \
    window.Notification = class extends Original { \
        constructor(title, options) { super(title, options); shown.push(title + ': ' + options.body) } }; \
    const start = OscillatorNode.prototype.start; \
    OscillatorNode.prototype.start = function (time) { sounds += 1; start.call(this, time) }; \
    Object.defineProperty(document, 'hidden', { get: () => isHidden }) }";

/// Selects the checkbox with the keyboard, because browsers permit sounds only after such a gesture.
fn toggle(page: &mut Page) {
    page.value("document.getElementById('notify').focus()");
    page.press(" ", 32, " ");
}

#[test]
fn a_hidden_page_notifies_of_mentions_and_whispers_if_asked_to() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    let origin = format!("http://{}", server.address);
    page.call(
        "Browser.grantPermissions",
        json!({ "permissions": ["notifications"], "origin": origin }),
    );
    page.value(RECORD);
    let mut sender = server.client();
    let mut whisper = |page: &mut Page, text: &str| {
        sender.send_text(&format!("/w user0 {text}"));
        page.wait_for_entry("whisper", text);
    };

    page.value("isHidden = true");
    whisper(&mut page, "before it was asked for");
    page.value("isHidden = false");
    toggle(&mut page);
    page.wait_until("document.getElementById('notify').checked");
    assert_eq!(
        page.value("document.getElementById('notify-note').textContent"),
        ""
    );
    whisper(&mut page, "while the page is visible");
    assert_eq!(page.value("[...shown, sounds]"), json!([0]));

    page.value("isHidden = true");
    whisper(&mut page, "psst");
    page.wait_until("shown.join() === 'user1 whispers to you: psst' && sounds === 1");
    sender.send_text("nothing to do with it");
    sender.send_text("/me waves at user0");
    page.wait_for_entry("action", "waves at user0");
    page.wait_until("shown.length === 2 && shown[1] === 'user1: waves at user0'");
    sender.send_text(&format!("user0: {}", "x".repeat(1000)));
    page.wait_until(
        "shown.length === 3 && shown[2] === `user1 mentions you: user0: ${'x'.repeat(193)}`",
    );
    // Many mentions in a row are no noise.
    assert_eq!(page.value("sounds"), 1);

    // The choice lasts.
    page.call("Page.reload", json!({}));
    page.wait_for_entry("notice", "Connected as user2.");
    assert_eq!(
        page.value("document.getElementById('notify').checked"),
        true
    );
    toggle(&mut page);
    page.wait_until("!document.getElementById('notify').checked");
    page.call("Page.reload", json!({}));
    page.wait_for_entry("notice", "Connected as user3.");
    assert_eq!(
        page.value("document.getElementById('notify').checked"),
        false
    );
}

#[test]
fn without_permission_there_is_a_sound_and_the_page_says_so() {
    let Some((_browser, server, mut page)) = chat_page() else {
        return;
    };
    page.call(
        "Browser.setPermission",
        json!({ "permission": { "name": "notifications" }, "setting": "denied",
                "origin": format!("http://{}", server.address) }),
    );
    page.value(RECORD);
    let mut sender = server.client();
    toggle(&mut page);
    page.wait_until("document.getElementById('notify-note').textContent.includes('only a sound')");
    page.value("isHidden = true");
    sender.send_text("/w user0 psst");
    page.wait_until("sounds === 1 && shown.length === 0");
}
