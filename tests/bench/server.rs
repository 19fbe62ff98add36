//! The measured server: the built one, started for each measurement, or one that is already running.

use std::net::SocketAddr;

use crate::connection::Endpoint;
use crate::process::Process;
use crate::support::ServerProcess;

pub enum ServerSource {
    /// The server that this package builds.
    Built,
    /// A server that is already running, and its process if known.
    Running(Endpoint, Option<Process>),
}

/// A server to measure. If it was started here, dropping this stops it.
pub struct Server {
    pub endpoint: Endpoint,
    pub process: Option<Process>,
    _started: Option<ServerProcess>,
}

impl ServerSource {
    /// Returns a server that accepts this number of clients.
    pub fn server(&self, clients: usize) -> Server {
        match self {
            ServerSource::Built => Server::start(&["--max-connections", &clients.to_string()]),
            ServerSource::Running(endpoint, process) => Server {
                endpoint: endpoint.clone(),
                process: *process,
                _started: None,
            },
        }
    }
}

impl Server {
    /// Starts the built server on a free loopback port.
    pub fn start(options: &[&str]) -> Server {
        let process = ServerProcess::start(options);
        Server {
            endpoint: Endpoint {
                address: process.address,
                path: "/chat".into(),
            },
            process: Some(Process(process.id())),
            _started: Some(process),
        }
    }
}

/// Parses `ws://127.0.0.1:PORT/PATH`.
///
/// # Errors
///
/// The URL is malformed, or its address is not a loopback address. Measuring another machine would be an attack on it,
/// and its CPU time and memory could not be read.
pub fn parse_endpoint(url: &str) -> Result<Endpoint, String> {
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
            "--url {url:?}: must be a loopback address and a port, such as ws://127.0.0.1:8080/chat; \
             the benchmark would be an attack on any other machine"
        ))?;
    Ok(Endpoint {
        address,
        path: if path.is_empty() { "/" } else { path }.into(),
    })
}
