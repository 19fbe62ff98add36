//! The server's memory stays within the bound that the README states, also with hostile clients.

mod support;

use std::net::SocketAddr;
use std::process::Command;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use support::cases::{CLOSE, CONTINUATION, PING, PONG, TEXT};
use support::{
    Client, RawClient, ServerProcess, eventually, memory_bound, raw, room_bytes, watchdog,
};

const MAX_MESSAGE: usize = 64 << 10;
const MAX_BACKLOG: usize = 512 << 10;
const STALLED: usize = 40;

const LIMITS: [&str; 6] = [
    "--max-message",
    "65536",
    "--max-backlog",
    "524288",
    "--ping",
    "0",
];

#[test]
fn hostile_clients_cannot_exceed_the_memory_bound() {
    let _watchdog = watchdog(120);
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadchat"));
    command.args(["--listen", "127.0.0.1:0"]).args(LIMITS);
    if cfg!(target_pointer_width = "32") {
        // There, glibc keeps most of the peak in the arenas of threads, and sometimes below a small block that is in use
        // (installation.md, "Small hosts").
        command.env("MALLOC_ARENA_MAX", "1");
        command.env("MALLOC_MMAP_THRESHOLD_", "32768");
    }
    let mut server = ServerProcess::spawn(command);
    let address = server.address;
    check_bound(&mut server, address, 0);
}

#[cfg(feature = "tls")]
#[test]
fn hostile_clients_over_tls_cannot_exceed_their_memory_bound() {
    use support::tls::{Tunnel, client_config, server_process};
    let _watchdog = watchdog(120);
    let certificates = support::certificates::Certificates::new();
    let mut server = server_process(&certificates, &LIMITS);
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let tunnel = Tunnel::start(server.address, config);
    check_bound(&mut server, tunnel.address, support::TLS_BYTES);
}

/// Connects hostile clients to this address. Each may cost `more` bytes than without TLS.
fn check_bound(server: &mut ServerProcess, address: SocketAddr, more: usize) {
    let before = server.resident_kb();
    // These clients never read. Each has sent a fragmented message of maximum size except its last byte.
    let stalled: Vec<RawClient> = (0..STALLED)
        .map(|_| {
            let mut client = RawClient::upgraded(address, "/chat");
            set_socket_recv_buffer_size(&client.socket, 4096)
                .expect("sockets have a receive buffer");
            client.send(&raw::fragment(TEXT, false, &vec![b'x'; MAX_MESSAGE / 2]));
            let rest = raw::fragment(CONTINUATION, true, &vec![b'x'; MAX_MESSAGE / 2]);
            client.send(&rest[..rest.len() - 1]);
            client
        })
        .collect();
    // Each whisper has one recipient, so the queues share no memory. All clients are disconnected once their queue
    // exceeds the backlog.
    let mut sender = RawClient::upgraded(address, "/chat");
    sender.frame().expect("the greeting arrives");
    let text = "x".repeat(MAX_MESSAGE - 100);
    // Made once, because masking takes longer than all the rest.
    let whispers: Vec<Vec<u8>> = (0..STALLED)
        .map(|number| raw::frame(TEXT, format!("/w user{number} {text}").as_bytes()))
        .collect();
    let mut disconnected = 0;
    let mut peak = 0;
    while disconnected < STALLED {
        for whisper in &whispers {
            sender.send(whisper);
            // Its copy, so that the sender does not fall behind.
            sender.frame().expect("each whisper has a reply");
        }
        peak = peak.max(server.resident_kb());
        while server.find_in_log("too slow").is_some() {
            disconnected += 1;
        }
    }
    let (peak, bound) = (
        peak.max(server.peak_kb()),
        (memory_bound(STALLED + 1, MAX_BACKLOG, MAX_MESSAGE) + (STALLED + 1) * more) / 1024,
    );
    println!("{before} KiB before, peak {peak} KiB, bound {bound} KiB");
    assert!(peak < bound, "peak {peak} KiB, bound {bound} KiB");
    // The clients did queue a considerable part of the bound.
    assert!(peak > STALLED * MAX_BACKLOG / 1024 / 2, "{peak} KiB");
    drop((stalled, sender));
    // After TLS, the allocator keeps some MiB in its arenas, which do not grow.
    if more == 0 {
        eventually("the memory is released", || {
            server.resident_kb() < before + (8 << 10)
        });
    }
}

