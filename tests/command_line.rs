//! The command line: options, output, exit codes, and the log's destination and level.

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
        .expect("the server can be started")
}

fn one_line(output: &[u8]) -> &str {
    let text = std::str::from_utf8(output).expect("the text is UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    text
}

#[test]
fn invalid_arguments_give_a_one_line_error_and_exit_code_2() {
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
#[cfg(not(feature = "cluster"))]
fn cluster_needs_its_feature() {
    let _watchdog = watchdog(60);
    let output = run(&["--cluster", "redis://127.0.0.1:6379?name=a"]);
    assert_eq!(output.status.code(), Some(2));
    let line = one_line(&output.stderr);
    assert!(line.contains("built without"), "{line}");
}

#[test]
fn port_in_use_gives_a_one_line_error_and_exit_code_1() {
    let _watchdog = watchdog(60);
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener
        .local_addr()
        .expect("the socket is bound")
        .to_string();
    let output = run(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let line = one_line(&output.stderr);
    assert!(line.contains(&address) && line.contains("in use"), "{line}");
}

#[test]
fn unwritable_log_file_gives_a_one_line_error_and_exit_code_1() {
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
fn help_and_version_are_written_to_stdout() {
    let _watchdog = watchdog(60);
    let help = run(&["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    let text = String::from_utf8(help.stdout).expect("the text is UTF-8");
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
fn log_file_is_appended_to() {
    let _watchdog = watchdog(60);
    let path = std::env::temp_dir().join(format!("threadchat-{}.log", std::process::id()));
    std::fs::write(&path, "before\n").expect("the temporary folder is writable");
    let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", "127.0.0.1:0", "--log-file"])
        .arg(&path)
        .spawn()
        .expect("the server can be started");
    let log = || std::fs::read_to_string(&path).expect("the log file is readable");
    support::eventually("the server listens", || {
        log().contains("listening at ws://127.0.0.1:")
    });
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .expect("the server is running");
    assert!(
        child
            .wait()
            .expect("the server is a child process")
            .success()
    );
    let log = log();
    std::fs::remove_file(&path).expect("the log file is removable");
    assert!(
        log.starts_with("before\n") && log.ends_with("stopped\n"),
        "{log}"
    );
}

#[test]
fn messages_are_not_logged_at_level_info() {
    let _watchdog = watchdog(60);
    let mut server = ServerProcess::start(&["--log-level", "info"]);
    let mut client = support::Client::join(server.address);
    client.send_text("a chat message");
    client.recv_text();
    client.close();
    server.signal(rustix::process::Signal::TERM);
    server.wait();
    let log = server.remaining_log().join("\n");
    assert!(
        !log.contains("a chat message") && log.contains("joined from"),
        "{log}"
    );
}

#[test]
fn largest_values_are_accepted_or_rejected_without_panic() {
    let _watchdog = watchdog(60);
    let largest = usize::MAX.to_string();
    let server = ServerProcess::start(&[
        "--max-connections",
        &largest,
        "--max-backlog",
        &largest,
        "--ping",
        "4294967295",
    ]);
    support::Client::join(server.address).close();
    let output = run(&["--max-message", &u64::MAX.to_string()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(one_line(&output.stderr).contains("268435456"));
}
