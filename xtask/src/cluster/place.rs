//! Where a process runs, as far as the network goes: on this machine as it is, or in a namespace of its own.
//!
//! Invariant: a command in a namespace has the process id that it is started with, and the files of this machine.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where a process runs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: Ipv4Addr,
    /// The name of its namespace.
    pub(super) namespace: Option<String>,
}

impl Place {
    /// This machine.
    pub(super) fn here() -> Place {
        Place { host: Ipv4Addr::LOCALHOST, namespace: None }
    }

    pub(super) fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.host), port)
    }

    /// The file that stands for its namespace.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.namespace.as_ref().map(|name| PathBuf::from("/run/netns").join(name))
    }

    /// A command there, which is given nothing to read.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.file() {
            None => Command::new(program),
            Some(file) => {
                let mut net = std::ffi::OsString::from("--net=");
                net.push(file);
                let mut command = Command::new("nsenter");
                command.arg(net).arg("--").arg(program);
                command
            }
        };
        // A group of its own: Ctrl-C reaches the task alone, which ends one after the other.
        command.stdin(Stdio::null()).process_group(0);
        command
    }
}
