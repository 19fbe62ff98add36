//! The subprotocol `threadchat.json`, in one chat with plain text.

mod support;

use support::{Client, TestServer, watchdog};
use threadchat::protocol::ServerEvent;
use tungstenite::http::HeaderValue;

/// What the next message says.
fn told(client: &mut Client) -> ServerEvent<'static> {
    let text = client.recv_text();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn it_is_confirmed_where_it_is_offered() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    for (offered, confirmed) in [
        (Some("threadchat.json"), true),
        (Some("soap, threadchat.json"), true),
        (Some("soap"), false),
        (Some("Threadchat.JSON"), false),
        (None, false),
    ] {
        let mut request = support::client::request(host.address, "/chat");
        if let Some(offered) = offered {
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(offered));
        }
        // tungstenite's client insists on an answer to its offer; the server's silence is an offer of plain text.
        match Client::try_connect(host.address, request) {
            Ok(mut client) => {
                let subprotocol = client
                    .response
                    .headers()
                    .get("Sec-WebSocket-Protocol")
                    .cloned();
                assert_eq!(subprotocol.is_some(), confirmed, "{offered:?}");
                assert_eq!(
                    client.recv_text().starts_with('{'),
                    confirmed,
                    "{offered:?}"
                );
            }
            Err(tungstenite::Error::Protocol(_)) => {
                assert!(offered.is_some() && !confirmed, "{offered:?}")
            }
            Err(error) => panic!("{offered:?}: {error}"),
        }
    }
}

#[test]
fn who_offers_unknown_subprotocols_alone_is_served_plain_text() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut raw = support::RawClient::connect(host.address);
    raw.send(support::raw::handshake("/chat", "Sec-WebSocket-Protocol: soap, xmpp\r\n").as_bytes());
    let head = raw.head().to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 101 ") && !head.contains("sec-websocket-protocol"),
        "{head}"
    );
    let (_, greeting) = raw.frame().expect("no reset").expect("it is greeted");
    assert_eq!(greeting, b"You are connected! There are 1 users here.");
}

#[test]
fn both_kinds_share_one_chat_and_one_order() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut json = Client::json(host.address, "/chat");
    assert_eq!(
        told(&mut json),
        ServerEvent::Welcome {
            name: "user0".into(),
            users: 1
        }
    );
    let mut plain = host.client();
    assert_eq!(
        told(&mut json),
        ServerEvent::Joined {
            name: "user1".into(),
            users: 2
        }
    );

    plain.send_text("from plain");
    assert_eq!(
        told(&mut json),
        ServerEvent::Message {
            from: "user1".into(),
            text: "from plain".into()
        }
    );
    json.send_text(r#"{"type":"message","text":"/nick \"not\" a\ncommand"}"#);
    let text = "/nick \"not\" a command".into();
    assert_eq!(
        told(&mut json),
        ServerEvent::Message {
            from: "user0".into(),
            text
        }
    );
    json.send_text(r#"{"type":"action","text":"waves"}"#);
    assert_eq!(
        told(&mut json),
        ServerEvent::Action {
            from: "user0".into(),
            text: "waves".into()
        }
    );
    json.send_text(r#"{"type":"rename","name":"alice"}"#);
    assert_eq!(
        told(&mut json),
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
        sent: false,
    };
    assert_eq!(told(&mut json), whisper("alice", "user1"));
    plain.send_text("/w alice psst");
    assert_eq!(told(&mut json), whisper("user1", "alice"));
    json.send_text(r#"{"type":"who"}"#);
    assert_eq!(
        told(&mut json),
        ServerEvent::Who {
            names: vec!["alice".into(), "user1".into()],
            users: 2
        }
    );
    json.send_text(r#"{"type":"help"}"#);
    assert!(
        matches!(told(&mut json), ServerEvent::Help { text } if text.contains("/whisper NAME TEXT"))
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
        told(&mut json),
        ServerEvent::Left {
            name: "user1".into(),
            users: 1
        }
    );
}

#[test]
fn what_is_wrong_is_answered_and_the_connection_stays() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut json = Client::json(host.address, "/chat?name=user7");
    assert_eq!(
        told(&mut json),
        ServerEvent::Welcome {
            name: "user0".into(),
            users: 1
        }
    );
    assert!(matches!(told(&mut json), ServerEvent::Error { text } if text.contains("reserved")));
    for (message, why) in [
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
        match told(&mut json) {
            ServerEvent::Error { text } => assert!(text.contains(why), "{message}: {text}"),
            other => panic!("{message}: {other:?}"),
        }
    }
    json.send_text(r#"{"type":"message","text":"still here"}"#);
    assert_eq!(
        told(&mut json),
        ServerEvent::Message {
            from: "user0".into(),
            text: "still here".into()
        }
    );
}

#[test]
fn both_kinds_see_the_same_order_under_load() {
    const EACH: usize = 300;
    let _watchdog = watchdog(120);
    let host = TestServer::start();
    let mut json = Client::json(host.address, "/chat");
    told(&mut json);
    let mut plain: Vec<Client> = (0..6).map(|_| host.client()).collect();
    let heard: Vec<Vec<(String, String)>> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for client in &mut plain {
            threads.push(scope.spawn(move || {
                let mut heard = Vec::new();
                for number in 0..EACH {
                    client.send_text(&number.to_string());
                    heard.push(client.recv_text());
                }
                while heard.len() < 6 * EACH {
                    heard.push(client.recv_text());
                }
                let split = |line: String| {
                    let (from, text) = line.strip_prefix('[')?.split_once("]: ")?;
                    Some((from.to_owned(), text.to_owned()))
                };
                heard
                    .into_iter()
                    .map(|line| split(line).expect("a message"))
                    .collect()
            }));
        }
        let mut objects = Vec::new();
        while objects.len() < 6 * EACH {
            if let ServerEvent::Message { from, text } = told(&mut json) {
                objects.push((from.into_owned(), text.into_owned()));
            }
        }
        let mut all: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no client fails"))
            .collect();
        all.push(objects);
        all
    });
    assert!(
        heard.iter().all(|sequence| *sequence == heard[0]),
        "two clients saw different sequences"
    );
}

#[test]
fn the_deepest_nesting_is_no_harm() {
    let _watchdog = watchdog(60);
    // Its own process: a stack that overflows ends all of it.
    let program = support::ServerProcess::start(&[]);
    let mut json = Client::json(program.address, "/chat");
    told(&mut json);
    for depth in [1, 60, 120, 124, 125, 126, 127, 128, 200, 10_000] {
        for (open, close) in [(r#"{"a":"#, "}"), ("[", "]")] {
            let nested = open.repeat(depth) + "1" + &close.repeat(depth);
            json.send_text(&format!(r#"{{"x":{nested},"type":"who"}}"#));
            match told(&mut json) {
                ServerEvent::Who { users: 1, .. } => assert!(depth < 128, "{depth}"),
                ServerEvent::Error { text } => {
                    assert!(depth > 100 && text.contains("recursion"), "{depth}: {text}")
                }
                other => panic!("{depth}: {other:?}"),
            }
        }
    }
}
