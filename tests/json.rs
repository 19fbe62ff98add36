//! The `threadchat.json` subprotocol, and the chat that it shares with plain text.

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use support::{Client, TestServer, watchdog};
use threadchat::protocol::ServerEvent;
use tungstenite::http::HeaderValue;

/// Reads and parses the next event. Checks its time or epoch, and sets it to 0.
fn next_event(client: &mut Client) -> ServerEvent<'static> {
    let text = client.recv_text();
    let mut event = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    if let ServerEvent::Message { time, .. }
    | ServerEvent::Action { time, .. }
    | ServerEvent::Welcome { epoch: time, .. } = &mut event
    {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("the clock is set").as_millis() as u64;
        assert!((now - 60_000..=now).contains(time), "{text}");
        *time = 0;
    }
    event
}

fn welcome(name: &'static str, users: usize, last: u64) -> ServerEvent<'static> {
    ServerEvent::Welcome {
        name: name.into(),
        users,
        room: "".into(),
        epoch: 0,
        last,
        gap: false,
    }
}

#[test]
fn subprotocol_is_negotiated_if_offered() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    for (offered, negotiated) in [
        (Some("threadchat.json"), true),
        (Some("soap, threadchat.json"), true),
        (Some("soap"), false),
        (Some("Threadchat.JSON"), false),
        (None, false),
    ] {
        let mut request = support::client::request(server.address, "/chat");
        if let Some(offered) = offered {
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(offered));
        }
        // Without a common subprotocol the server uses plain text. tungstenite's client treats that as an error.
        match Client::try_connect(server.address, request) {
            Ok(mut client) => {
                let subprotocol = client
                    .response
                    .headers()
                    .get("Sec-WebSocket-Protocol")
                    .cloned();
                assert_eq!(subprotocol.is_some(), negotiated, "{offered:?}");
                assert_eq!(
                    client.recv_text().starts_with('{'),
                    negotiated,
                    "{offered:?}"
                );
            }
            Err(tungstenite::Error::Protocol(_)) => {
                assert!(offered.is_some() && !negotiated, "{offered:?}")
            }
            Err(error) => panic!("{offered:?}: {error}"),
        }
    }
}

#[test]
fn unknown_subprotocols_fall_back_to_plain_text() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut raw = support::RawClient::connect(server.address);
    raw.send(support::raw::handshake("/chat", "Sec-WebSocket-Protocol: soap, xmpp\r\n").as_bytes());
    let head = raw.head().to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 101 ") && !head.contains("sec-websocket-protocol"),
        "{head}"
    );
    let (_, greeting) = raw
        .frame()
        .expect("the connection is not reset")
        .expect("the connection stays open");
    assert_eq!(greeting, b"You are connected! There are 1 users here.");
}

