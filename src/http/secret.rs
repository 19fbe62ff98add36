//! The secret of the clients that may come in, in a file that can be read again while the server runs.

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use tungstenite::handshake::server::Request;
use tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

/// The beginning of the subprotocol that brings the secret of a browser, which cannot send `Authorization` with a
/// WebSocket. The secret follows in base64url.
const SUBPROTOCOL_PREFIX: &str = "threadchat.secret.";

/// The longest secret in bytes.
const MAX_SECRET_LEN: usize = 256;

/// The reason why a file has no secret, in one line without its content.
#[derive(Debug)]
pub enum SecretError {
    /// The file could not be read.
    Read(PathBuf, io::Error),
    /// The first line is empty, too long, or has a character that is not visible ASCII.
    Form(PathBuf),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            SecretError::Form(path) => write!(
                f,
                "the first line of {} must be a secret of 1 to {MAX_SECRET_LEN} characters of ASCII, without spaces",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SecretError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SecretError::Read(_, error) => Some(error),
            SecretError::Form(_) => None,
        }
    }
}

/// A secret in the forms that clients send.
struct Secret {
    plain: String,
    base64url: String,
}

/// The secret that a request brings.
#[derive(Debug, PartialEq)]
pub(crate) enum Credentials {
    Missing,
    Wrong,
    Right,
}

/// The secret in use. Clones share it. Nothing prints or logs it.
#[derive(Clone)]
pub struct SecretFile {
    path: Arc<PathBuf>,
    /// Locked for each request to a chat and each time the file is read, and never during a system call.
    secret: Arc<Mutex<Arc<Secret>>>,
}

impl SecretFile {
    /// Reads the file. Logs a warning if all users of the system can read it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its first line is no secret.
    pub(crate) fn load(path: PathBuf) -> Result<SecretFile, SecretError> {
        let secret = read_secret(&path)?;
        Ok(SecretFile {
            path: Arc::new(path),
            secret: Arc::new(Mutex::new(Arc::new(secret))),
        })
    }

    /// Reads the file again. New clients need the secret that it contains; connected ones stay. Can be called from any
    /// thread.
    ///
    /// # Errors
    ///
    /// Those of the start. The secret from before stays in use.
    pub fn reload(&self) -> Result<(), SecretError> {
        let secret = Arc::new(read_secret(&self.path)?);
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret;
        Ok(())
    }

    /// Compares the secret of a request.
    pub(crate) fn check(&self, request: &Request) -> Credentials {
        let secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = Arc::clone(&secret);
        let headers = request.headers();
        if let Some(value) = headers.get(AUTHORIZATION) {
            let is_right =
                bearer(value.as_bytes()).is_some_and(|token| equal(token, secret.plain.as_bytes()));
            return Credentials::from(is_right);
        }
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let mut names = offered.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let brought = names.find_map(|name| {
            name.trim_ascii()
                .strip_prefix(SUBPROTOCOL_PREFIX.as_bytes())
        });
        match brought {
            Some(brought) => Credentials::from(equal(brought, secret.base64url.as_bytes())),
            None => Credentials::Missing,
        }
    }
}

impl From<bool> for Credentials {
    fn from(is_right: bool) -> Credentials {
        if is_right {
            Credentials::Right
        } else {
            Credentials::Wrong
        }
    }
}

/// Returns the token of `Bearer TOKEN` (RFC 6750, section 2.1). The scheme is case-insensitive (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Compares in a time that depends on the lengths only, so that a client cannot guess byte by byte.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let differences = a
        .iter()
        .zip(b)
        .fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    a.len() == b.len() && differences == 0
}

fn read_secret(path: &PathBuf) -> Result<Secret, SecretError> {
    let content = fs::read(path).map_err(|error| SecretError::Read(path.clone(), error))?;
    warn_if_readable_by_others(path);
    let line = content.split(|byte| *byte == b'\n').next();
    let line = line.map_or(&[][..], |line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_valid =
        (1..=MAX_SECRET_LEN).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic);
    match str::from_utf8(line) {
        Ok(plain) if is_valid => Ok(Secret {
            plain: plain.to_owned(),
            base64url: BASE64URL_NOPAD.encode(line),
        }),
        _ => Err(SecretError::Form(path.clone())),
    }
}

