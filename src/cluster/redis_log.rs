//! The log of a room in Redis or Valkey: a stream, and a second one for the newest snapshot.
//!
//! A stream gives each entry an id above all before it, and so makes the one order. The second stream has a single entry, with
//! the id of the log's entry that the snapshot stands at: the server refuses an older one by its id.

use std::fmt;
use std::time::Duration;

use redis::{
    Cmd, Connection, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, Value, cmd, pipe,
};

use super::members::EntryId;
use crate::config::{ClusterAddress, RedisServer};
use crate::text::{RoomName, sanitize};

/// The time for a connection, and again for each reply. The server is in memory and near.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The time for which a read waits for an entry, in milliseconds. Shorter than [`TIMEOUT`].
const BLOCK: u64 = 500;

/// The most entries that one read returns. One that returns fewer has come to the end of the log.
pub(super) const READ_ENTRIES: usize = 100;

/// The time after which the server forgets the log of a room other than `/chat` that no node uses any more, in seconds.
const EXPIRY: u64 = 60;

/// An entry's id and bytes.
pub(super) type Stored = (EntryId, Vec<u8>);

/// A connection to the log of a room. One thread uses it; the connection is made when it is needed.
pub(super) struct RedisLog {
    address: ClusterAddress,
    /// The keys of the log and of the snapshot. Braces keep both on one server of a Redis cluster.
    log: String,
    snapshot: String,
    expires: bool,
    connection: Option<Connection>,
}

/// The reason why an operation on the log failed.
#[derive(Debug, PartialEq)]
pub(super) enum LogError {
    /// The server cannot be reached or does not respond.
    Unreachable(String),
    /// The server refuses the operation, perhaps for a while only.
    Refused(String),
    /// One of the keys has something else than a stream.
    WrongType(String),
    /// The stream does not exist any more.
    Missing,
    /// The last applied entry is not in the stream any more, and earlier ones are.
    LostEntry(EntryId),
    /// The last applied entry was trimmed, or the log begun anew.
    Trimmed(EntryId),
    /// The reply makes no sense.
    Malformed,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Unreachable(reason) => write!(f, "cannot be reached: {reason}"),
            LogError::Refused(reason) => f.write_str(reason),
            LogError::WrongType(keys) => write!(f, "has something else than a log at {keys}"),
            LogError::Missing => f.write_str("has lost the log"),
            LogError::LostEntry(id) => write!(f, "has lost entry {id} of the log"),
            LogError::Trimmed(id) => write!(f, "does not keep entry {id} of the log any more"),
            LogError::Malformed => f.write_str("replies what Redis would not"),
        }
    }
}

impl From<RedisError> for LogError {
    fn from(error: RedisError) -> LogError {
        let text = sanitize(&error.to_string()).replace('\n', " ");
        let refused = |reason: &str| LogError::Refused(reason.into());
        // The error of a pipeline has those of its commands.
        let failed = error.clone().into_server_errors();
        let first = failed.as_ref().and_then(|failed| failed.first());
        let code = error.code().or(first.map(|(_, error)| error.code()));
        match (error.kind(), code) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => {
                refused("refuses the user or the password")
            }
            (_, Some("NOAUTH")) => refused("wants a password"),
            (_, Some("READONLY")) => refused("is a replica that cannot be written"),
            (_, Some("OOM")) => refused("has no memory left (maxmemory)"),
            (_, Some("WRONGTYPE")) => LogError::WrongType(String::new()),
            (_, Some("LOADING")) => refused("is still loading its data"),
            (_, Some("ERR")) if is_unknown(&text) => LogError::Refused(format!(
                "has no streams as Redis 6.2 and later have ({text})"
            )),
            (ErrorKind::Server(_) | ErrorKind::Extension, _) => {
                LogError::Refused(format!("refuses a command ({text})"))
            }
            _ if text.contains("invalid peer certificate") => LogError::Unreachable(
                "its certificate is not trusted; SSL_CERT_FILE can name that of an authority"
                    .into(),
            ),
            _ if error.is_timeout() => LogError::Unreachable("it does not respond".into()),
            _ => LogError::Unreachable(text),
        }
    }
}

/// Returns whether an error is that of a server without streams (before 5.0), or without some of their options (before 6.2).
fn is_unknown(text: &str) -> bool {
    let errors = ["unknown command", "syntax error", "Invalid stream ID"];
    errors.iter().any(|error| text.contains(error))
}

impl LogError {
    /// Returns whether trying again is of no use.
    pub(super) fn is_final(&self) -> bool {
        match self {
            LogError::Unreachable(_) | LogError::Refused(_) | LogError::WrongType(_) => false,
            LogError::Missing
            | LogError::LostEntry(_)
            | LogError::Trimmed(_)
            | LogError::Malformed => true,
        }
    }
}

