//! Whether the system has what a ring needs, and why not.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::{Receive, Ring, Size};

/// What a probe needs of everything.
const SIZE: Size = Size {
    operations: 8,
    buffers: 2,
    buffer_bytes: 16,
    write_bytes: 16,
    batch_bytes: 16,
    table: 2,
};

/// Far more than an exchange within the process takes.
const PATIENCE: Duration = Duration::from_secs(5);
const WAITS_MAX: usize = 16;

/// Why sockets cannot be served over io_uring here.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}; {remedy}")]
pub struct Unavailable {
    step: &'static str,
    remedy: &'static str,
    source: io::Error,
}

/// Makes a ring and has one byte go through it each way.
///
/// # Errors
///
/// [`Unavailable`] with what did not work, and the remedy.
pub fn probe() -> Result<(), Unavailable> {
    apart(exchange)
}

/// Runs in a thread of its own, to its end.
pub(crate) fn apart<T: Send>(
    run: impl FnOnce() -> Result<T, Unavailable> + Send,
) -> Result<T, Unavailable> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("stockd-ring".to_owned());
        let running = thread.spawn_scoped(scope, run).map_err(Unavailable::memory)?;
        running.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn exchange() -> Result<(), Unavailable> {
    let (mut ring, _) = Ring::open(&SIZE)?;
    let (near, far) = UnixStream::pair().map_err(Unavailable::memory)?;
    let near = ring.add(OwnedFd::from(near), 0, Receive::Single);
    let far = ring.add(OwnedFd::from(far), 1, Receive::Multishot);
    // Twice, since receiving has to go on by itself.
    for byte in [b"1", b"2"] {
        ring.write(&near, byte).map_err(Unavailable::exchange)?;
        let mut input = [0; 2];
        let mut waits = 0;
        let came = loop {
            match ring.read(&far, &mut input) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && waits < WAITS_MAX => {
                    ring.wait(Some(PATIENCE), &mut Vec::new());
                    waits += 1;
                }
                came => break came.map_err(Unavailable::exchange)?,
            }
        };
        if &input[..came] != byte {
            return Err(Unavailable::exchange(io::ErrorKind::InvalidData.into()));
        }
    }
    ring.close(near);
    ring.close(far);
    Ok(())
}

impl Unavailable {
    pub(crate) fn setup(source: io::Error) -> Unavailable {
        let remedy = match Errno::from_io_error(&source) {
            Some(Errno::PERM | Errno::ACCESS) => {
                "allow io_uring_setup, io_uring_enter and io_uring_register in the container's \
                 seccomp profile, and set the sysctl kernel.io_uring_disabled to 0"
            }
            Some(Errno::NOSYS) => {
                "use a kernel from Linux 6.1 on that is built with io_uring, and allow \
                 io_uring_setup in the container's seccomp profile"
            }
            Some(Errno::INVAL) => "use a kernel from Linux 6.1 on",
            _ => "raise the limits of memory and open files",
        };
        Unavailable { step: "io_uring_setup", remedy, source }
    }

    pub(crate) fn register(source: io::Error) -> Unavailable {
        let remedy = match Errno::from_io_error(&source) {
            Some(Errno::PERM | Errno::ACCESS | Errno::NOSYS) => {
                "allow io_uring_register in the container's seccomp profile"
            }
            Some(Errno::NOMEM) => "raise the limit of memory",
            _ => "use a kernel from Linux 6.1 on",
        };
        Unavailable { step: "io_uring_register", remedy, source }
    }

    pub(crate) fn memory(source: io::Error) -> Unavailable {
        let remedy = "raise the limits of memory and open files";
        Unavailable { step: "buffers and files of io_uring", remedy, source }
    }

    fn exchange(source: io::Error) -> Unavailable {
        let remedy = "use a kernel from Linux 6.1 on";
        Unavailable { step: "a byte sent over io_uring to itself", remedy, source }
    }
}
