//! The start of a node: the ways to reach Redis, and what keeps a node from starting.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::cluster::{LOG_KEY, SNAPSHOT_KEY, enter, id_of, node, say};
use super::redis::{RedisServer, free_address};
use super::support::{Client, ServerProcess, TIMEOUT, server_process, watchdog};

/// Starts a node that cannot start. Returns the only line that it writes.
fn refusal(url: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_threadchat"))
        .args(["--listen", "127.0.0.1:0", "--cluster", url])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server can be started");
    server_process::register(&child);
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        let status = child.try_wait().expect("it is a child process");
        if status.is_some() || Instant::now() > deadline {
            break status;
        }
        thread::sleep(Duration::from_millis(5));
    };
    // Fails if it has ended.
    let _ = child.kill();
    server_process::unregister(&child);
    let mut lines = String::new();
    let stderr = child.stderr.as_mut().expect("stderr is piped");
    stderr.read_to_string(&mut lines).expect("it is UTF-8");
    assert_eq!(lines.lines().count(), 1, "{url}: {lines}");
    let status = status.unwrap_or_else(|| panic!("{url}: the node does not end"));
    (status.code().expect("it has exited"), lines)
}

/// Checks that a node does not start, for a reason that it tells with these words.
pub fn assert_refused(url: &str, words: &[&str]) {
    let (code, line) = refusal(url);
    println!("{url}: {line}");
    assert_eq!(code, 1, "{line}");
    for word in words {
        let found = line.to_lowercase().contains(&word.to_lowercase());
        assert!(found, "{word:?} is not in {line}");
    }
    assert!(!line.contains("wrong-password"), "{line}");
}

/// Runs a server that replies to each line of a connection with the same bytes.
fn fake_redis(reply: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener.local_addr().expect("the listener is bound");
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let reader = BufReader::new(socket.try_clone().expect("a descriptor"));
                // An array of bulk strings begins with its length.
                let commands = reader.lines().map_while(Result::ok);
                for _ in commands.filter(|line| line.starts_with('*')) {
                    if socket.write_all(reply.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_url_that_is_wrong_is_refused_in_one_line() {
    let _watchdog = watchdog(110);
    for url in [
        "",
        "nonsense",
        "http://127.0.0.1:6379?name=a",
        "redis://127.0.0.1",
        "redis://127.0.0.1:6379",
        "redis://127.0.0.1:6379?name=",
        "redis://127.0.0.1:6379/x?name=a",
        "redis://127.0.0.1:70000?name=a",
        "redis://?name=a",
        "redis://127.0.0.1:6379?name=a b",
        "redis://127.0.0.1:6379?name=a&color=red",
        "unix:?name=a",
    ] {
        let (code, line) = refusal(url);
        println!("{url}: {line}");
        assert!([1, 2].contains(&code), "{url}: {code}");
        assert!(line.contains("--cluster"), "{url}: {line}");
    }
}

#[test]
fn a_redis_that_is_not_there_is_named() {
    let _watchdog = watchdog(110);
    let address = free_address();
    assert_refused(
        &format!("redis://{address}?name=a"),
        &[&address.to_string(), "refused"],
    );
    assert_refused("redis://redis.invalid:6379?name=a", &["redis.invalid"]);
    assert_refused("unix:/nowhere/redis.sock?name=a", &["/nowhere/redis.sock"]);
}

#[test]
fn a_wrong_password_is_refused() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::with_args(&["--requirepass", "correct-horse"]) else {
        return;
    };
    let address = redis.address;
    assert_refused(&format!("redis://{address}?name=a"), &["password"]);
    assert_refused(
        &format!("redis://:wrong-password@{address}?name=a"),
        &["password"],
    );
    assert_refused(
        &format!("redis://ann:wrong-password@{address}?name=a"),
        &["password"],
    );
}

#[test]
fn a_read_only_replica_is_refused() {
    let _watchdog = watchdog(110);
    let (Some(primary), Some(replica)) = (RedisServer::start(), RedisServer::start()) else {
        return;
    };
    replica.replicate(primary.address);
    assert_refused(&replica.url("a"), &["replica"]);
}

#[test]
fn a_foreign_value_at_a_key_is_refused() {
    let _watchdog = watchdog(110);
    for key in [LOG_KEY, SNAPSHOT_KEY] {
        let Some(redis) = RedisServer::start() else {
            return;
        };
        redis.command(&["RPUSH", key, "mine"]);
        assert_refused(&redis.url("a"), &["something else"]);
        assert_eq!(redis.number(&["LLEN", key]), 1, "it is as it was");
    }
}

#[test]
fn a_server_without_streams_is_refused() {
    let _watchdog = watchdog(110);
    let old = fake_redis("-ERR unknown command\r\n");
    assert_refused(&format!("redis://{old}?name=a"), &["unknown command"]);
    let other = fake_redis("HTTP/1.1 400 Bad Request\r\n");
    assert_refused(&format!("redis://{other}?name=a"), &[]);
    let silent = fake_redis("");
    assert_refused(&format!("redis://{silent}?name=a"), &[]);
}

/// Checks that a node with this URL is in one chat with another node.
fn assert_connected(url: &str, other: &ServerProcess, args: &[(&str, String)]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadchat"));
    command.args(["--listen", "127.0.0.1:0", "--cluster", url]);
    command.envs(args.iter().map(|(name, value)| (name, value)));
    let node = ServerProcess::spawn(command);
    let (mut ann, _) = enter(node.address, "/chat");
    let mut bob = Client::json(other.address, "/chat");
    say(&mut ann, url);
    id_of(&mut bob, url);
}

#[test]
fn redis_is_reached_with_a_password_and_by_a_unix_socket() {
    let _watchdog = watchdog(110);
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let open = node(&redis, "open");
    let user = [
        "ACL",
        "SETUSER",
        "chat",
        "on",
        ">p@ss:w/rd?",
        "~*",
        "&*",
        "+@all",
    ];
    redis.command(&user);
    let url = format!("redis://chat:p%40ss%3Aw%2Frd%3F@{}/0?name=b", redis.address);
    assert_connected(&url, &open, &[]);
    let socket = redis.folder.join("redis.sock");
    assert_connected(&format!("unix:{}?name=c", socket.display()), &open, &[]);
}

#[test]
#[cfg(feature = "tls")]
fn redis_is_reached_with_tls() {
    let _watchdog = watchdog(110);
    let port = free_address().port().to_string();
    let certificates = super::support::certificates::Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let args = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
    ];
    let more = ["--tls-ca-cert-file", &cert, "--tls-auth-clients", "no"];
    let Some(redis) = RedisServer::with_args(&[&args[..], &more].concat()) else {
        return;
    };
    let open = node(&redis, "open");
    let url = format!("rediss://localhost:{port}?name=b");
    assert_connected(&url, &open, &[("SSL_CERT_FILE", cert.clone())]);
    // Of an unknown authority.
    assert_refused(&url, &["certificate"]);
}

#[test]
#[cfg(not(feature = "tls"))]
fn tls_needs_its_feature() {
    let _watchdog = watchdog(60);
    let (code, line) = refusal("rediss://localhost:6379?name=a");
    assert!(
        [1, 2].contains(&code) && line.contains("built without"),
        "{line}"
    );
}
