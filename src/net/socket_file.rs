//! The file of a Unix socket that listens.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, bind, connect, listen};

use super::socket::new_socket;

/// The permissions of the file. Connecting needs the permission to write: a reverse proxy gets it by its group.
const MODE: u32 = 0o660;

/// The file of a Unix socket, which is removed when this is dropped, unless another file has taken its place.
pub(super) struct SocketFile {
    path: PathBuf,
    /// Its device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// Creates a socket that listens, and its file. A file that a server has left behind is replaced.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if a server listens there, `AlreadyExists` if the file is no socket, or the system's error.
    pub(super) fn bind(path: &Path, backlog: i32) -> io::Result<(SocketFile, UnixListener)> {
        let address = SocketAddrUnix::new(path)?;
        let socket = new_socket(AddressFamily::UNIX)?;
        let bound = match bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => {
                remove_stale(path, &address)?;
                bind(&socket, &address)
            }
            bound => bound,
        };
        bound?;
        let file = SocketFile {
            path: path.to_owned(),
            identity: identity(path)?,
        };
        // Before anybody can connect.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        listen(&socket, backlog)?;
        Ok((file, socket.into()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // An error leaves a file that the next server replaces.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Removes the file of a socket at which no server listens any more.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let problem = "there is a file that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
    }
    let probe: OwnedFd = new_socket(AddressFamily::UNIX)?;
    // A server whose queue is full lives: the probe must not wait for room in it.
    rustix::io::ioctl_fionbio(&probe, true)?;
    match connect(&probe, address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => Err(Errno::ADDRINUSE.into()),
        Err(error) => Err(error.into()),
    }
}
