//! Checks what the clients of several nodes have seen: one order, nothing lost or doubled, unique names, the same members.
//!
//! Every sender numbers its messages, as in `3.17`: the 17th of sender 3. Plain logic, without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use threadchat::protocol::ServerEvent;

#[path = "membership.rs"]
mod membership;

/// The longest time for which two lives of a room overlap, because nodes notice the end of one at different times, and
/// clients on a busy machine read late.
const MAX_OVERLAP: Duration = Duration::from_secs(10);

/// What one connection sent and received.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Names the connection in what the checker reports.
    pub label: String,
    pub sender: usize,
    /// The numbers of the messages that were sent, the second one excluded.
    pub sent: (usize, usize),
    /// The place that the client named when it connected: epoch and id.
    pub since: Option<(u64, u64)>,
    /// All events, with the time since the beginning of the test.
    pub seen: Vec<(Duration, ServerEvent<'static>)>,
    pub end: End,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// It was open when the test ended.
    Open,
    /// The client closed it, and has read everything up to the Close.
    Left,
    /// The server sent a Close with this code.
    Closed(u16),
    /// It broke.
    Lost,
}

/// Returns the text of a numbered message.
pub fn numbered(sender: usize, number: usize) -> String {
    format!("{sender}.{number}")
}

/// Returns the sender and the number of a message.
pub fn parse_number(text: &str) -> Option<(usize, usize)> {
    let (sender, number) = text.split(' ').next()?.split_once('.')?;
    Some((sender.parse().ok()?, number.parse().ok()?))
}

/// A message or an action: its sender's name, its text, and its time.
pub type Text = (String, String, u64);

/// Returns the id of an event and its content, if it is kept in the history.
fn text(event: &ServerEvent<'_>) -> Option<(u64, Text)> {
    match event {
        ServerEvent::Message {
            from,
            text,
            id,
            time,
        }
        | ServerEvent::Action {
            from,
            text,
            id,
            time,
        } => Some((*id, (from.to_string(), text.to_string(), *time))),
        _ => None,
    }
}

/// The epoch and the newest id in a greeting.
fn greeting(recording: &Recording) -> Option<(u64, u64)> {
    match recording.seen.first() {
        Some((_, ServerEvent::Welcome { epoch, last, .. })) => Some((*epoch, *last)),
        _ => None,
    }
}

/// One life of a room: the texts by their ids.
#[derive(Default)]
pub struct Life {
    pub texts: BTreeMap<u64, Text>,
    /// When the first and the last text arrived at a client that was connected.
    arrived: Option<(Duration, Duration)>,
}

/// Returns everything that is wrong, one line each.
pub fn check(recordings: &[Recording]) -> Vec<String> {
    let mut problems = Vec::new();
    let lives = lives(recordings, &mut problems);
    one_room(&lives, &mut problems);
    ends_are_equal(recordings, &mut problems);
    nothing_doubled(&lives, &mut problems);
    nothing_missing(recordings, &lives, &mut problems);
    membership::check(recordings, &mut problems);
    problems
}

/// Panics with everything that is wrong.
pub fn assert_consistent(recordings: &[Recording]) {
    let problems = check(recordings);
    let number = problems.len();
    let first = problems.into_iter().take(20);
    let first: Vec<String> = first
        .map(|problem| problem.chars().take(200).collect())
        .collect();
    assert_eq!(
        number,
        0,
        "the first of {number} problems:\n{}",
        first.join("\n")
    );
}

/// Collects the texts. Every connection receives each id once and none is left out, and an id is the same text everywhere.
fn lives(recordings: &[Recording], problems: &mut Vec<String>) -> BTreeMap<u64, Life> {
    let mut lives: BTreeMap<u64, Life> = BTreeMap::new();
    for recording in recordings {
        let label = &recording.label;
        let Some((epoch, last)) = greeting(recording) else {
            if !recording.seen.is_empty() {
                problems.push(format!("{label}: the first event is no greeting"));
            }
            continue;
        };
        let life = lives.entry(epoch).or_default();
        let mut previous = first_expected(recording, last);
        for (at, event) in &recording.seen[1..] {
            let Some((id, text)) = text(event) else {
                continue;
            };
            if previous.is_some_and(|previous| id != previous + 1) {
                problems.push(format!("{label}: id {id} after {previous:?}"));
            }
            previous = Some(id);
            if id > last {
                let (first, newest) = life.arrived.unwrap_or((*at, *at));
                life.arrived = Some((first.min(*at), newest.max(*at)));
            }
            let known = life.texts.entry(id).or_insert_with(|| text.clone());
            if *known != text {
                problems.push(format!(
                    "{label}: id {id} is {text:?}, and {known:?} elsewhere"
                ));
            }
        }
        if previous.is_some_and(|previous| previous < last) {
            problems.push(format!(
                "{label}: the history ends at {previous:?}, not {last}"
            ));
        }
    }
    lives
}

