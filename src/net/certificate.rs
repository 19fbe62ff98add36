//! The server's certificate and its key, in files that can be read again while the server runs.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::tls::Tls;
use crate::config::TlsFiles;

/// The reason why a certificate cannot be used, in one line.
#[derive(Debug)]
pub enum CertificateError {
    /// A file could not be read.
    Read(PathBuf, io::Error),
    /// A file is not PEM, or has no item of the kind that is named.
    Pem(PathBuf, &'static str),
    /// The private key has a passphrase.
    Encrypted(PathBuf),
    /// The key does not belong to the certificate, or one of them has an unknown form.
    Unusable(PathBuf, rustls::Error),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateError::Read(path, error) => {
                write!(f, "cannot read {}: {error}", path.display())
            }
            CertificateError::Pem(path, kind) => {
                write!(f, "no {kind} in PEM format in {}", path.display())
            }
            CertificateError::Encrypted(path) => write!(
                f,
                "the private key in {} has a passphrase; openssl pkey -in FILE -out FILE2 removes it",
                path.display()
            ),
            CertificateError::Unusable(path, rustls::Error::InconsistentKeys(_)) => write!(
                f,
                "the key in {} does not belong to the certificate",
                path.display()
            ),
            CertificateError::Unusable(path, error) => {
                write!(
                    f,
                    "cannot use the certificate and key in {}: {error}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for CertificateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CertificateError::Read(_, error) => Some(error),
            CertificateError::Pem(..) | CertificateError::Encrypted(_) => None,
            CertificateError::Unusable(_, error) => Some(error),
        }
    }
}

/// A certificate in use. Clones share it.
#[derive(Clone)]
pub struct Certificate {
    files: Arc<TlsFiles>,
    /// Locked for each new connection and each time the files are read, and never during a system call.
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

impl Certificate {
    /// Reads the files. Logs a warning if the certificate has expired.
    pub(crate) fn load(files: TlsFiles) -> Result<Certificate, CertificateError> {
        let config = read_config(&files)?;
        Ok(Certificate {
            files: Arc::new(files),
            config: Arc::new(Mutex::new(config)),
        })
    }

    /// Reads the files again. New connections use what they contain; open ones go on with what they began with. Can be
    /// called from any thread.
    ///
    /// # Errors
    ///
    /// The files cannot be used. The certificate from before stays in use.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let config = read_config(&self.files)?;
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Creates the TLS state of a new connection.
    pub(crate) fn new_connection(&self) -> io::Result<Tls> {
        let config = Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner));
        Tls::server(config)
    }
}

fn read_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, CertificateError> {
    let TlsFiles { cert, key } = files;
    let in_file = |path: &Path, kind| {
        let path = path.to_owned();
        move |error| match error {
            pem::Error::Io(error) => CertificateError::Read(path, error),
            _ => CertificateError::Pem(path, kind),
        }
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(in_file(cert, "certificate"))?;
    let Some(first) = chain.first() else {
        return Err(CertificateError::Pem(cert.clone(), "certificate"));
    };
    if let Some(end) = not_after(first).filter(|end| *end < date_time(SystemTime::now())) {
        log::warn!(
            "the certificate in {} has expired on {}",
            cert.display(),
            end.date()
        );
    }
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(key) => CertificateError::Encrypted(key.clone()),
        error => in_file(key, "private key")(error),
    })?;
    let unusable = |error| CertificateError::Unusable(key.clone(), error);
    let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(unusable)?;
    // RFC 7301: a client that knows other protocols only is refused in the handshake.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Returns whether a file has a private key with a passphrase (RFC 7468, section 11).
fn is_encrypted(path: &Path) -> bool {
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    fs::read(path).is_ok_and(|pem| pem.windows(encrypted.len()).any(|part| part == encrypted))
}

/// A time in UTC to the second, as the digits `YYYYMMDDhhmmss`, which sort like the time.
#[derive(Debug, PartialEq, PartialOrd)]
struct DateTime(String);

impl DateTime {
    fn date(&self) -> String {
        let (year, month, day) = (&self.0[..4], &self.0[4..6], &self.0[6..8]);
        format!("{year}-{month}-{day}")
    }
}

