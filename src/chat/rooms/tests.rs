use super::*;

#[test]
fn metrics_miss_no_room_that_ends() {
    let (rooms, _dispatchers) = Rooms::start(Config::default(), ()).expect("a thread");
    let lobby: RoomName = "lobby".parse().expect("a valid name");
    for _ in 0..500 {
        let visit = rooms.enter(Some(&lobby)).expect("there is room for it");
        let (inboxes, _) = rooms.inboxes_and_sum();
        assert_eq!(inboxes.len(), 2);
        drop(inboxes);
        drop(visit);
        let (inboxes, _) = rooms.inboxes_and_sum();
        assert_eq!(inboxes.len(), 1);
        // What its dispatcher has counted is in the sum.
        assert_eq!(rooms.0.tally.state().running, 0);
    }
}

#[cfg(feature = "cluster")]
mod shutdown {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::*;
    use crate::chat::replicate::{Membership, Replicated};

    /// A log whose rooms are always open, and the number of those that know of the shutdown.
    #[derive(Clone, Default)]
    struct Log(Arc<AtomicUsize>);

    impl Replicate for Log {
        fn replicate(
            &self,
            _room: Option<&RoomName>,
            dispatcher: Sender<Event>,
            _capacity: usize,
        ) -> Result<Replicated, ClusterError> {
            Ok(Replicated {
                chat: dispatcher,
                membership: Arc::new(self.clone()),
            })
        }
    }

    impl Membership for Log {
        fn is_open(&self) -> bool {
            true
        }

        fn shut_down(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn metrics(&self) -> ClusterMetrics {
            ClusterMetrics::default()
        }
    }

    #[test]
    fn a_room_that_opens_during_the_shutdown_knows_of_it() {
        let log = Log::default();
        let started = Rooms::start(Config::default(), ());
        let (rooms, dispatchers) = started.expect("the system has a thread");
        let replicated = rooms.replicated(Box::new(log.clone()));
        let rooms = replicated.expect("it is no log that could fail");
        rooms.shut_down();
        assert_eq!(log.0.load(Ordering::Relaxed), 1);
        let name: RoomName = "tea".parse().expect("it is valid");
        let visit = rooms.enter(Some(&name)).expect("the room opens");
        assert_eq!(log.0.load(Ordering::Relaxed), 2);
        drop((visit, rooms));
        dispatchers.join().expect("no dispatcher panics");
    }
}
