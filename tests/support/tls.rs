//! Clients of a server with TLS.

use std::fs;
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
use super::{ServerProcess, TIMEOUT, TestServer, eventually, raw};

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
    client_config_with(roots, versions)
}

/// Returns a client's configuration that trusts these certificates.
pub fn client_config_with(
    roots: RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
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
    /// Connects and leaves the handshake to the caller.
    pub fn begin(address: SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
        let socket = TcpStream::connect_timeout(&address, TIMEOUT).expect("the server listens");
        socket.set_nodelay(true).expect("TCP has the option");
        socket
            .set_read_timeout(Some(TIMEOUT))
            .expect("the timeout is not zero");
        TlsClient {
            socket,
            tls: client(config),
        }
    }

    /// Connects and completes the handshake.
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
        let mut client = TlsClient::begin(address, config);
        client.try_handshake().expect("the handshake succeeds");
        client
    }

    /// Connects a chat client and reads its greeting.
    pub fn join(address: SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
        let mut client = TlsClient::connect(address, config);
        client.send(raw::handshake("/chat", "").as_bytes());
        client.read_until("users here.");
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
            records.extend(self.own_records());
        }
        records
    }

    /// Returns the records that TLS has to send by itself.
    pub fn own_records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            let written = self.tls.write_tls(&mut records);
            written.expect("a vector takes everything");
        }
        records
    }

    /// Waits until the server has read all that was sent.
    pub fn wait_until_read(&self) {
        let port = |address: io::Result<SocketAddr>| address.expect("it is connected").port();
        let (server, client) = (
            port(self.socket.peer_addr()),
            port(self.socket.local_addr()),
        );
        let socket = format!(":{server:04X} 0100007F:{client:04X} 01");
        eventually("the server has read everything", || {
            let table = fs::read_to_string("/proc/net/tcp").expect("Linux has this file");
            let line = table.lines().find(|line| line.contains(&socket));
            line.is_none_or(|line| line.contains(":00000000 "))
        });
    }

    /// Reads this many bytes.
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut received = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.tls.reader().read(&mut received[filled..]) {
                Ok(read) if read > 0 => filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let read = self.tls.read_tls(&mut self.socket).expect("no reset");
                    assert!(read > 0, "the connection ended after {filled} bytes");
                    self.tls.process_new_packets().expect("valid records");
                }
                other => panic!("{other:?} after {filled} bytes"),
            }
        }
        received
    }

    /// Reads records up to the end of the connection, which is allowed to be a reset.
    pub fn read_to_end(&mut self) -> Result<End, rustls::Error> {
        let mut bytes = Vec::new();
        let is_reset = self.socket.read_to_end(&mut bytes).is_err();
        let mut records = Vec::new();
        let mut rest = bytes.as_slice();
        while let [kind, _, _, high, low, after @ ..] = rest {
            let length = usize::from(*high) << 8 | usize::from(*low);
            records.push((*kind, length));
            // A reset can end the connection within a record.
            rest = after.get(length..).unwrap_or_default();
        }
        let mut plaintext = Vec::new();
        let mut rest = bytes.as_slice();
        let has_close_notify = loop {
            match self.tls.reader().read_to_end(&mut plaintext) {
                Ok(_) => break true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let read = self.tls.read_tls(&mut rest);
                    read.expect("the plaintext before was read");
                    self.tls.process_new_packets()?;
                }
                Err(_) => break false,
            }
        };
        Ok(End {
            records,
            plaintext,
            has_close_notify,
            is_reset,
        })
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

/// What a connection carried up to its end.
pub struct End {
    /// The type and the length of each record.
    pub records: Vec<(u8, usize)>,
    pub plaintext: Vec<u8>,
    pub has_close_notify: bool,
    pub is_reset: bool,
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
    let writing = reading.try_clone(reading.peer())?;
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