fn date_time(time: SystemTime) -> DateTime {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (mut days, second) = (seconds / 86400, seconds % 86400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    DateTime(format!(
        "{year:04}{month:02}{:02}{hour:02}{minute:02}{:02}",
        days + 1,
        second % 60
    ))
}

/// Returns whether the issuer of a certificate is its subject.
pub fn is_self_signed(certificate: &[u8]) -> bool {
    let names = |certificate| {
        let (issuer, rest) = issuer(certificate)?;
        let (_, _, rest) = element(rest)?;
        let (_, subject, _) = element(rest)?;
        Some((issuer, subject))
    };
    names(certificate).is_some_and(|(issuer, subject)| issuer == subject)
}

/// Returns the issuer of a certificate, and the fields that follow: validity, subject and others (RFC 5280, section 4.1).
/// Returns `None` if the certificate is malformed, which is reported when it is used.
fn issuer(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // The version, in [0], is optional; then the serial number and the algorithm.
    let (tag, _, after_version) = element(fields)?;
    if tag == 0xa0 {
        fields = after_version;
    }
    for _ in 0..2 {
        (_, _, fields) = element(fields)?;
    }
    let (_, issuer, rest) = element(fields)?;
    Some((issuer, rest))
}

/// Returns the end of a certificate's validity.
fn not_after(certificate: &[u8]) -> Option<DateTime> {
    let (_, fields) = issuer(certificate)?;
    let (_, validity, _) = element(fields)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    let digits = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    let is_utc_time = tag == 0x17;
    if !digits.bytes().all(|digit| digit.is_ascii_digit())
        || digits.len() != if is_utc_time { 12 } else { 14 }
    {
        return None;
    }
    // UTCTime has two digits of the year, from 1950 on.
    let century = match is_utc_time {
        false => "",
        true if digits < "50" => "20",
        true => "19",
    };
    Some(DateTime(format!("{century}{digits}")))
}

/// Splits the first element off DER: its tag, its content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = der.split_first_chunk()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        length = bytes.iter().try_fold(0_usize, |length, byte| {
            Some(length.checked_mul(256)? | usize::from(*byte))
        })?;
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_their_digits() {
        for (seconds, digits) in [
            (0, "19700101000000"),
            (951_782_399, "20000228235959"),
            (951_782_400, "20000229000000"),
            (1_709_251_199, "20240229235959"),
            (4_102_444_800, "21000101000000"),
        ] {
            let time = date_time(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(time, DateTime(digits.into()));
        }
        assert_eq!(date_time(UNIX_EPOCH).date(), "1970-01-01");
    }

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let header = match u8::try_from(length) {
            Ok(short) if short < 0x80 => vec![tag, short],
            Ok(byte) => vec![tag, 0x81, byte],
            Err(_) => vec![tag, 0x82, (length >> 8) as u8, length as u8],
        };
        [header, content.to_vec()].concat()
    }

    #[test]
    fn the_end_of_the_validity_is_found() {
        for (version, tag, time, expected) in [
            (true, 0x17, "991231235959Z", Some("19991231235959")),
            (true, 0x17, "491231235959Z", Some("20491231235959")),
            (false, 0x18, "20501231235959Z", Some("20501231235959")),
            (true, 0x18, "2050", None),
            (true, 0x17, "49123123595xZ", None),
        ] {
            let version = if version {
                der(0xa0, &[2, 1, 2])
            } else {
                vec![]
            };
            let issuer = der(0x30, &[7; 300]);
            let not_before = der(0x17, b"900101000000Z");
            let validity = der(0x30, &[not_before, der(tag, time.as_bytes())].concat());
            let fields = [version, der(2, &[1]), der(0x30, &[]), issuer, validity].concat();
            let certificate = der(0x30, &der(0x30, &fields));
            let expected = expected.map(|digits| DateTime(digits.into()));
            assert_eq!(not_after(&certificate), expected);
            for length in 0..certificate.len() {
                assert_eq!(not_after(&certificate[..length]), None);
            }
        }
    }
}
