//! The tutorial, to the letter.

mod support;

use support::{Client, Host, deadline};
use tungstenite::Message;

#[test]
fn a_newcomer_is_greeted_with_the_number_of_users() {
    let _deadline = deadline(60);
    let host = Host::start();
    for users in 1..=3 {
        let mut client = Client::connect(host.address, "/chat");
        assert_eq!(
            client.hear(),
            format!("You are connected! There are {users} users here.")
        );
        assert_eq!(
            client.response.headers().get("Sec-WebSocket-Protocol"),
            None
        );
        std::mem::forget(client);
    }
}
