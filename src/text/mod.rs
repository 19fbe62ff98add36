//! Texts and names.

mod sanitize;

pub use sanitize::*;
