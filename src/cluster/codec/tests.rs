use std::net::Ipv6Addr;

use super::*;

fn commands() -> Vec<ClientCommand<'static>> {
    vec![
        ClientCommand::Message {
            text: "hello".into(),
        },
        ClientCommand::Message {
            text: "é".repeat(70_000).into(),
        },
        ClientCommand::Action { text: "".into() },
        ClientCommand::Whisper {
            to: "bob".into(),
            text: "\0".into(),
        },
        ClientCommand::Rename {
            name: "Jürgen".into(),
        },
        ClientCommand::Quit,
    ]
}

fn header() -> BatchHeader {
    BatchHeader {
        log: 1_790_000_000_000,
        incarnation: 7,
        sequence: u64::MAX,
        is_heartbeat: true,
        statement: Some(Statement {
            point: 300,
            digest: u64::MAX,
        }),
    }
}

/// Returns a batch with a change of each kind, and its bytes.
fn batch() -> (Entry, Vec<u8>) {
    let client = (1 << 40) - 1;
    let mut changes: Vec<_> = commands()
        .into_iter()
        .map(|command| Change::Command { client, command })
        .collect();
    let mut bytes = Encoder(Vec::new());
    for command in commands() {
        bytes.command(super::super::entry::first_id(7) | client, &command);
    }
    for (name, address) in [
        (None, None),
        (Some("ann"), Some(IpAddr::V4([10, 0, 0, 1].into()))),
        (Some(""), Some(IpAddr::V6(Ipv6Addr::LOCALHOST))),
    ] {
        bytes.joined(client, name, address);
        changes.push(Change::Joined {
            client,
            name: name.map(str::to_owned),
            address,
        });
    }
    for is_too_slow in [false, true] {
        bytes.change(if is_too_slow { LEFT_TOO_SLOW } else { LEFT }, 1);
        changes.push(Change::Left {
            client: 1,
            is_too_slow,
        });
    }
    let refusal = |to: &str| WhisperRefusal {
        id: u64::MAX,
        to: to.into(),
    };
    encode_refusal(&refusal("bob"), &mut bytes.0);
    changes.push(Change::WhisperRefused(refusal("bob")));
    let encoded = encode_batch(&header(), &bytes.0);
    let header = header();
    (Entry::Batch(Batch { header, changes }), encoded)
}

#[test]
fn entries_survive_encoding_and_decoding() {
    for entry in [
        Entry::Genesis,
        Entry::Hello {
            log: 1,
            node: Node {
                name: "a".into(),
                token: u64::MAX,
                process: 0,
                is_first: true,
            },
        },
        Entry::Renewal { log: 1 << 40 },
        Entry::SnapshotRequest { log: 0 },
        Entry::Bye {
            log: 1,
            incarnation: Incarnation::MAX,
        },
    ] {
        assert_eq!(decode(&encode(&entry)), Ok(entry));
    }
    let (entry, bytes) = batch();
    assert_eq!(decode(&bytes), Ok(entry));
}

#[test]
fn a_short_message_takes_few_bytes() {
    let mut bytes = Encoder(Vec::new());
    let text = "hello".into();
    bytes.command(5, &ClientCommand::Message { text });
    assert_eq!(bytes.0.len(), 8);
}

#[test]
fn what_only_the_sender_sees_is_not_encoded() {
    let mut bytes = Encoder(Vec::new());
    for command in [
        ClientCommand::Who {},
        ClientCommand::Help {},
        ClientCommand::Unknown("x".into()),
        ClientCommand::Invalid("x".into()),
    ] {
        bytes.command(1, &command);
    }
    assert!(bytes.0.is_empty());
}

#[test]
fn malformed_bytes_are_an_error() {
    let (_, bytes) = batch();
    let short = bytes.len() - 140_000;
    for length in (0..short / 2).chain(bytes.len() - 60..bytes.len()) {
        // Cut between two changes, a batch is a shorter batch.
        if let Ok(Entry::Batch(batch)) = decode(&bytes[..length]) {
            assert!(batch.changes.len() < 12, "{length}");
        }
    }
    for bytes in [
        &[][..],
        b"garbage",
        &[VERSION],
        &[VERSION, 9],
        &[VERSION, GENESIS, 0],
        &[VERSION, HELLO, 1, 1, 1, 1, 200, 1],
        &[VERSION, HELLO, 1, 1, 1, 1, 1, 0xff],
        // A number of more than 64 bits, and a length beyond the address space.
        &[
            VERSION, BYE, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1,
        ],
        &[
            VERSION, HELLO, 1, 1, 1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1,
        ],
        &[VERSION, BYE, 1, 255, 255, 255, 255, 127],
    ] {
        assert_eq!(decode(bytes), Err(DecodeError::Malformed), "{bytes:?}");
    }
}

#[test]
fn another_version_is_named() {
    for version in [VERSION ^ 0x80, 2, 15, 0x8f] {
        let decoded = decode(&[version, GENESIS]);
        assert_eq!(decoded, Err(DecodeError::Version(version)));
    }
}
