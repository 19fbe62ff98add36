//! The part of the checker about users: their order, their names, and who is there at the end.

use std::collections::{BTreeMap, BTreeSet};

use threadchat::protocol::ServerEvent;

use super::{End, Recording, greeting, text};

/// Adds what is wrong about the users, one line each.
pub fn check(recordings: &[Recording], problems: &mut Vec<String>) {
    one_order(recordings, problems);
    names_are_unique(recordings, problems);
    let mut at_end = Vec::new();
    for recording in recordings {
        let members = follow(recording, problems);
        if recording.end == End::Open {
            at_end.extend(members.map(|members| (&recording.label, members)));
        }
    }
    for pair in at_end.windows(2) {
        if pair[0].1 != pair[1].1 {
            problems.push(format!(
                "the members differ: {:?} and {:?}",
                pair[0], pair[1]
            ));
        }
    }
    let open = recordings
        .iter()
        .filter(|recording| recording.end == End::Open);
    let names: BTreeSet<String> = open
        .filter_map(|open| names(open).pop())
        .map(|(_, name)| name)
        .collect();
    if let Some((label, members)) = at_end.first()
        && *members != names
    {
        problems.push(format!(
            "{label} sees {members:?}, and the open connections are {names:?}"
        ));
    }
}

/// The joins, departures and renames after one text and before the next one, as one connection saw them.
#[derive(Default)]
struct Changes {
    changes: Vec<String>,
    /// The user joined after the text.
    begins: bool,
    /// The connection ended before the next text.
    ends: bool,
}

/// Between two texts, all connections see the same changes in the same order. Those that were not there all the time see
/// the later or the earlier ones.
fn one_order(recordings: &[Recording], problems: &mut Vec<String>) {
    let mut gaps: BTreeMap<(u64, u64), Vec<(&str, Changes)>> = BTreeMap::new();
    for recording in recordings {
        for (place, changes) in changes(recording) {
            gaps.entry(place)
                .or_default()
                .push((&recording.label, changes));
        }
    }
    for (place, views) in &gaps {
        // The one that saw most of it: from the text before and, if there is one, up to the text after.
        let from_start = views.iter().filter(|(_, view)| !view.begins);
        let longest = from_start.max_by_key(|(_, view)| (!view.ends, view.changes.len()));
        let Some((reference_label, reference)) = longest else {
            continue;
        };
        for (label, view) in views {
            let (seen, all) = (&view.changes, &reference.changes);
            let matches = match (view.begins, view.ends || reference.ends) {
                (false, false) => seen == all,
                (false, true) => all.starts_with(seen),
                (true, false) => all.ends_with(seen),
                // What came after the end of the reference is unknown.
                (true, true) if reference.ends => true,
                (true, true) => {
                    seen.is_empty() || all.windows(seen.len()).any(|part| part == *seen)
                }
            };
            if !matches {
                problems.push(format!(
                    "after {place:?}, {label} saw {seen:?}, and {reference_label} saw {all:?}"
                ));
            }
        }
    }
}

/// Returns the changes that a connection saw after each place: its epoch and the id of a text.
fn changes(recording: &Recording) -> Vec<((u64, u64), Changes)> {
    let Some((epoch, last)) = greeting(recording) else {
        return Vec::new();
    };
    let mut id = last;
    let mut gaps = Vec::new();
    let mut current = Changes {
        begins: true,
        ..Changes::default()
    };
    for (_, event) in &recording.seen[1..] {
        match event {
            ServerEvent::Joined { name, users } => current.changes.push(format!("+{name} {users}")),
            ServerEvent::Left { name, users } => current.changes.push(format!("-{name} {users}")),
            ServerEvent::Renamed { from, to } => current.changes.push(format!("{from}={to}")),
            event => {
                if let Some((next, _)) = text(event).filter(|(next, _)| *next > last) {
                    gaps.push(((epoch, id), std::mem::take(&mut current)));
                    id = next;
                }
            }
        }
    }
    current.ends = true;
    gaps.push(((epoch, id), current));
    gaps
}

/// Returns the names that a connection had, each with the id of the last text before.
fn names(recording: &Recording) -> Vec<(u64, String)> {
    let Some((_, ServerEvent::Welcome { name, last, .. })) = recording.seen.first() else {
        return Vec::new();
    };
    let (mut id, mut own) = (*last, name.to_string());
    let mut names = vec![(id, own.clone())];
    for (_, event) in &recording.seen[1..] {
        match event {
            ServerEvent::Renamed { from, to } if *from == own => {
                own = to.to_string();
                names.push((id, own.clone()));
            }
            event => id = text(event).map_or(id, |(next, _)| id.max(next)),
        }
    }
    names
}

/// While two texts follow each other, no two connections had one name.
fn names_are_unique(recordings: &[Recording], problems: &mut Vec<String>) {
    // By epoch and name: the ids before and at the end, and whose it was.
    let mut held = BTreeMap::<_, Vec<(u64, u64, &str)>>::new();
    for recording in recordings {
        let Some((epoch, last)) = greeting(recording) else {
            continue;
        };
        let seen = recording
            .seen
            .iter()
            .rev()
            .find_map(|(_, event)| text(event));
        let end = seen.map_or(last, |(id, _)| id.max(last));
        let names = names(recording);
        for (index, (from, name)) in names.iter().enumerate() {
            let to = names.get(index + 1).map_or(end, |(id, _)| *id);
            let key = (epoch, name.to_lowercase());
            held.entry(key)
                .or_default()
                .push((*from, to, &recording.label));
        }
    }
    for ((_, name), mut times) in held {
        times.sort();
        for pair in times.windows(2) {
            if pair[1].0 < pair[0].1 && pair[1].0 < pair[1].1 {
                problems.push(format!(
                    "two are called {name}: {:?} and {:?}",
                    pair[0], pair[1]
                ));
            }
        }
    }
}

/// Follows the users from the first list that a connection requested. Returns those of the end, or `None` without a
/// complete list.
fn follow(recording: &Recording, problems: &mut Vec<String>) -> Option<BTreeSet<String>> {
    let mut members: Option<BTreeSet<String>> = None;
    for (_, event) in &recording.seen {
        let mut wrong = |what: String| problems.push(format!("{}: {what}", recording.label));
        if let ServerEvent::Who { names, users } = event {
            let list: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
            if list.len() < names.len() {
                wrong(format!("a name is twice in {names:?}"));
            }
            if names.len() == *users {
                if members.as_ref().is_some_and(|members| *members != list) {
                    wrong(format!("{list:?} in place of {members:?}"));
                }
                members = Some(list);
            }
            continue;
        }
        let Some(members) = &mut members else {
            continue;
        };
        let users = match event {
            ServerEvent::Joined { name, users } => {
                if !members.insert(name.to_string()) {
                    wrong(format!("{name} joined twice"));
                }
                *users
            }
            ServerEvent::Left { name, users } => {
                if !members.remove(&**name) {
                    wrong(format!("{name} left, and was not there"));
                }
                *users
            }
            ServerEvent::Renamed { from, to } => {
                if !members.remove(&**from) || !members.insert(to.to_string()) {
                    wrong(format!("{from} is now {to}, with the users {members:?}"));
                }
                continue;
            }
            _ => continue,
        };
        if users != members.len() {
            wrong(format!("{users} users in place of {}", members.len()));
        }
    }
    members
}
