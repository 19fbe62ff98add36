//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use threadchat::text::{normalize_name, percent_encode};
use tungstenite::http::Uri;

const HELP: &str = "\
threadchat-client, a chat client for the terminal

Usage: threadchat-client [OPTION]... [URL]

  URL            address of the chat, ws:// or wss:// [ws://localhost:8080/chat]
  --name NAME    user name to request
  --secret-file FILE
                 the first line is the secret that the server asks for
  --ca FILE      certificates in PEM format to trust, in place of the system's
  --no-time      print no times before the lines
  --help         print this text
  --version      print the version

Every line is sent to all users, except lines that begin with /: these are
commands, and /help lists them. Tab completes commands and names. Ctrl-C clears
the line, Ctrl-D or Ctrl-C on an empty line leaves the chat. Each line of a
pasted text is sent as a message of its own, after Enter.
If stdin or stdout is not a terminal, the client is a filter: it sends the lines
of its input and prints the lines it receives, without times, until the input
ends. Environment: TZ is the time zone; NO_COLOR switches colours off.
Exit code 0: left; 1: no connection, or connection lost; 2: invalid arguments.
";

const DEFAULT_URL: &str = "ws://localhost:8080/chat";

/// The action that the command line selects.
#[derive(Debug, PartialEq)]
pub enum CliAction {
    /// Chat on this server, requesting this name, with or without times before the lines.
    Run(ServerUrl, Option<String>, bool),
    /// Print this text to stdout.
    Print(String),
}

/// The URL of a chat, in the parts needed to connect to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerUrl {
    uri: Uri,
    /// The host as the resolver expects it: an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// `wss`: with TLS.
    pub is_tls: bool,
    /// The file of the certificates to trust. `None`: the system's.
    pub ca: Option<PathBuf>,
    /// The file of the secret to send. It is read for each connection.
    pub secret_file: Option<PathBuf>,
}

/// An error in the command line, as one line of text.
#[derive(Debug, PartialEq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> UsageError {
        UsageError(format!("{error} (--help lists the options)"))
    }
}

impl CliAction {
    /// Parses the arguments, which do not include the program's name.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<CliAction, UsageError> {
        let mut parser = Parser::from_args(args);
        let (mut url, mut name, mut ca, mut show_times) = (None, None, None, true);
        let mut secret_file = None;
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("name") => {
                    let requested = parser.value()?.string()?;
                    let accepted = normalize_name(&requested)
                        .map_err(|error| UsageError(format!("--name {requested:?}: {error}")))?;
                    name = Some(accepted);
                }
                Arg::Long("ca") => ca = Some(PathBuf::from(parser.value()?)),
                Arg::Long("secret-file") => secret_file = Some(PathBuf::from(parser.value()?)),
                Arg::Long("no-time") => show_times = false,
                Arg::Value(value) if url.is_none() => url = Some(value.string()?),
                Arg::Long("help") | Arg::Short('h') => return Ok(CliAction::Print(HELP.into())),
                Arg::Long("version") | Arg::Short('V') => {
                    return Ok(CliAction::Print(
                        concat!("threadchat-client ", env!("CARGO_PKG_VERSION"), "\n").into(),
                    ));
                }
                _ => return Err(arg.unexpected().into()),
            }
        }
        let url = ServerUrl::parse(url.as_deref().unwrap_or(DEFAULT_URL))?;
        if ca.is_some() && !url.is_tls {
            return Err(UsageError("--ca is for wss:// only".into()));
        }
        let url = ServerUrl {
            ca,
            secret_file,
            ..url
        };
        Ok(CliAction::Run(url, name, show_times))
    }
}

