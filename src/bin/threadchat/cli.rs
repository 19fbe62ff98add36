//! The command line of the server.

use std::ffi::OsString;
use std::fmt;
use std::net::ToSocketAddrs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use log::LevelFilter;
#[cfg(feature = "tls")]
use threadchat::config::TlsFiles;
#[cfg(feature = "cluster")]
use threadchat::config::{ClusterAddress, RedisServer};
use threadchat::config::{
    ListenAddress, MAX_HISTORY, MAX_LISTEN_BACKLOG, MAX_MESSAGE_LIMIT, MAX_ROOMS_LIMIT, MAX_WRITERS,
};
use threadchat::text::sanitize;
use threadchat::{Config, ConfigError, Secret};

use crate::help::HELP;

/// The action that the command line asks for.
#[derive(Debug, PartialEq)]
pub enum CliAction {
    /// Run a server.
    Run(Box<Config>, LogConfig),
    /// Print a text to stdout.
    Print(String),
}

/// The configuration of the log.
#[derive(Debug, PartialEq)]
pub struct LogConfig {
    /// The least important level that is written.
    pub level: LevelFilter,
    /// The file to append to. `None`: stderr.
    pub file: Option<PathBuf>,
}

/// An error in the command line, in one line.
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
        // Arguments can contain line breaks.
        UsageError(sanitize(&error.to_string()).into_owned())
    }
}

impl From<ConfigError> for UsageError {
    fn from(error: ConfigError) -> UsageError {
        UsageError(error.to_string())
    }
}

impl CliAction {
    /// Parses the arguments, without the program's name.
    ///
    /// # Errors
    ///
    /// An unknown option, a missing value, or an invalid one.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<CliAction, UsageError> {
        let mut parser = Parser::from_args(args);
        let mut config = Config::default();
        let mut listen = Vec::new();
        let (mut cert, mut key) = (None, None);
        let mut log = LogConfig {
            level: LevelFilter::Info,
            file: None,
        };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("listen") => listen.push(parse_address(&parser.value()?.string()?)?),
                Arg::Long("max-connections") => {
                    config.max_connections =
                        parse_number("--max-connections", &mut parser, 1..=usize::MAX)?
                }
                Arg::Long("listen-backlog") => {
                    config.listen_backlog =
                        parse_number("--listen-backlog", &mut parser, 1..=MAX_LISTEN_BACKLOG)?;
                }
                Arg::Long("writers") => {
                    config.writers = parse_number("--writers", &mut parser, 1..=MAX_WRITERS)?;
                }
                Arg::Long("max-per-address") => {
                    let max = parse_number("--max-per-address", &mut parser, 0..=usize::MAX)?;
                    config.max_per_address = (max > 0).then_some(max);
                }
                Arg::Long("max-rooms") => {
                    config.max_rooms =
                        parse_number("--max-rooms", &mut parser, 0..=MAX_ROOMS_LIMIT)?;
                }
                Arg::Long("history") => {
                    config.history = parse_number("--history", &mut parser, 0..=MAX_HISTORY)?;
                }
                Arg::Long("max-message") => {
                    config.max_message =
                        parse_number("--max-message", &mut parser, 1..=MAX_MESSAGE_LIMIT)?
                }
                Arg::Long("max-backlog") => {
                    config.max_backlog =
                        Some(parse_number("--max-backlog", &mut parser, 1..=usize::MAX)?)
                }
                Arg::Long("ping") => {
                    let seconds = parse_number("--ping", &mut parser, 0..=u32::MAX)?;
                    config.ping = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                }
                Arg::Long("rate-limit") => {
                    let rate = parse_number("--rate-limit", &mut parser, 0..=u32::MAX)?;
                    config.rate_limit = (rate > 0).then_some(rate);
                }
                Arg::Long("allow-origin") => config
                    .allow_origin
                    .push(parse_origin(parser.value()?.string()?)?),
                Arg::Long("secret-file") => {
                    config.secret = Some(Secret::File(parser.value()?.into()));
                }
                Arg::Long("metrics") => config.metrics = true,
                Arg::Long("trusted-proxy") => {
                    let range = parser.value()?.string()?;
                    config.trusted_proxy.push(range.parse().map_err(|_| {
                        invalid_value(
                            "--trusted-proxy",
                            &range,
                            "an address, a range, such as 10.0.0.0/8, or unix",
                        )
                    })?);
                }
                Arg::Long("tls-cert") => cert = Some(PathBuf::from(parser.value()?)),
                Arg::Long("tls-key") => key = Some(PathBuf::from(parser.value()?)),
                Arg::Long("cluster") => set_cluster(&mut config, &parser.value()?.string()?)?,
                Arg::Long("log-level") => {
                    let level = parser.value()?.string()?;
                    log.level = level.parse().map_err(|_| {
                        invalid_value(
                            "--log-level",
                            &level,
                            "off, error, warn, info, debug or trace",
                        )
                    })?;
                }
                Arg::Long("log-file") => log.file = Some(parser.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(CliAction::Print(HELP.into())),
                Arg::Long("version") | Arg::Short('V') => {
                    return Ok(CliAction::Print(
                        concat!("threadchat ", env!("CARGO_PKG_VERSION"), "\n").into(),
                    ));
                }
                _ => return Err(arg.unexpected().into()),
            }
        }
        if !listen.is_empty() {
            config.listen = listen;
        }
        set_tls(&mut config, cert, key)?;
        config.validate()?;
        Ok(CliAction::Run(Box::new(config), log))
    }
}

