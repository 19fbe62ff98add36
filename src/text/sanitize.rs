//! What is accepted as a text and as a name.

use std::borrow::Cow;
use std::fmt;

/// The longest name, in characters, which are bytes here.
pub const MAX_NAME_LEN: usize = 32;

/// A text that can't forge a line or drive a terminal: control characters and line breaks of every kind are spaces, and
/// what reorders the characters around it is gone. Everything else stays as it came.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    // What is to be changed is ASCII, or begins with one of these two bytes in UTF-8: most texts pass right here. All
    // bytes are looked at, since the compiler then takes many at a time.
    let odd = |byte: u8| byte < b' ' || matches!(byte, 0x7f | 0xc2 | 0xe2);
    let plain = !text.bytes().fold(false, |any, byte| any | odd(byte));
    if plain || !text.chars().any(|c| breaks(c) || reorders(c)) {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().filter(|&c| !reorders(c));
    Cow::Owned(kept.map(|c| if breaks(c) { ' ' } else { c }).collect())
}

/// Control characters, and Unicode's own line and paragraph separators, which are none.
fn breaks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Bidirectional embeddings, overrides and isolates. The marks U+200E and U+200F, which scripts need, are not among them.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Why a name can't be had.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NameError {
    /// Not of the form that names have.
    InvalidFormat,
    /// Kept for the server's own use.
    Reserved,
    /// Somebody here has it.
    Taken,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::InvalidFormat => {
                write!(f, "a name is 1 to {MAX_NAME_LEN} of A-Z a-z 0-9 _ -")
            }
            NameError::Reserved => write!(f, "it is reserved, choose another"),
            NameError::Taken => write!(f, "it is taken, choose another"),
        }
    }
}

/// Whether this could be somebody's name, if nobody has it: a counter's name, `you` and `server` can't.
///
/// # Errors
///
/// [`NameError::InvalidFormat`] or [`NameError::Reserved`]. Whether it is taken, only the server knows.
pub fn validate_name(name: &str) -> Result<(), NameError> {
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME_LEN || !name.bytes().all(of_names) {
        return Err(NameError::InvalidFormat);
    }
    let lower = name.to_ascii_lowercase();
    let counted = lower
        .strip_prefix("user")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()) && !rest.is_empty());
    if counted || lower == "you" || lower == "server" {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// The beginning of what somebody typed, short enough to be repeated in an answer.
pub(crate) fn shown(typed: &str) -> String {
    let end = typed.char_indices().nth(MAX_NAME_LEN).map(|(at, _)| at);
    match end {
        Some(end) => format!("{}…", &typed[..end]),
        None => typed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_script_passes_unchanged() {
        let family = "👩\u{200d}👩\u{200d}👧";
        for text in [
            "",
            " ",
            "hello",
            "[user0]: hi",
            "žluťoučký 🐎",
            family,
            "שלום \u{200f}",
            "مرحبا",
            "日本語",
            "naïve é\u{a0}x",
            "— … €",
        ] {
            assert!(
                matches!(sanitize(text), Cow::Borrowed(same) if same == text),
                "{text:?}"
            );
        }
    }

    #[test]
    fn controls_become_spaces_and_overrides_vanish() {
        let cases = [
            ("one\ntwo\r\nthree", "one two  three"),
            ("\0\t\u{1b}[2J\u{7f}", "   [2J "),
            ("\u{85}\u{9b}31m", "  31m"),
            ("a\u{202e}b\u{202a}c\u{2066}d\u{2069}e", "abcde"),
            ("\u{202e}", ""),
            ("one\u{2028}two\u{2029}three", "one two three"),
        ];
        for (typed, kept) in cases {
            assert_eq!(sanitize(typed), kept, "{typed:?}");
        }
    }

    #[test]
    fn names_have_a_form_and_some_are_reserved() {
        let longest = "x".repeat(MAX_NAME_LEN);
        for name in [
            "a", "Alice", "a-b_c", "007", "user", "user0x", "users1", "yourself", &longest,
        ] {
            assert_eq!(validate_name(name), Ok(()), "{name}");
        }
        let too_long = "x".repeat(MAX_NAME_LEN + 1);
        for name in ["", " ", "a b", "é", "a.b", "a\n", "[x]", &too_long] {
            assert_eq!(
                validate_name(name),
                Err(NameError::InvalidFormat),
                "{name:?}"
            );
        }
        for name in [
            "user0",
            "USER17",
            "You",
            "server",
            "SERVER",
            "user00000000000000000000",
        ] {
            assert_eq!(validate_name(name), Err(NameError::Reserved), "{name}");
        }
    }

    #[test]
    fn what_is_shown_again_is_short() {
        assert_eq!(shown("bob"), "bob");
        assert_eq!(
            shown(&"é".repeat(1000)),
            format!("{}…", "é".repeat(MAX_NAME_LEN))
        );
    }
}
