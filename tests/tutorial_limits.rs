//! Steps 5 and 6 of the tutorial and its client: what breaks is repaired in the next step or in this project's programs.

mod support;
#[cfg(feature = "client")]
#[path = "support/terminal.rs"]
mod terminal;
#[path = "support/tutorial.rs"]
mod tutorial;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use support::{Client, RawClient, ServerProcess, eventually, watchdog};
use tutorial::{Step, Talker, resident_kb, sum_of_threads};

#[test]
fn step_5_queues_without_bound_for_a_client_that_stopped_and_step_6_does_not() {
    let _watchdog = watchdog(120);
    const FLOOD: usize = 64;
    for (name, grows) in [("5_dispatcher", true), ("6_bounded", false)] {
        let step = Step::start(name);
        let stopped = RawClient::upgraded(step.address, "/chat");
        let mut talker = Talker::join(step.address);
        assert!(talker.floods(FLOOD), "{name}");
        let resident = resident_kb(step.id());
        // A part of the flood fits into the socket's buffers.
        if grows {
            assert!(resident > (FLOOD as u64 / 2) << 10, "{name}: {resident} kB");
        } else {
            assert!(resident < 24 << 10, "{name}: {resident} kB");
        }
        drop(stopped);
    }
}

#[test]
fn step_5_keeps_a_client_that_vanished_and_step_6_removes_it() {
    let _watchdog = watchdog(60);
    let (fifth, sixth) = (Step::start("5_dispatcher"), Step::start("6_bounded"));
    let mut kept = RawClient::upgraded(fifth.address, "/chat");
    let mut removed = RawClient::upgraded(sixth.address, "/chat");
    let mut healthy = Talker::join(sixth.address);
    // Neither reads nor answers a Ping.
    removed.rest().expect("the server closes the connection");
    let timeout = Some(Duration::from_millis(100));
    kept.frame().expect("the greeting arrives");
    kept.socket.set_read_timeout(timeout).expect("not zero");
    let error = kept
        .frame()
        .expect_err("the connection is open, and silent");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(users(fifth.address), 2);
    healthy.say("hello").expect("the server is there");
    assert!(healthy.hears("hello"), "who answers Pings stays");
    eventually("the client is removed from the list", || {
        users(sixth.address) == 2
    });
}

fn users(address: SocketAddr) -> usize {
    let mut client = Client::connect(address, "/chat");
    let users = support::users(&client.recv_text());
    client.close();
    users
}

#[test]
fn step_5_does_not_stop_and_step_6_stops_with_a_close() {
    let _watchdog = watchdog(60);
    let mut fifth = Step::start("5_dispatcher");
    fifth.type_in("quit");
    fifth.end_input();
    for quits in [true, false] {
        let mut sixth = Step::start("6_bounded");
        let mut client = Client::join(sixth.address);
        client.send_text("hello");
        assert_eq!(client.recv_text(), "[user0]: hello");
        match quits {
            true => sixth.type_in("quit"),
            false => sixth.end_input(),
        }
        let stopped = Instant::now();
        assert_eq!(client.expect_close(), 1001);
        assert!(sixth.wait().success());
        // The client has answered, so the rest of its five seconds is not waited for.
        assert!(stopped.elapsed() < Duration::from_secs(4));
    }
    assert!(fifth.is_running());
    assert_eq!(users(fifth.address), 1);
}

/// Returns how often the threads of a process have left a processor. On a busy machine that is not `voluntary`: a channel
/// yields some times before it waits, and a yield lasts until other processes have run.
fn switches(id: u32) -> u64 {
    sum_of_threads(id, "voluntary_ctxt_switches:")
        + sum_of_threads(id, "nonvoluntary_ctxt_switches:")
}

/// Returns the context switches of a server for each message and client.
fn switches_per_delivery(address: SocketAddr, id: u32) -> f64 {
    const MESSAGES: u32 = 200;
    let listeners: Vec<Talker> = (0..40).map(|_| Talker::join(address)).collect();
    let mut talker = Talker::join(address);
    let before = switches(id);
    for number in 0..MESSAGES {
        let text = format!("#{number}#");
        talker.say(&text).expect("the server reads");
        for user in listeners.iter().chain([&talker]) {
            assert!(user.hears(&text));
        }
    }
    let switches = switches(id) - before;
    switches as f64 / f64::from(MESSAGES) / 41.0
}

#[test]
fn step_6_wakes_a_thread_for_each_delivery_and_the_server_of_this_project_does_not() {
    let _watchdog = watchdog(120);
    let step = Step::start("6_bounded");
    let woken = switches_per_delivery(step.address, step.id());
    assert!(woken > 0.5, "{woken}");
    let server = ServerProcess::start(&[]);
    let direct = switches_per_delivery(server.address, server.id());
    assert!(direct < woken / 2.0, "{direct}, {woken}");
}

#[cfg(feature = "client")]
#[test]
fn the_client_prints_into_the_line_being_typed_and_that_of_this_project_does_not() {
    use terminal::Terminal;

    let _watchdog = watchdog(60);
    let server = support::TestServer::start();
    let mut bob = server.client();
    let mut terminal = Terminal::start_program(
        &tutorial::example("client"),
        &[&server.address.to_string()],
        &[],
        80,
    );
    terminal.wait_for("You are connected! There are 2 users here.\r\n");
    terminal.type_in("half a li");
    terminal.wait_for("half a li");
    bob.send_text("hello");
    terminal.wait_for("[user0]: hello\r\n");
    assert!(terminal.output().ends_with("half a li[user0]: hello\r\n"));
    terminal.type_in("ne\nexit\n");
    bob.recv_until(|text| text == "[user1]: half a line");
    assert!(terminal.wait_for_exit().success());

    let mut terminal = Terminal::join(server.address, "carol");
    terminal.type_in("half a li");
    terminal.wait_for("half a li");
    bob.send_text("hello");
    terminal.wait_for("hello");
    // The line being typed is drawn again.
    terminal.wait_for("carol> half a li");
}
