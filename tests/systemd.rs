//! The server as a service of systemd: it takes the sockets of a `.socket` unit, reports its state, and writes its log for the
//! journal.

mod support;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{self, UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Client, ServerProcess, TIMEOUT, client, eventually, watchdog};

const SERVER: &str = env!("CARGO_BIN_EXE_threadchat");

/// Returns the command of a server with these sockets, one or two, as descriptors 3 and 4. `pid` is an expression of the shell for
/// the process that they are for.
fn activated(sockets: Vec<OwnedFd>, pid: &str, args: &[&str]) -> Command {
    let count = sockets.len();
    let mut sockets = sockets.into_iter().map(Stdio::from);
    let script = format!(
        "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_FDS={count} LISTEN_PID={pid} exec \"$0\" \"$@\""
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, SERVER]).args(args);
    command.stdin(sockets.next().expect("there is one"));
    command.stdout(sockets.next().unwrap_or_else(Stdio::null));
    command
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

fn temporary(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("threadchat-systemd-{test}-{}", std::process::id()))
}

#[test]
fn passed_sockets_replace_the_option() {
    let _watchdog = watchdog(60);
    let (tcp, address) = listener();
    let path = temporary("sockets");
    let unix = UnixListener::bind(&path).expect("the temporary folder is writable");
    let sockets = vec![tcp.into(), unix.into()];
    // An address that is not available.
    let command = activated(sockets, "$$", &["--listen", "192.0.2.1:1"]);
    let mut server = ServerProcess::spawn_with_stdio(command);
    assert_eq!(server.address, address);
    server.wait_for_log(&format!("listening at unix:{}", path.display()));
    let mut client = Client::join(address);
    Client::join_unix(&path).send_text("hello");
    assert_eq!(client.recv_text(), "[user1]: hello");
    server.signal(Signal::TERM);
    assert_eq!(client.expect_close(), 1001);
    assert_eq!(server.wait().code(), Some(0));
    assert!(path.exists(), "the file is not the server's");
    fs::remove_file(&path).expect("it exists");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let _watchdog = watchdog(60);
    let (tcp, address) = listener();
    let command = activated(vec![tcp.into()], "1", &["--listen", "127.0.0.1:0"]);
    let server = ServerProcess::spawn_with_stdio(command);
    assert_ne!(server.address, address);
    Client::join(server.address).close();
}

#[test]
fn a_socket_that_accepts_no_clients_is_an_error() {
    let _watchdog = watchdog(60);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("port 0 is free");
    let output = activated(vec![udp.into()], "$$", &[])
        .output()
        .expect("the server's program runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    let expected = "threadchat: cannot use the socket 0 of LISTEN_FDS: ";
    assert!(
        message.starts_with(expected) && message.lines().count() == 1,
        "{message}"
    );
}

#[test]
fn an_upgrade_loses_no_connection_attempt() {
    let _watchdog = watchdog(120);
    let (tcp, address) = listener();
    let start = || {
        let socket = tcp.try_clone().expect("there are descriptors");
        ServerProcess::spawn_with_stdio(activated(vec![socket.into()], "$$", &[]))
    };
    let mut server = start();
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            thread::spawn(move || {
                let mut late = 0;
                while !stop.load(Ordering::Relaxed) {
                    let request = client::request(address, "/chat");
                    let start = Instant::now();
                    match Client::try_connect(address, request) {
                        Ok(_) => drop(served.fetch_add(1, Ordering::Relaxed)),
                        // A server that stops waits a second for the request, which can pass on a busy machine.
                        Err(_) if start.elapsed() > Duration::from_millis(900) => late += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                late
            })
        })
        .collect();
    let mut clients_of_all = 0;
    for _ in 0..5 {
        let mut stays = Client::join(address);
        clients_of_all = served.load(Ordering::Relaxed) + 50;
        eventually("the server serves", || {
            served.load(Ordering::Relaxed) > clients_of_all
        });
        server.signal(Signal::TERM);
        assert_eq!(stays.expect_close(), 1001);
        assert_eq!(server.wait().code(), Some(0));
        server = start();
    }
    eventually("the last server serves", || {
        served.load(Ordering::Relaxed) > clients_of_all + 50
    });
    stop.store(true, Ordering::Relaxed);
    let late = threads.into_iter().map(|thread| {
        let late: usize = thread.join().expect("every attempt is served");
        late
    });
    assert!(late.sum::<usize>() < 4);
}

#[test]
fn two_servers_can_share_a_socket() {
    let _watchdog = watchdog(60);
    let (tcp, address) = listener();
    let start = || {
        let socket = tcp.try_clone().expect("there are descriptors");
        ServerProcess::spawn_with_stdio(activated(vec![socket.into()], "$$", &[]))
    };
    let (mut first, _second) = (start(), start());
    for _ in 0..50 {
        Client::join(address);
    }
    // Also if the other one has just taken a client for which both were woken.
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code(), Some(0));
    for _ in 0..50 {
        Client::join(address);
    }
}