impl RedisLog {
    pub(super) fn new(address: &ClusterAddress, room: Option<&RoomName>) -> RedisLog {
        let room = room.map_or(String::new(), |name| format!("/{}", name.as_str()));
        RedisLog {
            address: address.clone(),
            log: format!("threadchat:{{/chat{room}}}:log"),
            snapshot: format!("threadchat:{{/chat{room}}}:snapshot"),
            expires: !room.is_empty(),
            connection: None,
        }
    }

    /// Returns a second connection to the same log.
    pub(super) fn another(&self) -> RedisLog {
        RedisLog {
            address: self.address.clone(),
            log: self.log.clone(),
            snapshot: self.snapshot.clone(),
            expires: self.expires,
            connection: None,
        }
    }

    pub(super) fn address(&self) -> &ClusterAddress {
        &self.address
    }

    /// Begins the log. If another node does so at the same time, both entries are there.
    pub(super) fn create(&mut self, genesis: &[u8]) -> Result<(), LogError> {
        let mut create = cmd("XADD");
        create.arg(&self.log).arg("*").arg("e").arg(genesis);
        self.write(create).map(drop)
    }

    /// Appends an entry to a log that exists. Waits for the server's reply. After an error it may or may not have been appended.
    pub(super) fn append(&mut self, entry: &[u8]) -> Result<(), LogError> {
        let mut append = cmd("XADD");
        append.arg(&self.log).arg("NOMKSTREAM");
        append.arg("*").arg("e").arg(entry);
        match self.write(append)? {
            Value::BulkString(_) => Ok(()),
            Value::Nil => Err(LogError::Missing),
            _ => Err(LogError::Malformed),
        }
    }

    /// Returns the first entry of the log.
    pub(super) fn first(&mut self) -> Result<Option<Stored>, LogError> {
        let mut first = cmd("XRANGE");
        first.arg(&self.log).arg("-").arg("+").arg("COUNT").arg(1);
        let first = entries(self.query(&first)?)?;
        Ok(first.into_iter().next())
    }

    /// Returns the entries after the last one that was applied. Waits up to [`BLOCK`] if there is none.
    ///
    /// # Errors
    ///
    /// The last one is not there any more. The server then does not have all entries after it: they were trimmed, or it has
    /// lost its last ones and goes on from there.
    pub(super) fn read(&mut self, last: EntryId) -> Result<Vec<Stored>, LogError> {
        let id = last.to_string();
        let mut read = pipe();
        read.cmd("XRANGE").arg(&self.log).arg(&id).arg(&id);
        read.cmd("XREAD").arg("COUNT").arg(READ_ENTRIES);
        read.arg("BLOCK").arg(BLOCK).arg("STREAMS");
        read.arg(&self.log).arg(&id);
        let connection = self.connection()?;
        let replies: Result<Vec<Value>, _> = read.query(connection);
        let replies = self.checked(replies)?;
        let [known, new] = <[Value; 2]>::try_from(replies).map_err(|_| LogError::Malformed)?;
        if entries(known)?.is_empty() {
            return Err(self.absence(last)?);
        }
        match new {
            Value::Nil => Ok(Vec::new()),
            // A list of streams, each with its key and entries.
            Value::Array(mut streams) => match streams.pop() {
                Some(Value::Array(mut stream)) => entries(stream.pop().unwrap_or_default()),
                _ => Err(LogError::Malformed),
            },
            _ => Err(LogError::Malformed),
        }
    }

    /// Checks that the last entry that was applied is still there.
    ///
    /// # Errors
    ///
    /// It is not, or the server is not available.
    pub(super) fn check(&mut self, last: EntryId) -> Result<(), LogError> {
        match self.entry(last)? {
            Some(_) => Ok(()),
            None => Err(self.absence(last)?),
        }
    }

    /// Returns why the last entry that was applied is not there any more.
    fn absence(&mut self, last: EntryId) -> Result<LogError, LogError> {
        Ok(match self.first()? {
            None => LogError::Missing,
            Some((first, _)) if first > last => LogError::Trimmed(last),
            Some(_) => LogError::LostEntry(last),
        })
    }

    /// Returns the newest snapshot and the id of the entry that it stands at.
    pub(super) fn snapshot(&mut self) -> Result<Option<Stored>, LogError> {
        let mut newest = cmd("XREVRANGE");
        newest.arg(&self.snapshot);
        newest.arg("+").arg("-").arg("COUNT").arg(1);
        let newest = entries(self.query(&newest)?)?;
        Ok(newest.into_iter().next())
    }

    /// Returns the entry with this id, if the log has it.
    pub(super) fn entry(&mut self, id: EntryId) -> Result<Option<Vec<u8>>, LogError> {
        let mut find = cmd("XRANGE");
        find.arg(&self.log).arg(id.to_string()).arg(id.to_string());
        let found = entries(self.query(&find)?)?;
        Ok(found.into_iter().next().map(|(_, bytes)| bytes))
    }

