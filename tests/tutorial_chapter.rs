//! The tutorial's chapter: its sessions print what it says, its code is that of the programs, rustdoc has its pictures.

#[path = "support/session.rs"]
mod session;
mod support;
#[path = "support/tutorial.rs"]
mod tutorial;

use std::fs;
use std::path::{Path, PathBuf};

use session::Session;
use support::readme::TUTORIAL;
use support::watchdog;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tutorial")
}

/// Returns the programs with their names.
fn programs() -> Vec<(String, String)> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(folder()).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_name().expect("it is a file").to_string_lossy();
            let text = fs::read_to_string(&path).expect("the program is readable");
            programs.push((name.into_owned(), text));
        }
    }
    assert_eq!(programs.len(), 7);
    programs
}

/// Runs the sessions of a section.
fn run(section: &str) {
    let _watchdog = watchdog(300);
    let (_, text) = (TUTORIAL.text.split_once(&format!("\n## {section}")))
        .unwrap_or_else(|| panic!("no section {section}"));
    let text = text.split("\n## ").next().unwrap_or_default();
    let sessions = text.split("```session\n").skip(1);
    let mut count = 0;
    for session in sessions {
        let (session, _) = session.split_once("```").expect("blocks end");
        Session::default().run(session);
        count += 1;
    }
    assert!(count > 0, "{section} has a session");
}

#[test]
fn the_sessions_of_steps_1_and_2_go_as_they_say() {
    run("Step 1");
    run("Step 2");
}

#[test]
fn the_session_of_step_3_goes_as_it_says() {
    run("Step 3");
}

#[test]
fn the_sessions_of_step_4_go_as_they_say() {
    run("Step 4");
}

#[test]
fn the_sessions_of_step_5_go_as_they_say() {
    run("Step 5");
}

#[test]
fn the_session_of_step_6_goes_as_it_says() {
    run("Step 6");
}

#[test]
fn the_code_of_the_chapter_is_that_of_the_programs() {
    let unindented = |text: &str| -> String {
        let lines = text.lines().map(|line| line.trim().to_owned() + "\n");
        lines.collect()
    };
    let programs = programs();
    let blocks = TUTORIAL.blocks("rs");
    assert!(blocks.len() >= 6);
    for block in blocks {
        let block = unindented(block);
        let found = programs
            .iter()
            .any(|(_, program)| unindented(program).contains(&block));
        assert!(found, "{block}");
    }
}

#[test]
fn every_program_is_short_and_begins_with_its_purpose() {
    for (name, program) in programs() {
        let lines = program.lines().count();
        assert!((30..=150).contains(&lines), "{name}: {lines} lines");
        for part in ["- Adds: ", "- Breaks: ", "- See it break: ", "- Next: "] {
            let found = program
                .lines()
                .any(|line| line.starts_with(&format!("//! {part}")));
            assert!(found, "{name}: {part}");
        }
        assert!(program.contains("#![forbid(unsafe_code)]"), "{name}");
        let uses = program.lines().filter_map(|line| line.strip_prefix("use "));
        for path in uses {
            let allowed = ["std::", "tungstenite::", "crossbeam_channel::"];
            assert!(
                allowed.iter().any(|root| path.starts_with(root)),
                "{name}: {path}"
            );
        }
        let first = program.find("\nfn ").expect("it has functions");
        assert!(program[first..].starts_with("\nfn main("), "{name}");
    }
}

/// Encodes a text for a link in Markdown.
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'/' | b':' | b'=' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[test]
fn rustdoc_has_the_pictures() {
    let mut expected = String::new();
    let pictures = TUTORIAL
        .text
        .lines()
        .filter(|line| line.starts_with("[picture-"));
    for picture in pictures {
        let (label, file) = picture.split_once(": ").expect("a definition");
        let svg = fs::read_to_string(folder().join(file)).expect("the picture is readable");
        let svg = percent_encoded(&svg);
        expected += &format!("{label}: data:image/svg+xml,{svg}\n");
    }
    let path = folder().join("pictures.md");
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        fs::write(&path, &expected).expect("the file is writable");
    }
    let pictures = fs::read_to_string(&path).expect("the file is readable");
    assert!(pictures == expected, "run this test with UPDATE_PICTURES=1");
}
