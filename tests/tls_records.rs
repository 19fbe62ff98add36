//! TLS records of every form: flights and messages cut anywhere, full records, damaged records.

#![cfg(feature = "tls")]

mod support;

use std::io::Write;
use std::thread;
use std::time::Duration;

use rustls::AlertDescription;
use support::cases::{BINARY, TEXT};
use support::certificates::Certificates;
use support::server_process::BASELINE_THREADS;
use support::tls::{TlsClient, client_config, server_process};
use support::{TIMEOUT, eventually, raw, watchdog};

/// Returns a frame of the server.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=65535 => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    [&frame, payload].concat()
}

/// Sends the parts before and after the cut, so that the server reads them one by one.
fn send_cut(client: &mut TlsClient, records: &[u8], cut: usize) {
    let (first, second) = records.split_at(cut.min(records.len()));
    client.socket.write_all(first).expect("the server reads");
    client.wait_until_read();
    client.socket.write_all(second).expect("the server reads");
}

#[test]
fn the_handshake_can_be_cut_at_every_byte() {
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &["--max-connections", "2000"]);
    for version in rustls::ALL_VERSIONS {
        let config = client_config(&certificates, &[version]);
        let (mut cut, mut longest) = (1, usize::MAX);
        while cut < longest {
            let mut client = TlsClient::begin(server.address, &config);
            longest = 0;
            while client.tls.is_handshaking() {
                let flight = client.own_records();
                longest = longest.max(flight.len());
                send_cut(&mut client, &flight, cut);
                while client.tls.is_handshaking() && !client.tls.wants_write() {
                    let read = client.tls.read_tls(&mut client.socket).expect("no reset");
                    assert!(read > 0, "{version:?}: the server refuses the cut at {cut}");
                    client.tls.process_new_packets().expect("valid records");
                }
            }
            // The last flight, and the request in the same write.
            let flight = [
                client.own_records(),
                client.records(raw::handshake("/echo", "").as_bytes()),
            ];
            send_cut(&mut client, &flight.concat(), cut);
            client.read_until("\r\n\r\n");
            cut += 1;
        }
        assert!(longest > 150, "{longest}");
    }
}

/// Sends records in pieces of this size, and reads what comes back meanwhile.
fn echo_in_pieces(client: &mut TlsClient, records: &[u8], size: usize, expected: &[u8]) {
    let mut socket = client.socket.try_clone().expect("it can be cloned");
    let received = thread::scope(|scope| {
        scope.spawn(|| {
            for piece in records.chunks(size) {
                socket.write_all(piece).expect("the server reads");
            }
        });
        client.read_exact(expected.len())
    });
    assert!(received == expected, "in pieces of {size}");
}

#[test]
fn messages_of_many_records_arrive_in_pieces_of_any_size() {
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    for version in rustls::ALL_VERSIONS {
        let config = client_config(&certificates, &[version]);
        let mut client = TlsClient::connect(server.address, &config);
        client.send(raw::handshake("/echo", "").as_bytes());
        client.read_until("\r\n\r\n");
        // A full record holds 16 KiB (RFC 8446, section 5.1). The lengths lie around it and its multiples.
        let payloads = [0, 1, 16_375, 16_376, 16_377, 1, 32_760, 65_536, 0, 2];
        let payloads = payloads.map(|length| vec![b'x'; length]);
        let frames = payloads.each_ref().map(|it| raw::frame(BINARY, it));
        let expected = payloads.each_ref().map(|it| unmasked(BINARY, it));
        let expected = expected.concat();
        for size in [1, 2, 5, 1023, 2047, 2048, 2049, 16_405, usize::MAX] {
            // Each frame in records of its own, then all of them in as few records as possible.
            let separate: Vec<u8> = frames.iter().flat_map(|it| client.records(it)).collect();
            echo_in_pieces(&mut client, &separate, size, &expected);
            let joined = client.records(&frames.concat());
            echo_in_pieces(&mut client, &joined, size, &expected);
        }
        // Each byte of a frame in a record of its own.
        let frame = raw::frame(TEXT, b"a record for each byte");
        let bytes = frame.iter().flat_map(|byte| client.records(&[*byte]));
        let bytes: Vec<u8> = bytes.collect();
        let expected = unmasked(TEXT, b"a record for each byte");
        for size in [7, usize::MAX] {
            // The same records cannot be sent twice.
            let records = match size {
                7 => bytes.clone(),
                _ => frame.iter().flat_map(|it| client.records(&[*it])).collect(),
            };
            echo_in_pieces(&mut client, &records, size, &expected);
        }
    }
}

