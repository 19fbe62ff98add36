//! Checks the documents: their examples, tables, and numbers against the program, and the files and sections that they lead to.

mod support;

use std::path::{Component, Path, PathBuf};
use std::process::Command;

use support::readme::{DESIGN, DOCUMENTS, Document, OPERATIONS, PROTOCOL, README};
use support::{Client, ServerProcess, TestServer, memory_bound, room_bytes, watchdog};
use threadchat::protocol::{ClientCommand, ServerEvent};

fn help() -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .arg("--help")
        .output()
        .expect("the server's program runs");
    String::from_utf8(help.stdout).expect("the help is UTF-8")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_json_example_is_a_message_of_the_protocol() {
    let mut count = 0;
    for example in PROTOCOL.blocks("json").concat().lines() {
        let event = serde_json::from_str::<ServerEvent<'_>>(example)
            .map(|event| serde_json::to_string(&event));
        let command = serde_json::from_str::<ClientCommand<'_>>(example)
            .map(|command| serde_json::to_string(&command));
        let same = [event.ok(), command.ok()]
            .into_iter()
            .flatten()
            .any(|encoded| encoded.is_ok_and(|encoded| encoded == example));
        assert!(same, "not of the protocol: {example}");
        count += 1;
    }
    assert_eq!(count, 17, "every message has its example");
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
    let table = options(README.text, "| `--");
    assert_eq!(table, options(&help, "  --"));
    for option in table {
        assert!(README.text.contains(&format!("`--{option}")), "{option}");
    }
}

#[test]
fn the_defaults_are_those_of_the_program() {
    let help = help();
    let mut count = 0;
    for row in README.text.lines().filter(|line| line.starts_with("| `--")) {
        let mut cells = row.split(" | ");
        let option = cells.next().expect("a name").trim_matches(['|', ' ', '`']);
        if option.starts_with("--help") {
            continue;
        }
        let default = cells.next().expect("a default");
        let default = default.trim_matches('`').split([',', ':']).next();
        // The port of an address follows the colon.
        let default = format!("[{}", default.expect("splitting gives at least one part"));
        let (_, described) = help.split_once(&format!("  {option}")).expect("an option");
        let described = described.split("\n  --").next().unwrap_or_default();
        assert!(
            described.contains(&default),
            "{option}: {default} in {described}"
        );
        count += 1;
    }
    assert_eq!(count, 20, "every option that has a default");
}

#[test]
fn the_conversation_goes_as_it_says() {
    let _watchdog = watchdog(60);
    let server = TestServer::start();
    let mut client = Client::connect(server.address, "/chat");
    let mut sent = 0;
    for line in README.block("chat").lines() {
        match line.strip_prefix("> ") {
            Some(text) => {
                client.send_text(text);
                sent += 1;
            }
            None => assert_eq!(client.recv_text(), line),
        }
    }
    assert_eq!(client.expect_close(), 1000, "/quit was the last");
    assert!(sent > 5, "{sent}");
}

#[test]
fn the_readme_is_a_front_door() {
    let lines = README.text.lines().count();
    assert!(lines <= 250, "{lines} lines");
}

