//! The well-behaved clients of a soak: some stay, some come and go, plain and JSON, and all check what they hear.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::Result;
use crate::client_pool::Crowd;
use crate::connection::{Connection, Endpoint};
use crate::frame;
use crate::reference_order::{Ledger, Listener, Numbered};

/// Those who stay from the beginning to the end. The first of them is the witness.
const STAYERS: usize = 24;

/// One in so many speaks JSON, one in so many leaves without a Close, one message in so many is a large one.
const JSON: u64 = 3;
const VANISHING: u64 = 4;
const LARGE: u64 = 12;

const SMALL_BYTES: usize = 48;
/// With these the chat is more than who does not read can leave in the kernel's buffers, which take megabytes.
const LARGE_BYTES: usize = 32 << 10;

/// Between two newcomers, and how long one stays.
const ARRIVALS: Duration = Duration::from_millis(100);
const STAY: Duration = Duration::from_secs(3);

/// Between two messages.
const MESSAGES: Duration = Duration::from_millis(5);

/// Within this time what was said must have been heard by all, on a machine that has other work too.
const SOON: Duration = Duration::from_secs(30);

const WITNESS: usize = 0;

struct Chatter {
    sender: u64,
    json: bool,
    said: u64,
    listener: Listener,
    greeted: bool,
    /// `None`: it stays.
    leaves: Option<Instant>,
    /// It has sent its Close, and waits for the server's.
    closing: bool,
}

pub struct Chatters {
    endpoint: Endpoint,
    crowd: Crowd,
    ledger: Ledger,
    /// By their places in the crowd.
    present: BTreeMap<usize, Chatter>,
    /// Those who have left while the witness had not heard all that they had.
    gone: Vec<Listener>,
    /// Who left with a Close: by when how many messages of that sender must have been heard.
    owed: VecDeque<(Instant, u64, u64)>,
    /// Numbered messages sent by all.
    sent: u64,
    next_arrival: Instant,
    next_message: Instant,
    ready: Vec<usize>,
    pub checked: u64,
    pub connections: u64,
}

impl Chatters {
    pub fn new(endpoint: Endpoint) -> Result<Chatters> {
        let now = Instant::now();
        let mut chatters = Chatters {
            endpoint,
            crowd: Crowd::new()?,
            ledger: Ledger::default(),
            present: BTreeMap::new(),
            gone: Vec::new(),
            owed: VecDeque::new(),
            sent: 0,
            next_arrival: now,
            next_message: now,
            ready: Vec::new(),
            checked: 0,
            connections: 0,
        };
        for _ in 0..STAYERS {
            chatters.arrive(None)?;
        }
        // Before the witness is there, nothing may be said.
        let end = Instant::now() + SOON;
        while chatters.present.values().any(|chatter| !chatter.greeted) {
            if Instant::now() > end {
                return Err("no greeting came".into());
            }
            chatters.hear()?;
        }
        Ok(chatters)
    }

    /// How many are here now.
    pub fn present(&self) -> usize {
        self.present.len()
    }

    /// What is due at this moment: arrivals, messages, departures, and the comparison of what was heard.
    pub fn chat(&mut self) -> Result<()> {
        let now = Instant::now();
        if now >= self.next_arrival {
            self.next_arrival = now + ARRIVALS;
            self.arrive(Some(now + STAY))?;
        }
        if now >= self.next_message {
            self.next_message = now + MESSAGES;
            self.say()?;
        }
        self.depart(now)?;
        self.hear()?;
        self.compare(now)
    }

