//! Sanitizing of texts that users send to each other.

use std::borrow::Cow;

use super::name::MAX_NAME_LEN;

/// Returns `text` without characters that could forge a line or control a terminal: control characters and line breaks
/// of every kind become spaces, and characters that reorder the text around them are removed. Other characters stay.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    // Every affected character is ASCII or begins with 0xC2 or 0xE2 in UTF-8, so most texts pass this check. It reads all
    // bytes without an early exit because the compiler then compares many at a time.
    let suspicious = |byte: u8| byte < b' ' || matches!(byte, 0x7f | 0xc2 | 0xe2);
    let harmless = !text.bytes().fold(false, |any, byte| any | suspicious(byte));
    if harmless
        || !text
            .chars()
            .any(|c| is_control_or_separator(c) || is_bidi_control(c))
    {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().filter(|&c| !is_bidi_control(c));
    Cow::Owned(
        kept.map(|c| if is_control_or_separator(c) { ' ' } else { c })
            .collect(),
    )
}

/// Unicode's line and paragraph separators are not control characters, but break lines all the same.
fn is_control_or_separator(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Matches bidirectional embeddings, overrides and isolates. The marks U+200E and U+200F are not among them: scripts
/// that are written from right to left need them.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the beginning of a typed word, short enough to be quoted in an error message.
pub(crate) fn excerpt(typed: &str) -> String {
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
    fn control_characters_become_spaces_and_overrides_are_removed() {
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
    fn excerpts_are_short() {
        assert_eq!(excerpt("bob"), "bob");
        assert_eq!(
            excerpt(&"é".repeat(1000)),
            format!("{}…", "é".repeat(MAX_NAME_LEN))
        );
    }
}
