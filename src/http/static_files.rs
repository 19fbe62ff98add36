//! The files of the chat page, and the headers that restrict the browser to them.

use std::hash::{DefaultHasher, Hash, Hasher};

use tungstenite::handshake::server::Request;
use tungstenite::http::header::IF_NONE_MATCH;

use super::response::HttpResponse;

/// The page loads, runs and applies only these files (its icon is a `data:` URL), connects only to this server, and
/// cannot be framed by another page. The Trusted Types directives make the browser refuse to turn a string into HTML or
/// code, so that a user's text stays text even if the page has a bug.
const CONTENT_SECURITY_POLICY: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const JAVASCRIPT: &str = "text/javascript";

/// Returns the response for a path of the page, or `None` for any other path.
pub(super) fn serve(request: &Request) -> Option<HttpResponse> {
    let (content_type, body) = match request.uri().path() {
        "/" => ("text/html", include_str!("assets/index.html")),
        "/chat.css" => ("text/css", include_str!("assets/chat.css")),
        "/messages.css" => ("text/css", include_str!("assets/messages.css")),
        "/room.css" => ("text/css", include_str!("assets/room.css")),
        "/chat.js" => (JAVASCRIPT, include_str!("assets/chat.js")),
        "/commands.js" => (JAVASCRIPT, include_str!("assets/commands.js")),
        "/composer.js" => (JAVASCRIPT, include_str!("assets/composer.js")),
        "/connection.js" => (JAVASCRIPT, include_str!("assets/connection.js")),
        "/field.js" => (JAVASCRIPT, include_str!("assets/field.js")),
        "/links.js" => (JAVASCRIPT, include_str!("assets/links.js")),
        "/log_entry.js" => (JAVASCRIPT, include_str!("assets/log_entry.js")),
        "/message_log.js" => (JAVASCRIPT, include_str!("assets/message_log.js")),
        "/names.js" => (JAVASCRIPT, include_str!("assets/names.js")),
        "/notifier.js" => (JAVASCRIPT, include_str!("assets/notifier.js")),
        "/place.js" => (JAVASCRIPT, include_str!("assets/place.js")),
        "/presence.js" => (JAVASCRIPT, include_str!("assets/presence.js")),
        "/room.js" => (JAVASCRIPT, include_str!("assets/room.js")),
        "/secret.js" => (JAVASCRIPT, include_str!("assets/secret.js")),
        "/storage.js" => (JAVASCRIPT, include_str!("assets/storage.js")),
        "/unconfirmed.js" => (JAVASCRIPT, include_str!("assets/unconfirmed.js")),
        "/user_list.js" => (JAVASCRIPT, include_str!("assets/user_list.js")),
        _ => return None,
    };
    let etag = etag(body);
    let response = if etag_matches(request, &etag) {
        HttpResponse::not_modified()
    } else {
        HttpResponse::with_content_type("200 OK", content_type, body)
    };
    // The files belong together, so the browser asks each time. A 304 response confirms that its copy is current.
    let response = response
        .with_header("Cache-Control: no-cache")
        .with_header(&format!("ETag: {etag}"))
        .with_header(CONTENT_SECURITY_POLICY)
        .with_header("X-Content-Type-Options: nosniff")
        .with_header("Referrer-Policy: no-referrer");
    Some(response)
}

/// Returns an entity tag, which changes with the content (RFC 9110, section 8.8.3).
fn etag(body: &str) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Returns whether the browser has this version. Tags include their quotes, so a substring search also matches lists and
/// weak tags (RFC 9110, section 13.1.2).
fn etag_matches(request: &Request, etag: &str) -> bool {
    let known = request.headers().get_all(IF_NONE_MATCH);
    known
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.contains(etag))
}