/// Returns the id before the first one that a connection receives, if that is certain.
fn first_expected(recording: &Recording, last: u64) -> Option<u64> {
    let Some((_, ServerEvent::Welcome { epoch, gap, .. })) = recording.seen.first() else {
        return None;
    };
    match recording.since {
        Some((since, id)) if since == *epoch && !gap => Some(id),
        // Any number of texts can be kept.
        _ => {
            let first = recording.seen.iter().find_map(|(_, event)| text(event));
            first.map(|(id, _)| id.saturating_sub(1).min(last))
        }
    }
}

/// No room goes on beside another one.
fn one_room(lives: &BTreeMap<u64, Life>, problems: &mut Vec<String>) {
    let arrived = lives
        .iter()
        .filter_map(|(epoch, life)| Some((life.arrived?, epoch)));
    let mut arrived: Vec<_> = arrived.collect();
    arrived.sort();
    for pair in arrived.windows(2) {
        let ((_, last), epoch) = pair[0];
        let ((first, _), next) = pair[1];
        if last > first + MAX_OVERLAP {
            problems.push(format!(
                "the lives {epoch} and {next} are beside each other from {first:?} to {last:?}"
            ));
        }
    }
}

/// All connections that are open at the end are in one life, and have received the same texts.
fn ends_are_equal(recordings: &[Recording], problems: &mut Vec<String>) {
    let open = recordings
        .iter()
        .filter(|recording| recording.end == End::Open);
    let place = |recording: &Recording| {
        let (epoch, last) = greeting(recording)?;
        let seen = recording
            .seen
            .iter()
            .rev()
            .find_map(|(_, event)| text(event));
        Some((epoch, seen.map_or(last, |(id, _)| id)))
    };
    let places: Vec<_> = open
        .map(|recording| (place(recording), &recording.label))
        .collect();
    for pair in places.windows(2) {
        if pair[0].0 != pair[1].0 {
            problems.push(format!("the ends differ: {:?} and {:?}", pair[0], pair[1]));
        }
    }
}

/// Each numbered message has one place, and those of a sender are in its order. A life that begins with the texts of the one
/// before has them at the same places.
fn nothing_doubled(lives: &BTreeMap<u64, Life>, problems: &mut Vec<String>) {
    let mut places = BTreeMap::new();
    for life in lives.values() {
        let mut newest = BTreeMap::new();
        for (id, (_, text, time)) in &life.texts {
            let Some((sender, number)) = parse_number(text) else {
                continue;
            };
            let place = (id, time);
            let known = places.insert((sender, number), place);
            if known.is_some_and(|known| known != place) {
                problems.push(format!("{text} is doubled: {known:?} and {place:?}"));
            } else if newest.insert(sender, number) >= Some(number) {
                problems.push(format!("{text} is out of its sender's order"));
            }
        }
    }
}

/// What a connection sent arrived as far as some message, without a hole; and all of it if the connection survived.
fn nothing_missing(
    recordings: &[Recording],
    lives: &BTreeMap<u64, Life>,
    problems: &mut Vec<String>,
) {
    let texts = lives.values().flat_map(|life| life.texts.values());
    let arrived: BTreeSet<_> = texts
        .filter_map(|(_, text, _)| parse_number(text))
        .collect();
    for recording in recordings {
        let (first, end) = recording.sent;
        let is_there = |number: &usize| arrived.contains(&(recording.sender, *number));
        let there = (first..end).filter(is_there).count();
        let prefix = (first..end).take_while(is_there).count();
        let all = matches!(recording.end, End::Open | End::Left);
        if prefix < there || all && there < end - first {
            problems.push(format!(
                "{}: {} is missing, of {} sent and {there} that arrived",
                recording.label,
                numbered(recording.sender, first + prefix),
                end - first,
            ));
        }
    }
}

#[cfg(test)]
#[path = "chat_checker_tests.rs"]
mod tests;
