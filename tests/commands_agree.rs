//! The page and the terminal client know exactly the commands that the server's `/help` lists.

#[cfg(feature = "client")]
#[path = "support/filter.rs"]
mod filter;
mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{Client, TestServer, watchdog};

const COMMANDS_JS: &str = include_str!("../src/http/assets/commands.js");

/// Returns the words of the commands in the server's help text. Its lines are `/WORD ARGUMENTS: EFFECT`, where
/// `, or /WORD` before the colon names an alias, and `//TEXT: EFFECT` for a message that begins with a slash.
fn server_commands() -> BTreeSet<String> {
    let server = TestServer::start();
    let mut client = Client::json(server.address, "/chat");
    client.recv_text();
    client.send_text(&json!({ "type": "help" }).to_string());
    let event: Value = serde_json::from_str(&client.recv_text()).expect("an event is JSON");
    let help = event["text"].as_str().expect("a help event has a text");
    let words = help.lines().flat_map(|line| {
        let (syntax, _) = line.split_once(": ").expect("a line has a colon");
        syntax
            .split([' ', ','])
            .filter_map(|word| word.strip_prefix('/'))
    });
    words
        .filter(|word| !word.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn page_knows_the_commands_of_the_servers_help() {
    let _watchdog = watchdog(60);
    let (_, table) = COMMANDS_JS
        .split_once("const COMMANDS = {\n")
        .expect("commands.js has the table");
    let (table, _) = table.split_once("\n};").expect("the table ends");
    // An entry is `word: function,` or, if the function has the same name, `word,`.
    let words: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.trim().split([':', ',']).next())
        .map(str::to_owned)
        .collect();
    assert_eq!(words, server_commands());
}

#[test]
#[cfg(feature = "client")]
fn terminal_client_knows_the_commands_of_the_servers_help() {
    use filter::{Filter, success, url};
    use support::fake_server;

    let _watchdog = watchdog(60);
    let mut input = String::new();
    for word in server_commands().iter().filter(|word| *word != "quit") {
        input += &format!("/{word}\n/{word} bob hi\n/{word}x bob hi\n");
    }
    let (address, server) = fake_server::serve(move |mut socket| {
        let sent = fake_server::accept_close(&mut socket);
        let mut lines = BTreeSet::new();
        for text in sent {
            let command: Value = serde_json::from_str(&text).expect("a command is JSON");
            if command["type"] == "line" {
                let text = command["text"].as_str().expect("a line has a text");
                lines.insert(text.to_owned());
            }
        }
        // Exactly the commands with an x at the end are unknown to the client.
        let unknown: BTreeSet<String> = server_commands()
            .iter()
            .filter(|word| *word != "quit")
            .map(|word| format!("/{word}x bob hi"))
            .collect();
        assert_eq!(lines, unknown);
    });
    let mut filter = Filter::start(&[&url(address)]);
    filter.write(&input);
    filter.input = None;
    assert_eq!(filter.wait(), success());
    server.join().expect("the server's assertions hold");

    // The client would send an unknown word. It leaves instead.
    let server = TestServer::start();
    let mut filter = Filter::join(server.address);
    filter.write("/quit\n");
    assert_eq!(filter.wait(), success());
}