#[test]
fn every_dependency_has_its_purpose_in_the_readme() {
    let manifest = include_str!("../Cargo.toml");
    let (_, dependencies) = manifest
        .split_once("[dependencies]\n")
        .expect("there are dependencies");
    let (_, section) = README
        .text
        .split_once("## Dependencies\n")
        .expect("the README has the section");
    let (section, _) = section
        .split_once("\n## ")
        .expect("another section follows");
    let mut count = 0;
    let lines = dependencies
        .lines()
        .take_while(|line| !line.starts_with("[profile"));
    for name in lines.filter_map(|line| Some(line.split_once(" = ")?.0)) {
        let mut words = section.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
        assert!(words.any(|word| word == name), "{name}");
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

/// Returns the words of a document that are paths from the repository's root.
fn paths(document: &Document) -> impl Iterator<Item = &'static str> {
    let words = document.text.split(['`', '(', ')', '\n']);
    words.filter(|word| word.starts_with("src/") || word.starts_with("tests/"))
}

#[test]
fn every_file_that_is_named_exists() {
    let missing: Vec<&str> = DOCUMENTS
        .iter()
        .flat_map(paths)
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Appends the Rust files in a folder and its folders.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().expect("the folder is readable") {
        let path = entry.expect("the entry is readable").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn the_design_names_every_file_of_the_server() {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    assert!(files.len() > 20, "{files:?}");
    let mut unnamed = Vec::new();
    for file in files {
        let path = file.strip_prefix(root()).expect("files are under the root");
        let path = path.to_str().expect("paths are ASCII");
        // lib.rs has the table of contents; the client is named as a folder; the tutorial is a chapter of its own; a mod.rs can be no more than a list.
        let exempt = path == "src/lib.rs"
            || path.starts_with("src/bin/threadchat-client/")
            || path.starts_with("src/tutorial/")
            || path.ends_with("/mod.rs")
            || path.ends_with("/tests.rs");
        if !exempt && !DESIGN.text.contains(&format!("`{path}`")) {
            unnamed.push(path.to_owned());
        }
    }
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

/// Returns the anchors of a document's headings, as GitHub and rustdoc make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let title = heading.trim_start_matches('#').trim();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || *c == ' ');
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Returns the labels and targets of a document's link definitions, such as `[label]: target`.
fn definitions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('['));
    lines.filter_map(|line| line.split_once("]: "))
}

/// Returns the document at a relative path in another one, with the path from the root. Removes `..` without looking at
/// the disk.
fn resolve(document: &Document, target: &str) -> String {
    let folder = Path::new(document.path).parent().expect("it is a file");
    let mut path = PathBuf::new();
    for component in folder.join(target).components() {
        if component == Component::ParentDir {
            path.pop();
        } else {
            path.push(component);
        }
    }
    path.to_str().expect("paths are ASCII").to_owned()
}

#[test]
fn every_link_leads_to_a_file_and_a_section() {
    let mut count = 0;
    for document in &DOCUMENTS {
        let prose = document.prose();
        let inline = prose.split("](").skip(1);
        let inline = inline.map(|link| link.split_once(')').expect("links end").0);
        let defined: Vec<_> = definitions(&prose).collect();
        for target in inline.chain(defined.iter().map(|(_, target)| *target)) {
            let (file, section) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                document.path.to_owned()
            } else {
                resolve(document, file)
            };
            assert!(root().join(&path).is_file(), "{}: {target}", document.path);
            if !section.is_empty() {
                let leads_to = DOCUMENTS.iter().find(|other| other.path == path);
                let found = leads_to
                    .is_some_and(|other| anchors(other.text).iter().any(|at| at == section));
                assert!(found, "{}: {target}", document.path);
            }
            count += 1;
        }
        for link in prose.split("][").skip(1) {
            let (label, _) = link.split_once(']').expect("links end");
            let found = defined.iter().any(|(defined, _)| *defined == label);
            assert!(found, "{}: [{label}]", document.path);
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn rustdoc_has_every_link_between_documents() {
    let links = include_str!("../src/docs/links.md");
    let module = |path: &str| {
        let path = path
            .strip_suffix("tutorial/README.md")
            .map_or(path, |_| "tutorial.md");
        let name = Path::new(path).file_stem().expect("a file");
        name.to_str().expect("paths are ASCII").to_lowercase()
    };
    for document in &DOCUMENTS {
        let prose = document.prose();
        // For the pictures: the next test, and tests/tutorial_chapter.rs.
        let texts = definitions(&prose).filter(|(label, _)| !label.starts_with("picture-"));
        for (label, target) in texts {
            let (file, section) = match target.split_once('#') {
                Some((file, section)) => (file, format!("#{section}")),
                None => (target, String::new()),
            };
            let expected = format!("crate::docs::{}{section}", module(file));
            let found = definitions(links).any(|link| link == (label, &expected));
            assert!(found, "{}: [{label}]: {target}", document.path);
        }
    }
}

#[test]
fn rustdoc_has_the_picture_of_the_page() {
    let picture = std::fs::read(root().join("src/docs/page.png")).expect("the file is readable");
    let picture = data_encoding::BASE64.encode(&picture);
    let expected = format!("[picture-page]: data:image/png;base64,{picture}\n");
    let path = root().join("src/docs/pictures.md");
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        std::fs::write(&path, &expected).expect("the file is writable");
    }
    let found = std::fs::read_to_string(&path).expect("the file is readable");
    assert!(found == expected, "run this test with UPDATE_PICTURES=1");
}

#[test]
fn the_service_starts_with_valid_options_and_has_space_for_its_clients() {
    let _watchdog = watchdog(60);
    let unit = std::fs::read_to_string(root().join("src/packaging/threadchat.service"));
    let unit = unit.expect("the file is readable");
    let setting = |name: &str| {
        let found = unit.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let args: Vec<&str> = setting("ExecStart=/usr/bin/threadchat ")
        .split(' ')
        .filter(|arg| !arg.starts_with('$'))
        .collect();
    let server = ServerProcess::start(&args);
    Client::join(server.address).close();
    let number = |option: &str| -> usize {
        let found = args.iter().position(|arg| *arg == option);
        let value = args[found.expect("the service has a limit") + 1];
        value.parse().expect("a number")
    };
    let clients = number("--max-connections");
    for (limit, each) in [("TasksMax=", 3), ("LimitNOFILE=", 2)] {
        let limit: usize = setting(limit).parse().expect("a number");
        assert!(limit >= each * clients + 100, "{limit}");
    }
    let memory = setting("MemoryMax=").strip_suffix('M').expect("in MiB");
    let memory: usize = memory.parse().expect("a number");
    let rooms = number("--max-rooms") * room_bytes(64 << 10);
    let bound = memory_bound(clients, 1 << 20, 64 << 10) + rooms;
    assert!(memory << 20 >= bound, "{memory} MiB for {bound} bytes");
}

#[test]
fn the_memory_formula_gives_the_numbers_beside_it() {
    let formula = "N × (max-backlog + 4 × max-message + 96 KiB + 640 KiB) + 16 × max-message + 96 MiB\n    + R × (8 × max-message + 10 MiB)";
    assert!(
        OPERATIONS.text.contains(formula),
        "memory_bound computes it"
    );
    let bound = |clients| memory_bound(clients, 1 << 20, 64 << 10) as f64;
    let gib = format!(
        "{:.1} GiB with the defaults",
        bound(1000) / f64::from(1 << 30)
    );
    let mib = (bound(100) / f64::from(1 << 20)).ceil();
    let mib = format!("{mib} MiB with `--max-connections 100`");
    let text: Vec<&str> = OPERATIONS.text.split_whitespace().collect();
    let rooms = 64 * room_bytes(64 << 10) / (1 << 20);
    let rooms = format!("64 rooms, the default, add {rooms} MiB");
    for number in [gib, mib, rooms] {
        assert!(text.join(" ").contains(&number), "{number}");
    }
}
