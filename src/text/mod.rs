//! Texts and names as users type them. Plain logic without I/O.

mod name;
mod sanitize;

pub use name::{MAX_NAME_LEN, NameError, validate_name};
pub(crate) use sanitize::excerpt;
pub use sanitize::sanitize;
