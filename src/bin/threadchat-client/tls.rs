//! TLS with the server: the authorities that are trusted, and what to do about a certificate that is refused.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError,
    RootCertStore, SignatureScheme,
};
use threadchat::net::{Stream, is_self_signed, is_timeout};

use crate::cli::ServerUrl;

/// Completes the handshake of TLS. Waits for the server until the deadline.
///
/// # Errors
///
/// One line that says what is wrong and what would help.
pub fn handshake(stream: Stream, url: &ServerUrl, deadline: Instant) -> Result<Stream, String> {
    let config = client_config(url.ca.as_deref())?;
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| format!("{:?} is no name that a certificate can have", url.host))?;
    stream
        .with_tls_client(config, name, deadline)
        .map_err(|error| explain(&error, url))
}

fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let invalid = |error: &dyn std::fmt::Display| {
                format!("cannot use the certificates in {}: {error}", path.display())
            };
            let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            let certificates: Vec<_> = certificates.map_err(|error| invalid(&error))?;
            if certificates.is_empty() {
                return Err(invalid(&"there is none in PEM format"));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| invalid(&error))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            // One that rustls cannot use does not make the others useless.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(
                    "this system has no list of authorities (install ca-certificates, or use --ca FILE)"
                        .into(),
                );
            }
        }
    }
    let unusable = |error: &dyn std::fmt::Display| format!("TLS cannot be used: {error}");
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone())
        .build()
        .map_err(|error| unusable(&error))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier(verifier)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Verifies as rustls does, and tells a certificate that is signed by itself from one of an unknown authority.
#[derive(Debug)]
struct Verifier(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
                if is_self_signed(end_entity) =>
            {
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(SelfSigned))))
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The certificate is signed by its own key, and not one of those that are trusted.
#[derive(Debug)]
struct SelfSigned;

impl std::fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the certificate is self-signed")
    }
}

impl std::error::Error for SelfSigned {}

/// Returns what is wrong, and what would help.
fn explain(error: &io::Error, url: &ServerUrl) -> String {
    let tls_error = error.get_ref().and_then(|inner| inner.downcast_ref());
    match (tls_error, error.kind()) {
        (Some(Error::InvalidCertificate(error)), _) => explain_certificate(error, &url.host),
        (Some(Error::InvalidMessage(_)), _)
        | (None, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            "the server did not answer with TLS: try ws:// in place of wss://, or another port"
                .into()
        }
        (
            Some(
                Error::AlertReceived(
                    AlertDescription::ProtocolVersion
                    | AlertDescription::HandshakeFailure
                    | AlertDescription::NoApplicationProtocol,
                )
                | Error::PeerIncompatible(_),
            ),
            _,
        ) => {
            "the server and this client have no version of TLS in common (1.2 or 1.3 with HTTP/1.1)"
                .into()
        }
        _ if is_timeout(error) => "the server did not complete the TLS handshake in time".into(),
        _ => format!("the TLS handshake failed: {error}"),
    }
}

fn explain_certificate(error: &CertificateError, host: &str) -> String {
    use CertificateError::*;
    match error {
        Expired | ExpiredContext { .. } => {
            "the server's certificate has expired: it needs a new one (or is this machine's clock wrong?)"
                .into()
        }
        NotValidYet | NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: is this machine's clock wrong?".into()
        }
        NotValidForName => format!(
            "the server's certificate is not for {host}: connect by a name that is in it"
        ),
        NotValidForNameContext { presented, .. } => format!(
            "the server's certificate is not for {host}, but for {}: connect by a name that is in it",
            presented.join(", ")
        ),
        UnknownIssuer => {
            "the server's certificate is from an authority that this system does not know: if you trust it, \
             pass its certificate with --ca FILE"
                .into()
        }
        Other(error) if error.0.is::<SelfSigned>() => {
            "the server's certificate is self-signed: if you trust it, pass it with --ca FILE".into()
        }
        Other(error) if error.0.to_string().contains("CaUsedAsEndEntity") => {
            "the server's certificate is that of an authority: the server needs one that was made with \
             basicConstraints=CA:FALSE"
                .into()
        }
        error => format!("the server's certificate cannot be accepted: {error}"),
    }
}
