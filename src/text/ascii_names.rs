//! The rules for names in a build without Unicode names.

use super::name_error::{MAX_NAME_LEN, NameError};

/// Returns the name after checking that it is well-formed.
pub(super) fn accept(name: &str) -> Result<String, NameError> {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME_LEN || !name.bytes().all(is_name_byte) {
        return Err(NameError::InvalidFormat);
    }
    Ok(name.to_owned())
}

/// Returns the form that all spellings of a name share: upper and lower case.
pub(super) fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Returns the forms of which names that look the same share one: here only those of the same spelling.
pub(super) fn looks(name: &str) -> Vec<String> {
    vec![fold(name)]
}

/// Returns whether a character of a look is for a digit.
pub(super) fn is_like_digit(c: char) -> bool {
    c.is_ascii_digit()
}
