//! User names.

#[cfg(not(feature = "unicode-names"))]
use super::ascii_names::{accept, fold, is_like_digit, looks};
use super::name_error::NameError;
#[cfg(feature = "unicode-names")]
use super::unicode_names::{accept, fold, is_like_digit, looks};

/// Returns a name as the server uses it, after checking that it is well-formed and not reserved. Reserved are `you`,
/// `server`, the guest names `user0`, `user1` and so on, and names that look like one of these.
///
/// # Errors
///
/// [`NameError::InvalidFormat`], [`NameError::InvalidDirection`] or [`NameError::Reserved`]. Only the server can tell
/// whether a name is taken.
pub fn normalize_name(name: &str) -> Result<String, NameError> {
    let name = accept(name)?;
    if looks(&name).iter().any(|look| is_reserved(look)) {
        return Err(NameError::Reserved);
    }
    Ok(name)
}

/// Returns the form that all spellings of a name share. Names with the same form are the same name.
pub fn fold_name(name: &str) -> String {
    fold(name)
}

/// Returns the forms of which names that look the same share one. Spellings of the same name share the first one.
pub(crate) fn name_looks(name: &str) -> Vec<String> {
    looks(name)
}

fn is_reserved(look: &str) -> bool {
    let is_guest = look
        .strip_prefix("user")
        .is_some_and(|number| !number.is_empty() && number.chars().all(is_like_digit));
    is_guest || look == "you" || look == "server"
}

#[cfg(test)]
mod tests;
