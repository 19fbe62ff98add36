//! The rules for names in any script: PRECIS (RFC 8265) for what a name is, Unicode's security mechanisms (UTS 39) for
//! what looks the same.

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::UsernameCasePreserved;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

use super::name_error::{MAX_NAME_LEN, NameError};

/// The longest run of marks on one letter (UTS 39, section 5.4). A longer one could overpaint the lines around.
const MAX_MARKS: usize = 4;

/// The largest number of characters to which one decomposes.
const MAX_DECOMPOSITION: usize = 4;

/// Returns a name in the form of PRECIS' UsernameCasePreserved profile: wide and narrow characters become ordinary ones,
/// and marks join their letters.
pub(super) fn accept(name: &str) -> Result<String, NameError> {
    // Some rules of PRECIS compare each character with all others.
    let is_long = |name: &str, most: usize| name.chars().nth(most).is_some();
    if name.is_empty()
        || is_long(name, MAX_DECOMPOSITION * MAX_NAME_LEN)
        || !name.chars().all(is_name_character)
    {
        return Err(NameError::InvalidFormat);
    }
    // The profile composes characters last. Doing it first, too, accepts Korean syllables that are typed as letters.
    let composed: String = name.nfc().collect();
    let name = UsernameCasePreserved::prepare(composed).map_err(|_| NameError::InvalidFormat)?;
    let name: String = name.nfc().collect();
    if is_long(&name, MAX_NAME_LEN) || !has_readable_marks(&name) {
        return Err(NameError::InvalidFormat);
    }
    if !has_one_direction(&name) {
        return Err(NameError::InvalidDirection);
    }
    Ok(name)
}

/// Checks the rule for names from right to left (RFC 5893, section 2), which is the last step of the profile. Marks have no
/// direction there. The crate refuses them in such names, except at the end.
fn has_one_direction(name: &str) -> bool {
    let letters: String = name.chars().filter(|&c| !is_combining_mark(c)).collect();
    UsernameCasePreserved::enforce(letters).is_ok()
}

/// Matches letters, marks and digits. PRECIS would also allow ASCII's punctuation and symbols; joiners, which are
/// invisible; and a few punctuation marks between letters.
fn is_name_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-' || is_combining_mark(c)
}

/// Checks that every mark is on a letter, with few others, and none twice in a row, which would look like one.
fn has_readable_marks(name: &str) -> bool {
    let mut previous = None;
    let mut marks = MAX_MARKS;
    name.nfd().all(|c| {
        let is_repeated = previous.replace(c) == Some(c);
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        marks <= MAX_MARKS && !(marks > 0 && is_repeated)
    })
}

/// Returns the form that all spellings of a name share: upper and lower case, composed and decomposed, wide and narrow.
pub(super) fn fold(name: &str) -> String {
    // The standard library has no case folding. From lower case to upper and back is the same for names, since ß becomes
    // ss on the way, and ς becomes σ.
    name.nfkd()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect()
}

/// Returns the forms of which names that look the same share one. As a user can have typed a name in upper or lower case,
/// a name is compared both as it is and in lower case: I looks like l, and i does not.
pub(super) fn looks(name: &str) -> Vec<String> {
    let folded = look(&fold(name));
    let as_typed = look(name);
    if as_typed == folded {
        vec![folded]
    } else {
        vec![folded, as_typed]
    }
}

fn look(name: &str) -> String {
    // The skeleton of a small letter can be a capital one, whose small letter has a skeleton again: 0, O, o.
    let once = fold(&skeleton(name).collect::<String>());
    let twice = fold(&skeleton(&once).collect::<String>());
    // A dot above replaces the dot of these letters.
    twice.replace("i\u{307}", "i").replace("j\u{307}", "j")
}

/// Returns whether a character of a look is for a digit: 0 looks like o, and 1 like l.
pub(super) fn is_like_digit(c: char) -> bool {
    c.is_numeric() || c == 'o' || c == 'l'
}
