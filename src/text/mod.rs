//! Texts and names as users type them. Plain logic without I/O.

#[cfg(not(feature = "unicode-names"))]
mod ascii_names;
mod name;
mod name_error;
mod percent;
mod room_name;
mod sanitize;
#[cfg(feature = "unicode-names")]
mod unicode_names;

pub(crate) use name::name_looks;
pub use name::{fold_name, normalize_name};
pub use name_error::{MAX_NAME_LEN, NameError};
pub use percent::{percent_decode, percent_encode};
pub use room_name::{MAX_ROOM_NAME_LEN, RoomName, RoomNameError};
pub(crate) use sanitize::excerpt;
pub use sanitize::sanitize;
