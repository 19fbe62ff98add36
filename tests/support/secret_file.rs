//! A file with a secret, that only its owner can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Dropping it removes the file.
pub struct SecretFile(PathBuf);

impl SecretFile {
    pub fn new(content: &str) -> SecretFile {
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("threadchat-secret-file-{}-{number}", process::id());
        let file = SecretFile(std::env::temp_dir().join(name));
        file.write(content);
        file.set_mode(0o600);
        file
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }

    pub fn write(&self, content: &str) {
        fs::write(&self.0, content).expect("the directory is writable");
    }

    pub fn set_mode(&self, mode: u32) {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(&self.0, mode).expect("the file is ours");
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        // A test can have removed it.
        let _ = fs::remove_file(&self.0);
    }
}
