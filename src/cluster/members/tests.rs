use super::*;
use crate::cluster::entry::Batch;

/// A log that assigns ids, and the members that apply it.
struct Log {
    members: Members,
    now: u64,
}

impl Log {
    fn new() -> Log {
        let genesis = EntryId {
            millis: 1000,
            number: 0,
        };
        Log {
            members: Members::new(genesis),
            now: 1000,
        }
    }

    fn apply(&mut self, entry: &Entry) -> Effect {
        let id = EntryId {
            millis: self.now,
            number: 1,
        };
        let effect = self.members.apply(id, b"12345678", entry);
        effect.expect("it is this log")
    }

    fn hello(&mut self, token: u64, name: &str) -> Effect {
        self.hello_of(token, name, token, true)
    }

    fn hello_of(&mut self, token: u64, name: &str, process: u64, is_first: bool) -> Effect {
        let node = Node {
            name: name.into(),
            token,
            process,
            is_first,
        };
        self.apply(&Entry::Hello { log: 1000, node })
    }

    fn batch(&mut self, incarnation: Incarnation, sequence: u64) -> Effect {
        self.apply(&batch(1000, incarnation, sequence))
    }
}

fn batch(log: u64, incarnation: Incarnation, sequence: u64) -> Entry {
    Entry::Batch(Batch {
        header: BatchHeader {
            log,
            incarnation,
            sequence,
            is_heartbeat: true,
            statement: None,
        },
        changes: Vec::new(),
    })
}

#[test]
fn incarnations_are_numbered_and_each_hello_counts_once() {
    let mut log = Log::new();
    assert_eq!(log.hello(7, "a").verdict, Verdict::Admitted(1));
    assert_eq!(log.hello(8, "b").verdict, Verdict::Admitted(2));
    assert_eq!(log.hello(7, "a").verdict, Verdict::Ignored);
    let bye = Entry::Bye {
        log: 1000,
        incarnation: 1,
    };
    assert_eq!(log.apply(&bye).verdict, Verdict::Ended);
    assert_eq!(log.apply(&bye).verdict, Verdict::Ignored);
    assert_eq!(log.hello(9, "a").verdict, Verdict::Admitted(3));
}

#[test]
fn a_batch_counts_once_and_in_its_turn() {
    let mut log = Log::new();
    log.hello(7, "a");
    assert_eq!(log.batch(1, 0).verdict, Verdict::Applies);
    assert_eq!(log.batch(1, 0).verdict, Verdict::Ignored);
    assert_eq!(log.batch(1, 2).verdict, Verdict::Gap);
    assert_eq!(log.batch(1, 1).verdict, Verdict::Applies);
    assert_eq!(log.batch(1, 2).verdict, Verdict::Applies);
    assert_eq!(log.batch(2, 0).verdict, Verdict::Ignored);
}

#[test]
fn a_silent_node_is_gone_after_ten_seconds_of_the_log() {
    let mut log = Log::new();
    log.hello(7, "a");
    log.hello(8, "b");
    for second in 0..10 {
        let effect = log.batch(1, second);
        assert_eq!(effect.gone, [], "{second}");
        log.now += 1000;
    }
    let effect = log.batch(1, 10);
    assert_eq!(effect.gone.len(), 1);
    assert_eq!(effect.gone[0].0, 2);
    assert_eq!(effect.verdict, Verdict::Applies);
    // What it sends afterwards is ignored.
    assert_eq!(log.batch(2, 0).verdict, Verdict::Ignored);
}

#[test]
fn a_clock_that_jumps_removes_nobody() {
    let mut log = Log::new();
    log.hello(7, "a");
    log.hello(8, "b");
    for (sequence, jump) in [3_600_000, 0, 86_400_000, 0].into_iter().enumerate() {
        log.now += jump;
        assert_eq!(log.batch(1, sequence as u64).gone, []);
        assert_eq!(log.batch(2, sequence as u64).gone, []);
    }
    assert_eq!(log.members.clock, 2 * MAX_STEP);
}