#[cfg(unix)]
fn warn_if_readable_by_others(path: &PathBuf) {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o004 != 0) {
        log::warn!("{} can be read by all users of this system", path.display());
    }
}

#[cfg(not(unix))]
fn warn_if_readable_by_others(_: &PathBuf) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)]) -> Credentials {
        let file = SecretFile {
            path: Arc::default(),
            secret: Arc::new(Mutex::new(Arc::new(Secret {
                plain: "s3cret?>".into(),
                base64url: "czNjcmV0Pz4".into(),
            }))),
        };
        let mut request = Request::builder().uri("/chat?secret=s3cret?>");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        file.check(&request.body(()).expect("a request"))
    }

    #[test]
    fn the_secret_comes_in_a_header_or_as_a_subprotocol() {
        use Credentials::{Missing, Right, Wrong};
        for (header, value, expected) in [
            ("Authorization", "Bearer s3cret?>", Right),
            ("Authorization", "bearer  s3cret?>", Right),
            ("Authorization", "Bearer s3cret?", Wrong),
            ("Authorization", "Bearer s3cret?>>", Wrong),
            ("Authorization", "Bearer ", Wrong),
            ("Authorization", "Bearer", Wrong),
            ("Authorization", "Basic s3cret?>", Wrong),
            ("Authorization", "s3cret?>", Wrong),
            (
                "Sec-WebSocket-Protocol",
                "threadchat.json, threadchat.secret.czNjcmV0Pz4",
                Right,
            ),
            (
                "Sec-WebSocket-Protocol",
                "threadchat.secret.czNjcmV0Pz4",
                Right,
            ),
            (
                "Sec-WebSocket-Protocol",
                "threadchat.secret.czNjcmV0Pz4=",
                Wrong,
            ),
            (
                "Sec-WebSocket-Protocol",
                "threadchat.secret.s3cret?>",
                Wrong,
            ),
            ("Sec-WebSocket-Protocol", "threadchat.secret.", Wrong),
            ("Sec-WebSocket-Protocol", "threadchat.json", Missing),
            ("Cookie", "secret=s3cret?>", Missing),
        ] {
            assert_eq!(check(&[(header, value)]), expected, "{header}: {value}");
        }
        assert_eq!(check(&[]), Missing);
        let json = ("Sec-WebSocket-Protocol", "threadchat.json");
        let secret = ("Sec-WebSocket-Protocol", "threadchat.secret.czNjcmV0Pz4");
        assert_eq!(check(&[json, secret]), Right);
    }

    #[test]
    fn only_the_first_line_counts_and_must_be_visible() {
        let path = std::env::temp_dir().join(format!("threadchat-secret-{}", std::process::id()));
        let longest = "x".repeat(MAX_SECRET_LEN);
        let too_long = "x".repeat(MAX_SECRET_LEN + 1);
        for (content, expected) in [
            ("one\ntwo\n", Some("one")),
            ("one\r\n", Some("one")),
            ("one", Some("one")),
            (&longest, Some(longest.as_str())),
            ("", None),
            ("\none\n", None),
            ("on e\n", None),
            ("é\n", None),
            ("a\u{1}\n", None),
            (&too_long, None),
        ] {
            fs::write(&path, content).expect("the directory is writable");
            let secret = read_secret(&path);
            assert_eq!(
                secret.ok().map(|secret| secret.plain).as_deref(),
                expected,
                "{content:?}"
            );
        }
        fs::remove_file(&path).expect("the file exists");
        let error = read_secret(&path)
            .map(|_| ())
            .expect_err("no file")
            .to_string();
        assert!(error.starts_with("cannot read "), "{error}");
    }
}
