//! The file of a listening Unix socket.
//!
//! It owns when a file that is in the way may go, and when that of this server does. It knows
//! nothing of what is spoken on the socket.
//!
//! Invariant: only sockets are removed: one that nobody listens on, to listen in its place, and at
//! the end the one made here, if it is still there under its name.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};
use stockd_model::SocketPath;

/// The file of a socket that is bound here. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: SocketPath,
    identity: Identity,
}

/// What tells a file from another that has taken its name: device and inode.
type Identity = (u64, u64);

/// What has the path already, and a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum InTheWay {
    #[error("another server listens there; stop it")]
    Server,
    #[error("what is there is no socket; move it away")]
    NoSocket,
}

impl SocketFile {
    /// Binds a socket to the path, also where a server that is gone has left its file.
    ///
    /// # Errors
    ///
    /// `AddrInUse` with what to do when something else has the path; otherwise that of the system.
    pub(crate) fn bind(socket: &Socket, path: &SocketPath) -> io::Result<SocketFile> {
        let address = SockAddr::unix(&**path)?;
        if let Err(error) = socket.bind(&address) {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(error);
            }
            remove_left_behind(path, &address)?;
            socket.bind(&address)?;
        }
        Ok(SocketFile { path: path.clone(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&*self.path)
        {
            tracing::warn!("cannot remove the socket {}: {error}", self.path.display());
        }
    }
}

/// Removes a socket that nobody listens on.
fn remove_left_behind(path: &Path, address: &SockAddr) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        // It is gone by itself.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(in_the_way(InTheWay::NoSocket));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Without waiting for room among those that wait to be accepted: where there is none, there is
    // a server.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        Ok(()) | Err(_) => return Err(in_the_way(InTheWay::Server)),
    }
    // Unless a server has come meanwhile that has done the same.
    match identity(path) {
        Ok(still) if still == (found.dev(), found.ino()) => fs::remove_file(path),
        _ => Err(in_the_way(InTheWay::Server)),
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn in_the_way(what: InTheWay) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// Binds and listens at this name in the directory.
    fn listen(directory: &Path, name: &str) -> Result<(Socket, SocketFile), String> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let path = SocketPath::new(directory.join(name)).unwrap();
        let file = SocketFile::bind(&socket, &path).map_err(|error| error.to_string())?;
        socket.listen(1).unwrap();
        Ok((socket, file))
    }

    #[test]
    fn the_file_comes_with_the_server_and_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let (_socket, file) = listen(directory.path(), "s").unwrap();
        assert!(directory.path().join("s").exists());
        drop(file);
        assert!(!directory.path().join("s").exists());
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (_socket, file) = listen(directory.path(), "s").unwrap();
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_somebody_listens_on_is_left_alone_though_its_backlog_is_full() {
        let directory = tempfile::tempdir().unwrap();
        let (_socket, _file) = listen(directory.path(), "s").unwrap();
        for _ in 0..4 {
            let told = listen(directory.path(), "s").unwrap_err();
            assert_eq!(told, "another server listens there; stop it");
        }
        assert!(directory.path().join("s").exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "precious").unwrap();
        fs::create_dir(at("directory")).unwrap();
        drop(UnixListener::bind(at("s")).unwrap());
        symlink(at("s"), at("link")).unwrap();
        for name in ["file", "directory", "link"] {
            let told = listen(directory.path(), name).unwrap_err();
            assert_eq!(told, "what is there is no socket; move it away", "{name}");
            assert!(at(name).exists());
        }
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "precious");
    }

    #[test]
    fn a_file_that_has_taken_the_name_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (_socket, file) = listen(directory.path(), "s").unwrap();
        fs::remove_file(directory.path().join("s")).unwrap();
        let (_other_socket, _other_file) = listen(directory.path(), "s").unwrap();
        drop(file);
        assert!(directory.path().join("s").exists());
    }
}
