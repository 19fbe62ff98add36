//! The chat page: files that the binary carries, and the headers that keep the browser to them.

use std::hash::{DefaultHasher, Hash, Hasher};

use tungstenite::handshake::server::Request;
use tungstenite::http::header::IF_NONE_MATCH;

use crate::http::Answer;

/// Nothing but these files runs, styles or is loaded (the icon is a `data:` URL in the document), only this server is
/// connected to, and no other page may frame this one. The last two make the browser refuse every attempt to turn a
/// string into HTML or into code, so what somebody typed stays text even by mistake.
const POLICY: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// What is at this path, if it is one of the page's.
pub(crate) fn answer(request: &Request) -> Option<Answer> {
    let (content_type, body) = match request.uri().path() {
        "/" => ("text/html", include_str!("assets/index.html")),
        "/chat.css" => ("text/css", include_str!("assets/chat.css")),
        "/chat.js" => ("text/javascript", include_str!("assets/chat.js")),
        "/commands.js" => ("text/javascript", include_str!("assets/commands.js")),
        "/message_log.js" => ("text/javascript", include_str!("assets/message_log.js")),
        "/user_list.js" => ("text/javascript", include_str!("assets/user_list.js")),
        _ => return None,
    };
    let tag = tag(body);
    let answer = if is_known(request, &tag) {
        Answer::not_modified()
    } else {
        Answer::typed("200 OK", content_type, body)
    };
    // The files belong together: a browser asks each time, and learns in one line that it has the right ones.
    let answer = answer
        .with("Cache-Control: no-cache")
        .with(&format!("ETag: {tag}"))
        .with(POLICY)
        .with("X-Content-Type-Config: nosniff")
        .with("Referrer-Policy: no-referrer");
    Some(answer)
}

/// An entity tag that changes with the content (RFC 9110, section 8.8.3).
fn tag(body: &str) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether the browser has this version. The quotes are part of a tag, so finding it is enough, whether it stands in a
/// list or is marked as weak (RFC 9110, section 13.1.2).
fn is_known(request: &Request, tag: &str) -> bool {
    let known = request.headers().get_all(IF_NONE_MATCH);
    known
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(tag))
}