#[cfg(feature = "tls")]
fn set_tls(
    config: &mut Config,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<(), UsageError> {
    config.tls = match (cert, key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        _ => {
            let problem = "--tls-cert and --tls-key need each other";
            return Err(UsageError(problem.into()));
        }
    };
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn set_tls(_: &mut Config, cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<(), UsageError> {
    match cert.or(key) {
        None => Ok(()),
        Some(_) => Err(UsageError("this program was built without TLS".into())),
    }
}

#[cfg(feature = "cluster")]
fn set_cluster(config: &mut Config, value: &str) -> Result<(), UsageError> {
    let address = ClusterAddress::parse(value);
    // The value may have a password.
    let invalid = |problem| UsageError(format!("--cluster: the address must {problem}"));
    let address = address.map_err(invalid)?;
    if cfg!(not(feature = "tls")) && matches!(address.server, RedisServer::Tcp { tls: true, .. }) {
        return Err(UsageError("this program was built without TLS".into()));
    }
    config.cluster = Some(address);
    Ok(())
}

#[cfg(not(feature = "cluster"))]
fn set_cluster(_: &mut Config, _: &str) -> Result<(), UsageError> {
    Err(UsageError(
        "this program was built without --cluster (feature cluster)".into(),
    ))
}

fn invalid_value(option: &str, value: &str, expected: &str) -> UsageError {
    UsageError(format!("{option} {value:?}: must be {expected}"))
}

/// Parses a number within a range. [`Config::validate`] checks ranges for embedding programs; this one quotes the value.
fn parse_number<T: FromStr + PartialOrd + fmt::Display>(
    option: &str,
    parser: &mut Parser,
    range: RangeInclusive<T>,
) -> Result<T, UsageError> {
    let value = parser.value()?.string()?;
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            let (min, max) = range.into_inner();
            let expected = format!("a whole number from {min} to {max}");
            Err(invalid_value(option, &value, &expected))
        }
    }
}

/// Checks an origin as browsers send it: a scheme, a host and possibly a port, without a path or a final slash (RFC 6454,
/// section 6.2).
fn parse_origin(value: String) -> Result<String, UsageError> {
    match value.split_once("://") {
        Some((scheme, host)) if !scheme.is_empty() && !host.is_empty() && !host.contains('/') => {
            Ok(value)
        }
        _ => Err(invalid_value(
            "--allow-origin",
            &value,
            "like https://chat.example, without a path or a final slash",
        )),
    }
}

/// Parses an address. The host can be a name such as `localhost`.
fn parse_address(value: &str) -> Result<ListenAddress, UsageError> {
    if let Some(path) = value.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(ListenAddress::Unix(path.into()));
    }
    let found = value.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.map(ListenAddress::Tcp).ok_or_else(|| {
        invalid_value(
            "--listen",
            value,
            "an address and a port, such as 127.0.0.1:8080 or [::]:8080, or unix:PATH",
        )
    })
}

#[cfg(test)]
mod tests;