    /// Says nothing more and waits until everybody has heard all.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        let end = Instant::now() + SOON;
        loop {
            self.hear()?;
            self.compare(Instant::now())?;
            let Some(behind) = self.behind() else {
                return Ok((self.checked, self.connections));
            };
            if Instant::now() > end {
                return Err(format!("at the end {behind}").into());
            }
        }
    }

    /// Who has not heard all that was said.
    fn behind(&self) -> Option<String> {
        let end = self.ledger.end();
        for chatter in self.present.values() {
            let Chatter { sender, said, .. } = *chatter;
            let heard = self.ledger.heard_of(sender);
            if heard != said {
                return Some(format!("{heard} of {said} messages of {sender} were heard"));
            }
            let position = chatter.listener.position();
            // Who came late and has heard nothing since has nothing to compare.
            if chatter.leaves.is_none() && position != end {
                return Some(format!("{sender} has heard {position} of {end}"));
            }
        }
        let unsettled = self.gone.len() + self.owed.len();
        (unsettled > 0).then(|| format!("{unsettled} who left are not settled"))
    }

    fn arrive(&mut self, leaves: Option<Instant>) -> Result<()> {
        let sender = self.connections;
        let json = sender % JSON == 1;
        let listener = Listener::new(&self.ledger);
        let connection = Connection::open(&self.endpoint, json.then_some("threadchat.json"))
            .map_err(|error| format!("a well-behaved client could not connect: {error}"))?;
        let place = self.crowd.admit(connection)?;
        self.connections += 1;
        self.present.insert(
            place,
            Chatter {
                sender,
                json,
                said: 0,
                listener,
                greeted: false,
                leaves,
                closing: false,
            },
        );
        // What came together with the head wakes nobody.
        self.receive(place)
    }

    /// Each in turn.
    fn say(&mut self) -> Result<()> {
        let turn = self.sent as usize % self.present.len();
        let (before, after) = (
            self.present.iter().take(turn),
            self.present.iter().skip(turn),
        );
        let may_speak = |chatter: &Chatter| chatter.greeted && !chatter.closing;
        let place =
            (after.chain(before)).find_map(|(&place, chatter)| may_speak(chatter).then_some(place));
        let Some((place, chatter)) =
            place.and_then(|place| Some((place, self.present.get_mut(&place)?)))
        else {
            return Ok(());
        };
        let text = text(
            Numbered {
                sender: chatter.sender,
                number: chatter.said,
                stamp: self.sent,
            },
            if self.sent.is_multiple_of(LARGE) {
                LARGE_BYTES
            } else {
                SMALL_BYTES
            },
        );
        chatter.said += 1;
        self.sent += 1;
        let payload = match chatter.json {
            true => format!(r#"{{"type":"message","text":"{text}"}}"#),
            false => text,
        };
        let sent = self.crowd.send(place, frame::TEXT, payload.as_bytes());
        sent.map_err(|error| format!("a well-behaved client was lost: {error}").into())
    }

    fn depart(&mut self, now: Instant) -> Result<()> {
        let leaving: Vec<usize> = (self.present.iter())
            .filter(|(_, chatter)| {
                chatter.leaves.is_some_and(|at| at <= now) && chatter.greeted && !chatter.closing
            })
            .map(|(&place, _)| place)
            .collect();
        for place in leaving {
            let Some(chatter) = self.present.get_mut(&place) else {
                continue;
            };
            if chatter.sender.is_multiple_of(VANISHING) {
                // A reset takes what the server has not read yet along, so nothing may be under way.
                if self.ledger.heard_of(chatter.sender) == chatter.said {
                    self.ledger.forget_sender(chatter.sender);
                    self.gone_now(place);
                    self.crowd.dismiss(place);
                }
            } else {
                // Right behind what it said last, which the others must hear all the same.
                chatter.closing = true;
                self.owed
                    .push_back((now + SOON, chatter.sender, chatter.said));
                self.crowd
                    .send(place, frame::CLOSE, &1000u16.to_be_bytes())?;
            }
        }
        Ok(())
    }

    fn gone_now(&mut self, place: usize) {
        self.gone
            .extend(self.present.remove(&place).map(|chatter| chatter.listener));
    }

    fn hear(&mut self) -> Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.crowd.wait(MESSAGES / 2, &mut ready)?;
        for &place in &ready {
            self.receive(place)?;
        }
        self.ready = ready;
        Ok(())
    }

    fn receive(&mut self, place: usize) -> Result<()> {
        let Some(chatter) = self.present.get_mut(&place) else {
            return Ok(());
        };
        let (sent, mut trouble, mut closed) = (self.sent, None, None);
        let received = self
            .crowd
            .receive(place, |opcode, payload, _| match opcode {
                frame::TEXT if !chatter.greeted => {
                    let greeting: &[u8] = match chatter.json {
                        true => br#"{"type":"welcome","#,
                        false => b"You are connected! ",
                    };
                    chatter.greeted = payload.starts_with(greeting);
                    chatter.listener.greeted(sent);
                    if !chatter.greeted {
                        trouble = Some("something came before the greeting".to_owned());
                    }
                }
                frame::TEXT => match read(payload, chatter.json) {
                    Ok(message) => message
                        .into_iter()
                        .for_each(|message| chatter.listener.hears(message)),
                    Err(why) => trouble = Some(why),
                },
                frame::CLOSE => closed = Some(frame::close_code(payload)),
                other => trouble = Some(format!("a frame with opcode {other} came")),
            });
        let sender = chatter.sender;
        match (trouble, closed) {
            (Some(why), _) => Err(format!("client {sender}: {why}").into()),
            (None, Some(Some(1000))) if chatter.closing => {
                self.gone_now(place);
                self.crowd.dismiss(place);
                Ok(())
            }
            (None, Some(code)) => {
                Err(format!("client {sender} was sent a Close with the code {code:?}").into())
            }
            (None, None) => received.map_err(|error| {
                format!("client {sender}, well-behaved, was lost: {error}").into()
            }),
        }
    }

    fn compare(&mut self, now: Instant) -> Result<()> {
        let mut count = 0;
        if let Some(witness) = self.present.get_mut(&WITNESS) {
            count += witness.listener.dictate(&mut self.ledger)?;
        }
        for chatter in self.present.values_mut() {
            let compared = chatter.listener.compare(&self.ledger);
            count += compared.map_err(|why| format!("client {}: {why}", chatter.sender))?;
        }
        for listener in &mut self.gone {
            count += listener.compare(&self.ledger)?;
        }
        self.checked += count as u64;
        self.gone.retain(|listener| !listener.is_settled());
        while let Some(&(due, sender, said)) = self.owed.front() {
            let heard = self.ledger.heard_of(sender);
            if heard == said {
                self.owed.pop_front();
                self.ledger.forget_sender(sender);
            } else if now > due {
                return Err(
                    format!("{heard} of {said} messages of client {sender}, who closed").into(),
                );
            } else {
                break;
            }
        }
        let listeners = self.present.values().map(|chatter| &chatter.listener);
        let all = listeners.chain(&self.gone).map(Listener::position);
        if let Some(position) = all.min() {
            self.ledger.forget_before(position);
        }
        Ok(())
    }
}

