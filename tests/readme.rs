//! What the README says is so: its examples, its tables, the files and sections it leads to.

mod support;

use std::path::Path;
use std::process::Command;

use support::readme::{README, block};
use support::{Client, ServerProcess, TestServer, memory_bound, watchdog};
use threadchat::protocol::{ClientCommand, ServerEvent};

fn help() -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .arg("--help")
        .output()
        .expect("it can be run");
    String::from_utf8(help.stdout).expect("UTF-8")
}

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
        let told = serde_json::from_str::<ServerEvent<'_>>(example)
            .map(|told| serde_json::to_string(&told));
        let asked = serde_json::from_str::<ClientCommand<'_>>(example)
            .map(|asked| serde_json::to_string(&asked));
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
    let help = help();
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

#[test]
fn the_defaults_are_those_of_the_program() {
    let help = help();
    let mut count = 0;
    for row in README.lines().filter(|line| line.starts_with("| `--")) {
        let mut cells = row.split(" | ");
        let option = cells.next().expect("a name").trim_matches(['|', ' ', '`']);
        if option.starts_with("--help") {
            continue;
        }
        let default = cells.next().expect("a default");
        let default = default.trim_matches('`').split([',', ':']).next();
        // Where an address is meant, the port follows the colon.
        let default = format!("[{}", default.expect("splitting gives one at least"));
        let (_, described) = help.split_once(&format!("  {option}")).expect("an option");
        let described = described.split("\n  --").next().unwrap_or_default();
        assert!(
            described.contains(&default),
            "{option}: {default} in {described}"
        );
        count += 1;
    }
    assert_eq!(count, 9, "every option that has a default");
}

#[test]
fn the_conversation_goes_as_it_says() {
    let _watchdog = watchdog(60);
    let host = TestServer::start();
    let mut client = Client::connect(host.address, "/chat");
    let mut said = 0;
    for line in block("chat").lines() {
        match line.strip_prefix("> ") {
            Some(text) => {
                client.send_text(text);
                said += 1;
            }
            None => assert_eq!(client.recv_text(), line),
        }
    }
    assert_eq!(client.expect_close(), 1000, "/quit was the last");
    assert!(said > 5, "{said}");
}

#[test]
fn every_file_it_names_is_there_and_every_file_of_the_server_is_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = README
        .split(['`', '(', ')'])
        .filter(|word| word.starts_with("src/") || word.starts_with("tests/"));
    for path in paths {
        assert!(root.join(path).exists(), "{path}");
    }
    for entry in root.join("src").read_dir().expect("it is there") {
        let name = entry.expect("it is readable").file_name();
        let name = name.to_str().expect("ASCII");
        // The table of contents, and the folders.
        if name != "lib.rs" && name.ends_with(".rs") {
            assert!(README.contains(&format!("`src/{name}`")), "{name}");
        }
    }
}

#[test]
fn every_link_to_a_section_leads_there() {
    let anchor = |title: &str| {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || *c == ' ');
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let titles: Vec<String> = README
        .lines()
        .filter_map(|line| line.strip_prefix("## ").map(anchor))
        .collect();
    let mut links = README.split("](#").skip(1).peekable();
    assert!(links.peek().is_some());
    for link in links {
        let (link, _) = link.split_once(')').expect("links end");
        assert!(titles.iter().any(|title| title == link), "{link}");
    }
}

#[test]
fn the_service_starts_it_with_options_it_takes_and_room_for_as_many_clients() {
    let _watchdog = watchdog(60);
    let unit = block("ini");
    let setting = |name: &str| {
        let found = unit.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let args: Vec<&str> = setting("ExecStart=/usr/local/bin/threadchat ")
        .split(' ')
        .collect();
    let program = ServerProcess::start(&args);
    Client::join(program.address).close();
    let clients = args.iter().position(|arg| *arg == "--max-connections");
    let clients: usize = args[clients.expect("it is bounded") + 1]
        .parse()
        .expect("a number");
    for (limit, each) in [("TasksMax=", 3), ("LimitNOFILE=", 2)] {
        let limit: usize = setting(limit).parse().expect("a number");
        assert!(limit >= each * clients + 100, "{limit}");
    }
    let memory = setting("MemoryMax=").strip_suffix('M').expect("in MiB");
    let memory: usize = memory.parse().expect("a number");
    let most = memory_bound(clients, 1 << 20, 64 << 10);
    assert!(memory << 20 >= most, "{memory} MiB for {most} bytes");
}
