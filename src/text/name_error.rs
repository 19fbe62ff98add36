//! The reasons why a name is refused.

use std::fmt;

/// The length of the longest name in characters.
pub const MAX_NAME_LEN: usize = 32;

/// The reason why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NameError {
    /// The name is empty, too long, or has a character that names do not have.
    InvalidFormat,
    /// The name has letters from right to left, and breaks the rule for these (RFC 5893, section 2).
    InvalidDirection,
    /// The name is reserved for the server, or looks like a name that is.
    Reserved,
    /// Another user has the name.
    Taken,
    /// Another user has a name that looks the same.
    LooksTaken,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::InvalidFormat if cfg!(feature = "unicode-names") => {
                write!(f, "a name is 1 to {MAX_NAME_LEN} letters, digits, _ and -")
            }
            NameError::InvalidFormat => {
                write!(f, "a name is 1 to {MAX_NAME_LEN} of A-Z a-z 0-9 _ -")
            }
            NameError::InvalidDirection => write!(
                f,
                "a right-to-left name begins with a letter, ends with a letter or digit, and has no left-to-right letters"
            ),
            NameError::Reserved => write!(f, "it is reserved, choose another"),
            NameError::Taken => write!(f, "it is taken, choose another"),
            NameError::LooksTaken => write!(f, "it looks like one that is taken, choose another"),
        }
    }
}
