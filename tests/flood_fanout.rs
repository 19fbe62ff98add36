//! A flood to a thousand receiving clients: messages of other users still arrive, and no receiver is disconnected.

mod support;

use std::io::Read;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use support::cases::TEXT;
use support::{Client, Flood, RawClient, ServerProcess, raise_nofile_limit, raw, watchdog};

const RECEIVERS: usize = 1000;

/// Limit of the median round trip beside the flood, on a machine that is busy with other tests.
const MAX_MEDIAN_DELAY: Duration = Duration::from_secs(2);

/// Reads from all clients with one thread and discards the data. Returns the number of bytes and of lost connections.
fn drain(clients: &[RawClient], stop: &AtomicBool) -> (u64, usize) {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll can be created");
    for (index, client) in clients.iter().enumerate() {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&epoll, &client.socket, data, epoll::EventFlags::IN)
            .expect("sockets can be polled");
    }
    let (mut sink, mut received, mut lost) = (vec![0; 1 << 20], 0, 0);
    let timeout = Timespec::try_from(Duration::from_millis(100)).expect("the duration fits");
    let mut events = [MaybeUninit::uninit(); RECEIVERS];
    while !stop.load(Ordering::Relaxed) {
        let (ready, _) = epoll::wait(&epoll, &mut events, Some(&timeout)).expect("epoll is valid");
        for event in ready {
            let mut socket = &clients[event.data.u64() as usize].socket;
            match socket.read(&mut sink) {
                Ok(n) if n > 0 => received += n as u64,
                _ => {
                    epoll::delete(&epoll, socket).expect("the socket is registered");
                    lost += 1;
                }
            }
        }
    }
    (received, lost)
}

#[test]
fn flood_to_a_thousand_does_not_delay_others() {
    let _watchdog = watchdog(240);
    raise_nofile_limit();
    // A backlog for some seconds in which the receiving thread does not run. No Pings, because that thread answers none.
    let options = "--max-connections 1100 --max-backlog 16777216 --ping 0";
    let options: Vec<&str> = options.split(' ').collect();
    let server = ServerProcess::start(&options);
    let receivers: Vec<RawClient> = (0..RECEIVERS)
        .map(|_| RawClient::upgraded(server.address, "/chat"))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (address, stopped) = (server.address, Arc::clone(&stop));
    let drain_thread = thread::spawn(move || drain(&receivers, &stopped));
    let mut client = Client::join(address);
    let name = format!("user{RECEIVERS}");
    let before = client.delays(&name);
    let flood = Flood::start(address, raw::frame(TEXT, b"flood of words"));
    let during = client.delays(&name);
    flood.stop();
    stop.store(true, Ordering::Relaxed);
    let (received, lost) = drain_thread
        .join()
        .expect("the draining thread does not panic");
    println!(
        "{RECEIVERS} clients, median and 99th percentile of the delay: {:?} {:?} without the flood, {:?} {:?} during \
         it; {} MB received",
        before[50],
        before[98],
        during[50],
        during[98],
        received / 1_000_000
    );
    assert_eq!(lost, 0, "receivers were disconnected");
    assert!(
        received > 100_000 * RECEIVERS as u64,
        "the flood was only {received} bytes"
    );
    assert!(during[50] < MAX_MEDIAN_DELAY, "{during:?}");
}
