//! Steps 1 to 4 of the tutorial: what breaks in each of them is repaired in the next one.

mod support;
#[path = "support/tutorial.rs"]
mod tutorial;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use support::{Client, RawClient, TIMEOUT, eventually, raw, watchdog};
use tungstenite::Error;
use tutorial::{PATIENCE, Step, Talker};

/// Returns whether a client is greeted while another one is connected. If not, checks that it is when the other has left.
fn serves_a_second_client(step: &str) -> bool {
    let step = Step::start(step);
    let mut first = Client::connect(step.address, "/chat");
    assert!(first.recv_text().starts_with("You are connected!"));
    let mut second = RawClient::connect(step.address);
    second.send(raw::handshake("/chat", "").as_bytes());
    let wait_at_most = |socket: &TcpStream, limit| {
        let set = socket.set_read_timeout(Some(limit));
        set.expect("the timeout is not zero");
    };
    wait_at_most(&second.socket, PATIENCE);
    let greeted = second.socket.peek(&mut [0]);
    first.close();
    wait_at_most(&second.socket, TIMEOUT);
    assert!(second.head().starts_with("HTTP/1.1 101 "));
    match greeted {
        Ok(length) => length > 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

#[test]
fn step_1_serves_one_client_at_a_time_and_step_2_each_on_its_thread() {
    let _watchdog = watchdog(60);
    assert!(!serves_a_second_client("1_echo"));
    assert!(serves_a_second_client("2_connections"));
}

/// Returns whether a silent client receives what is typed into the server's terminal.
fn announces_to_a_silent_client(step: &str) -> bool {
    let mut step = Step::start(step);
    let mut client = Client::connect(step.address, "/chat");
    assert_eq!(client.recv_text(), "You are connected!");
    assert_eq!(step.line(), "Adding user!");
    // Between the greeting and the first read, the lock of step 2 is free.
    eventually("the client's thread reads", || step.is_idle());
    step.type_in("lunch is ready");
    let timeout = client.socket.get_ref().set_read_timeout(Some(PATIENCE));
    timeout.expect("the timeout is not zero");
    match client.next_message() {
        Ok(message) => {
            assert_eq!(message.to_text().ok(), Some("lunch is ready"));
            true
        }
        Err(Error::Io(error)) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn step_2_cannot_write_to_a_silent_client_and_step_3_can() {
    let _watchdog = watchdog(60);
    assert!(!announces_to_a_silent_client("2_connections"));
    assert!(announces_to_a_silent_client("3_broadcast"));
}

#[test]
fn step_2_removes_a_client_however_it_leaves() {
    let _watchdog = watchdog(60);
    let mut step = Step::start("2_connections");
    let mut client = Client::connect(step.address, "/chat");
    assert_eq!(step.line(), "Adding user!");
    client.send_text("hello");
    assert_eq!(client.recv_text(), "You are connected!");
    assert_eq!(client.recv_text(), "You said: hello");
    client.close();
    assert_eq!(step.line(), "Removing user!");
    assert_eq!(step.line(), "Connection closed normally");
    drop(RawClient::upgraded(step.address, "/chat"));
    assert_eq!(step.line(), "Adding user!");
    assert_eq!(step.line(), "Removing user!");
}

#[test]
fn step_3_is_frozen_by_a_client_that_stops_reading_and_step_4_is_not() {
    let _watchdog = watchdog(120);
    for (name, frozen) in [("3_broadcast", true), ("4_names", false)] {
        let mut step = Step::start(name);
        let stopped = RawClient::upgraded(step.address, "/chat");
        let mut bystander = Talker::join(step.address);
        assert!(!Talker::join(step.address).floods(64), "{name}");
        if !frozen {
            // Who speaks before the two are removed is thrown out as the sender was.
            for _ in 0..2 {
                while !step.line().starts_with("Removing") {}
            }
            eventually("both are removed", || step.is_idle());
        }
        bystander.say("hello").expect("the server is there");
        assert_eq!(bystander.hears("hello"), !frozen, "{name}");
        drop(stopped);
        eventually("the server goes on without the client", || {
            let mut newcomer = Talker::join(step.address);
            newcomer.say("again").is_ok() && newcomer.hears("again")
        });
    }
}

/// Lets two users speak at once, and returns whether all users see the same order.
fn has_one_order(step: &Step) -> bool {
    const EACH: usize = 500;
    let users: Vec<Talker> = (0..6).map(|_| Talker::join(step.address)).collect();
    let speak = |mut user: Talker| {
        thread::spawn(move || {
            for number in 0..EACH {
                user.say(&number.to_string()).expect("the server reads");
            }
            user
        })
    };
    let mut users = users.into_iter();
    let speakers = [users.next(), users.next()].map(|user| speak(user.expect("there are six")));
    let transcript = |user: &Talker| -> Vec<String> {
        let mut texts = (0..).map(|_| user.text());
        let mut said = Vec::new();
        while said.len() < 2 * EACH {
            said.extend(texts.next());
        }
        said
    };
    let listeners: Vec<Talker> = users.collect();
    let transcripts: Vec<_> = listeners.iter().map(transcript).collect();
    for speaker in speakers {
        speaker.join().expect("the speaker does not panic");
    }
    transcripts.windows(2).all(|two| two[0] == two[1])
}

#[test]
fn step_4_shows_two_orders_of_two_who_speak_at_once_and_step_5_shows_one() {
    let _watchdog = watchdog(120);
    let step = Step::start("4_names");
    let end = Instant::now() + Duration::from_secs(60);
    while has_one_order(&step) {
        assert!(Instant::now() < end, "the order was the same by chance");
    }
    let step = Step::start("5_dispatcher");
    for _ in 0..3 {
        assert!(has_one_order(&step));
    }
}

#[test]
fn step_4_throws_the_sender_out_for_a_client_that_stopped_and_step_5_does_not() {
    let _watchdog = watchdog(120);
    for (name, thrown_out) in [("4_names", true), ("5_dispatcher", false)] {
        let step = Step::start(name);
        let _stopped = RawClient::upgraded(step.address, "/chat");
        let mut sender = Talker::join(step.address);
        assert_eq!(sender.floods(32), !thrown_out, "{name}");
        assert_eq!(sender.is_thrown_out(), thrown_out, "{name}");
    }
}
