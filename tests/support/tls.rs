//! Clients of a server with TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use threadchat::Config;
use threadchat::config::TlsFiles;
use threadchat::net::Stream;

use super::certificates::{self, Certificates};
use super::{ServerProcess, TIMEOUT, TestServer};

/// Returns a configuration with this certificate.
pub fn with_tls(config: Config, certificates: &Certificates) -> Config {
    let tls = TlsFiles {
        cert: certificates.path("cert.pem"),
        key: certificates.path("key.pem"),
    };
    Config {
        tls: Some(tls),
        ..config
    }
}

/// Starts a server with this certificate and these options as a process of its own.
pub fn server_process(certificates: &Certificates, args: &[&str]) -> ServerProcess {
    let tls = certificates.args();
    let tls = tls.iter().map(String::as_str);
    let args: Vec<&str> = tls.chain(args.iter().copied()).collect();
    ServerProcess::start(&args)
}

/// Returns a client's configuration that trusts the certificate.
pub fn client_config(
    certificates: &Certificates,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates::read(&certificates.path("cert.pem")) {
        roots.add(certificate).expect("the certificate is valid");
    }
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(versions)
        .expect("ring has these versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.into()
}

fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a valid name")
}

/// A TLS client without the socket: bytes go through [`rustls`] only.
pub fn client(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), server_name()).expect("the configuration is valid")
}

/// A rustls client of its own on a socket, for tests of single records.
pub struct TlsClient {
    pub socket: TcpStream,
    pub tls: ClientConnection,
}

impl TlsClient {
    /// Connects and completes the handshake.
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
        let socket = TcpStream::connect_timeout(&address, TIMEOUT).expect("the server listens");
        socket
            .set_read_timeout(Some(TIMEOUT))
            .expect("the timeout is not zero");
        let mut client = TlsClient {
            socket,
            tls: client(config),
        };
        client.try_handshake().expect("the handshake succeeds");
        client
    }

    pub fn try_handshake(&mut self) -> io::Result<()> {
        while self.tls.is_handshaking() {
            self.tls.complete_io(&mut self.socket)?;
        }
        Ok(())
    }

    /// Returns the records of these bytes.
    pub fn records(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.tls.writer().write(rest).expect("the buffer is empty");
            rest = &rest[taken..];
            while self.tls.wants_write() {
                let written = self.tls.write_tls(&mut records);
                written.expect("a vector takes everything");
            }
        }
        records
    }

    pub fn send(&mut self, bytes: &[u8]) {
        let records = self.records(bytes);
        self.socket.write_all(&records).expect("the server reads");
    }

    /// Reads until the received text contains `part`. Returns the text.
    pub fn read_until(&mut self, part: &str) -> String {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains(part) {
            match self.tls.reader().read(&mut buffer) {
                Ok(0) => panic!("the server ended the connection after {text:?}"),
                Ok(read) => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let read = self.tls.read_tls(&mut self.socket).expect("no reset");
                    assert!(read > 0, "the connection ended after {text:?}");
                    self.tls.process_new_packets().expect("valid records");
                }
                Err(error) => panic!("{error} after {text:?}"),
            }
        }
        text
    }
}

/// Accepts plain connections and passes them on to a server with TLS, so that every client of the tests can be a TLS client.
pub struct Tunnel {
    pub address: SocketAddr,
}

impl Tunnel {
    /// Starts a tunnel to a server. Its threads end with the connections, and its acceptor with the process.
    pub fn start(server: SocketAddr, config: Arc<ClientConfig>) -> Tunnel {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
        let address = listener.local_addr().expect("the socket is bound");
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let config = Arc::clone(&config);
                thread::spawn(move || {
                    // A connection that fails is closed, which its client notices.
                    let _ = pass(socket, server, config);
                });
            }
        });
        Tunnel { address }
    }
}

fn pass(client: TcpStream, server: SocketAddr, config: Arc<ClientConfig>) -> io::Result<()> {
    let socket = TcpStream::connect_timeout(&server, TIMEOUT)?;
    socket.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let deadline = Instant::now() + TIMEOUT;
    let reading = Stream::new(socket, server).with_tls_client(config, server_name(), deadline)?;
    reading.set_read_timeout(None)?;
    let writing = reading.try_clone(server)?;
    let mut from_client = client.try_clone()?;
    let sender = thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        loop {
            match from_client.read(&mut buffer) {
                Ok(read) if read > 0 && writing.write_all(&buffer[..read]).is_ok() => {}
                _ => return writing.shutdown(),
            }
        }
    });
    let mut to_client = &client;
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = reading.read_with(&mut buffer, || {}) {
        if to_client.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // The client closes when it has received everything.
    let _ = client.shutdown(Shutdown::Write);
    let _ = sender.join();
    Ok(())
}

/// A server with TLS in this process, behind a [`Tunnel`].
pub struct TunneledServer {
    pub address: SocketAddr,
    _server: TestServer,
    _certificates: Certificates,
}

impl TunneledServer {
    pub fn start(config: Config) -> TunneledServer {
        let certificates = Certificates::new();
        let server = TestServer::with_config(with_tls(config, &certificates));
        let client = client_config(&certificates, rustls::ALL_VERSIONS);
        TunneledServer {
            address: Tunnel::start(server.address, client).address,
            _server: server,
            _certificates: certificates,
        }
    }
}
