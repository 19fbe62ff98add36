use std::thread;

use crossbeam_channel::{bounded, unbounded};

use super::*;
use crate::config::ClusterAddress;
use crate::websocket::disconnect::DisconnectReason;

/// The time for what happens at once.
const SOON: Duration = Duration::from_secs(10);

/// Returns a batch in which a client goes.
fn batch(incarnation: Incarnation, sequence: u64) -> InFlight {
    InFlight {
        incarnation,
        sequence,
        began: Instant::now(),
        events: vec![Event::Disconnected {
            id: sequence,
            reason: DisconnectReason::PingTimeout,
            close: None,
        }],
    }
}

#[test]
fn batches_of_an_earlier_incarnation_are_returned_if_the_time_between_passes_unseen() {
    let address = ClusterAddress::parse("unix:/nowhere/redis.sock?name=a").expect("it is valid");
    let in_flight = bounded(IN_FLIGHT);
    for sequence in 0..IN_FLIGHT as u64 {
        let sent = in_flight.0.try_send(batch(1, sequence));
        assert!(sent.is_ok(), "there is room for batch {sequence}");
    }
    let standing = Arc::new(Standing::new());
    standing.join(1000, 2);
    let ((queue_end, queue), (dispatcher, inbox)) = (unbounded(), unbounded());
    let appender = Appender {
        log: RedisLog::new(&address, None),
        queue,
        dispatcher,
        in_flight,
        refusals: bounded(REFUSALS).1,
        standing: Arc::clone(&standing),
        log_prefix: String::new(),
        clients: HashMap::new(),
        held: None,
    };
    let appender = thread::spawn(move || appender.run());
    for sequence in 0..IN_FLIGHT as u64 {
        let event = inbox.recv_timeout(SOON);
        let is_next =
            |event: &Event| matches!(event, Event::Disconnected { id, .. } if *id == sequence);
        assert!(event.is_ok_and(|event| is_next(&event)), "batch {sequence}");
    }
    standing.end();
    drop(queue_end);
    appender.join().expect("it does not panic");
}
