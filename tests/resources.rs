//! The system runs out of descriptors or threads: whoever is here goes on, the log says so once, and when there are
//! some again, new clients are served.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::server_process::BASELINE_THREADS;
use support::{Client, RawClient, ServerProcess, eventually, raw, watchdog};

const SERVER: &str = env!("CARGO_BIN_EXE_threadchat");

/// The crowd that was refused or has left may still be counted for a moment.
fn a_newcomer_meets_one(program: &ServerProcess) {
    eventually("a newcomer meets the first one alone", || {
        let mut newcomer = Client::connect(program.address, "/chat");
        let users = support::users(&newcomer.recv_text());
        newcomer.close();
        users == 2
    });
}

#[test]
fn out_of_descriptors() {
    let _watchdog = watchdog(120);
    let limit = 40;
    let mut command = Command::new("sh");
    let run = format!("ulimit -n {limit}; exec '{SERVER}' --listen 127.0.0.1:0");
    command.args(["-c", &run]);
    let mut program = ServerProcess::spawn(command);
    let mut first = Client::join(program.address);
    let mut crowd = Vec::new();
    // Those beyond the limit are connected by the kernel and wait there.
    for _ in 0..2 * limit {
        let mut raw = RawClient::connect(program.address);
        raw.send(raw::handshake("/chat", "").as_bytes());
        crowd.push(raw);
    }
    program.wait_for_log("can't accept: Too many open files");
    first.send_text("still here");
    first.recv_until(|text| text == "[user0]: still here");
    let used = cpu(&program);
    first
        .socket
        .get_mut()
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("not zero");
    assert!(first.next_message().is_err(), "nobody can come now");
    assert!(
        cpu(&program) < used + 50,
        "the acceptor spins: {} ticks",
        cpu(&program) - used
    );
    first
        .socket
        .get_mut()
        .set_read_timeout(Some(support::TIMEOUT))
        .expect("not zero");
    drop(crowd);
    eventually("there is room again", || program.descriptors() < 12);
    a_newcomer_meets_one(&program);
    assert!(
        program.find_in_log("can't accept").is_none(),
        "said more than once"
    );
}

/// The processor time used so far, in ticks of 10 ms.
fn cpu(program: &ServerProcess) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).expect("it runs");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .expect("a name ends")
        .split(' ')
        .collect();
    fields[11..13]
        .iter()
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}

/// The program where any user may run it.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Copy {
        let copy = std::env::temp_dir().join(format!("threadchat-{}", std::process::id()));
        fs::copy(SERVER, &copy).expect("the temporary folder is writable");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Copy(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn out_of_threads() {
    let _watchdog = watchdog(120);
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root can run the server as a user that has no other threads");
        return;
    }
    let limit = 40;
    let copy = Copy::new();
    let mut command = Command::new("setpriv");
    // Threads are counted by user, so it is one that nobody else is.
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
    let mut program = ServerProcess::spawn(command);
    let mut first = Client::join(program.address);
    let (mut crowd, mut refused) = (Vec::new(), 0);
    for _ in 0..2 * limit {
        match Client::try_connect(
            program.address,
            support::client::request(program.address, "/chat"),
        ) {
            Ok(client) => crowd.push(client),
            Err(_) => refused += 1,
        }
    }
    assert!(
        crowd.len() > limit / 2 && refused > 0,
        "{} and {refused}",
        crowd.len()
    );
    // Either the thread for a head or that for a connection could not be had.
    program.wait_for_log("Resource temporarily unavailable");
    first.send_text("still here");
    first.recv_until(|text| text == "[user0]: still here");
    drop(crowd);
    eventually("there is room again", || {
        program.threads() == BASELINE_THREADS + 1
    });
    a_newcomer_meets_one(&program);
}
