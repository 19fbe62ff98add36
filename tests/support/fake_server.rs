//! A server that runs a script written by the test, for tests of the clients.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket, accept_hdr};

/// Runs the script with the WebSocket of the server's only client, which gets the JSON subprotocol.
pub fn serve(
    script: impl FnOnce(WebSocket<TcpStream>) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener.local_addr().expect("the listener is bound");
    let serve = move || {
        let (socket, _) = listener.accept().expect("a client connects");
        #[allow(clippy::result_large_err, reason = "the type is tungstenite's")]
        let confirm = |_: &Request, mut response: Response| {
            let subprotocol = HeaderValue::from_static("threadchat.json");
            let headers = response.headers_mut();
            headers.insert("Sec-WebSocket-Protocol", subprotocol);
            Ok(response)
        };
        script(accept_hdr(socket, confirm).expect("the handshake succeeds"));
    };
    (address, thread::spawn(serve))
}

/// Reads until the client closes the connection, and answers the `help` command that the filter sends before. Returns the
/// other texts that arrived.
pub fn accept_close(socket: &mut WebSocket<TcpStream>) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) if text.contains(r#""help""#) => {
                let help = r#"{"type":"help","text":"no line"}"#;
                socket.send(Message::text(help)).expect("the client reads");
            }
            Ok(Message::Text(text)) => texts.push(text.to_string()),
            Ok(_) => {}
            Err(_) => return texts,
        }
    }
}