fn send_damaged(client: &mut TlsClient) {
    let mut record = client.records(&raw::frame(TEXT, b"damaged"));
    *record.last_mut().expect("a record has bytes") ^= 1;
    client.socket.write_all(&record).expect("the server reads");
}

/// Reads up to the end, and checks that an alert about a damaged record is there.
fn assert_alert(client: &mut TlsClient) {
    let alert = client.read_to_end().map(|end| end.records);
    assert_eq!(
        alert,
        Err(rustls::Error::AlertReceived(AlertDescription::BadRecordMac))
    );
}

#[test]
fn a_damaged_record_is_answered_with_an_alert() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    for version in rustls::ALL_VERSIONS {
        let mut server = server_process(&certificates, &[]);
        let config = client_config(&certificates, &[version]);
        let mut witness = TlsClient::join(server.address, &config);
        let mut client = TlsClient::join(server.address, &config);
        send_damaged(&mut client);
        assert_alert(&mut client);
        let line = server.wait_for_log("user1 left");
        assert!(line.contains("TLS error (cannot decrypt"), "{line}");
        witness.send(&raw::frame(TEXT, b"still here"));
        witness.read_until("still here");
    }
}

#[test]
fn an_alert_waits_for_its_turn() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    for version in rustls::ALL_VERSIONS {
        let mut server = server_process(&certificates, &[]);
        let config = client_config(&certificates, &[version]);
        let mut sender = TlsClient::join(server.address, &config);
        let mut client = TlsClient::join(server.address, &config);
        let without_writer = BASELINE_THREADS + 2;
        eventually("the handshakes' threads have ended", || {
            server.threads() == without_writer
        });
        // A writer thread begins when the socket takes nothing more.
        for number in 0.. {
            let text = format!("{:x>32000} {number}.", "");
            sender.send(&raw::frame(TEXT, text.as_bytes()));
            sender.read_until(&format!(" {number}."));
            if server.threads() > without_writer {
                break;
            }
        }
        send_damaged(&mut client);
        server.wait_for_log("user1 left");
        assert_alert(&mut client);
    }
}

#[test]
fn an_echo_larger_than_all_buffers_returns_whole() {
    const MESSAGES: usize = 400;
    let _watchdog = watchdog(120);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut client = TlsClient::connect(server.address, &config);
    client.send(raw::handshake("/echo", "").as_bytes());
    client.read_until("\r\n\r\n");
    let payload = |number: usize| vec![number as u8; 60_000];
    let records: Vec<Vec<u8>> = (0..MESSAGES)
        .map(|number| client.records(&raw::frame(BINARY, &payload(number))))
        .collect();
    let mut records = records.concat();
    // Sends without reading until the server does not read either.
    let patience = Some(Duration::from_millis(300));
    let set = client.socket.set_write_timeout(patience);
    set.expect("the timeout is not zero");
    let mut sent = 0;
    while let Ok(accepted) = client.socket.write(&records[sent..]) {
        sent += accepted;
        assert!(sent < records.len(), "the buffers take everything");
    }
    let set = client.socket.set_write_timeout(Some(TIMEOUT));
    set.expect("the timeout is not zero");
    records.drain(..sent);
    let expected: Vec<Vec<u8>> = (0..MESSAGES)
        .map(|number| unmasked(BINARY, &payload(number)))
        .collect();
    echo_in_pieces(&mut client, &records, 100_000, &expected.concat());
}
