//! The terminal client on a terminal, over TLS.

#![cfg(all(feature = "tls", feature = "client"))]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use support::certificates::Certificates;
use support::tls::{Tunnel, client_config, server_process};
use support::{Client, watchdog};
use terminal::{CTRL_D, Terminal};

#[test]
fn a_terminal_chats_over_tls() {
    let _watchdog = watchdog(60);
    let certificates = Certificates::new();
    let server = server_process(&certificates, &[]);
    let ca = certificates.path("cert.pem").display().to_string();
    let url = format!("wss://localhost:{}/chat", server.address.port());
    let mut terminal = Terminal::start(&["--ca", &ca, "--name", "alice", &url]);
    terminal.wait_for("alice> ");
    let config = client_config(&certificates, rustls::ALL_VERSIONS);
    let mut bob = Client::join(Tunnel::start(server.address, config).address);
    terminal.type_in("hello\r");
    assert_eq!(bob.recv_text(), "[alice]: hello");
    bob.send_text("hello back");
    terminal.wait_for("hello back");
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
}
