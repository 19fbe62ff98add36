//! The address of the Redis or Valkey server by which several nodes form one chat.

use std::fmt;
use std::path::PathBuf;

use crate::text::percent_decode;

/// The port of a Redis server, if the address names none.
const DEFAULT_PORT: u16 = 6379;

/// The longest name of a node in bytes.
const MAX_NODE_NAME: usize = 32;

/// Where a node finds the log that all nodes share, and what the node is called.
#[derive(Clone, PartialEq)]
pub struct ClusterAddress {
    /// The server.
    pub server: RedisServer,
    /// The user, if the server asks for one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u32,
    /// The name of this node, which no other node has: 1 to 32 ASCII letters, digits, `-`, `_` and `.`.
    pub node: String,
}

/// The address of a Redis server.
#[derive(Debug, Clone, PartialEq)]
pub enum RedisServer {
    /// A host and a port, with TLS or without.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
        /// Whether the connection uses TLS.
        tls: bool,
    },
    /// The file of a Unix socket.
    Unix(PathBuf),
}

impl ClusterAddress {
    /// Parses `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]?name=NODE`, the same with `rediss` for TLS, or
    /// `unix:PATH?name=NODE[&db=DATABASE][&user=USER][&password=PASSWORD]`. Special characters are percent-encoded.
    ///
    /// # Errors
    ///
    /// The part that is missing or malformed, in words that follow "must".
    pub fn parse(text: &str) -> Result<ClusterAddress, &'static str> {
        let (address, query) = text.split_once('?').ok_or("end with ?name=NODE")?;
        let mut parsed = match address.split_once(':') {
            Some(("redis", rest)) => parse_tcp(rest, false)?,
            Some(("rediss", rest)) => parse_tcp(rest, true)?,
            Some(("unix", path)) if !path.is_empty() => {
                ClusterAddress::new(RedisServer::Unix(decode(path)?.into()))
            }
            _ => return Err("begin with redis://HOST, rediss://HOST or unix:PATH"),
        };
        for parameter in query.split('&') {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = decode(value)?;
            match key {
                "name" => parsed.node = value,
                "db" => parsed.database = parse_database(&value)?,
                "user" => parsed.user = Some(value),
                "password" => parsed.password = Some(value),
                _ => return Err("have name, db, user and password as its only parameters"),
            }
        }
        if !is_node_name(&parsed.node) {
            return Err("name the node by up to 32 letters, digits, -, _ and .");
        }
        Ok(parsed)
    }

    fn new(server: RedisServer) -> ClusterAddress {
        ClusterAddress {
            server,
            user: None,
            password: None,
            database: 0,
            node: String::new(),
        }
    }
}

/// Parses what follows the scheme.
fn parse_tcp(rest: &str, tls: bool) -> Result<ClusterAddress, &'static str> {
    let rest = rest.strip_prefix("//").ok_or("have // before the host")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| "have a number as its port")?)
        }
        _ => (host, DEFAULT_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err("name a host");
    }
    let host = host.to_owned();
    let mut parsed = ClusterAddress::new(RedisServer::Tcp { host, port, tls });
    if let Some((user, password)) = login.map(|login| login.split_once(':').unwrap_or((login, "")))
    {
        parsed.user = Some(decode(user)?).filter(|user| !user.is_empty());
        parsed.password = Some(decode(password)?);
    }
    if !path.is_empty() {
        parsed.database = parse_database(path)?;
    }
    Ok(parsed)
}

fn decode(encoded: &str) -> Result<String, &'static str> {
    percent_decode(encoded).ok_or("have % only before two hexadecimal digits")
}

fn parse_database(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "have a number as its database")
}

fn is_node_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_NODE_NAME).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Shows the address of the server as the option takes it, without user and password: for the log.
impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            RedisServer::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                let (open, close) = if host.contains(':') {
                    ("[", "]")
                } else {
                    ("", "")
                };
                let database = self.database;
                write!(f, "{scheme}://{open}{host}{close}:{port}/{database}")
            }
            RedisServer::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The same: a password must not get into a log by a derived implementation.
impl fmt::Debug for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} as {}", self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        let tcp = |host: &str, port, tls| ClusterAddress {
            node: "a".into(),
            ..ClusterAddress::new(RedisServer::Tcp {
                host: host.into(),
                port,
                tls,
            })
        };
        for (text, expected) in [
            ("redis://h?name=a", tcp("h", 6379, false)),
            ("rediss://h.example:1/?name=a", tcp("h.example", 1, true)),
            ("redis://[::1]?name=a", tcp("::1", 6379, false)),
            ("redis://[::1]:7?name=a", tcp("::1", 7, false)),
            (
                "redis://u:p%40%3A@h:7/3?name=a",
                ClusterAddress {
                    user: Some("u".into()),
                    password: Some("p@:".into()),
                    database: 3,
                    ..tcp("h", 7, false)
                },
            ),
            (
                "redis://:p@h?name=a",
                ClusterAddress {
                    password: Some("p".into()),
                    ..tcp("h", 6379, false)
                },
            ),
            (
                "unix:/run/my%20redis.sock?name=a&db=2&user=u&password=p",
                ClusterAddress {
                    user: Some("u".into()),
                    password: Some("p".into()),
                    database: 2,
                    node: "a".into(),
                    ..ClusterAddress::new(RedisServer::Unix("/run/my redis.sock".into()))
                },
            ),
        ] {
            assert_eq!(ClusterAddress::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "",
            "redis://h",
            "redis:h?name=a",
            "redis://?name=a",
            "redis://h:x?name=a",
            "redis://h/x?name=a",
            "redis://h?name=",
            "redis://h?name=a%20b",
            "redis://h?name=a&colour=red",
            "redis://u:%zz@h?name=a",
            "http://h?name=a",
            "unix:?name=a",
        ] {
            assert!(ClusterAddress::parse(text).is_err(), "{text}");
        }
        let long = format!("redis://h?name={}", "a".repeat(33));
        assert!(ClusterAddress::parse(&long).is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let address = ClusterAddress::parse("redis://me:secret@[::1]/2?name=a");
        let address = address.expect("it is valid");
        let shown = format!("{address} {address:?}");
        assert_eq!(shown, "redis://[::1]:6379/2 redis://[::1]:6379/2 as a");
    }
}
