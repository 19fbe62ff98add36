//! A WebSocket chat server on plain OS threads: no async runtime.
//!
//! ```text
//!              accept()                 Event::{Opened, Asked(id, request), Left}
//!  clients ──► acceptor ──► one OS thread per WebSocket ───────────────────────► dispatcher
//!     ▲                     (blocking reads, owns the WebSocket)   bounded crossbeam    │ owns the connection list,
//!     │                                                              channel            │ the names, what is said to whom
//!     │                                                                                 │
//!     └──── socket ◄──── Outbound: one crossbeam channel per connection ◄───────────────┘
//!                        drained without waiting by whoever puts frames in;         frames encoded once,
//!                        a client that has fallen behind gets a writer              shared by all receivers
//!                        thread until it has caught up
//! ```
//!
//! # Layout, in the order in which a message travels
//!
//! - `server`: accepting clients, and stopping; what the threads promise each other
//! - `admission`: from an accepted socket to the thread of a WebSocket
//! - `http`: a request's head within its limits, where it leads, the plain answers
//! - `page`: the files of the chat page
//! - `connection`: the life of one WebSocket, on its own thread
//! - `framing`: what is wrong with a frame before all of it has come
//! - `leave`: why a client left, and what it is told
//! - [`protocol`]: what clients ask for and are told, and the frames it travels in
//! - [`plain`]: the plain-text dialect, and its commands
//! - `dispatcher`: the thread that owns the connection list
//! - `room`: who is called what, and what a request means for whom; plain logic
//! - [`text`]: what is accepted as a text and as a name
//! - `outbound`: the outbound channel of a client, and who drains it
//! - [`options`]: what the command line may say
//! - [`journal`]: where the log goes, so that nobody waits for it
//! - `main.rs`: the server as a program; `bin/threadchat-client`: the terminal client
//!
//! # Embedding it
//!
//! ```
//! use threadchat::{Config, Server};
//!
//! let options = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
//! let server = Server::bind(options)?;
//! println!("chat at ws://{}/chat", server.local_addr());
//! let stopper = server.shutdown_handle();
//! let acceptor = std::thread::spawn(move || server.run());
//! stopper.shutdown();
//! acceptor.join().expect("run does not panic")?;
//! # Ok::<(), threadchat::ServerError>(())
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod chat;
mod connection;
mod http;
mod websocket;

pub mod config;

/// The documents of the repository: the README and the files in `src/docs`.
// Links between the documents lead to files. Each document includes links.md first, whose definitions of the same links
// take precedence here and lead to these modules.
pub mod docs {
    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("../README.md")]
    pub mod readme {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/operations.md")]
    pub mod operations {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/protocol.md")]
    pub mod protocol {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/design.md")]
    pub mod design {}

    #[doc = include_str!("docs/links.md")]
    #[doc = include_str!("docs/benchmarks.md")]
    pub mod benchmarks {}
}

mod outbound;

pub mod protocol;

mod server;
pub mod text;

pub use config::Config;
pub use server::{Server, ServerError, ShutdownHandle};

/// The stack of every thread that serves a client. Address space, of which only what is touched becomes memory; small
/// enough for thousands of them in the 3 GiB that a 32-bit board has. JSON that is nested as deeply as it may be takes
/// under 96 KiB of it, and several times that without optimisation (`tests/json.rs`).
const CLIENT_STACK_SIZE: usize = if cfg!(debug_assertions) {
    1 << 20
} else {
    256 << 10
};
