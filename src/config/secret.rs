//! The secret that clients must know: where it comes from, and which texts can be one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest secret in bytes. It has to fit into a header line, in base64 too.
const MAX_SECRET_LEN: usize = 256;

/// A shorter secret can be guessed, because nothing but the network limits how many a client tries.
const MIN_SAFE_SECRET_LEN: usize = 16;

/// The source of a secret. `Debug` does not show the secret itself.
#[derive(Clone, PartialEq)]
pub enum Secret {
    /// The first line of this file, without its line end (`\n` or `\r\n`).
    File(PathBuf),
    /// This text.
    Text(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::File(path) => f.debug_tuple("File").field(path).finish(),
            Secret::Text(_) => f.write_str("Text(..)"),
        }
    }
}

/// The reason why a source has no secret, in one line without its content.
#[derive(Debug)]
pub enum SecretError {
    /// The file could not be read.
    Read(PathBuf, io::Error),
    /// The text is empty, too long, or has a character that is not visible ASCII. It is in this file, if it is in one.
    Form(Option<PathBuf>),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Read(path, error) => {
                return write!(f, "cannot read {}: {error}", path.display());
            }
            SecretError::Form(Some(path)) => {
                write!(f, "the first line of {}", path.display())?;
            }
            SecretError::Form(None) => f.write_str("the secret")?,
        }
        write!(
            f,
            " must be 1 to {MAX_SECRET_LEN} visible ASCII characters, without spaces"
        )
    }
}

impl std::error::Error for SecretError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SecretError::Read(_, error) => Some(error),
            SecretError::Form(_) => None,
        }
    }
}

impl Secret {
    /// Returns the text of the secret. Logs a warning if it is short, or in a file that all users of the system can read.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the text is no secret.
    pub fn read(&self) -> Result<String, SecretError> {
        let text = match self {
            Secret::Text(text) => validate(text.as_bytes()).ok_or(SecretError::Form(None)),
            Secret::File(path) => read_file(path),
        }?;
        if text.len() < MIN_SAFE_SECRET_LEN {
            log::warn!("the secret is shorter than {MIN_SAFE_SECRET_LEN} characters");
        }
        Ok(text)
    }
}

fn read_file(path: &Path) -> Result<String, SecretError> {
    let read = |file: File| {
        warn_if_readable_by_others(path, &file);
        // The longest secret and a line end. A file without line breaks can be of any size.
        let mut content = Vec::new();
        file.take(MAX_SECRET_LEN as u64 + 2)
            .read_to_end(&mut content)?;
        Ok(content)
    };
    let content = (File::open(path).and_then(read))
        .map_err(|error| SecretError::Read(path.to_owned(), error))?;
    let line = content.split(|byte| *byte == b'\n').next();
    let line = line.map_or(&[][..], |line| line.strip_suffix(b"\r").unwrap_or(line));
    validate(line).ok_or_else(|| SecretError::Form(Some(path.to_owned())))
}

/// Returns the text if it can be sent in a header as it is (VCHAR of RFC 5234).
fn validate(text: &[u8]) -> Option<String> {
    let is_valid =
        (1..=MAX_SECRET_LEN).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
    let text = str::from_utf8(text).ok().filter(|_| is_valid)?;
    Some(text.to_owned())
}

#[cfg(unix)]
fn warn_if_readable_by_others(path: &Path, file: &File) {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata();
    if metadata.is_ok_and(|metadata| metadata.mode() & 0o004 != 0) {
        log::warn!("{} can be read by all users of this system", path.display());
    }
}

#[cfg(not(unix))]
fn warn_if_readable_by_others(_: &Path, _: &File) {}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;
    use crate::Config;

    #[test]
    fn only_the_first_line_counts_and_must_be_visible() {
        let path = env::temp_dir().join(format!("threadchat-secret-{}", process::id()));
        let source = Secret::File(path.clone());
        let longest = "x".repeat(MAX_SECRET_LEN);
        let longest_line = format!("{longest}\r\ntwo");
        let too_long = "x".repeat(MAX_SECRET_LEN + 1);
        for (content, expected) in [
            ("one\ntwo\n", Some("one")),
            ("one\r\n", Some("one")),
            ("one", Some("one")),
            ("~!\"?\n", Some("~!\"?")),
            (&longest, Some(longest.as_str())),
            (&longest_line, Some(longest.as_str())),
            ("", None),
            ("\none\n", None),
            ("\r\n", None),
            ("on e\n", None),
            (" one\n", None),
            ("one \n", None),
            ("one\r\r\n", None),
            ("\u{feff}one\n", None),
            ("é\n", None),
            ("a\u{1}\n", None),
            (&too_long, None),
        ] {
            fs::write(&path, content).expect("the directory is writable");
            let secret = source.read();
            assert_eq!(secret.ok().as_deref(), expected, "{content:?}");
        }
        fs::remove_file(&path).expect("the file exists");
        let error = source.read().expect_err("no file").to_string();
        assert!(error.starts_with("cannot read "), "{error}");
        let error = Secret::File(env::temp_dir()).read().expect_err("no file");
        assert!(matches!(error, SecretError::Read(..)), "{error}");
    }

    #[test]
    fn nothing_shows_the_secret() {
        let config = Config {
            secret: Some(Secret::Text("s3cret word".into())),
            ..Config::default()
        };
        let shown = format!("{config:?} {:#?}", config.clone());
        assert!(!shown.contains("s3cret") && shown.contains("Text(..)"));
        let error = config.secret.map(|secret| secret.read());
        let error = format!("{error:?}");
        assert!(
            !error.contains("s3cret") && error.contains("Form"),
            "{error}"
        );
    }
}
