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

/// Waits until the batch is returned to the dispatcher.
fn assert_returned(inbox: &Receiver<Event>, sequence: u64) {
    let event = inbox.recv_timeout(SOON);
    let is_it = |event: &Event| matches!(event, Event::Disconnected { id, .. } if *id == sequence);
    assert!(event.is_ok_and(|event| is_it(&event)), "batch {sequence}");
}

#[test]
fn batches_of_an_earlier_incarnation_are_returned_if_the_time_between_passes_unseen() {
    let address = ClusterAddress::parse("unix:/nowhere/redis.sock?name=a").expect("it is valid");
    let in_flight = bounded(IN_FLIGHT);
    for sequence in 0..IN_FLIGHT as u64 {
        let sent = in_flight.0.try_send(batch(1, sequence));
        assert!(sent.is_ok(), "there is room for batch {sequence}");
    }
    let on_their_way = in_flight.0.clone();
    let standing = Arc::new(Standing::new());
    standing.join(1000, 2, 7);
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
        assert_returned(&inbox, sequence);
    }
    // A log that has lost the incarnation gives its number again.
    let sent = on_their_way.try_send(batch(2, 100));
    assert!(sent.is_ok(), "there is room again");
    standing.join(1000, 2, 8);
    assert_returned(&inbox, 100);
    standing.end();
    drop(queue_end);
    appender.join().expect("it does not panic");
}
