//! What the command line may say: the limits, their defaults, and what each means.

use std::ffi::OsString;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use log::LevelFilter;

use crate::chat::dispatcher::MAX_BATCH_BYTES;
use crate::text::sanitize;

const HELP: &str = "\
threadchat, a WebSocket chat server on plain threads

Usage: threadchat [OPTION]...

  --listen ADDR:PORT      where to respond [127.0.0.1:8080]
  --max-connections N     WebSockets at a time; one more gets 503 [1000]
  --max-message BYTES     largest message; a larger one gets Close 1009 [65536]
  --max-backlog BYTES     what may wait for one client, then it is cut off
                          [1048576, or four of the largest messages]
  --ping SECONDS          silence before a Ping; as long again, and the client
                          is gone; 0: never [15]
  --rate-limit N          messages a second for each client, with a burst of N;
                          one that sends faster is slowed; 0: no limit [0]
  --allow-origin ORIGIN   web pages that may connect, such as
                          https://chat.example; may be repeated [any]
  --log-level LEVEL       off, error, warn, info, debug or trace [info]
  --log-file PATH         append the log to this file [stderr]
  --help, --version
";

/// The largest `--max-message`, in bytes. A connection reserves what a frame's header announces, and a server that can't
/// have the address space for it would end.
const MAX_MESSAGE: usize = 256 << 20;

/// What a [`Server`](crate::Server) is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where to respond. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// How many WebSockets may be open at a time; at least 1.
    pub max_connections: usize,
    /// The largest message accepted from a client, in bytes; 1 to 256 MiB.
    pub max_message: usize,
    /// What may wait for one client, in bytes. `None`: [`Config::backlog`] derives it.
    pub max_backlog: Option<usize>,
    /// How long a client may be silent before it is pinged, and then again before it is gone. `None`: for ever.
    pub ping: Option<Duration>,
    /// Messages a second that one client may send, which is also the burst. `None`: no limit.
    pub rate_limit: Option<u32>,
    /// The `Origin`s that may open a WebSocket. Empty: any. A request without `Origin` always may.
    pub allow_origin: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_connections: 1000,
            max_message: 64 << 10,
            max_backlog: None,
            ping: Some(Duration::from_secs(15)),
            rate_limit: None,
            allow_origin: Vec::new(),
        }
    }
}

impl Config {
    /// What may wait for one client, in bytes: as told, or 1 MiB, or four of the largest messages where that is more.
    pub fn backlog(&self) -> usize {
        self.max_backlog
            .unwrap_or_else(|| self.max_message.saturating_mul(4).max(1 << 20))
    }

    /// Whether a server can do what this says.
    ///
    /// # Errors
    ///
    /// What makes no sense.
    pub fn check(&self) -> Result<(), UsageError> {
        let least = self.least_backlog();
        let senseless = |what: String| Err(UsageError(what));
        if self.max_connections == 0 {
            return senseless("--max-connections must be at least 1".into());
        }
        if !(1..=MAX_MESSAGE).contains(&self.max_message) {
            return senseless(format!("--max-message must be 1 to {MAX_MESSAGE}"));
        }
        if self.rate_limit == Some(0) {
            return senseless("--rate-limit must be at least 1, or none".into());
        }
        if self.backlog() < least {
            return senseless(format!(
                "--max-backlog must be at least {least} with this --max-message"
            ));
        }
        Ok(())
    }

    /// The smallest backlog that works: a full batch with a largest message behind it, twice its size when every
    /// character of it has to be escaped in JSON, must fit or every client would be cut off by it.
    fn least_backlog(&self) -> usize {
        self.max_message
            .saturating_mul(2)
            .saturating_add(2 * MAX_BATCH_BYTES)
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Serve until stopped.
    Serve(Config, Logging),
    /// Print this to stdout.
    Print(String),
}

/// Where the log goes, and how much of it.
#[derive(Debug, PartialEq)]
pub struct Logging {
    /// The least important level that is written.
    pub level: LevelFilter,
    /// The file to append to. `None`: stderr.
    pub file: Option<PathBuf>,
}

/// What is wrong with a command line, in one line.
#[derive(Debug, PartialEq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (--help lists the options)", self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> UsageError {
        // An argument may contain line breaks, and this is one line.
        UsageError(sanitize(&error.to_string()).into_owned())
    }
}

impl Command {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    ///
    /// An unknown option, a missing value, or one that makes no sense.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
        let mut parser = Parser::from_args(args);
        let mut options = Config::default();
        let mut logging = Logging {
            level: LevelFilter::Info,
            file: None,
        };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("listen") => options.listen = address(&parser.value()?.string()?)?,
                Arg::Long("max-connections") => {
                    options.max_connections =
                        number("--max-connections", &mut parser, 1..=usize::MAX)?
                }
                Arg::Long("max-message") => {
                    options.max_message = number("--max-message", &mut parser, 1..=MAX_MESSAGE)?
                }
                Arg::Long("max-backlog") => {
                    options.max_backlog =
                        Some(number("--max-backlog", &mut parser, 1..=usize::MAX)?)
                }
                Arg::Long("ping") => {
                    let seconds = number("--ping", &mut parser, 0..=u32::MAX)?;
                    options.ping = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                }
                Arg::Long("rate-limit") => {
                    let rate = number("--rate-limit", &mut parser, 0..=u32::MAX)?;
                    options.rate_limit = (rate > 0).then_some(rate);
                }
                Arg::Long("allow-origin") => options
                    .allow_origin
                    .push(origin(parser.value()?.string()?)?),
                Arg::Long("log-level") => {
                    let level = parser.value()?.string()?;
                    logging.level = level.parse().map_err(|_| {
                        wrong(
                            "--log-level",
                            &level,
                            "off, error, warn, info, debug or trace",
                        )
                    })?;
                }
                Arg::Long("log-file") => logging.file = Some(parser.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(Command::Print(HELP.into())),
                Arg::Long("version") | Arg::Short('V') => {
                    return Ok(Command::Print(
                        concat!("threadchat ", env!("CARGO_PKG_VERSION"), "\n").into(),
                    ));
                }
                _ => return Err(arg.unexpected().into()),
            }
        }
        options.check()?;
        Ok(Command::Serve(options, logging))
    }
}