#[test]
fn a_node_that_comes_back_takes_the_place_of_its_former_self() {
    let mut log = Log::new();
    log.hello(7, "a");
    log.hello(8, "b");
    let effect = log.hello(9, "a");
    assert_eq!(effect.verdict, Verdict::Admitted(3));
    assert_eq!(effect.gone.len(), 1);
    assert_eq!(effect.gone[0].0, 1);
}

#[test]
fn a_process_that_was_replaced_does_not_come_back_beside_the_other_one() {
    let mut log = Log::new();
    log.hello(7, "a");
    log.hello(8, "a");
    assert_eq!(log.hello_of(9, "a", 7, false).verdict, Verdict::NameTaken);
    // The other one can begin anew.
    let effect = log.hello_of(10, "a", 8, false);
    assert_eq!(effect.verdict, Verdict::Admitted(3));
    assert_eq!(effect.gone.len(), 1);
}

#[test]
fn an_entry_of_a_later_log_is_an_error_and_one_of_an_earlier_log_is_ignored() {
    let mut log = Log::new();
    log.hello(7, "a");
    assert_eq!(log.apply(&batch(999, 1, 0)).verdict, Verdict::Ignored);
    assert_eq!(log.batch(1, 0).verdict, Verdict::Applies);
    let id = EntryId::default();
    let applied = log.members.apply(id, &[], &batch(1001, 1, 1));
    assert_eq!(applied, Err(OtherLog));
}

#[test]
fn digests_differ_if_one_entry_differs() {
    let mut logs = [Log::new(), Log::new()];
    for log in &mut logs {
        log.hello(7, "a");
        log.hello(8, "b");
    }
    assert_eq!(logs[0].members.digest(), logs[1].members.digest());
    logs[1].batch(2, 0);
    for log in &mut logs {
        let effect = log.batch(1, 0);
        // The first node's heartbeats alone are points.
        assert_eq!(effect.point, Some(log.members.entries));
    }
    assert_ne!(logs[0].members.digest(), logs[1].members.digest());
    assert_eq!(logs[0].batch(2, 0).point, None);
}

#[test]
fn a_snapshot_falls_due_to_the_author_of_an_entry() {
    let mut log = Log::new();
    log.hello(7, "a");
    log.hello(8, "b");
    let mut due = Vec::new();
    for sequence in 0..SNAPSHOT_ENTRIES + 5000 {
        log.now += 1;
        for incarnation in [1, 2] {
            let effect = log.batch(incarnation, sequence);
            due.extend(effect.snapshot.map(|due| (log.now, due)));
        }
    }
    let authors: Vec<_> = due.iter().map(|(_, due)| due.incarnation).collect();
    assert_eq!(authors, [Some(2); 3]);
    // The entries from the snapshot before are kept.
    assert_eq!(due[0].1.trim_before.millis, 1000);
    assert_eq!(due[1].1.trim_before.millis, due[0].0);
    assert_eq!(due[2].1.trim_before.millis, due[1].0);
}

#[test]
fn the_first_node_stores_a_snapshot_that_another_one_requests() {
    let mut log = Log::new();
    let request = Entry::SnapshotRequest { log: 1000 };
    let nobody = log.apply(&request).snapshot.expect("it is due");
    assert_eq!(nobody.incarnation, None);
    log.hello(7, "a");
    log.hello(8, "b");
    let due = log.apply(&request).snapshot.expect("it is due");
    assert_eq!(due.incarnation, Some(1));
}

#[test]
fn members_survive_a_snapshot() {
    let mut log = Log::new();
    log.hello(7, "a");
    log.batch(1, 0);
    let bytes = serde_json::to_vec(&log.members).expect("it can be encoded");
    let restored: Members = serde_json::from_slice(&bytes).expect("it can be decoded");
    assert_eq!(restored, log.members);
    assert_eq!(restored.digest(), log.members.digest());
}

#[test]
fn ids_are_ordered_and_written_as_redis_writes_them() {
    let id = EntryId::parse("1790000000000-12").expect("it is an id");
    assert_eq!(id.to_string(), "1790000000000-12");
    assert!(EntryId::parse("1790000000000-2").is_some_and(|other| other < id));
    for text in ["", "1", "-1", "1-", "a-1", "1-2-3"] {
        assert_eq!(EntryId::parse(text), None, "{text}");
    }
}
