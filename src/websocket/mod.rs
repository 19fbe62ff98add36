//! RFC 6455 without I/O.

pub(crate) mod disconnect;
pub(crate) mod validator;
