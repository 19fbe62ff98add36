//! SIGHUP takes a new certificate while clients chat, join and leave, and none of them is lost.

#![cfg(feature = "tls")]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::RootCertStore;
use support::certificates::{self, Certificates};
use support::tls::{TlsClient, Tunnel, client_config, client_config_with, server_process};
use support::{Client, watchdog};

#[test]
fn reloading_under_load_loses_no_connection() {
    const RELOADS: usize = 1001;
    /// The time after which a busy machine has to reload no more.
    const ENOUGH: Duration = Duration::from_secs(20);
    let _watchdog = watchdog(120);
    let pairs = [Certificates::new(), Certificates::new()];
    let in_use = Certificates::new();
    let take = |pair: &Certificates| {
        for name in ["cert.pem", "key.pem"] {
            let copied = fs::copy(pair.path(name), in_use.path(name));
            copied.expect("the folder is writable");
        }
    };
    take(&pairs[0]);
    let mut server = server_process(&in_use, &[]);
    let mut roots = RootCertStore::empty();
    for pair in &pairs {
        let added = roots.add_parsable_certificates(certificates::read(&pair.path("cert.pem")));
        assert_eq!(added, (1, 0));
    }
    let either = client_config_with(roots, rustls::ALL_VERSIONS);
    let tunnel = Tunnel::start(server.address, either).address;
    let stop = AtomicBool::new(false);
    let (messages, joins) = thread::scope(|scope| {
        // A connection that is lost or refused is a panic of its thread.
        let chat = || {
            let mut client = Client::join(tunnel);
            let mut messages = 0;
            while !stop.load(Ordering::Relaxed) {
                let text = format!("{messages} of {:?}", thread::current().id());
                client.send_text(&text);
                client.recv_until(|received| received.ends_with(&text));
                messages += 1;
            }
            client.close();
            messages
        };
        let join = || {
            let mut joins = 0;
            while !stop.load(Ordering::Relaxed) {
                Client::join(tunnel).close();
                joins += 1;
            }
            joins
        };
        let chatting = [(); 6].map(|()| scope.spawn(chat));
        let joining = [(); 2].map(|()| scope.spawn(join));
        let start = Instant::now();
        let mut reloads = 0;
        // An odd number, so that the last certificate is not the first one.
        while reloads % 2 == 0 || reloads < RELOADS && start.elapsed() < ENOUGH {
            reloads += 1;
            take(&pairs[reloads % 2]);
            server.signal(Signal::HUP);
            server.wait_for_log("new connections use the certificate");
        }
        println!("{reloads} reloads");
        stop.store(true, Ordering::Relaxed);
        let count = |thread: thread::ScopedJoinHandle<'_, usize>| {
            thread.join().expect("no connection is lost or refused")
        };
        (chatting.map(count), joining.map(count))
    });
    println!("{messages:?} messages and {joins:?} joins");
    assert!(messages.iter().all(|count| *count > 0));
    assert!(joins.iter().all(|count| *count > 0));
    // The certificate in use is the last one.
    let trusted_by = |pair: &Certificates| {
        let config = client_config(pair, rustls::ALL_VERSIONS);
        let mut client = TlsClient::begin(server.address, &config);
        client.try_handshake().is_ok()
    };
    assert!(trusted_by(&pairs[1]) && !trusted_by(&pairs[0]));
}
