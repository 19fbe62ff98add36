//! Certificates, made by openssl with the command of operations.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::readme::OPERATIONS;

/// A folder with `cert.pem` and `key.pem`. Removed when this is dropped.
pub struct Certificates {
    pub folder: PathBuf,
}

impl Certificates {
    /// Makes a self-signed certificate for `localhost` and 127.0.0.1.
    pub fn new() -> Certificates {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("threadchat-tls-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let certificates = Certificates { folder };
        certificates.renew();
        certificates
    }

    /// Replaces the certificate and the key by new ones.
    pub fn renew(&self) {
        let command = OPERATIONS.block("openssl");
        assert!(command.contains("DNS:chat.home"), "{command}");
        self.openssl(&command.replace("DNS:chat.home", "DNS:localhost,IP:127.0.0.1"));
    }

    /// Runs a command in the folder.
    pub fn openssl(&self, command: &str) {
        let output = Command::new("sh")
            .args(["-ec", command])
            .current_dir(&self.folder)
            .output()
            .expect("there is a shell");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the server's options for the certificate.
    pub fn args(&self) -> [String; 4] {
        let path = |name| self.path(name).display().to_string();
        [
            "--tls-cert".into(),
            path("cert.pem"),
            "--tls-key".into(),
            path("key.pem"),
        ]
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns the certificates in a file.
pub fn read(path: &Path) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    certificates.expect("openssl writes PEM")
}