    /// Stores a snapshot in place of an older one, and removes the entries that nobody needs any more. Does nothing if there is a
    /// newer one, or if the server has lost the entry at which it was taken: the older one is the only good one then.
    pub(super) fn store(
        &mut self,
        at: EntryId,
        snapshot: &[u8],
        trim_before: EntryId,
    ) -> Result<(), LogError> {
        // By the connection of the next command, so nothing can be lost between them.
        if self.entry(at)?.is_none() {
            return Ok(());
        }
        let mut store = cmd("XADD");
        store.arg(&self.snapshot).arg("MAXLEN").arg(1);
        store.arg(at.to_string()).arg("e").arg(snapshot);
        match self.write(store) {
            Ok(_) => {}
            Err(LogError::Refused(reason)) if reason.contains("equal or smaller") => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut trim = cmd("XTRIM");
        trim.arg(&self.log)
            .arg("MINID")
            .arg(trim_before.to_string());
        self.query(&trim).map(drop)
    }

    /// Removes the log, if this is still its first entry.
    pub(super) fn remove_from(&mut self, first: EntryId) -> Result<(), LogError> {
        if self.first()?.is_some_and(|(id, _)| id == first) {
            let mut remove = cmd("DEL");
            remove.arg(&self.log).arg(&self.snapshot);
            self.query(&remove)?;
        }
        Ok(())
    }

    /// Removes the snapshot that stands at this entry.
    pub(super) fn remove_snapshot(&mut self, at: EntryId) -> Result<(), LogError> {
        let mut remove = cmd("XDEL");
        remove.arg(&self.snapshot).arg(at.to_string());
        self.query(&remove).map(drop)
    }

    /// Sends a command that writes, and lets the log of a room live on.
    fn write(&mut self, command: Cmd) -> Result<Value, LogError> {
        let mut write = pipe();
        write.add_command(command);
        if self.expires {
            for key in [&self.log, &self.snapshot] {
                write.cmd("EXPIRE").arg(key).arg(EXPIRY).ignore();
            }
        }
        let connection = self.connection()?;
        let replies: Result<Vec<Value>, _> = write.query(connection);
        let first = self.checked(replies)?.into_iter().next();
        first.ok_or(LogError::Malformed)
    }

    fn query(&mut self, command: &Cmd) -> Result<Value, LogError> {
        let connection = self.connection()?;
        let reply = command.query(connection);
        self.checked(reply)
    }

    /// Drops the connection after an error: a reply that comes too late would be taken for the next one, and a server that
    /// refuses commands may have become the replica of one that has its address now.
    fn checked<T>(&mut self, reply: Result<T, RedisError>) -> Result<T, LogError> {
        reply.map_err(|error| match LogError::from(error) {
            LogError::WrongType(_) => {
                LogError::WrongType(format!("{} or {}", self.log, self.snapshot))
            }
            error => {
                self.connection = None;
                error
            }
        })
    }

    /// Returns the connection. Connects if there is none, and waits for that up to [`TIMEOUT`].
    fn connection(&mut self) -> Result<&mut Connection, LogError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.address)?,
        };
        Ok(self.connection.insert(connection))
    }
}

fn connect(address: &ClusterAddress) -> Result<Connection, LogError> {
    let server = match &address.server {
        RedisServer::Unix(path) => ConnectionAddr::Unix(path.clone()),
        RedisServer::Tcp { host, port, tls } => match tls {
            false => ConnectionAddr::Tcp(host.clone(), *port),
            true => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
        },
    };
    let mut settings = RedisConnectionInfo::default()
        .set_db(address.database.into())
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name();
    if let Some(user) = &address.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &address.password {
        settings = settings.set_password(password);
    }
    // Not from a URL: the parser of URLs is a third of the client's code.
    let info = server.into_connection_info()?.set_redis_settings(settings);
    let connection = redis::Client::open(info)?.get_connection_with_timeout(TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    Ok(connection)
}

/// Takes the entries from the reply to XRANGE: each is its id and a list of fields and values, of which the log has one.
fn entries(reply: Value) -> Result<Vec<Stored>, LogError> {
    let Value::Array(entries) = reply else {
        return Err(LogError::Malformed);
    };
    let entry = |entry: Value| {
        let Value::Array(parts) = entry else {
            return None;
        };
        let [Value::BulkString(id), Value::Array(fields)] = &parts[..] else {
            return None;
        };
        // An entry without the field is no entry of threadchat, which the decoder reports.
        let bytes = match fields.get(1) {
            Some(Value::BulkString(bytes)) => bytes.clone(),
            _ => Vec::new(),
        };
        Some((EntryId::parse(std::str::from_utf8(id).ok()?)?, bytes))
    };
    let entries: Option<Vec<Stored>> = entries.into_iter().map(entry).collect();
    entries.ok_or(LogError::Malformed)
}

#[cfg(test)]
mod tests;
