//! What the command line may say.

use std::ffi::OsString;
use std::fmt;

use lexopt::{Arg, Parser, ValueExt};
use threadchat::text::validate_name;
use tungstenite::http::Uri;

const HELP: &str = "\
threadchat-client, a chat in the terminal

Usage: threadchat-client [--name NAME] [URL]

  URL            the chat [ws://localhost:8080/chat]
  --name NAME    what to be called
  --help, --version

Lines are said to all; those that begin with / are commands, which /help lists.
Ctrl-D leaves. Without a terminal it is a filter: lines in, lines out, up to
the end of the input. Exit code 0: left; 1: no connection, or it was lost;
2: wrong usage.
";

const URL: &str = "ws://localhost:8080/chat";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Chat there, called this.
    Chat(Target, Option<String>),
    /// Print this to stdout.
    Print(String),
}

/// Where the chat is.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    uri: Uri,
    /// As it is looked up: an IPv6 address has no brackets.
    pub host: String,
    pub port: u16,
}

/// What is wrong with a command line, in one line.
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

impl Command {
    /// Reads the arguments, without the program's name.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
        let mut parser = Parser::from_args(args);
        let (mut url, mut name) = (None, None);
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("name") => {
                    let wanted = parser.value()?.string()?;
                    validate_name(&wanted)
                        .map_err(|why| UsageError(format!("--name {wanted:?}: {why}")))?;
                    name = Some(wanted);
                }
                Arg::Value(value) if url.is_none() => url = Some(value.string()?),
                Arg::Long("help") | Arg::Short('h') => return Ok(Command::Print(HELP.into())),
                Arg::Long("version") | Arg::Short('V') => {
                    return Ok(Command::Print(
                        concat!("threadchat-client ", env!("CARGO_PKG_VERSION"), "\n").into(),
                    ));
                }
                _ => return Err(arg.unexpected().into()),
            }
        }
        let target = Target::parse(url.as_deref().unwrap_or(URL))?;
        Ok(Command::Chat(target, name))
    }
}

impl Target {
    fn parse(url: &str) -> Result<Target, UsageError> {
        let wrong = || UsageError(format!("{url:?} is no URL of a chat, such as {URL}"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(wrong)?;
        match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ws") => {}
            Some("wss") => {
                let port = uri.port_u16().unwrap_or(443);
                return Err(UsageError(format!(
                    "wss:// needs TLS, which is left to a tunnel: run socat \
                     TCP-LISTEN:8081,bind=localhost,fork,reuseaddr OPENSSL:{host}:{port}, then use ws://localhost:8081{}",
                    uri.path()
                )));
            }
            _ => return Err(wrong()),
        }
        // `Uri::port` has none for 99999 either, so look.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let port = match authority.rsplit_once(host).map(|(_, behind)| behind) {
            Some("") => 80,
            Some(behind) => {
                let port = behind.strip_prefix(':').and_then(|port| port.parse().ok());
                port.filter(|&port| port > 0).ok_or_else(wrong)?
            }
            None => return Err(wrong()),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Target { uri, host, port })
    }

    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The URL that asks for this name too, in place of any that it asks for.
    pub fn url(&self, name: Option<&str>) -> String {
        let Some(name) = name.filter(|name| validate_name(name).is_ok()) else {
            return self.uri.to_string();
        };
        // `Target::parse` has found one.
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        let mut query = String::new();
        for pair in self.uri.query().unwrap_or_default().split('&') {
            if !pair.is_empty() && pair != "name" && !pair.starts_with("name=") {
                query.push_str(pair);
                query.push('&');
            }
        }
        format!("ws://{authority}{}?{query}name={name}", self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, UsageError> {
        Command::parse(line.split_whitespace().map(OsString::from))
    }

    fn target(line: &str) -> (Target, Option<String>) {
        match parse(line) {
            Ok(Command::Chat(target, name)) => (target, name),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn nothing_said_goes_to_the_server_on_this_machine() {
        let (target, name) = target("");
        assert_eq!((target.host.as_str(), target.port), ("localhost", 8080));
        assert_eq!((target.url(None).as_str(), name), (URL, None));
    }

    #[test]
    fn the_url_says_where() {
        let cases = [
            ("ws://chat.example", "chat.example", 80, "/"),
            ("ws://[::1]:99/chat?x=1", "::1", 99, "/chat"),
            ("WS://10.0.0.1:8080/a/b", "10.0.0.1", 8080, "/a/b"),
        ];
        for (url, host, port, path) in cases {
            let (target, _) = target(url);
            assert_eq!(
                (target.host.as_str(), target.port, target.path()),
                (host, port, path)
            );
        }
    }

    #[test]
    fn the_name_is_asked_for_in_the_query() {
        let cases = [
            ("ws://h/chat", "ws://h/chat?name=bob"),
            ("ws://h/chat?name=al&x=1&name", "ws://h/chat?x=1&name=bob"),
            ("ws://h:9?name2=x", "ws://h:9/?name2=x&name=bob"),
        ];
        for (url, expected) in cases {
            assert_eq!(target(url).0.url(Some("bob")), expected);
        }
        // A name of the server's own making isn't asked for, nor is what is no name at all.
        for name in ["user7", "x y", "x HTTP/1.1\r\n"] {
            assert_eq!(target("ws://h/chat").0.url(Some(name)), "ws://h/chat");
        }
    }

    #[test]
    fn a_wrong_line_is_refused_in_one_line() {
        for line in [
            "--nonsense",
            "--name",
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
            let said = parse(line).expect_err(line).to_string();
            assert!(!said.contains('\n') && said.len() > 15, "{line}: {said}");
        }
    }

    #[test]
    fn tls_is_left_to_a_tunnel() {
        let said = parse("wss://chat.example/chat")
            .expect_err("no TLS")
            .to_string();
        assert!(said.contains("OPENSSL:chat.example:443,"), "{said}");
        assert!(said.ends_with("ws://localhost:8081/chat"), "{said}");
    }
}
