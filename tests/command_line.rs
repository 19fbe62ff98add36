//! What the program says and how it ends when it does not serve.

mod support;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use support::{ServerProcess, watchdog};

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadchat"));
    command
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("it can be run")
}

fn one_line(output: &[u8]) -> &str {
    let text = std::str::from_utf8(output).expect("UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    text
}

#[test]
fn a_wrong_option_or_value_is_one_line_and_exit_code_2() {
    let _watchdog = watchdog(60);
    for args in [
        &["--nonsense"][..],
        &["stray"],
        &["--listen", "nowhere"],
        &["--max-message", "0"],
        &["--log-level", "loud"],
        &["--ping"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            one_line(&output.stderr).starts_with("threadchat: "),
            "{args:?}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_port_that_is_taken_is_one_line_and_exit_code_1() {
    let _watchdog = watchdog(60);
    let taken = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = run(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let line = one_line(&output.stderr);
    assert!(line.contains(&address) && line.contains("in use"), "{line}");
}

#[test]
fn a_log_file_that_cannot_be_opened_is_one_line_and_exit_code_1() {
    let _watchdog = watchdog(60);
    let output = run(&[
        "--listen",
        "127.0.0.1:0",
        "--log-file",
        "/nonexistent/chat.log",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(one_line(&output.stderr).contains("/nonexistent/chat.log"));
}

#[test]
fn help_and_version_go_to_stdout() {
    let _watchdog = watchdog(60);
    let help = run(&["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    let text = String::from_utf8(help.stdout).expect("UTF-8");
    for option in [
        "--listen",
        "--max-connections",
        "--max-message",
        "--max-backlog",
        "--ping",
        "--rate-limit",
        "--allow-origin",
        "--log-level",
        "--log-file",
    ] {
        assert!(text.contains(option), "{option}");
    }
    let version = run(&["--version"]);
    assert_eq!(
        one_line(&version.stdout),
        concat!("threadchat ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn the_log_goes_to_a_file_that_is_appended_to() {
    let _watchdog = watchdog(60);
    let path = std::env::temp_dir().join(format!("threadchat-{}.log", std::process::id()));
    std::fs::write(&path, "before\n").expect("the temporary folder is writable");
    let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", "127.0.0.1:0", "--log-file"])
        .arg(&path)
        .spawn()
        .expect("it can be run");
    let log = || std::fs::read_to_string(&path).expect("it is there");
    support::eventually("it responds", || {
        log().contains("responding at ws://127.0.0.1:")
    });
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .expect("it runs");
    assert!(child.wait().expect("it is our child").success());
    let log = log();
    std::fs::remove_file(&path).expect("it is there");
    assert!(
        log.starts_with("before\n") && log.ends_with("stopped\n"),
        "{log}"
    );
}

#[test]
fn nothing_is_logged_below_the_level() {
    let _watchdog = watchdog(60);
    let mut program = ServerProcess::start(&["--log-level", "info"]);
    let mut client = support::Client::join(program.address);
    client.send_text("not for the log");
    client.recv_text();
    client.close();
    program.signal(rustix::process::Signal::TERM);
    program.wait();
    let log = program.remaining_log().join("\n");
    assert!(
        !log.contains("not for the log") && log.contains("came from"),
        "{log}"
    );
}

#[test]
fn the_largest_values_are_served_or_refused_but_do_not_panic() {
    let _watchdog = watchdog(60);
    let largest = u64::MAX.to_string();
    let program = ServerProcess::start(&[
        "--max-connections",
        &largest,
        "--max-backlog",
        &largest,
        "--ping",
        "4294967295",
    ]);
    support::Client::join(program.address).close();
    let output = run(&["--max-message", &largest]);
    assert_eq!(output.status.code(), Some(2));
    assert!(one_line(&output.stderr).contains("268435456"));
}
