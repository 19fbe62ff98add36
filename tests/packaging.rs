//! The man pages and completions in `src/packaging` are made from `--help`, and the tools that read them accept them.
//! `UPDATE=1 cargo test --test packaging` writes them anew.
#![cfg(all(feature = "client", feature = "tls"))]

#[path = "support/packaging.rs"]
mod packaging;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use packaging::{Program, bash, fish, zsh};
use support::{Client, ServerProcess, watchdog};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/packaging")
}

fn programs() -> [Program; 2] {
    [
        ("threadchat", env!("CARGO_BIN_EXE_threadchat")),
        ("threadchat-client", env!("CARGO_BIN_EXE_threadchat-client")),
    ]
    .map(|(name, path)| {
        let output = Command::new(path).arg("--help").output();
        let help = output.expect("the program starts").stdout;
        let help = String::from_utf8(help).expect("the help is UTF-8");
        Program { name, help }
    })
}

#[test]
fn man_pages_and_completions_are_those_of_the_help() {
    let _watchdog = watchdog(60);
    let programs = programs();
    let version = env!("CARGO_PKG_VERSION");
    for (path, made) in [
        ("man/threadchat.1", programs[0].man_page(version)),
        ("man/threadchat-client.1", programs[1].man_page(version)),
        ("completions/threadchat.bash", bash(&programs)),
        ("completions/_threadchat", zsh(&programs)),
        ("completions/threadchat.fish", fish(&programs)),
    ] {
        let path = folder().join(path);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &made).expect("the folder is writable");
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == made, "UPDATE=1 writes {} anew", path.display());
    }
    assert!(programs[0].options().len() > 15 && programs[1].options().len() >= 6);
}

/// Runs a tool. Returns `None` if the tool is missing, except in CI, where that is an error.
fn run(tool: &str, args: &[&str]) -> Option<Output> {
    let output = Command::new(tool).args(args).current_dir(folder()).output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI needs {tool}: {error}");
            println!("skipped: no {tool}");
            None
        }
    }
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn mandoc_finds_nothing_wrong_with_the_man_pages() {
    let _watchdog = watchdog(60);
    for page in ["man/threadchat.1", "man/threadchat-client.1"] {
        let Some(output) = run("mandoc", &["-T", "lint", "-W", "warning", page]) else {
            return;
        };
        assert!(output.status.success(), "{}", text(&output));
        let shown = run("mandoc", &["-T", "ascii", page]).expect("mandoc was there");
        // Without the overstrikes of bold and underlined characters.
        let shown = text(&shown).replace('\u{8}', "");
        assert!(shown.contains("OOPPTTIIOONNSS"), "{shown}");
    }
}

#[test]
fn bash_completes_options_and_values() {
    let _watchdog = watchdog(60);
    for (program, typed, expected) in [
        ("threadchat", "threadchat --max-r", "--max-rooms"),
        ("threadchat", "threadchat --log-level d", "debug"),
        ("threadchat", "threadchat --history ", ""),
        ("threadchat-client", "threadchat-client --na", "--name"),
    ] {
        let script = format!(
            "source completions/threadchat.bash; COMP_WORDS=({typed}{}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _{}; echo \"${{COMPREPLY[*]}}\"",
            if typed.ends_with(' ') { "''" } else { "" },
            program.replace('-', "_"),
        );
        let Some(output) = run("bash", &["-c", &script]) else {
            return;
        };
        assert_eq!(text(&output).trim_end(), expected, "{typed}");
    }
}

#[test]
fn fish_completes_options_and_values() {
    let _watchdog = watchdog(60);
    for (typed, expected) in [
        ("threadchat --max-r", "--max-rooms"),
        ("threadchat --log-level d", "debug"),
        ("threadchat-client --na", "--name"),
    ] {
        let script = format!("source completions/threadchat.fish; complete -C '{typed}'");
        let Some(output) = run("fish", &["--no-config", "-c", &script]) else {
            return;
        };
        assert!(
            text(&output).starts_with(expected),
            "{typed}: {}",
            text(&output)
        );
    }
}

#[test]
fn zsh_parses_the_completions() {
    let _watchdog = watchdog(60);
    // _arguments checks its specifications before it completes.
    let script = "_arguments() { for spec in \"$@\"; do print -r -- \"$spec\"; done }; service=threadchat; source completions/_threadchat";
    let Some(output) = run("zsh", &["-f", "-c", script]) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
    let text = text(&output);
    assert!(text.contains("*--log-level[off, error, warn, info, debug or trace]:LEVEL:(off error warn info debug trace)"), "{text}");
    assert!(
        text.contains("*--log-file[append the log to this file]:PATH:_files"),
        "{text}"
    );
}

