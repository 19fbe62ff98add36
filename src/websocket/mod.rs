//! RFC 6455 without I/O: building frames, validating received ones, and the reasons for a disconnect.

pub(crate) mod disconnect;
pub(crate) mod frame;
mod utf8;
pub(crate) mod validator;
