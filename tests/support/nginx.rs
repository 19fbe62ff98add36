//! nginx with the configuration of operations.md.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::support::readme::OPERATIONS;
use super::support::{eventually, server_process};

/// A running nginx and the folder of its files. Both end when this is dropped.
pub struct Nginx {
    folder: PathBuf,
    child: Child,
    pub port: u16,
}

impl Nginx {
    /// Starts nginx with the site of operations.md, as the test changes it.
    pub fn start(name: &str, change: impl FnOnce(String) -> String) -> Nginx {
        let folder =
            std::env::temp_dir().join(format!("threadchat-nginx-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        certificate(&folder);
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
            free.local_addr().expect("the listener is bound").port()
        };
        let path = |name: &str| folder.join(name).display().to_string();
        let site = [
            ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
            ("/etc/ssl/certs/chat.example.pem", path("pem")),
            ("/etc/ssl/private/chat.example.key", path("key")),
        ];
        let block = site
            .iter()
            .fold(OPERATIONS.block("nginx").to_owned(), |block, (from, to)| {
                assert!(
                    block.contains(from),
                    "the block in operations.md has no {from}"
                );
                block.replace(from, to)
            });
        let block = change(block);
        // The settings that Debian's nginx.conf has around a file in conf.d, for an unprivileged process.
        let conf = format!(
            "daemon off; pid {pid}; error_log stderr; events {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {t}; proxy_temp_path {t}; fastcgi_temp_path {t}; uwsgi_temp_path {t}; scgi_temp_path {t};\n{block}}}\n",
            pid = path("pid"),
            t = path("temp"),
        );
        fs::write(folder.join("conf"), conf).expect("the folder is writable");
        let child = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .args(["-c", "conf"])
            .spawn()
            .expect("the program runs");
        server_process::register(&child);
        // nginx writes the file when it listens.
        eventually("nginx listens", || folder.join("pid").exists());
        Nginx {
            folder,
            child,
            port,
        }
    }
}

fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=chat.example",
        ])
        .arg("-keyout")
        .arg(folder.join("key"))
        .arg("-out")
        .arg(folder.join("pem"))
        .stderr(Stdio::null())
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "openssl makes a certificate"
    );
}

impl Drop for Nginx {
    fn drop(&mut self) {
        server_process::unregister(&self.child);
        // On SIGTERM nginx ends its workers too.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns whether nginx and openssl are installed.
pub fn tools_are_installed() -> bool {
    let runs = |program: &str, arg: &str| {
        let mut command = Command::new(program);
        command.arg(arg).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    };
    let installed = runs("nginx", "-v") && runs("openssl", "version");
    if !installed {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs nginx and openssl"
        );
        println!("skipped: nginx or openssl is not installed");
    }
    installed
}
