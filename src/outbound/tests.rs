//! The rules of the outbound channel, over real sockets.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::handoff::{ITEM_OVERHEAD, Writer};
use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Small enough to fill quickly. Even smaller buffers make TCP wait for its timers when a window opens again.
const SOCKET_BYTES: usize = 256 << 10;

/// Returns an outbound channel and the socket of its client.
fn pair(max_backlog: usize) -> (Outbound, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let client =
        TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    sockopt::set_socket_recv_buffer_size(&client, SOCKET_BYTES).expect("a socket");
    client.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    let (socket, peer) = listener.accept().expect("a client has connected");
    let stream = Stream::new(socket, peer);
    let outbound = Outbound::new(stream, max_backlog).expect("a socket");
    PendingResponse::new(outbound.clone(), Vec::new()).write();
    (outbound, client)
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < end, "timed out waiting until {what}");
        thread::yield_now();
    }
}

/// Returns a record: its producer, its number, and as many bytes as follow from both.
fn record(producer: u8, number: u32) -> Vec<u8> {
    let mut record = vec![producer];
    record.extend(number.to_be_bytes());
    record.resize(5 + length(producer, number), producer);
    record
}

fn length(producer: u8, number: u32) -> usize {
    (number as usize)
        .wrapping_mul(7919)
        .wrapping_add(producer as usize * 31)
        % 700
}

/// Many threads send records, one of them by the blocking way, while the client reads in bursts: it lets the socket fill
/// until a writer thread is needed, and then reads until the writer has caught up.
#[test]
fn many_producers_one_socket_every_byte_once_and_in_order() {
    const PRODUCERS: u8 = 8;
    const RECORDS: u32 = 4000;
    let (outbound, mut client) = pair(usize::MAX);
    let total: u64 = (0..PRODUCERS)
        .flat_map(|producer| (0..RECORDS).map(move |number| 5 + length(producer, number) as u64))
        .sum();
    let done = Arc::new(AtomicUsize::new(0));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let (outbound, done) = (outbound.clone(), Arc::clone(&done));
            thread::spawn(move || {
                for number in 0..RECORDS {
                    let record = record(producer, number);
                    match producer {
                        0 => outbound.send_blocking(record.into()),
                        _ => outbound.send(record.into()),
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();

    let mut expected = [0; PRODUCERS as usize];
    let (mut read, mut bursts) = (0, 0);
    while read < total {
        // Let the socket fill, as long as a producer fills it without waiting.
        let full = || outbound.0.lock().queued_bytes > 20_000;
        let all_done = || done.load(Ordering::Relaxed) >= usize::from(PRODUCERS) - 1;
        eventually("the socket is full", || full() || all_done());
        bursts += 1;
        let caught_up = || outbound.0.lock().queued_bytes == 0;
        loop {
            let mut header = [0; 5];
            client.read_exact(&mut header).expect("a record comes");
            let (producer, number) = (
                header[0],
                u32::from_be_bytes([header[1], header[2], header[3], header[4]]),
            );
            assert_eq!(
                number,
                expected[usize::from(producer)],
                "producer {producer}"
            );
            expected[usize::from(producer)] += 1;
            let mut payload = vec![0; length(producer, number)];
            client.read_exact(&mut payload).expect("its payload comes");
            assert!(payload.iter().all(|byte| *byte == producer));
            read += 5 + payload.len() as u64;
            if read == total || caught_up() {
                break;
            }
        }
    }
    producers
        .into_iter()
        .for_each(|producer| producer.join().expect("no producer fails"));
    assert_eq!(expected, [RECORDS; PRODUCERS as usize]);
    println!("{read} bytes in {bursts} bursts");
    outbound.close(b"bye"[..].into());
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("no reset");
    assert_eq!(rest, b"bye", "each record arrived once");
    eventually("the backlog is counted down to 0", || {
        outbound.0.lock().queued_bytes == 0
    });
}

#[test]
fn a_close_is_the_last_thing_that_is_written() {
    for _ in 0..200 {
        let (outbound, mut client) = pair(usize::MAX);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..20).for_each(|_| outbound.send(b"frame "[..].into())));
            }
            scope.spawn(|| outbound.close(b"close"[..].into()));
            scope.spawn(|| outbound.close(b"close"[..].into()));
        });
        outbound.send(b"late"[..].into());
        let mut all = String::new();
        client
            .read_to_string(&mut all)
            .expect("the write side is shut down");
        let frames = all.strip_suffix("close").expect("the Close is last");
        assert!(frames.replace("frame ", "").is_empty(), "{all}");
    }
}

