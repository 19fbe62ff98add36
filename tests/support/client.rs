//! A conforming client, based on tungstenite.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket, client::client_with_config};

use super::TIMEOUT;
use super::raw::{connect_from, unix_stream};

pub struct Client {
    pub socket: WebSocket<TcpStream>,
    pub response: Response,
}

impl Client {
    /// Connects to `/chat` and reads the greeting.
    pub fn join(address: SocketAddr) -> Client {
        let mut client = Client::connect(address, "/chat");
        let greeting = client.recv_text();
        assert!(
            greeting.starts_with("You are connected! There are "),
            "{greeting:?}"
        );
        client
    }

    /// Connects with the JSON subprotocol. The `welcome` event is still unread.
    pub fn json(address: SocketAddr, path: &str) -> Client {
        let mut request = request(address, path);
        let subprotocol = HeaderValue::from_static("threadchat.json");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", subprotocol);
        Client::try_connect(address, request).expect("the handshake succeeds")
    }

    pub fn connect(address: SocketAddr, path: &str) -> Client {
        Client::try_connect(address, request(address, path)).expect("the handshake succeeds")
    }

    pub fn try_connect(address: SocketAddr, request: Request) -> Result<Client, Error> {
        let socket = TcpStream::connect_timeout(&address, TIMEOUT)?;
        socket.set_nodelay(true)?;
        Client::handshake(socket, request)
    }

    /// Connects from another loopback address.
    pub fn connect_from(source: [u8; 4], address: SocketAddr, path: &str) -> Client {
        let socket = connect_from(source, address);
        Client::handshake(socket, request(address, path)).expect("the handshake succeeds")
    }

    /// Connects to `/chat` by a Unix socket and reads the greeting.
    pub fn join_unix(path: &Path) -> Client {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let socket = unix_stream(path).expect("the server listens");
        let client = Client::handshake(socket, request(address, "/chat"));
        let mut client = client.expect("the handshake succeeds");
        assert!(client.recv_text().starts_with("You are connected! "));
        client
    }

    fn handshake(socket: TcpStream, request: Request) -> Result<Client, Error> {
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        let config = WebSocketConfig::default().read_buffer_size(4096);
        match client_with_config(request, socket, Some(config)) {
            Ok((socket, response)) => Ok(Client { socket, response }),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(tungstenite::HandshakeError::Interrupted(_)) => {
                Err(Error::Io(std::io::ErrorKind::TimedOut.into()))
            }
        }
    }

    pub fn send_text(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    pub fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the server is reading");
    }

    /// Reads the next text message. tungstenite replies to the pings before it.
    pub fn recv_text(&mut self) -> String {
        loop {
            match self.next_message() {
                Ok(Message::Text(text)) => return text.to_string(),
                Ok(Message::Ping(_)) => {}
                other => panic!("expected a text message: {other:?}"),
            }
        }
    }

    /// Reads texts up to and including the first one that satisfies `is_last`.
    pub fn recv_until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            texts.push(self.recv_text());
            if texts.last().is_some_and(|text| is_last(text)) {
                return texts;
            }
        }
    }

    /// Sends long messages until the user `name`, who reads none, is disconnected.
    pub fn flood_until_gone(&mut self, name: &str) {
        let text = "x".repeat(32 << 10);
        loop {
            self.send_text(&text);
            self.recv_text();
            self.send_text("/who");
            if !self.recv_text().contains(name) {
                return;
            }
        }
    }

    /// Measures the round trips of a hundred texts that this client, the user `name`, sends. Returns them sorted.
    pub fn delays(&mut self, name: &str) -> Vec<Duration> {
        let mut delays: Vec<Duration> = (0..100)
            .map(|number| {
                let text = format!("[{name}]: {number}");
                let start = Instant::now();
                self.send_text(&number.to_string());
                self.recv_until(|received| received == text);
                start.elapsed()
            })
            .collect();
        delays.sort();
        delays
    }

    pub fn next_message(&mut self) -> Result<Message, Error> {
        self.socket.read()
    }

    /// Reads up to the server's Close, replies to it, waits until the server closes the connection, and returns the
    /// Close's code.
    pub fn expect_close(&mut self) -> u16 {
        loop {
            match self.next_message() {
                Ok(Message::Close(frame)) => {
                    while self.next_message().is_ok() {}
                    return frame.map_or(1005, |frame| frame.code.into());
                }
                Ok(_) => {}
                Err(error) => panic!("expected a Close: {error}"),
            }
        }
    }

    /// Sends a Close and waits until the server closes the connection.
    pub fn close(mut self) {
        self.socket.close(None).expect("the server is reading");
        while self.next_message().is_ok() {}
    }
}

pub fn request(address: SocketAddr, path: &str) -> Request {
    format!("ws://{address}{path}")
        .into_client_request()
        .expect("the URL is valid")
}
