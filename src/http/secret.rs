//! The secret of the clients that are allowed to come in, and its comparison with that of a request.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use tungstenite::handshake::server::Request;
use tungstenite::http::HeaderValue;
use tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

use crate::config::{Secret, SecretError};

/// The beginning of the subprotocol that brings the secret of a browser, which cannot send `Authorization` with a
/// WebSocket. The secret follows in base64url.
const SUBPROTOCOL_PREFIX: &[u8] = b"threadchat.secret.";

/// A secret in the forms that clients send.
struct Forms {
    plain: String,
    base64url: String,
}

impl Forms {
    fn read(source: &Secret) -> Result<Arc<Forms>, SecretError> {
        let plain = source.read()?;
        let base64url = BASE64URL_NOPAD.encode(plain.as_bytes());
        Ok(Arc::new(Forms { plain, base64url }))
    }
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
pub struct SharedSecret {
    source: Arc<Secret>,
    /// Locked for each request to a chat and each time the source is read, to exchange the pointer only.
    forms: Arc<Mutex<Arc<Forms>>>,
}

impl SharedSecret {
    /// Reads the secret.
    pub(crate) fn load(source: Secret) -> Result<SharedSecret, SecretError> {
        let forms = Forms::read(&source)?;
        Ok(SharedSecret {
            source: Arc::new(source),
            forms: Arc::new(Mutex::new(forms)),
        })
    }

    /// Reads the source again. New clients need the secret that it has now; connected ones stay. Can be called from any
    /// thread.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its first line is no secret. The secret from before stays in use.
    pub fn reload(&self) -> Result<(), SecretError> {
        let forms = Forms::read(&self.source)?;
        *self.forms.lock().unwrap_or_else(PoisonError::into_inner) = forms;
        Ok(())
    }

    /// Compares the secret of a request. `Authorization` of another scheme than Bearer is a reverse proxy's, and does not
    /// count.
    pub(crate) fn check(&self, request: &Request) -> Credentials {
        let forms = Arc::clone(&self.forms.lock().unwrap_or_else(PoisonError::into_inner));
        let (brought, expected) = match (bearer(request), subprotocol(request)) {
            (Some(token), _) => (token, &forms.plain),
            (None, Some(encoded)) => (encoded, &forms.base64url),
            (None, None) => return Credentials::Missing,
        };
        match equal(brought, expected.as_bytes()) {
            true => Credentials::Right,
            false => Credentials::Wrong,
        }
    }
}

/// Returns the token of `Bearer TOKEN` (RFC 6750, section 2.1). The scheme is case-insensitive (RFC 9110, section 11.1).
fn bearer(request: &Request) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"Bearer";
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME) && matches!(token, [] | [b' ', ..]);
    is_bearer.then(|| token.trim_ascii())
}

/// Returns the secret in base64url that a subprotocol brings.
fn subprotocol(request: &Request) -> Option<&[u8]> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut names = offered
        .map(HeaderValue::as_bytes)
        .flat_map(|value| value.split(|byte| *byte == b','));
    names.find_map(|name| name.trim_ascii().strip_prefix(SUBPROTOCOL_PREFIX))
}

/// Compares in a time that depends on the lengths only, so that a client cannot guess byte by byte.
fn equal(a: &[u8], b: &[u8]) -> bool {
    // Without the black box, the compiler is allowed to stop at the first difference.
    let differences = a
        .iter()
        .zip(b)
        .fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    a.len() == b.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)]) -> Credentials {
        let source = Secret::Text("s3cret?>".into());
        let secret = SharedSecret::load(source).expect("it is a secret");
        let mut request = Request::builder().uri("/chat?secret=s3cret?%3E");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        secret.check(&request.body(()).expect("a request"))
    }

    #[test]
    fn the_secret_comes_in_a_header_or_as_a_subprotocol() {
        use Credentials::{Missing, Right, Wrong};
        const PROTOCOL: &str = "Sec-WebSocket-Protocol";
        let right = (PROTOCOL, "threadchat.secret.czNjcmV0Pz4");
        for (header, expected) in [
            (("Authorization", "Bearer s3cret?>"), Right),
            (("Authorization", "bearer  s3cret?>"), Right),
            (("Authorization", "Bearer s3cret?"), Wrong),
            (("Authorization", "Bearer s3cret?>>"), Wrong),
            (("Authorization", "Bearer S3cret?>"), Wrong),
            (("Authorization", "Bearer "), Wrong),
            (("Authorization", "Bearer"), Wrong),
            (("Authorization", "Bearers s3cret?>"), Missing),
            (("Authorization", "Basic s3cret?>"), Missing),
            (("Authorization", "s3cret?>"), Missing),
            (right, Right),
            (
                (PROTOCOL, "threadchat.json, threadchat.secret.czNjcmV0Pz4"),
                Right,
            ),
            ((PROTOCOL, "threadchat.secret.czNjcmV0Pz4="), Wrong),
            ((PROTOCOL, "threadchat.secret.s3cret?>"), Wrong),
            ((PROTOCOL, "threadchat.secret."), Wrong),
            ((PROTOCOL, "threadchat.json"), Missing),
            (("Cookie", "secret=s3cret?>"), Missing),
        ] {
            assert_eq!(check(&[header]), expected, "{header:?}");
        }
        assert_eq!(check(&[]), Missing);
        assert_eq!(check(&[(PROTOCOL, "threadchat.json"), right]), Right);
        // A reverse proxy with a login of its own passes it on.
        assert_eq!(check(&[("Authorization", "Basic eDp5"), right]), Right);
    }
}
