//! The chat over TLS: order, stalled clients, the ends of connections, key updates.

#![cfg(feature = "tls")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use support::cases::{CLOSE, PING, TEXT};
use support::certificates::Certificates;
use support::tls::{TlsClient, Tunnel, TunneledServer, client_config, server_process};
use support::{Client, config, eventually, raw, watchdog};
use threadchat::Config;

#[test]
fn many_senders_make_one_order() {
    const CLIENTS: usize = 8;
    const MESSAGES: usize = 300;
    let _watchdog = watchdog(120);
    // A client receives eight messages for each that it sends and reads.
    let server = TunneledServer::start(Config {
        max_backlog: Some(64 << 20),
        ..config()
    });
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::join(server.address)).collect();
    let threads: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, mut client)| {
            thread::spawn(move || {
                // Each length of a record occurs, and some messages take several records.
                let filling = "x".repeat(number * 3000);
                let (mut sent, mut texts) = (0, Vec::new());
                while texts.len() < CLIENTS * MESSAGES {
                    if sent < MESSAGES {
                        client.send_text(&format!("{sent} {filling}"));
                        sent += 1;
                    }
                    let mut text = client.recv_text();
                    text.truncate(20);
                    texts.push(text);
                }
                texts
            })
        })
        .collect();
    let transcripts: Vec<Vec<String>> = threads
        .into_iter()
        .map(|thread| thread.join().expect("the client does not panic"))
        .collect();
    for transcript in &transcripts[1..] {
        assert!(
            transcript == &transcripts[0],
            "two clients saw different orders"
        );
    }
    for number in 0..CLIENTS {
        let name = format!("[user{number}]: ");
        let of_one = transcripts[0]
            .iter()
            .filter_map(|text| text.strip_prefix(&name));
        let numbers: Vec<usize> = of_one
            .map(|text| {
                text.split(' ')
                    .next()
                    .and_then(|number| number.parse().ok())
            })
            .map(|number| number.expect("each text begins with its number"))
            .collect();
        assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn stalled_clients_do_not_delay_others() {
    const STALLED: usize = 200;
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let stalled: Vec<TlsClient> = (0..STALLED)
        .map(|_| {
            let client = TlsClient::join(server.address, &config);
            let set = set_socket_recv_buffer_size(&client.socket, 4096);
            set.expect("sockets have a receive buffer");
            client
        })
        .collect();
    let tunnel = Tunnel::start(server.address, config);
    let mut clients: Vec<Client> = (0..32).map(|_| Client::join(tunnel.address)).collect();
    let text = "x".repeat(8 << 10);
    let start = Instant::now();
    for round in 0..60 {
        let sender = round % clients.len();
        clients[sender].send_text(&text);
        for client in &mut clients {
            client.recv_text();
        }
    }
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
    // Sealed bytes are kept for each client, the messages are shared.
    let peak = server.peak_kb();
    println!("peak {peak} KiB");
    assert!(peak < 64 << 10, "{peak} KiB");
    drop(stalled);
    eventually("the stalled clients are gone", || server.threads() < 50);
}

#[test]
fn a_close_is_followed_by_close_notify_and_the_end() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    for version in rustls::ALL_VERSIONS {
        let config = client_config(&certificates, &[version]);
        let mut client = TlsClient::join(server.address, &config);
        client.send(&raw::frame(CLOSE, &1000_u16.to_be_bytes()));
        let mut received = Vec::new();
        let clean_end = loop {
            let mut buffer = [0; 100];
            match client.tls.reader().read(&mut buffer) {
                Ok(0) => break true,
                Ok(read) => received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    client.tls.read_tls(&mut client.socket).expect("no reset");
                    client.tls.process_new_packets().expect("valid records");
                }
                Err(_) => break false,
            }
        };
        assert_eq!(received, [0x88, 2, 3, 232]);
        assert!(clean_end, "close_notify precedes the FIN");
        assert_eq!(client.socket.read(&mut [0; 1]).ok(), Some(0));
    }
}

#[test]
fn the_log_tells_a_clean_end_from_a_truncated_one() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &[]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let client = TlsClient::join(server.address, &config);
    client.socket.shutdown(Shutdown::Write).expect("it is open");
    server.wait_for_log("connection lost (TLS ended without close_notify)");
    let mut client = TlsClient::join(server.address, &config);
    client.tls.send_close_notify();
    let records = client.own_records();
    client.socket.write_all(&records).expect("the server reads");
    server.wait_for_log(": connection lost; 0 users");
}

#[test]
fn a_key_update_is_answered_at_once_and_a_flood_of_them_refused() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &[]);
    let config = client_config(&certificates, &[&rustls::version::TLS13]);
    let mut client = TlsClient::join(server.address, &config);
    // The session tickets of the handshake have been read, so what comes now is the server's key update.
    client
        .tls
        .refresh_traffic_keys()
        .expect("the handshake is complete");
    let records = client.records(b"");
    assert!(records.is_empty());
    let update = client.own_records();
    client.socket.write_all(&update).expect("the server reads");
    assert!(client.tls.read_tls(&mut client.socket).expect("no reset") > 0);
    client.tls.process_new_packets().expect("a valid record");
    client.send(&raw::frame(TEXT, b"with new keys"));
    client.read_until("with new keys");
    // Others go on while a flood of updates is refused.
    for _ in 0..1000 {
        client
            .tls
            .refresh_traffic_keys()
            .expect("the handshake is complete");
        let update = client.own_records();
        if client.socket.write_all(&update).is_err() {
            break;
        }
    }
    server.wait_for_log("TLS error");
}

#[test]
fn a_client_that_drips_a_record_is_pinged() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &["--ping", "1"]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut client = TlsClient::join(server.address, &config);
    let record = client.records(&raw::frame(TEXT, &[b'x'; 1000]));
    let mut socket = client.socket.try_clone().expect("it can be cloned");
    thread::spawn(move || {
        for byte in &record {
            // One byte in less than the ping period, until the server ends the connection.
            if socket.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
    });
    let start = Instant::now();
    let mut received = Vec::new();
    while !received.contains(&PING) {
        let mut buffer = [0; 100];
        match client.tls.reader().read(&mut buffer) {
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(_) => {
                client.tls.read_tls(&mut client.socket).expect("no reset");
                client.tls.process_new_packets().expect("valid records");
            }
        }
    }
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    server.wait_for_log("ping timeout");
}

#[test]
fn sighup_takes_a_new_certificate_and_loses_no_connection() {
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let mut server = server_process(&certificates, &[]);
    let old = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut first = TlsClient::join(server.address, &old);
    let tunnel = Tunnel::start(server.address, Arc::clone(&old));
    let mut chatting = Client::join(tunnel.address);
    // Messages flow while the files change.
    for round in 0..20 {
        if round == 5 {
            std::fs::write(certificates.path("key.pem"), "nonsense").expect("writable");
            server.signal(rustix::process::Signal::HUP);
            server.wait_for_log("stays in use");
            // New connections still get the certificate from before.
            TlsClient::join(server.address, &old);
        }
        if round == 10 {
            certificates.renew();
            server.signal(rustix::process::Signal::HUP);
            server.wait_for_log("new connections use the certificate");
        }
        let text = format!("round {round}");
        chatting.send_text(&text);
        chatting.recv_until(|received| received.ends_with(&text));
        first.read_until(&text);
    }
    let new = client_config(&certificates, rustls::ALL_VERSIONS);
    TlsClient::join(server.address, &new);
    let mut refused = TlsClient::begin(server.address, &old);
    assert!(
        refused.try_handshake().is_err(),
        "the new certificate is another one"
    );
}
