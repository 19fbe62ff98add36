//! A server listens on several addresses: all lead to one chat, and a shutdown ends all of them.

mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use rustix::process::Signal;
use support::{Client, RawClient, ServerProcess, TestServer, config, eventually, raw, watchdog};
use threadchat::config::ListenAddress;
use threadchat::{Config, Server, ServerError};

/// Returns whether the system has IPv6.
fn has_ipv6() -> bool {
    let found = TcpListener::bind("[::1]:0").is_ok();
    if !found {
        println!("skipped: no IPv6");
    }
    found
}

/// Returns a port that is free for both families.
fn free_port() -> u16 {
    let free = TcpListener::bind("[::]:0").expect("port 0 is free");
    free.local_addr().expect("it is bound").port()
}

fn local(host: &str, port: u16) -> SocketAddr {
    format!("{host}:{port}").parse().expect("an address")
}

/// Starts a server on these addresses, and returns it with the port of each.
fn start(addresses: &[&str]) -> (ServerProcess, Vec<u16>) {
    let args: Vec<&str> = addresses
        .iter()
        .flat_map(|address| ["--listen", *address])
        .collect();
    let mut server = ServerProcess::start_anywhere(&args);
    let mut ports = vec![server.address.port()];
    for _ in 1..addresses.len() {
        let line = server.wait_for_log("listening at ws://");
        let address = line.split('/').nth(2).expect("the line has the address");
        let address: SocketAddr = address.parse().expect("an address");
        ports.push(address.port());
    }
    (server, ports)
}

#[test]
fn all_addresses_lead_to_one_chat_and_end_together() {
    let _watchdog = watchdog(60);
    let (mut server, ports) = start(&["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"]);
    let addresses: Vec<_> = ports.iter().map(|port| local("127.0.0.1", *port)).collect();
    let mut clients: Vec<_> = addresses.iter().map(|at| Client::join(*at)).collect();
    clients[2].send_text("hello");
    for client in &mut clients {
        assert_eq!(client.recv_text(), "[user2]: hello");
    }
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.expect_close(), 1001);
    }
    assert_eq!(server.wait().code(), Some(0));
    assert!(addresses.iter().all(|at| TcpStream::connect(at).is_err()));
}

#[test]
fn each_further_address_has_one_thread() {
    let _watchdog = watchdog(60);
    let baseline = support::server_process::BASELINE_THREADS;
    for addresses in [&["127.0.0.1:0"][..], &["127.0.0.1:0"; 3]] {
        let (server, _) = start(addresses);
        let expected = baseline + addresses.len() - 1;
        eventually("all threads run", || server.threads() == expected);
    }
}

#[test]
fn both_families_share_a_port() {
    if !has_ipv6() {
        return;
    }
    let _watchdog = watchdog(60);
    for (four, six) in [
        ("0.0.0.0", "[::]"),
        ("127.0.0.1", "[::1]"),
        ("127.0.0.1", "[::]"),
    ] {
        let port = free_port();
        let addresses = [format!("{six}:{port}"), format!("{four}:{port}")];
        let (_server, _) = start(&addresses.each_ref().map(String::as_str));
        let mut first = Client::join(local("127.0.0.1", port));
        let mut second = Client::join(local("[::1]", port));
        second.send_text("hello");
        assert_eq!(first.recv_text(), "[user1]: hello");
    }
}

#[test]
fn ipv6_alone_takes_ipv4_too() {
    if !has_ipv6() {
        return;
    }
    let _watchdog = watchdog(60);
    let (mut server, ports) = start(&["[::]:0"]);
    Client::join(local("127.0.0.1", ports[0])).close();
    server.wait_for_log("user0 joined from [::ffff:127.0.0.1]:");
    Client::join(local("[::1]", ports[0])).close();
    server.wait_for_log("user1 joined from [::1]:");
}

#[test]
fn an_address_in_use_is_named_and_ends_the_others() {
    let _watchdog = watchdog(60);
    let taken = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let taken = taken.local_addr().expect("it is bound");
    let socket = std::env::temp_dir().join(format!("threadchat-listen-{}", std::process::id()));
    let result = Server::bind(Config {
        listen: vec![ListenAddress::Unix(socket.clone()), taken.into()],
        ..config()
    });
    let Err(ServerError::Bind(address, _)) = result else {
        panic!("the second address is in use");
    };
    assert_eq!(address, taken.into());
    assert!(!Path::exists(&socket), "the file of the first one remains");
}

#[test]
fn all_listeners_share_the_limit_of_pending_requests() {
    let _watchdog = watchdog(60);
    let both = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into(); 2];
    let config = Config {
        listen: both,
        max_connections: 1,
        ..config()
    };
    let server = TestServer::with_config(config);
    // The limit is 64 at least.
    let clients: Vec<RawClient> = (0..70)
        .map(|number| {
            let mut raw = RawClient::connect(server.addresses[number % 2]);
            raw.send(b"GET /");
            raw.socket.set_nonblocking(true).expect("it is open");
            raw
        })
        .collect();
    let has_ended = |raw: &&RawClient| match raw.socket.peek(&mut [0]) {
        Err(error) => error.kind() != ErrorKind::WouldBlock,
        Ok(received) => received == 0,
    };
    eventually("six are evicted", || {
        clients.iter().filter(has_ended).count() == 6
    });
}

/// Completes a request while a server stops. Returns the server and its client if the client gets an answer.
fn complete_while_stopping() -> Option<(ServerProcess, RawClient)> {
    let server = ServerProcess::start(&[]);
    let mut raw = RawClient::connect(server.address);
    let request = raw::handshake("/chat", "");
    let (begin, end) = request.split_at(20);
    raw.send(begin.as_bytes());
    // Accepted in order, so the first one is accepted, too.
    Client::join(server.address).close();
    server.signal(Signal::TERM);
    eventually("the server listens no more", || {
        TcpStream::connect(server.address).is_err()
    });
    // The server can have evicted the client.
    let _ = raw.try_send(end.as_bytes());
    let is_answered = raw.socket.peek(&mut [0]).is_ok_and(|read| read > 0);
    is_answered.then_some((server, raw))
}

#[test]
fn a_request_in_progress_is_answered_by_a_server_that_stops() {
    let _watchdog = watchdog(60);
    // The request has a second to be completed, which can pass on a busy machine.
    let answered = (0..5).find_map(|_| complete_while_stopping());
    let (_server, mut raw) = answered.expect("an answer");
    assert!(raw.head().starts_with("HTTP/1.1 101 "));
    let close = raw.frame().expect("no reset").expect("a Close");
    assert_eq!((close.0, &close.1[..2]), (0x88, &1001u16.to_be_bytes()[..]));
}