const MARK: &str = "soak ";

/// The mark, the message's three numbers and its length, filled up to that.
fn text(message: Numbered, bytes: usize) -> String {
    let Numbered {
        sender,
        number,
        stamp,
    } = message;
    let mut text = format!("{MARK}{sender} {number} {stamp} {bytes} ");
    text.extend(std::iter::repeat_n('.', bytes.saturating_sub(text.len())));
    text
}

/// The numbered message in a payload, if it is one.
fn read(payload: &[u8], json: bool) -> std::result::Result<Option<Numbered>, String> {
    let payload = str::from_utf8(payload).map_err(|_| "a text that is not UTF-8")?;
    let Some(at) = payload.find(MARK) else {
        return Ok(None);
    };
    let text = &payload[at..];
    let mut numbers = text[MARK.len()..].split(' ').map(str::parse::<u64>);
    let mut number = || numbers.next().and_then(std::result::Result::ok);
    let (Some(sender), Some(place), Some(stamp), Some(bytes)) =
        (number(), number(), number(), number())
    else {
        return Err(format!("a damaged message came: {payload:?}"));
    };
    let end = if json { r#""}"#.len() } else { 0 };
    if text.len() as u64 != bytes + end as u64 {
        return Err(format!("{} bytes came of {bytes}", text.len()));
    }
    Ok(Some(Numbered {
        sender,
        number: place,
        stamp,
    }))
}
