//! Exhausted descriptors or threads: connected clients are unaffected, the log reports it once, and new clients are
//! served as soon as the resources are available again.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, raw, watchdog};

const SERVER: &str = env!("CARGO_BIN_EXE_threadchat");

/// Waits until a new client is the second user: the disconnected clients can still be counted for a moment.
fn wait_until_one_user_remains(server: &ServerProcess) {
    eventually("only the first client remains", || {
        let request = support::client::request(server.address, "/chat");
        // The clients that waited in the kernel's queue can still use up the resources.
        let Ok(mut probe) = Client::try_connect(server.address, request) else {
            return false;
        };
        let users = support::users(&probe.recv_text());
        probe.close();
        users == 2
    });
}

#[test]
fn exhausted_descriptors_pause_accepting() {
    let _watchdog = watchdog(120);
    let limit = 40;
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {limit}; exec '{SERVER}' --listen 127.0.0.1:0");
    command.args(["-c", &script]);
    let mut server = ServerProcess::spawn(command);
    let mut first = Client::join(server.address);
    let mut clients = Vec::new();
    // The kernel completes the connections beyond the limit and queues them.
    for _ in 0..2 * limit {
        let mut raw = RawClient::connect(server.address);
        raw.send(raw::handshake("/chat", "").as_bytes());
        clients.push(raw);
    }
    server.wait_for_log("cannot accept: Too many open files");
    first.send_text("still here");
    first.recv_until(|text| text == "[user0]: still here");
    let before = cpu_ticks(&server);
    first
        .socket
        .get_mut()
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("the timeout is not zero");
    assert!(first.next_message().is_err(), "no client can join now");
    assert!(
        cpu_ticks(&server) < before + 50,
        "the acceptor used {} ticks",
        cpu_ticks(&server) - before
    );
    first
        .socket
        .get_mut()
        .set_read_timeout(Some(support::TIMEOUT))
        .expect("the timeout is not zero");
    drop(clients);
    eventually("the resources are released", || server.descriptors() < 14);
    wait_until_one_user_remains(&server);
    assert!(
        server.find_in_log("cannot accept").is_none(),
        "the error is logged more than once"
    );
}

/// Returns the CPU time used so far, in ticks of 10 ms.
fn cpu_ticks(server: &ServerProcess) -> u64 {
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", server.id())).expect("the server is running");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .expect("the stat line contains the name")
        .split(' ')
        .collect();
    fields[11..13]
        .iter()
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}

/// A copy of the server's executable that every user is permitted to run.
struct ExecutableCopy(PathBuf);

impl ExecutableCopy {
    fn new() -> ExecutableCopy {
        let copy = std::env::temp_dir().join(format!("threadchat-{}", std::process::id()));
        // By another process: while a child of this one holds the descriptor of the copy, the copy cannot be executed.
        let copied = Command::new("cp").arg(SERVER).arg(&copy).status();
        assert!(copied.expect("cp can be started").success());
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))
            .expect("the copy has the same owner");
        ExecutableCopy(copy)
    }
}

impl Drop for ExecutableCopy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn exhausted_threads_refuse_new_clients() {
    let _watchdog = watchdog(120);
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root can run the server as a user that has no other threads");
        return;
    }
    let limit = 40;
    let copy = ExecutableCopy::new();
    let mut command = Command::new("setpriv");
    // The limit counts the threads of a user, so this user must have no other processes.
    command.args([
        "--reuid=64123",
        "--regid=64123",
        "--clear-groups",
        "prlimit",
        &format!("--nproc={limit}"),
    ]);
    command
        .arg(&copy.0)
        .args(["--listen", "127.0.0.1:0", "--log-level", "debug"]);
    let mut server = ServerProcess::spawn(command);
    let mut first = Client::join(server.address);
    let (mut clients, mut refused) = (Vec::new(), 0);
    for _ in 0..2 * limit {
        match Client::try_connect(
            server.address,
            support::client::request(server.address, "/chat"),
        ) {
            Ok(client) => clients.push(client),
            Err(_) => refused += 1,
        }
    }
    assert!(
        clients.len() > limit / 2 && refused > 10,
        "{} accepted, {refused} refused",
        clients.len()
    );
    // The thread of a handshake or of a connection could not be created.
    server.wait_for_log("Resource temporarily unavailable");
    first.send_text("still here");
    first.recv_until(|text| text == "[user0]: still here");
    // One line a minute tells of it, so that a client that tries again and again does not fill the disk.
    assert_eq!(server.find_in_log("Resource temporarily unavailable"), None);
    drop(clients);
    eventually("the resources are released", || {
        server.threads() == BASELINE_THREADS + 1
    });
    wait_until_one_user_remains(&server);
}

#[test]
#[cfg(target_os = "linux")]
fn the_log_warns_if_clients_can_take_more_mappings_than_allowed() {
    let _watchdog = watchdog(60);
    let mut command = Command::new(SERVER);
    command.args(["--listen", "127.0.0.1:0"]);
    // With many processors, glibc maps memory for each of the first threads.
    command.env("MALLOC_ARENA_MAX", "1");
    let server = ServerProcess::spawn(command);
    // The address is in use, so the program ends after what it has checked before.
    let warns = |max_connections: usize| {
        let mut command = Command::new(SERVER);
        command.args(["--listen", &server.address.to_string()]);
        command.args(["--max-connections", &max_connections.to_string()]);
        let output = command.output().expect("the server can be started");
        String::from_utf8_lossy(&output.stderr).contains("memory mappings are allowed")
    };
    let allowed = fs::read_to_string("/proc/sys/vm/max_map_count").expect("Linux has this file");
    let allowed: usize = allowed.trim().parse().expect("a number");
    assert!(!warns(allowed / 12) && warns(allowed / 12 + 1));
    // A third of the twelve is the connection's thread.
    let mappings = || {
        let maps = fs::read_to_string(format!("/proc/{}/maps", server.id()));
        maps.expect("the server runs").lines().count()
    };
    let before = mappings();
    let clients: Vec<Client> = (0..40).map(|_| Client::join(server.address)).collect();
    let each = (mappings() - before) / clients.len();
    assert_eq!(each, 4);
}
