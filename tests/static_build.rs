//! The static build of installation.md: an idle client takes one page of stack.

#![cfg(target_os = "linux")]

mod support;

use std::env::consts::ARCH;
use std::path::PathBuf;
use std::process::Command;

use support::cases::{PING, PONG, TEXT};
use support::{RawClient, ServerProcess, eventually, raise_nofile_limit, raw, watchdog};

const CLIENTS: usize = 500;

/// The memory of one idle client in bytes: a page of stack, and less than three KiB of heap. A second page would exceed it.
const MAX_PER_CLIENT: usize = 7500;

/// Builds the server for musl. Returns `None` if Rust's library for that target is not installed.
fn static_server() -> Option<PathBuf> {
    let target = format!("{ARCH}-unknown-linux-musl");
    let library = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", &target])
        .output()
        .expect("rustc runs");
    let library = String::from_utf8(library.stdout).expect("the path is UTF-8");
    if !PathBuf::from(library.trim()).exists() {
        eprintln!("skipped: rustup target add {target}");
        return None;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("static");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--no-default-features"])
        .args(["--bin", "threadchat", "--target", &target, "--target-dir"])
        .arg(&folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the static build succeeds");
    Some(folder.join(target).join("release/threadchat"))
}

#[test]
fn an_idle_client_takes_one_page_of_stack() {
    let _watchdog = watchdog(600);
    let Some(program) = static_server() else {
        return;
    };
    raise_nofile_limit();
    let mut command = Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--ping", "8"]);
    let server = ServerProcess::spawn(command);
    let before = server.resident_kb();
    let mut clients: Vec<RawClient> = (0..CLIENTS)
        .map(|_| RawClient::upgraded(server.address, "/chat"))
        .collect();
    // Waiting for the next Ping, each connection has handled a Pong.
    for client in &mut clients {
        while client.frame().expect("no reset").expect("no end").0 != PING {}
        client.send(&raw::frame(PONG, b""));
    }
    let mut each = usize::MAX;
    eventually("the dispatcher's batches are released", || {
        each = (server.resident_kb() - before) * 1024 / CLIENTS;
        each <= MAX_PER_CLIENT
    });
    println!("{each} bytes per client");
    // A disconnected client would cost nothing.
    for client in &mut clients {
        client.send(&raw::frame(TEXT, b"/who"));
        while client.frame().expect("no reset").expect("no end").0 != TEXT {}
    }
}