impl ServerUrl {
    fn parse(url: &str) -> Result<ServerUrl, UsageError> {
        let invalid = || {
            UsageError(format!(
                "invalid URL {url:?}: expected, for example, {DEFAULT_URL}"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(invalid)?;
        let is_tls = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ws") => false,
            Some("wss") if cfg!(feature = "tls") => true,
            Some("wss") => {
                let problem = "wss:// is not supported: this program was built without TLS";
                return Err(UsageError(problem.into()));
            }
            _ => return Err(invalid()),
        };
        // `Uri::port` returns `None` for a port out of range too, so parse the authority.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let port = match authority.rsplit_once(host).map(|(_, rest)| rest) {
            Some("") if is_tls => 443,
            Some("") => 80,
            Some(rest) => {
                let port = rest.strip_prefix(':').and_then(|port| port.parse().ok());
                port.filter(|&port| port > 0).ok_or_else(invalid)?
            }
            None => return Err(invalid()),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(ServerUrl {
            uri,
            host,
            port,
            is_tls,
            ca: None,
            secret_file: None,
        })
    }

    /// Returns whether the secret would cross a network without encryption.
    pub fn exposes_secret(&self) -> bool {
        let host = self.host.to_ascii_lowercase();
        let is_loopback = host == "localhost"
            || host.ends_with(".localhost")
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback());
        self.secret_file.is_some() && !self.is_tls && !is_loopback
    }

    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Returns the URL with this name and this place in its query, in place of those there. A name that the server would
    /// reject is left out.
    pub fn with_query(&self, name: Option<&str>, place: Option<String>) -> String {
        let name = name.and_then(|name| normalize_name(name).ok());
        let added: Vec<String> = place
            .into_iter()
            .chain(name.map(|name| format!("name={}", percent_encode(&name))))
            .collect();
        if added.is_empty() {
            return self.uri.to_string();
        }
        // `ServerUrl::parse` rejects a URL without an authority.
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        let keys = added.iter().flat_map(|pairs| pairs.split('&')).map(key);
        let keys: Vec<&str> = keys.collect();
        let given = self.uri.query().unwrap_or_default().split('&');
        let kept = given.filter(|pair| !pair.is_empty() && !keys.contains(&key(pair)));
        let query: Vec<&str> = kept.chain(added.iter().map(String::as_str)).collect();
        format!("ws://{authority}{}?{}", self.path(), query.join("&"))
    }
}

/// Returns the key of a pair in a query.
fn key(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<CliAction, UsageError> {
        CliAction::parse(line.split_whitespace().map(OsString::from))
    }

    fn parse_run(line: &str) -> (ServerUrl, Option<String>) {
        match parse(line) {
            Ok(CliAction::Run(url, name, _)) => (url, name),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn no_arguments_gives_the_server_on_this_machine() {
        let (url, name) = parse_run("");
        assert_eq!((url.host.as_str(), url.port), ("localhost", 8080));
        assert_eq!(
            (url.with_query(None, None).as_str(), name),
            (DEFAULT_URL, None)
        );
    }

    #[test]
    fn url_gives_host_port_and_path() {
        let cases = [
            ("ws://chat.example", "chat.example", 80, "/"),
            ("ws://[::1]:99/chat?x=1", "::1", 99, "/chat"),
            ("WS://10.0.0.1:8080/a/b", "10.0.0.1", 8080, "/a/b"),
        ];
        for (line, host, port, path) in cases {
            let (url, _) = parse_run(line);
            assert_eq!(
                (url.host.as_str(), url.port, url.path()),
                (host, port, path)
            );
        }
    }

    #[test]
    fn name_is_requested_in_the_query() {
        let cases = [
            ("ws://h/chat", "ws://h/chat?name=bob"),
            ("ws://h/chat?name=al&x=1&name", "ws://h/chat?x=1&name=bob"),
            ("ws://h:9?name2=x", "ws://h:9/?name2=x&name=bob"),
        ];
        for (url, expected) in cases {
            assert_eq!(parse_run(url).0.with_query(Some("bob"), None), expected);
        }
        let (url, _) = parse_run("ws://h/chat/lobby?since=1&x=2");
        assert_eq!(
            url.with_query(None, Some("since=7&epoch=3".into())),
            "ws://h/chat/lobby?x=2&since=7&epoch=3"
        );
        // The server assigns names such as user7 itself and rejects the malformed ones.
        for name in ["user7", "x y", "x HTTP/1.1\r\n"] {
            assert_eq!(
                parse_run("ws://h/chat").0.with_query(Some(name), None),
                "ws://h/chat"
            );
        }
    }

    #[test]
    fn invalid_arguments_give_a_one_line_error() {
        for line in [
            "--nonsense",
            "--name",
            "--secret-file",
            "--name b@d",
            "--name user7",
            "ws://a/ ws://b/",
            "localhost:8080/chat",
            "localhost",
            "/chat",
            "http://localhost:8080/chat",
            "ws://",
            "ws://:80/chat",
            "ws://h:0/",
            "ws://h:99999/",
            "ws://[::1/",
            "ws://h\u{1b}/",
        ] {
            let error = parse(line).expect_err(line).to_string();
            assert!(!error.contains('\n') && error.len() > 15, "{line}: {error}");
        }
    }

    #[test]
    fn a_secret_is_exposed_without_tls_to_another_machine() {
        for (url, is_exposed) in [
            ("ws://localhost/chat", false),
            ("ws://LOCALHOST:99/chat", false),
            ("ws://chat.localhost/", false),
            ("ws://127.0.0.2/chat", false),
            ("ws://[::1]/chat", false),
            ("ws://[::ffff:127.0.0.1]/chat", false),
            ("ws://chat.example/chat", true),
            ("ws://localhost.example/chat", true),
            ("ws://192.168.1.5/chat", true),
            ("ws://[fe80::1]/chat", true),
            #[cfg(feature = "tls")]
            ("wss://chat.example/chat", false),
        ] {
            let (with, _) = parse_run(&format!("--secret-file s {url}"));
            assert_eq!(with.secret_file, Some(PathBuf::from("s")));
            assert_eq!(with.exposes_secret(), is_exposed, "{url}");
            assert!(!parse_run(url).0.exposes_secret(), "{url}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn wss_url_and_ca_select_tls() {
        let (url, _) = parse_run("--ca ca.pem wss://chat.example/chat");
        assert_eq!((url.port, url.is_tls), (443, true));
        assert_eq!(url.ca, Some(PathBuf::from("ca.pem")));
        let (url, _) = parse_run("WSS://chat.example:99/chat");
        assert_eq!((url.port, url.ca), (99, None));
        let error = parse("--ca ca.pem ws://h/").expect_err("there is no TLS");
        assert!(error.to_string().contains("wss://"), "{error}");
    }
}
