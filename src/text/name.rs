//! User names.

use std::fmt;

/// The length of the longest name in characters, which equals its length in bytes because names are ASCII.
pub const MAX_NAME_LEN: usize = 32;

/// The reason why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NameError {
    /// The name is empty, too long, or has a character that names do not have.
    InvalidFormat,
    /// The name is reserved for the server.
    Reserved,
    /// Another user has the name.
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

/// Checks that a name is well-formed and not reserved. Reserved are `you`, `server`, and the guest names `user0`,
/// `user1` and so on.
///
/// # Errors
///
/// [`NameError::InvalidFormat`] or [`NameError::Reserved`]. Only the server can tell whether a name is taken.
pub fn validate_name(name: &str) -> Result<(), NameError> {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME_LEN || !name.bytes().all(is_name_byte) {
        return Err(NameError::InvalidFormat);
    }
    let lower = name.to_ascii_lowercase();
    let is_guest = lower
        .strip_prefix("user")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()) && !rest.is_empty());
    if is_guest || lower == "you" || lower == "server" {
        return Err(NameError::Reserved);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_and_reserved_names_are_refused() {
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
}
