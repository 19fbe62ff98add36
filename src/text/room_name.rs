//! Room names.

use std::fmt;
use std::str::FromStr;

/// The length of the longest room name in characters, all of them ASCII.
pub const MAX_ROOM_NAME_LEN: usize = 32;

/// The name of a room other than `/chat`: 1 to 32 of `a-z 0-9 _ -`. Upper case is accepted and becomes lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoomName(String);

/// The reason why a room name is refused: it has another form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoomNameError;

impl fmt::Display for RoomNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a room is called 1 to {MAX_ROOM_NAME_LEN} of a-z 0-9 _ -"
        )
    }
}

impl std::error::Error for RoomNameError {}

impl RoomName {
    /// Returns the name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomName {
    type Err = RoomNameError;

    fn from_str(name: &str) -> Result<RoomName, RoomNameError> {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > MAX_ROOM_NAME_LEN || !name.bytes().all(is_valid) {
            return Err(RoomNameError);
        }
        Ok(RoomName(name.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_are_short_ascii_in_lower_case() {
        let longest = "x".repeat(MAX_ROOM_NAME_LEN);
        for (typed, name) in [("a", "a"), ("Team_7-b", "team_7-b"), (&longest, &longest)] {
            assert_eq!(
                typed.parse::<RoomName>().map(|name| name.0),
                Ok(name.to_owned())
            );
        }
        let too_long = "x".repeat(MAX_ROOM_NAME_LEN + 1);
        for typed in ["", " ", "a b", "a/b", "a.b", "é", "%61", &too_long] {
            assert_eq!(typed.parse::<RoomName>(), Err(RoomNameError), "{typed:?}");
        }
    }
}