/// What procd and UCI of OpenWrt offer to an init script: reads the configuration, and prints the command.
const OPENWRT: &str = r#"
value() { sed -n "s/^\toption $1 '\(.*\)'$/\1/p" openwrt/files/threadchat.config; }
config_load() { :; }
config_foreach() { "$1" main; }
config_get() { eval "$1=\$(value $3)"; }
config_get_bool() { eval "$1=\$(value $3)"; }
config_list_foreach() { for item in $(sed -n "s/^\tlist $2 '\(.*\)'$/\1/p" openwrt/files/threadchat.config); do "$3" "$item" "$4"; done; }
procd_open_instance() { :; }
procd_close_instance() { :; }
procd_set_param() { [ "$1" != command ] || printf '%s' "$2"; }
procd_append_param() { [ "$1" != command ] || { shift; printf ' %s' "$@"; }; }
"#;

#[test]
fn openwrt_has_every_option_of_the_server() {
    let init = fs::read_to_string(folder().join("openwrt/files/threadchat.init"));
    let init = init.expect("the file is readable");
    let words: Vec<&str> = init
        .split(|c: char| !c.is_ascii_lowercase() && c != '_')
        .collect();
    for option in programs()[0].options() {
        let name = option.name.trim_start_matches('-').replace('-', "_");
        let ends = name == "help" || name == "version";
        assert!(ends || words.contains(&name.as_str()), "{}", option.name);
    }
}

#[test]
fn openwrt_starts_the_program_with_the_options_of_its_configuration() {
    let _watchdog = watchdog(60);
    let script = format!("{OPENWRT}. ./openwrt/files/threadchat.init; start_service");
    let output = run("sh", &["-euc", &script]).expect("there is a shell");
    let command = text(&output);
    let args = command.strip_prefix("/usr/bin/threadchat --listen 0.0.0.0:8080 ");
    let args = args.unwrap_or_else(|| panic!("{command}"));
    assert!(
        args.contains("--max-connections 50 --max-per-address 10 --max-rooms 4"),
        "{args}"
    );
    let server = ServerProcess::start(&args.split(' ').collect::<Vec<_>>());
    Client::join(server.address).close();
}

/// Parts of an OpenWrt tree: what the package's Makefile uses, and a rule that prints and installs what it defines.
const OPENWRT_TREE: [(&str, &str); 4] = [
    (
        "rules.mk",
        "INCLUDE_DIR = $(TOPDIR)/include
PKG_INSTALL_DIR = $(TOPDIR)/built
INSTALL_DIR = install -d -m755
INSTALL_BIN = install -m755
INSTALL_CONF = install -m600",
    ),
    (
        "include/package.mk",
        "define BuildPackage
$(eval $(Package/$(1)))
all:
\t@echo '$(DEPENDS)' $(CARGO_PKG_ARGS) $(Package/$(1)/conffiles)
\t$(call Package/$(1)/install,$(TOPDIR)/root)
endef",
    ),
    (
        "feeds/packages/lang/rust/rust-package.mk",
        "CARGO_PKG_ARGS =
CARGO_PKG_ARGS += --locked
RUST_ARCH_DEPENDS = @(arm||mipsel)
RustBinPackage =",
    ),
    ("built/bin/threadchat", "the program"),
];

#[test]
fn openwrt_builds_the_smallest_server_and_installs_it_with_its_configuration() {
    let _watchdog = watchdog(60);
    let tree = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("openwrt");
    let _ = fs::remove_dir_all(&tree);
    for (path, contents) in OPENWRT_TREE {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().expect("it is in the tree")).expect("a new folder");
        fs::write(path, contents).expect("a new file");
    }
    let variable = format!("TOPDIR={}", tree.display());
    let args = ["--silent", "--warn-undefined-variables", "-C", "openwrt"];
    let Some(output) = run("make", &[&args[..], &[&variable]].concat()) else {
        return;
    };
    assert_eq!(
        text(&output),
        "@(arm||mipsel) --locked --no-default-features /etc/config/threadchat\n"
    );
    for (path, mode) in [
        ("usr/bin/threadchat", 0o755),
        ("etc/init.d/threadchat", 0o755),
        ("etc/config/threadchat", 0o600),
    ] {
        let file = fs::metadata(tree.join("root").join(path)).expect(path);
        assert_eq!(file.permissions().mode() & 0o777, mode, "{path}");
    }
}
