//! A model of the hand-off for loom, which runs it in every possible interleaving. The state is the real one, with
//! simplified copies of its callers and a socket that accepts one item before it is full.

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread::{self, JoinHandle};

use super::handoff::{Handoff, Item, Submitted, Writer};

/// A mistake in the hand-off, which the model must find.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    /// A sender frees the role without looking into the channel.
    FreesWithoutLooking,
    /// A sender looks into the channel under one lock and frees the role under another one.
    LooksBeforeFreeing,
    /// The writer thread retires without checking the channel again.
    RetiresWithoutLooking,
    /// A sender queues its item under another lock than the one under which it found the role taken.
    QueuesTooLate,
}

struct Model {
    handoff: Mutex<Handoff>,
    /// The bytes that the socket has accepted.
    written: Mutex<Vec<u8>>,
    writer_thread: Mutex<Option<JoinHandle<()>>>,
    mistake: Option<Mistake>,
}

impl Model {
    fn lock(&self) -> MutexGuard<'_, Handoff> {
        self.handoff.lock().expect("no thread panics")
    }

    /// Runs the writer thread, which does not wait for more items before it retires.
    fn run_writer(&self, mut item: Item) {
        loop {
            self.write(&item);
            let next = {
                let mut handoff = self.lock();
                handoff.complete(&item);
                handoff.next()
            };
            let next = next.or_else(|| {
                let mut handoff = self.lock();
                if self.mistake == Some(Mistake::RetiresWithoutLooking) {
                    handoff.writer = Writer::Free;
                    return None;
                }
                handoff.next_or_free()
            });
            match next {
                Some(next) => item = next,
                None => return,
            }
        }
    }

    fn write(&self, item: &Item) {
        let mut written = self.written.lock().expect("no thread panics");
        written.extend_from_slice(item.bytes());
    }
}

fn send(model: &Arc<Model>, byte: u8) {
    let item = Item::Frames(vec![byte].into());
    if model.mistake == Some(Mistake::QueuesTooLate) {
        let free = model.lock().writer == Writer::Free;
        if !free {
            // Queues although the role can be free by now.
            let mut handoff = model.lock();
            let writer = std::mem::replace(&mut handoff.writer, Writer::Sender);
            handoff.submit(item);
            handoff.writer = writer;
            return;
        }
    }
    let submitted = model.lock().submit(item);
    if let Submitted::Write(item) = submitted {
        write_nonblocking(model, item);
    }
}

fn write_nonblocking(model: &Arc<Model>, item: Item) {
    model.write(&item);
    let next = match model.mistake {
        Some(Mistake::FreesWithoutLooking) => {
            let mut handoff = model.lock();
            handoff.complete(&item);
            handoff.writer = Writer::Free;
            None
        }
        Some(Mistake::LooksBeforeFreeing) => {
            let next = {
                let mut handoff = model.lock();
                handoff.complete(&item);
                handoff.next()
            };
            if next.is_none() {
                model.lock().writer = Writer::Free;
            }
            next
        }
        _ => {
            let mut handoff = model.lock();
            handoff.complete(&item);
            handoff.next_or_free()
        }
    };
    if let Some(next) = next {
        model.lock().writer = Writer::Thread;
        let shared = Arc::clone(model);
        let thread = thread::spawn(move || shared.run_writer(next));
        *model.writer_thread.lock().expect("no thread panics") = Some(thread);
    }
}

/// Two threads send three items, in every interleaving. Each item must be written once, in the order of its sender.
fn check(mistake: Option<Mistake>) {
    loom::model(move || {
        let mut handoff = Handoff::new(usize::MAX);
        handoff.writer = Writer::Free;
        let model = Arc::new(Model {
            handoff: Mutex::new(handoff),
            written: Mutex::new(Vec::new()),
            writer_thread: Mutex::new(None),
            mistake,
        });
        let other = Arc::clone(&model);
        let sender = thread::spawn(move || {
            send(&other, 1);
            send(&other, 2);
        });
        send(&model, 3);
        sender.join().expect("no thread panics");
        let writer = model.writer_thread.lock().expect("no thread panics").take();
        if let Some(writer) = writer {
            writer.join().expect("no thread panics");
        }
        let written = model.written.lock().expect("no thread panics").clone();
        let orders = [[1, 2, 3], [1, 3, 2], [3, 1, 2]];
        assert!(
            orders.iter().any(|order| *order == written[..]),
            "{written:?}"
        );
        let mut handoff = model.lock();
        assert_eq!((handoff.writer, handoff.queued_bytes), (Writer::Free, 0));
        assert!(handoff.next_or_free().is_none());
    });
}

#[test]
fn no_interleaving_loses_or_reorders_an_item() {
    check(None);
}

#[test]
fn the_model_finds_each_mistake() {
    for mistake in [
        Mistake::FreesWithoutLooking,
        Mistake::LooksBeforeFreeing,
        Mistake::RetiresWithoutLooking,
        Mistake::QueuesTooLate,
    ] {
        let checked = catch_unwind(AssertUnwindSafe(|| check(Some(mistake))));
        assert!(checked.is_err(), "{mistake:?} was not found");
    }
}