#[test]
fn json_and_plain_text_share_one_chat() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut json = Client::json(server.address, "/chat");
    assert_eq!(next_event(&mut json), welcome("user0", 1, 0));
    let mut plain = server.client();
    assert_eq!(
        next_event(&mut json),
        ServerEvent::Joined {
            name: "user1".into(),
            users: 2
        }
    );

    plain.send_text("from plain");
    assert_eq!(
        next_event(&mut json),
        ServerEvent::Message {
            from: "user1".into(),
            text: "from plain".into(),
            id: 1,
            time: 0
        }
    );
    json.send_text(r#"{"type":"message","text":"/nick \"not\" a\ncommand"}"#);
    let text = "/nick \"not\" a command".into();
    assert_eq!(
        next_event(&mut json),
        ServerEvent::Message {
            from: "user0".into(),
            text,
            id: 2,
            time: 0
        }
    );
    json.send_text(r#"{"type":"action","text":"waves"}"#);
    assert_eq!(
        next_event(&mut json),
        ServerEvent::Action {
            from: "user0".into(),
            text: "waves".into(),
            id: 3,
            time: 0
        }
    );
    json.send_text(r#"{"type":"rename","name":"alice"}"#);
    assert_eq!(
        next_event(&mut json),
        ServerEvent::Renamed {
            from: "user0".into(),
            to: "alice".into()
        }
    );
    json.send_text(r#"{"type":"whisper","to":"user1","text":"psst"}"#);
    let whisper = |from: &'static str, to: &'static str| ServerEvent::Whisper {
        from: from.into(),
        to: to.into(),
        text: "psst".into(),
        to_sender: false,
    };
    assert_eq!(next_event(&mut json), whisper("alice", "user1"));
    plain.send_text("/w alice psst");
    assert_eq!(next_event(&mut json), whisper("user1", "alice"));
    json.send_text(r#"{"type":"who"}"#);
    assert_eq!(
        next_event(&mut json),
        ServerEvent::Who {
            names: vec!["alice".into(), "user1".into()],
            users: 2
        }
    );
    json.send_text(r#"{"type":"help"}"#);
    assert!(
        matches!(next_event(&mut json), ServerEvent::Help { text } if text.contains("/whisper NAME TEXT"))
    );

    let lines = [
        "[user1]: from plain",
        "[user0]: /nick \"not\" a command",
        "[user0] waves",
        "* user0 is now alice.",
        "[alice whispers]: psst",
        "[you whisper to alice]: psst",
    ];
    for line in lines {
        assert_eq!(plain.recv_text(), line);
    }
    plain.close();
    assert_eq!(
        next_event(&mut json),
        ServerEvent::Left {
            name: "user1".into(),
            users: 1
        }
    );
}

#[test]
fn invalid_commands_get_an_error_and_keep_the_connection() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut json = Client::json(server.address, "/chat?name=user7");
    assert_eq!(next_event(&mut json), welcome("user0", 1, 0));
    assert!(
        matches!(next_event(&mut json), ServerEvent::Error { text } if text.contains("reserved"))
    );
    for (message, reason) in [
        ("hello", "JSON object"),
        (r#"{"type":"message""#, "EOF"),
        (r#"{"type":"dance"}"#, "`dance`"),
        (r#"{"type":"message"}"#, "`text`"),
        (r#"{"type":"rename","name":"you"}"#, "reserved"),
        (
            r#"{"type":"whisper","to":"nobody","text":"x"}"#,
            "Nobody here is called nobody",
        ),
    ] {
        json.send_text(message);
        match next_event(&mut json) {
            ServerEvent::Error { text } => assert!(text.contains(reason), "{message}: {text}"),
            other => panic!("{message}: {other:?}"),
        }
    }
    json.send_text(r#"{"type":"message","text":"still here"}"#);
    assert_eq!(
        next_event(&mut json),
        ServerEvent::Message {
            from: "user0".into(),
            text: "still here".into(),
            id: 1,
            time: 0
        }
    );
}

#[test]
fn lines_are_handled_as_plain_text_would() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = Client::json(server.address, "/chat");
    assert!(matches!(
        next_event(&mut client),
        ServerEvent::Welcome { .. }
    ));
    client.send_text(r#"{"type":"line","text":"/roll 2d6"}"#);
    assert!(matches!(
        next_event(&mut client),
        ServerEvent::Error { text } if text.contains("no command /roll")
    ));
    client.send_text(r#"{"type":"line","text":"/quit"}"#);
    assert_eq!(client.expect_close(), 1000);
}

#[test]
fn json_and_plain_text_see_the_same_order_under_load() {
    const MESSAGES: usize = 300;
    let _watchdog = watchdog(120);
    let server = TestServer::start();
    let mut json = Client::json(server.address, "/chat");
    next_event(&mut json);
    let mut plain: Vec<Client> = (0..6).map(|_| server.client()).collect();
    let received: Vec<Vec<(String, String)>> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for client in &mut plain {
            threads.push(scope.spawn(move || {
                let mut received = Vec::new();
                for number in 0..MESSAGES {
                    client.send_text(&number.to_string());
                    received.push(client.recv_text());
                }
                while received.len() < 6 * MESSAGES {
                    received.push(client.recv_text());
                }
                let split = |line: String| {
                    let (from, text) = line.strip_prefix('[')?.split_once("]: ")?;
                    Some((from.to_owned(), text.to_owned()))
                };
                received
                    .into_iter()
                    .map(|line| split(line).expect("the line is a message"))
                    .collect()
            }));
        }
        let mut objects = Vec::new();
        while objects.len() < 6 * MESSAGES {
            if let ServerEvent::Message { from, text, .. } = next_event(&mut json) {
                objects.push((from.into_owned(), text.into_owned()));
            }
        }
        let mut all: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no client thread panics"))
            .collect();
        all.push(objects);
        all
    });
    assert!(
        received.iter().all(|sequence| *sequence == received[0]),
        "two clients received different sequences"
    );
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let _watchdog = watchdog(60);
    // A process of its own, because a stack overflow would abort the test program.
    let server = support::ServerProcess::start(&[]);
    let mut json = Client::json(server.address, "/chat");
    next_event(&mut json);
    for depth in [1, 60, 120, 124, 125, 126, 127, 128, 200, 10_000] {
        for (open, close) in [(r#"{"a":"#, "}"), ("[", "]")] {
            let nested = open.repeat(depth) + "1" + &close.repeat(depth);
            json.send_text(&format!(r#"{{"x":{nested},"type":"who"}}"#));
            // A field that no command has is skipped, however deep it is.
            match next_event(&mut json) {
                ServerEvent::Who { users: 1, .. } => {}
                other => panic!("{depth}: {other:?}"),
            }
        }
    }
}
