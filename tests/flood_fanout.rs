//! One client sends as fast as it can while a thousand listen: what somebody else says still gets through, and nobody is
//! lost.

mod support;

use std::io::Read;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use support::{Client, RawClient, ServerProcess, raise_nofile_limit, raw, watchdog};

const CROWD: usize = 1000;

/// How long that may take, half of the time, on a machine that is busy with other tests too.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads for the whole crowd, as fast as one thread can, and looks at nothing. How many bytes, and how many were lost.
fn listen(crowd: &[RawClient], stop: &AtomicBool) -> (usize, usize) {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("a descriptor is left");
    for (place, client) in crowd.iter().enumerate() {
        let data = epoll::EventData::new_u64(place as u64);
        epoll::add(&epoll, &client.socket, data, epoll::EventFlags::IN).expect("a socket");
    }
    let (mut sink, mut heard, mut lost) = (vec![0; 1 << 20], 0, 0);
    let pause = Timespec::try_from(Duration::from_millis(100)).expect("it is short");
    let mut room = [MaybeUninit::uninit(); CROWD];
    while !stop.load(Ordering::Relaxed) {
        let (ready, _) = epoll::wait(&epoll, &mut room, Some(&pause)).expect("it is an epoll");
        for event in ready {
            let mut socket = &crowd[event.data.u64() as usize].socket;
            match socket.read(&mut sink) {
                Ok(n) if n > 0 => heard += n,
                _ => {
                    epoll::delete(&epoll, socket).expect("it was added");
                    lost += 1;
                }
            }
        }
    }
    (heard, lost)
}

#[test]
fn a_thousand_hear_others_too() {
    let _watchdog = watchdog(240);
    raise_nofile_limit();
    let program = ServerProcess::start(&["--max-connections", "1100"]);
    let crowd: Vec<RawClient> = (0..CROWD)
        .map(|_| RawClient::upgraded(program.address, "/chat"))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (address, stopped) = (program.address, Arc::clone(&stop));
    let listening = thread::spawn(move || listen(&crowd, &stopped));
    let mut speaker = Client::join(address);
    let name = format!("user{CROWD}");
    let before = speaker.delays(&name);
    let (flooder, stopped) = (RawClient::upgraded(address, "/chat"), Arc::clone(&stop));
    let flooding =
        thread::spawn(move || flooder.flood(&[], &raw::frame(0x81, b"flood of words"), &stopped));
    let beside = speaker.delays(&name);
    stop.store(true, Ordering::Relaxed);
    flooding.join().expect("the flood ends");
    let (heard, lost) = listening.join().expect("the crowd listens");
    println!(
        "{CROWD} clients, delay by median and 99th percentile: {:?} {:?} without the flood, {:?} {:?} beside it, \
         which was {} MB to the crowd",
        before[50],
        before[98],
        beside[50],
        beside[98],
        heard / 1_000_000
    );
    assert_eq!(lost, 0, "of those who read");
    assert!(heard > 100_000 * CROWD, "{heard} bytes are no flood");
    assert!(beside[50] < PATIENCE, "{beside:?}");
}
