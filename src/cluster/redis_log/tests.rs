use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use super::*;

#[test]
fn a_snapshot_at_an_entry_that_is_lost_is_not_stored() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let server = listener.local_addr().expect("the listener is bound");
    // A server without any entries, which returns the names of the commands that it has received.
    let server_thread = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the log connects");
        let reader = BufReader::new(socket.try_clone().expect("a descriptor"));
        let mut names = Vec::new();
        for line in reader.lines().map_while(Result::ok) {
            match line.chars().next() {
                // A command begins with the number of its words.
                Some('*') => socket.write_all(b"*0\r\n").expect("the log reads"),
                Some('X') => names.push(line),
                _ => {}
            }
        }
        names
    });
    let address = format!("redis://{server}?name=a");
    let address = ClusterAddress::parse(&address).expect("it is valid");
    let mut log = RedisLog::new(&address, None);
    let [at, trim_before] = [2000, 1000].map(|millis| EntryId { millis, number: 0 });
    assert_eq!(log.store(at, b"snapshot", trim_before), Ok(()));
    drop(log);
    assert_eq!(server_thread.join().expect("no panic"), ["XRANGE"]);
}
