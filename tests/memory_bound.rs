//! The most that hostile clients can make the server hold is what the README says.

mod support;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use support::{RawClient, ServerProcess, eventually, memory_bound, raw, watchdog};

const MESSAGE: usize = 64 << 10;
const BACKLOG: usize = 512 << 10;
const VICTIMS: usize = 40;

#[test]
fn hostile_clients_cannot_make_it_hold_more_than_the_formula() {
    let _watchdog = watchdog(120);
    let backlog = BACKLOG.to_string();
    let mut program = ServerProcess::start(&[
        "--max-message",
        "65536",
        "--max-backlog",
        &backlog,
        "--ping",
        "0",
    ]);
    let before = program.resident_kb();
    // Those who never read, with most of a largest message sent, half of it as fragments.
    let victims: Vec<RawClient> = (0..VICTIMS)
        .map(|_| {
            let mut victim = RawClient::upgraded(program.address, "/chat");
            set_socket_recv_buffer_size(&victim.socket, 4096).expect("a socket");
            victim.send(&raw::frame(0x01, &vec![b'x'; MESSAGE / 2]));
            let rest = raw::frame(0x80, &vec![b'x'; MESSAGE / 2]);
            victim.send(&rest[..rest.len() - 1]);
            victim
        })
        .collect();
    // Whispers are for one each, so nothing of what waits is shared. All are cut off when too much does.
    let mut whispers = RawClient::upgraded(program.address, "/chat");
    let mut reader = whispers.socket.try_clone().expect("a second handle");
    std::thread::spawn(move || {
        let mut sink = vec![0; 1 << 20];
        while std::io::Read::read(&mut reader, &mut sink).is_ok_and(|n| n > 0) {}
    });
    let text = "x".repeat(MESSAGE - 100);
    let mut cut_off = 0;
    let mut peak = 0;
    while cut_off < VICTIMS {
        for victim in 0..VICTIMS {
            whispers.send(&raw::frame(
                0x81,
                format!("/w user{victim} {text}").as_bytes(),
            ));
        }
        peak = peak.max(program.resident_kb());
        while program.find_in_log("too slow").is_some() {
            cut_off += 1;
        }
    }
    let (peak, most) = (
        peak.max(program.peak_kb()),
        memory_bound(VICTIMS + 1, BACKLOG, MESSAGE) / 1024,
    );
    println!("{before} KiB before, {peak} KiB at the most, {most} KiB by the formula");
    assert!(peak < most, "{peak} KiB, but at most {most} by the formula");
    // It was an attack, and not a test of nothing.
    assert!(peak > VICTIMS * BACKLOG / 1024 / 2, "{peak} KiB");
    drop((victims, whispers));
    eventually("the memory is given back", || {
        program.resident_kb() < before + (8 << 10)
    });
}

#[test]
fn an_announced_length_costs_nothing_before_it_comes() {
    let _watchdog = watchdog(120);
    let program = ServerProcess::start(&["--max-message", "16777216"]);
    let before = program.resident_kb();
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut client = RawClient::upgraded(program.address, "/chat");
        let mut header = vec![0x81, 0xff];
        header.extend((16u64 << 20).to_be_bytes());
        client.send(&header);
        client.send(&[0; 4]);
        all.push(client);
    }
    // What was sent last has been read when the greeting is followed by a pong.
    let mut witness = RawClient::upgraded(program.address, "/chat");
    witness.send(&raw::frame(0x89, b"x"));
    while witness.frame().map_err(|error| error.kind()) != Ok(Some((0x8a, b"x".to_vec()))) {}
    let each = (program.resident_kb() - before) / all.len();
    println!("{each} KiB for each");
    assert!(each < 128, "{each} KiB for each");
}
