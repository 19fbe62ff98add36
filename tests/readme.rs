//! The README's examples are valid, and its tables name what there is.

use std::process::Command;

use threadchat::protocol::{Request, Told};

const README: &str = include_str!("../README.md");

/// The lines of the JSON blocks.
fn examples() -> impl Iterator<Item = &'static str> {
    README.split("```json\n").skip(1).flat_map(|rest| {
        let (block, _) = rest.split_once("```").expect("blocks end");
        block.lines()
    })
}

#[test]
fn every_json_example_is_a_message_of_the_protocol() {
    let mut count = 0;
    for example in examples() {
        let told =
            serde_json::from_str::<Told<'_>>(example).map(|told| serde_json::to_string(&told));
        let asked =
            serde_json::from_str::<Request<'_>>(example).map(|asked| serde_json::to_string(&asked));
        let again = [told.ok(), asked.ok()]
            .into_iter()
            .flatten()
            .any(|again| again.is_ok_and(|again| again == example));
        assert!(again, "not of the protocol: {example}");
        count += 1;
    }
    assert_eq!(count, 16, "every message has its example");
}

#[test]
fn the_table_of_options_is_that_of_the_program() {
    let help = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .arg("--help")
        .output()
        .expect("it can be run");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let options = |text: &str, before: &str| -> Vec<String> {
        let found = text
            .lines()
            .filter_map(|line| line.strip_prefix(before)?.split([' ', '`', ',']).next());
        found.map(str::to_owned).collect()
    };
    let table = options(README, "| `--");
    assert_eq!(table, options(&help, "  --"));
    for option in table {
        assert!(README.contains(&format!("`--{option}")), "{option}");
    }
}