/// Receives the next state that is not a repeated one of the watchdog.
fn next_state(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 100];
    loop {
        let received = manager.recv(&mut buffer).expect("a state is reported");
        let state = String::from_utf8_lossy(&buffer[..received]);
        if state != "WATCHDOG=1" {
            return state.into_owned();
        }
    }
}

#[test]
fn the_state_is_reported() {
    let _watchdog = watchdog(60);
    let path = temporary("notify");
    let name = format!("threadchat-{}", std::process::id());
    let address = net::SocketAddr::from_abstract_name(&name).expect("it is short");
    for (manager, variable) in [
        (UnixDatagram::bind(&path), path.display().to_string()),
        (UnixDatagram::bind_addr(&address), format!("@{name}")),
    ] {
        let manager = manager.expect("the temporary folder is writable");
        manager
            .set_read_timeout(Some(TIMEOUT))
            .expect("the timeout is not zero");
        let mut command = Command::new(SERVER);
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("NOTIFY_SOCKET", variable);
        let mut server = ServerProcess::spawn(command);
        assert_eq!(next_state(&manager), "READY=1");
        Client::join(server.address).close();
        server.signal(Signal::TERM);
        assert_eq!(next_state(&manager), "STOPPING=1");
        assert_eq!(server.wait().code(), Some(0));
    }
    fs::remove_file(&path).expect("it exists");
}

#[test]
fn the_watchdog_is_told_as_long_as_the_dispatcher_responds() {
    let _watchdog = watchdog(60);
    let path = temporary("watchdog");
    let manager = UnixDatagram::bind(&path).expect("the temporary folder is writable");
    manager
        .set_read_timeout(Some(TIMEOUT))
        .expect("the timeout is not zero");
    for (pid, is_told) in [
        ("", true),
        ("WATCHDOG_PID=$$", true),
        ("WATCHDOG_PID=1", false),
    ] {
        let script = format!("{pid} WATCHDOG_USEC=100000 exec '{SERVER}' --listen 127.0.0.1:0");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("NOTIFY_SOCKET", &path);
        let mut server = ServerProcess::spawn(command);
        let mut states = Vec::new();
        let mut buffer = [0; 100];
        let mut receive = |states: &mut Vec<String>| {
            let received = manager.recv(&mut buffer).expect("a state is reported");
            states.push(String::from_utf8_lossy(&buffer[..received]).into_owned());
        };
        receive(&mut states);
        if is_told {
            (0..4).for_each(|_| receive(&mut states));
            assert_eq!(states[0], "READY=1");
            assert!(
                states[1..].iter().all(|state| state == "WATCHDOG=1"),
                "{states:?}"
            );
        }
        server.signal(Signal::TERM);
        // Meanwhile, because a socket that is full of what nobody receives takes no further state.
        while states.last().is_some_and(|state| state != "STOPPING=1") {
            receive(&mut states);
        }
        assert_eq!(server.wait().code(), Some(0));
        let told = states.iter().any(|state| state == "WATCHDOG=1");
        assert_eq!(told, is_told, "{pid}: {states:?}");
        // What the watchdog was told meanwhile.
        manager.set_nonblocking(true).expect("it is open");
        while manager.recv(&mut [0; 100]).is_ok() {}
        manager.set_nonblocking(false).expect("it is open");
    }
    fs::remove_file(&path).expect("it exists");
}

/// Runs a server with stderr to a file until it has logged `last`. Returns the file's lines.
fn log(test: &str, is_journal: bool, args: &[&str]) -> Vec<String> {
    let path = temporary(test);
    let stderr = File::create(&path).expect("the temporary folder is writable");
    let metadata = stderr.metadata().expect("it exists");
    let inode = metadata.ino() + u64::from(!is_journal);
    let mut child = Command::new(SERVER)
        .args(args)
        .env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev()))
        .stderr(stderr)
        .spawn()
        .expect("the server's program runs");
    let text = || fs::read_to_string(&path).expect("it exists");
    eventually("the server has logged", || text().ends_with('\n'));
    child.kill().expect("it is a child");
    child.wait().expect("it is a child");
    let lines = text().lines().map(str::to_owned).collect();
    fs::remove_file(&path).expect("it exists");
    lines
}

#[test]
fn the_journal_gets_priorities_and_no_times() {
    let _watchdog = watchdog(60);
    let args = ["--listen", "127.0.0.1:0"];
    let lines = log("journal", true, &args);
    assert!(lines[0].starts_with("<6>listening at ws://"), "{lines:?}");
    let lines = log("no-journal", false, &args);
    assert!(lines[0].contains(" [INFO] listening at ws://"), "{lines:?}");
}

#[test]
fn the_journal_gets_errors_as_such() {
    let _watchdog = watchdog(60);
    let lines = log("error", true, &["--listen", "unix:/nowhere/chat.sock"]);
    let expected = "<3>threadchat: cannot listen on unix:/nowhere/chat.sock: ";
    assert!(lines[0].starts_with(expected), "{lines:?}");
}
