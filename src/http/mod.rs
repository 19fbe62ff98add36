//! HTTP requests and responses.

mod router;
mod static_files;

pub(crate) use router::*;
