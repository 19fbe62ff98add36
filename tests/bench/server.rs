//! The server that is measured: one that is started for each measurement, or one that runs already.

use std::net::SocketAddr;

use crate::connection::Endpoint;
use crate::process::Process;
use crate::support::ServerProcess;

/// Where servers come from.
pub enum Source {
    /// The one that this package builds.
    Built,
    /// Somebody else's, and its process where that is known.
    Running(Endpoint, Option<Process>),
}

/// One server. If it was started here, it ends with this.
pub struct Server {
    pub endpoint: Endpoint,
    pub process: Option<Process>,
    _started: Option<ServerProcess>,
}

impl Source {
    /// A server for so many clients.
    pub fn server(&self, clients: usize) -> Server {
        match self {
            Source::Built => Server::start(&["--max-connections", &clients.to_string()]),
            Source::Running(endpoint, process) => Server {
                endpoint: endpoint.clone(),
                process: *process,
                _started: None,
            },
        }
    }
}

impl Server {
    /// Starts the built one on a free port of the loopback.
    pub fn start(options: &[&str]) -> Server {
        let program = ServerProcess::start(options);
        Server {
            endpoint: Endpoint {
                address: program.address,
                path: "/chat".into(),
            },
            process: Some(Process(program.id())),
            _started: Some(program),
        }
    }
}

/// Reads `ws://127.0.0.1:PORT/PATH`.
///
/// # Errors
///
/// It is no such URL, or not of this machine: what is measured here would be an attack on any other, and its CPU time
/// and memory could not be read.
pub fn endpoint(url: &str) -> Result<Endpoint, String> {
    let rest = url
        .strip_prefix("ws://")
        .ok_or(format!("--url {url:?}: must begin with ws://"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = host
        .replace("localhost:", "127.0.0.1:")
        .parse()
        .ok()
        .filter(|address: &SocketAddr| address.ip().is_loopback())
        .ok_or(format!(
            "--url {url:?}: must be this machine's loopback and a port, such as ws://127.0.0.1:8080/chat; \
             what is done here would be an attack on any other machine"
        ))?;
    Ok(Endpoint {
        address,
        path: if path.is_empty() { "/" } else { path }.into(),
    })
}
