//! A server that does what a test tells it to, for the clients.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket, accept_hdr};

/// Does this with its one client, which gets the JSON subprotocol.
pub fn serve(
    script: impl FnOnce(WebSocket<TcpStream>) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener.local_addr().expect("is bound");
    let serve = move || {
        let (socket, _) = listener.accept().expect("a client comes");
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

/// Reads up to the end, answering the question for help that the client asks before it leaves: how many other texts
/// there were.
pub fn let_leave(socket: &mut WebSocket<TcpStream>) -> usize {
    let mut texts = 0;
    loop {
        match socket.read() {
            Ok(Message::Text(text)) if text.contains(r#""help""#) => {
                let help = r#"{"type":"help","text":"no line"}"#;
                socket.send(Message::text(help)).expect("it reads");
            }
            Ok(Message::Text(_)) => texts += 1,
            Ok(_) => {}
            Err(_) => return texts,
        }
    }
}