fn wrong(option: &str, value: &str, wanted: &str) -> UsageError {
    UsageError(format!("{option} {value:?}: must be {wanted}"))
}

/// Unlike [`Config::check`], which also guards those who embed a server, this can quote what was typed.
fn number<T: FromStr + PartialOrd + fmt::Display>(
    option: &str,
    parser: &mut Parser,
    range: RangeInclusive<T>,
) -> Result<T, UsageError> {
    let value = parser.value()?.string()?;
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            let (least, most) = range.into_inner();
            let wanted = format!("a whole number from {least} to {most}");
            Err(wrong(option, &value, &wanted))
        }
    }
}

/// As a browser writes it: a scheme, a host, perhaps a port, and no path, not even a slash (RFC 6454, section 6.2).
fn origin(value: String) -> Result<String, UsageError> {
    match value.split_once("://") {
        Some((scheme, host)) if !scheme.is_empty() && !host.is_empty() && !host.contains('/') => {
            Ok(value)
        }
        _ => Err(wrong(
            "--allow-origin",
            &value,
            "like https://chat.example, with nothing behind it",
        )),
    }
}

/// An address, or a name such as `localhost` that stands for one.
fn address(value: &str) -> Result<SocketAddr, UsageError> {
    let found = value.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| {
        wrong(
            "--listen",
            value,
            "an address and a port, such as 127.0.0.1:8080 or [::]:8080",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, UsageError> {
        Command::parse(line.split_whitespace().map(OsString::from))
    }

    fn options(line: &str) -> Config {
        match parse(line) {
            Ok(Command::Serve(options, _)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn nothing_said_gives_the_defaults() {
        assert_eq!(options(""), Config::default());
        assert_eq!(Config::default().backlog(), 1 << 20);
    }

    #[test]
    fn every_option_reaches_its_field() {
        let told = options(
            "--listen 127.0.0.2:99 --max-connections 5 --max-message 1000 --max-backlog 700000 --ping 3 --rate-limit 9 \
             --allow-origin https://a.example --allow-origin https://b.example",
        );
        let expected = Config {
            listen: SocketAddr::from(([127, 0, 0, 2], 99)),
            max_connections: 5,
            max_message: 1000,
            max_backlog: Some(700_000),
            ping: Some(Duration::from_secs(3)),
            rate_limit: Some(9),
            allow_origin: vec!["https://a.example".into(), "https://b.example".into()],
        };
        assert_eq!(told, expected);
        let logging = Logging {
            level: LevelFilter::Debug,
            file: Some("chat.log".into()),
        };
        let line = "--log-level debug --log-file chat.log";
        assert_eq!(parse(line), Ok(Command::Serve(Config::default(), logging)));
    }

    #[test]
    fn zero_switches_ping_and_rate_limit_off() {
        let told = options("--ping 0 --rate-limit 0");
        assert_eq!((told.ping, told.rate_limit), (None, None));
    }

    #[test]
    fn the_backlog_grows_with_the_largest_message() {
        assert_eq!(options("--max-message 16777216").backlog(), 4 * 16_777_216);
    }

    #[test]
    fn a_wrong_line_is_refused_in_one_line() {
        for line in [
            "--nonsense",
            "stray",
            "--listen",
            "--listen nowhere",
            "--listen 127.0.0.1:70000",
            "--max-connections 0",
            "--max-message -1",
            "--max-message 1e3",
            "--max-message 1000000000000000",
            "--max-backlog 10",
            "--ping 1.5",
            "--ping -1",
            "--rate-limit x",
            "--log-level loud",
            "--allow-origin chat.example",
            "--allow-origin https://chat.example/",
            "--no\nsense",
        ] {
            let said = Command::parse(line.split(' ').map(OsString::from))
                .expect_err(line)
                .to_string();
            assert!(
                !said.contains('\n') && said.len() > 20,
                "{line:?}: {said:?}"
            );
        }
    }

    #[test]
    fn help_names_every_limit() {
        for word in ["--help", "-h"] {
            let Ok(Command::Print(text)) = parse(word) else {
                panic!("{word} prints nothing")
            };
            assert!(text.contains("--allow-origin") && text.lines().all(|line| line.len() <= 80));
        }
        assert_eq!(
            parse("--version"),
            Ok(Command::Print("threadchat 0.1.0\n".into()))
        );
    }
}
