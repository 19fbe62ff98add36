//! Sanitizing of texts that users send to each other.

use std::borrow::Cow;
use std::str::Chars;

use super::name_error::MAX_NAME_LEN;

/// The longest run of spaces. A longer one could make the rest of a text wrap to the beginning of a line.
const MAX_SPACES: usize = 3;

/// The tags after a black flag: at most six letters of a region and the end mark. Together they are one emoji.
const MAX_TAGS: usize = 7;

/// Returns `text` without characters that could forge a line or control a terminal, and without invisible ones:
///
/// - Control characters and line breaks of every kind become spaces.
/// - Of a run of spaces, at most three stay.
/// - Characters that reorder the text around them and characters without a glyph are removed, except where an emoji or a
///   script needs them: joiners between two characters outside of ASCII, a variation selector after such a character or
///   U+FE0F after the base of a keycap, and tags after a black flag.
///
/// Other characters stay.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if is_harmless(text) {
        return Cow::Borrowed(text);
    }
    let kept = kept_characters(text);
    if kept == text {
        return Cow::Borrowed(text);
    }
    Cow::Owned(kept)
}

/// Returns true only for texts that stay as they are, as most do. The listed bytes are those with which the affected
/// characters outside of ASCII begin in UTF-8.
fn is_harmless(text: &str) -> bool {
    let mut previous = 0;
    text.bytes().all(|byte| {
        let is_second_space = byte == b' ' && previous == b' ';
        previous = byte;
        !is_second_space
            && !matches!(
                byte,
                0..b' ' | 0x7f | 0xc2 | 0xcd | 0xd8 | 0xe1 | 0xe2 | 0xe3 | 0xef | 0xf0 | 0xf3
            )
    })
}

fn kept_characters(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut previous, mut spaces, mut tags) = (' ', 0, MAX_TAGS);
    let mut following = text.chars();
    while let Some(typed) = following.next() {
        let Some(c) = replacement(typed, previous, &following, tags) else {
            continue;
        };
        spaces = if is_blank(c) { spaces + 1 } else { 0 };
        if spaces > MAX_SPACES {
            continue;
        }
        tags = match c {
            '\u{1f3f4}' => 0,
            '\u{e0020}'..='\u{e007e}' => tags + 1,
            _ => MAX_TAGS,
        };
        kept.push(c);
        previous = c;
    }
    kept
}

/// Returns the character that replaces the typed one, which may be the same, or `None` if it is removed. `previous` is the
/// last character that was kept, `tags` the number of tags since a black flag.
fn replacement(typed: char, previous: char, following: &Chars<'_>, tags: usize) -> Option<char> {
    match typed {
        ' '..='~' => Some(typed),
        c if is_control_or_separator(c) => Some(' '),
        c if is_bidi_control(c) => None,
        '\u{200c}' | '\u{200d}' => {
            let joins = has_glyph(previous) || is_variation_selector(previous);
            (joins && following.clone().next().is_some_and(has_glyph)).then_some(typed)
        }
        c if is_variation_selector(c) => {
            let keycap = c == '\u{fe0f}' && matches!(previous, '0'..='9' | '#' | '*');
            (has_glyph(previous) || keycap).then_some(c)
        }
        '\u{e0020}'..='\u{e007f}' if tags < MAX_TAGS => Some(typed),
        c if is_invisible(c) => None,
        c => Some(c),
    }
}

/// Matches spaces of every width, and the Braille pattern without dots.
fn is_blank(c: char) -> bool {
    c == ' ' || (!c.is_ascii() && (c.is_whitespace() || c == '\u{2800}'))
}

/// Matches control characters, and Unicode's line and paragraph separators, which break lines all the same.
fn is_control_or_separator(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}

/// Matches bidirectional embeddings, overrides, isolates and marks.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Matches other characters without a glyph: Unicode's Default_Ignorable_Code_Point, such as the soft hyphen, zero-width
/// spaces, joiners, fillers, invisible operators and tags; and marks of annotations, of hieroglyphs, and a null notehead.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{16fe4}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Matches characters outside of ASCII that joiners and variation selectors can apply to.
fn has_glyph(c: char) -> bool {
    !c.is_ascii()
        && !is_blank(c)
        && !is_control_or_separator(c)
        && !is_bidi_control(c)
        && !is_variation_selector(c)
        && !is_invisible(c)
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
            "שלום",
            "می\u{200c}خواهم",
            "क\u{94d}\u{200d}ष",
            "❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3} 葛\u{e0100}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}!",
            "a   b\u{3000} c  ",
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
    fn control_characters_become_spaces_and_invisible_ones_are_removed() {
        let cases = [
            ("one\ntwo\r\nthree", "one two  three"),
            ("\0\t\u{1b}[2J\u{7f}", "   [2J "),
            ("\u{85}\u{9b}31m", "  31m"),
            ("a\u{202e}b\u{202a}c\u{2066}d\u{2069}e", "abcde"),
            ("\u{202e}", ""),
            ("one\u{2028}two\u{2029}three", "one two three"),
            ("שלום \u{200f}", "שלום "),
            (
                "a\u{ad}b\u{61c}c\u{200b}d\u{200e}e\u{2060}f\u{2064}g\u{feff}",
                "abcdefg",
            ),
            ("a\u{200d}b\u{200c}é\u{200d}", "abé"),
            ("é\u{200d}\u{200d}é", "é\u{200d}é"),
            ("é\u{200d}\u{200b}é\u{200c}\u{202e}é", "ééé"),
            (
                "a\u{fe0f} \u{fe0f}1\u{fe00}❤\u{fe0f}\u{fe0f}",
                "a 1❤\u{fe0f}",
            ),
            ("a\u{e0068}\u{e0069}\u{e0100}🏴b\u{e0068}", "a🏴b"),
            (
                "a\u{34f}\u{3164}\u{115f}\u{ffa0}\u{17b4}\u{1d173}b\u{e0fff}",
                "ab",
            ),
        ];
        for (typed, kept) in cases {
            assert_eq!(sanitize(typed), kept, "{typed:?}");
        }
    }

    #[test]
    fn long_runs_of_spaces_become_three() {
        let filler = " ".repeat(60);
        let forged = format!("hi{filler}* The server stops.{filler}");
        assert_eq!(sanitize(&forged), "hi   * The server stops.   ");
        for (typed, kept) in [
            ("    ", "   "),
            ("a\n\n\n\n\nb", "a   b"),
            ("a \u{200b} \u{200b} \u{200b} b", "a   b"),
            ("a   \u{34f}   \u{34f}   b", "a   b"),
            ("a   \u{16fe4}   \u{13430}   \u{1d159} b", "a   b"),
            (
                "\u{2800}\u{fe0f}\u{2800}\u{200d}\u{2800}\u{2800}",
                "\u{2800}\u{2800}\u{2800}",
            ),
            (
                "a\u{2800}\u{2800}\u{2800}\u{2800} b",
                "a\u{2800}\u{2800}\u{2800}b",
            ),
            (
                "a\u{a0}\u{3000}\u{2003}\u{1680} b",
                "a\u{a0}\u{3000}\u{2003}b",
            ),
        ] {
            assert_eq!(sanitize(typed), kept, "{typed:?}");
        }
        let many = format!("🏴{}", "\u{e0061}".repeat(100));
        assert_eq!(
            sanitize(&many),
            format!("🏴{}", "\u{e0061}".repeat(MAX_TAGS))
        );
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
