//! A WebSocket chat server on plain OS threads: no async runtime.
//!
//! ```text
//!              accept()                  Event::{Connected, Command(id, command), Disconnected}
//!  clients ──► acceptor ──► one OS thread per WebSocket ───────────────────────► dispatcher
//!     ▲                     (blocking reads, owns the WebSocket)   bounded crossbeam    │ owns the sessions, the names,
//!     │                                                              channel            │ the order of messages
//!     │                                                                                 │
//!     └──── socket ◄──── Outbound: one crossbeam channel per connection ◄───────────────┘
//!                        written without waiting by the thread that          frames encoded once,
//!                        has a frame; a client that falls behind gets         shared by all receivers
//!                        a writer thread until it has caught up
//! ```
//!
//! # Layers
//!
//! Imports go down only. The README has the reading order, which starts at the threads.
//!
//! - `server`: the threads and the rules between them; acceptor, admission, permits, shutdown
//! - `http`: request heads within limits, routes, the handshake of a WebSocket, the chat page
//! - `connection`: the life of one WebSocket on its own thread
//! - `cluster`: one chat on several nodes, through a log that all of them share
//! - `chat`: events, the dispatcher that owns the sessions, the room with its users and names
//! - [`protocol`]: commands and events, in plain text and JSON
//! - `outbound`: the outbound channel of a client, and the threads that write to its socket
//! - [`net`]: the socket of a client, TLS
//! - `websocket`: RFC 6455 without I/O: frames, validation, reasons for a disconnect
//! - [`text`]: texts and names; [`config`]: options and fixed limits; `metrics`: counters
//! - `bin/threadchat`: the server as a program; `bin/threadchat-client`: the terminal client
//! - `tutorial`: six small servers on the way to this one, as examples ([the chapter](docs::tutorial))
//!
//! # Embedding
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use threadchat::{Config, Server};
//!
//! let address = SocketAddr::from(([127, 0, 0, 1], 0));
//! let config = Config { listen: vec![address.into()], ..Config::default() };
//! let server = Server::bind(config)?;
//! for address in server.local_addrs() {
//!     println!("listening at {address}");
//! }
//! let shutdown = server.shutdown_handle();
//! let acceptor = std::thread::spawn(move || server.run());
//! shutdown.shutdown();
//! acceptor.join().expect("run does not panic")?;
//! # Ok::<(), threadchat::ServerError>(())
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod chat;
#[cfg(feature = "cluster")]
mod cluster;
pub mod config;
mod connection;
mod http;
mod metrics;
pub mod net;
mod outbound;
pub mod protocol;
mod server;
pub mod text;
mod websocket;

#[cfg(feature = "cluster")]
pub use chat::replicate::ClusterError;
pub use config::{Config, ConfigError, Secret, SecretError};
pub use http::secret::SharedSecret;
#[cfg(feature = "tls")]
pub use net::certificate::{Certificate, CertificateError};
pub use server::{HealthHandle, Server, ServerError, ShutdownHandle};

/// The documents of the repository: the README, the files in `src/docs`, and the tutorial.
// Links between the documents lead to files. Each document includes links.md first, whose definitions of the same links
// take precedence here and lead to these modules.
pub mod docs {
    // Pictures as data, because rustdoc does not copy files.
    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/pictures.md")]
    #[doc = include_str!("../README.md")]
    pub mod readme {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/operations.md")]
    pub mod operations {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/installation.md")]
    pub mod installation {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/protocol.md")]
    pub mod protocol {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/design.md")]
    pub mod design {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/benchmarks.md")]
    pub mod benchmarks {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/changelog.md")]
    pub mod changelog {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("tutorial/pictures.md")]
    #[doc = include_str!("tutorial/README.md")]
    pub mod tutorial {}
}
