//! A well-behaved client, by tungstenite.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket, client::client_with_config};

use super::TIMEOUT;

pub struct Client {
    pub socket: WebSocket<TcpStream>,
    pub response: Response,
}

impl Client {
    /// A chat client that has been greeted.
    pub fn join(address: SocketAddr) -> Client {
        let mut client = Client::connect(address, "/chat");
        let greeting = client.recv_text();
        assert!(
            greeting.starts_with("You are connected! There are "),
            "{greeting:?}"
        );
        client
    }

    /// A client of the JSON subprotocol, not yet welcomed.
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
        self.socket.send(message).expect("the server reads");
    }

    /// The next text. Pings are answered on the way, as they are by every client.
    pub fn recv_text(&mut self) -> String {
        loop {
            match self.next_message() {
                Ok(Message::Text(text)) => return text.to_string(),
                Ok(Message::Ping(_)) => {}
                other => panic!("not a text: {other:?}"),
            }
        }
    }

    /// The texts up to one that satisfies `last`, with it.
    pub fn recv_until(&mut self, last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.recv_text());
            if heard.last().is_some_and(|text| last(text)) {
                return heard;
            }
        }
    }

    /// How long each of a hundred texts takes to come back to its sender, who is called so; sorted.
    pub fn delays(&mut self, name: &str) -> Vec<Duration> {
        let mut delays: Vec<Duration> = (0..100)
            .map(|number| {
                let text = format!("[{name}]: {number}");
                let begin = Instant::now();
                self.send_text(&number.to_string());
                self.recv_until(|heard| heard == text);
                begin.elapsed()
            })
            .collect();
        delays.sort();
        delays
    }

    pub fn next_message(&mut self) -> Result<Message, Error> {
        self.socket.read()
    }

    /// Reads up to the server's Close, answers it, and waits until the server has closed: the Close's code.
    pub fn expect_close(&mut self) -> u16 {
        loop {
            match self.next_message() {
                Ok(Message::Close(frame)) => {
                    while self.next_message().is_ok() {}
                    return frame.map_or(1005, |frame| frame.code.into());
                }
                Ok(_) => {}
                Err(error) => panic!("no Close came: {error}"),
            }
        }
    }

    /// Closes and waits until the server has closed too.
    pub fn close(mut self) {
        self.socket.close(None).expect("the server reads");
        while self.next_message().is_ok() {}
    }
}

pub fn request(address: SocketAddr, path: &str) -> Request {
    format!("ws://{address}{path}")
        .into_client_request()
        .expect("the URL is valid")
}
