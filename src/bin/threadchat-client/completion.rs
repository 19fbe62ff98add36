//! Completion of commands and names.

use threadchat::protocol::TYPED_COMMANDS;

use crate::input::CLEAR;
use crate::names::KnownNames;

/// The effect of the Tab key on a line.
#[derive(Debug, PartialEq)]
pub enum Completion {
    Nothing,
    /// Replace the text from this offset to the cursor.
    Replace(usize, String),
    /// Show the words among which the text does not decide.
    Choose(Vec<String>),
}

/// Completes the word before the cursor: a command at the beginning of the line, else a name.
pub fn complete(line: &str, cursor: usize, names: &KnownNames) -> Completion {
    let before = &line[..cursor];
    let start = before
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + char_len(before, at));
    let word = &before[start..];
    if start == 0 && word.starts_with('/') {
        let commands = TYPED_COMMANDS.iter().map(|command| command.word);
        let words: Vec<String> = commands
            .chain([CLEAR])
            .map(|command| format!("/{command}"))
            .filter(|command| command.starts_with(&word.to_ascii_lowercase()))
            .collect();
        let words = words.iter().map(String::as_str).collect();
        return choose(start, word, words, " ");
    }
    let prefix = word.strip_prefix('@').unwrap_or(word);
    // Without a letter only the place tells that a name is meant.
    if word.is_empty() && !is_whisper(&before[..start]) {
        return Completion::Nothing;
    }
    // A line that begins with a name addresses the user.
    let end = if word.len() == cursor && prefix == word {
        ": "
    } else {
        " "
    };
    choose(
        cursor - prefix.len(),
        prefix,
        names.starting_with(prefix),
        end,
    )
}

fn char_len(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

/// Returns true for a line that ends where the receiver of a whisper follows.
fn is_whisper(line: &str) -> bool {
    let line = line.trim_end().to_ascii_lowercase();
    let word = line.strip_prefix('/');
    let mut whispers = TYPED_COMMANDS
        .iter()
        .filter(|command| command.word == "whisper");
    whispers.any(|command| word == Some(command.word) || word == command.alias && word.is_some())
}

/// Completes `typed` as far as the words that begin with it agree.
fn choose(start: usize, typed: &str, words: Vec<&str>, end: &str) -> Completion {
    match words[..] {
        [] => Completion::Nothing,
        [word] => Completion::Replace(start, [word, end].concat()),
        [first, ..] => {
            let common = words
                .iter()
                .fold(first, |common, word| common_prefix(common, word));
            if common.chars().count() > typed.chars().count() {
                Completion::Replace(start, common.to_owned())
            } else {
                Completion::Choose(words.iter().map(|&word| word.to_owned()).collect())
            }
        }
    }
}

/// Returns the beginning of the first word that the second one shares, in any case.
fn common_prefix<'a>(first: &'a str, second: &str) -> &'a str {
    let mut others = second.chars();
    let differs = |a: char| {
        others
            .next()
            .is_none_or(|b| !a.to_lowercase().eq(b.to_lowercase()))
    };
    let end = first.find(differs).unwrap_or(first.len());
    &first[..end]
}

#[cfg(test)]
mod tests {
    use threadchat::protocol::ServerEvent;

    use super::*;

    fn complete_among(names: &[&'static str], line: &str) -> Completion {
        let mut known = KnownNames::default();
        known.update(&ServerEvent::Who {
            names: names.iter().map(|&name| name.into()).collect(),
            users: names.len(),
        });
        complete(line, line.len(), &known)
    }

    fn replace(start: usize, text: &str) -> Completion {
        Completion::Replace(start, text.to_owned())
    }

    #[test]
    fn commands_are_completed_at_the_beginning_of_the_line() {
        let complete = |line| complete_among(&["nickname"], line);
        assert_eq!(complete("/n"), replace(0, "/nick "));
        assert_eq!(complete("/CL"), replace(0, "/clear "));
        assert_eq!(complete("/w"), replace(0, "/wh"));
        let choice = vec!["/whisper".to_owned(), "/who".to_owned()];
        assert_eq!(complete("/wh"), Completion::Choose(choice));
        for line in ["", "/nick ", "a /n", "//n", "/x", "hello "] {
            assert_eq!(complete(line), Completion::Nothing, "{line:?}");
        }
    }

    #[test]
    fn names_are_completed_in_every_word() {
        let complete = |line| complete_among(&["Albert", "alice", "bob", "日本"], line);
        assert_eq!(complete("bo"), replace(0, "bob: "));
        assert_eq!(complete("hi B"), replace(3, "bob "));
        assert_eq!(complete("hi @b"), replace(4, "bob "));
        assert_eq!(complete("@b"), replace(1, "bob "));
        assert_eq!(complete("日"), replace(0, "日本: "));
        assert_eq!(complete("hi\u{3000}日"), replace(5, "日本 "));
        assert_eq!(complete("a"), replace(0, "Al"));
        assert_eq!(
            complete("/w AL"),
            Completion::Choose(vec!["Albert".into(), "alice".into()])
        );
        assert_eq!(complete("/whisper ali"), replace(9, "alice "));
        assert!(matches!(complete("/w "), Completion::Choose(all) if all.len() == 4));
        assert!(matches!(complete("hi @"), Completion::Choose(all) if all.len() == 4));
        assert_eq!(complete("hi x"), Completion::Nothing);
    }

    #[test]
    fn words_that_agree_in_another_case_are_completed_to_their_common_beginning() {
        for (first, second, common) in [
            ("Albert", "alice", "Al"),
            ("Al", "albert", "Al"),
            ("albert", "AL", "al"),
            // Upper and lower case take a different number of bytes.
            ("ẞüß", "ßü", "ẞü"),
            ("ßü", "ẞüß", "ßü"),
            ("日本", "日光", "日"),
            ("a", "", ""),
        ] {
            assert_eq!(common_prefix(first, second), common, "{first} {second}");
        }
    }

    #[cfg(feature = "unicode-names")]
    #[test]
    fn names_are_completed_from_any_spelling() {
        let complete = |line| complete_among(&["Jürgen", "Straße", "محمد"], line);
        assert_eq!(complete("hi jÜ"), replace(3, "Jürgen "));
        assert_eq!(complete("/w ju\u{308}r"), replace(3, "Jürgen "));
        assert_eq!(complete("@strass"), replace(1, "Straße "));
        assert_eq!(complete("hi مح"), replace(3, "محمد "));
    }
}