#[test]
fn exceeding_max_backlog_aborts() {
    let (outbound, mut client) = pair(100_000);
    // The kernel accepts some before the backlog grows. The items are small, so their bookkeeping counts too.
    const ITEM: usize = 100;
    for _ in 0..100_000 {
        outbound.send([7; ITEM].to_vec().into());
        if outbound.abort_reason().is_some() {
            break;
        }
    }
    let Some(DisconnectReason::BacklogExceeded { queued_bytes }) = outbound.abort_reason() else {
        panic!("{:?}", outbound.abort_reason())
    };
    assert!(
        (100_001..=100_000 + ITEM + ITEM_OVERHEAD).contains(&queued_bytes),
        "{queued_bytes}"
    );
    let queued = outbound.0.lock().receiver().len();
    assert!(queued * (ITEM + ITEM_OVERHEAD) <= queued_bytes, "{queued}");
    drop(outbound);
    let mut all = Vec::new();
    // The kernel discards its part at once, which the client sees as a reset or an early end.
    assert!(client.read_to_end(&mut all).is_err() || all.len() < 100_000 * ITEM);
}

fn has_writer_thread(outbound: &Outbound) -> bool {
    outbound.0.lock().writer == Writer::Thread
}

/// Writes a frame without waiting, and then those that were queued meanwhile. Returns whether a writer thread has taken over.
fn hands_over(queued: u32) -> bool {
    let (outbound, mut client) = pair(usize::MAX);
    let frame = |number: u32| number.to_be_bytes().to_vec();
    let first = outbound.0.lock().submit(Item::Frames(frame(0).into()));
    let Submitted::Write(first) = first else {
        panic!("no other thread writes")
    };
    (1..=queued).for_each(|number| outbound.send(frame(number).into()));
    outbound.write_nonblocking(first);
    let hands_over = has_writer_thread(&outbound);
    let mut all = vec![0; 4 * (queued as usize + 1)];
    client.read_exact(&mut all).expect("everything arrives");
    assert_eq!(all, (0..=queued).flat_map(frame).collect::<Vec<_>>());
    hands_over
}

/// Without the budget the dispatcher would serve one client for as long as another thread sends to that client.
#[test]
fn nonblocking_budget_hands_over_to_a_writer() {
    assert!(!hands_over(MAX_NONBLOCKING_SENDS - 1));
    // On a busy machine, the writer can have retired before the test looks for it.
    assert!((0..5).any(|_| hands_over(MAX_NONBLOCKING_SENDS)));
}

#[test]
fn a_writer_retires_when_the_client_has_caught_up() {
    let (outbound, mut client) = pair(usize::MAX);
    outbound.send(vec![7; 10 << 20].into());
    assert!(
        has_writer_thread(&outbound),
        "10 MiB are more than a socket buffers"
    );
    let mut all = vec![0; 10 << 20];
    client.read_exact(&mut all).expect("everything arrives");
    eventually("the writer has ended", || {
        !has_writer_thread(&outbound) && Arc::strong_count(&outbound.0) == 1
    });
    outbound.send(b"x"[..].into());
    client
        .read_exact(&mut all[..1])
        .expect("it is written without a writer thread");
    assert!(!has_writer_thread(&outbound));
}
