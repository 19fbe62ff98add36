//! Texts and names as users type them. Plain logic without I/O.

mod name;
mod room_name;
mod sanitize;

pub use name::{MAX_NAME_LEN, NameError, validate_name};
pub use room_name::{MAX_ROOM_NAME_LEN, RoomName, RoomNameError};
pub(crate) use sanitize::excerpt;
pub use sanitize::sanitize;