#[test]
fn messages_that_wait_for_the_rate_stay_within_their_part_of_the_bound() {
    const CLIENTS: usize = 40;
    let _watchdog = watchdog(120);
    let server = ServerProcess::start(&["--rate-limit", "1"]);
    let mut clients: Vec<RawClient> = (0..CLIENTS)
        .map(|_| RawClient::upgraded(server.address, "/chat"))
        .collect();
    let before = server.resident_kb();
    let small = raw::frame(TEXT, b"x").repeat(100);
    let large = raw::frame(TEXT, &vec![b'x'; MAX_MESSAGE]);
    for client in &mut clients {
        client.send(&small);
        client.send(&large);
    }
    eventually("the messages wait", || {
        server.resident_kb() > before + CLIENTS * MAX_MESSAGE / 1024
    });
    // The read buffer of a message is part of the bound without a rate.
    let bound = CLIENTS * (2 * MAX_MESSAGE + (32 << 10)) / 1024;
    let peak = server.peak_kb() - before;
    println!("{peak} KiB, bound {bound} KiB");
    assert!(peak < bound, "{peak} KiB, bound {bound} KiB");
}

#[test]
fn flooded_rooms_with_full_histories_stay_within_their_part_of_the_bound() {
    const ROOMS: usize = 6;
    const FLOODERS: usize = 2;
    let _watchdog = watchdog(120);
    let server = ServerProcess::start(&["--history", "10000", "--max-rooms", "6"]);
    let before = server.resident_kb();
    let small = raw::frame(TEXT, b"x").repeat(1000);
    let large = raw::frame(TEXT, &vec![b'x'; MAX_MESSAGE]).repeat(100);
    std::thread::scope(|scope| {
        for number in 0..ROOMS * FLOODERS {
            let (address, small, large) = (server.address, &small, &large);
            scope.spawn(move || {
                let path = format!("/chat/room{}", number / FLOODERS);
                let mut client = RawClient::upgraded(address, &path);
                let mut reader = client.socket.try_clone().expect("a descriptor");
                scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
                for _ in 0..5 {
                    client.send(small);
                }
                client.send(large);
                client.send(&raw::frame(CLOSE, &[]));
            });
        }
    });
    let peak = server.peak_kb() - before;
    let clients = memory_bound(ROOMS * FLOODERS, 1 << 20, MAX_MESSAGE) - (96 << 20);
    let bound = (clients + ROOMS * room_bytes(MAX_MESSAGE)) / 1024;
    println!("{peak} KiB, bound {bound} KiB");
    assert!(peak < bound, "{peak} KiB, bound {bound} KiB");
    // The histories alone hold more than this.
    assert!(peak > ROOMS * 700, "{peak} KiB");
}

#[test]
fn announced_lengths_allocate_nothing_in_advance() {
    let _watchdog = watchdog(120);
    let server = ServerProcess::start(&["--max-message", "16777216"]);
    let before = server.resident_kb();
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = RawClient::upgraded(server.address, "/chat");
        // The Pong shows that the server has read the header, which arrives with the Ping.
        let length = (16u64 << 20).to_be_bytes();
        let header = [&[TEXT, 0xff], &length[..], &[0; 4]].concat();
        client.send(&[raw::frame(PING, b"x"), header].concat());
        while client.frame().map_err(|error| error.kind()) != Ok(Some((PONG, b"x".to_vec()))) {}
        clients.push(client);
    }
    let each = (server.resident_kb() - before) / clients.len();
    println!("{each} KiB per client");
    assert!(each < 128, "{each} KiB per client");
}

#[test]
fn fields_that_no_command_has_take_no_memory() {
    const LENGTH: usize = 8 << 20;
    let _watchdog = watchdog(120);
    let server = ServerProcess::start(&["--max-message", &(2 * LENGTH).to_string()]);
    let mut client = Client::json(server.address, "/chat");
    let before = server.peak_kb();
    client.send_text(&format!(
        r#"{{"x":[0{}],"type":"who"}}"#,
        ",0".repeat(LENGTH / 2)
    ));
    client.recv_until(|text| text.starts_with(r#"{"type":"who""#));
    let more = (server.peak_kb() - before) * 1024;
    println!("{more} bytes for a message of {LENGTH}");
    assert!(more < 4 * LENGTH, "{more}");
}
