use std::fmt::Display;
use std::io;

use stockd_model::Address;
use stockd_model::limits::{MEMORY_FLOOR, WORKERS_MAX};

use crate::Protocol;

/// Why a server did not start. Nothing is left running or listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A number of workers that no pool can have.
    #[error("{0} workers are not possible; choose 1 to {WORKERS_MAX}")]
    Workers(usize),
    /// A limit of connections under which nobody could be served.
    #[error("a limit of 0 connections serves nobody; choose at least 1")]
    NoConnections,
    /// A limit of memory under which no client could be served.
    #[error("{0} bytes for all connections are too few; choose at least {MEMORY_FLOOR}")]
    Memory(usize),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", listen_reason(.source, *.protocol, .address))]
    Listen {
        /// What was to be spoken there.
        protocol: Protocol,
        /// The address as it was configured.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no thread or no readiness queue.
    #[error("cannot start {what}: {source}; raise the limits of threads and open files")]
    System {
        /// What was to be started.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What was wrong with an address that was given to the setting of this name, and the remedy.
pub fn listen_reason(error: &io::Error, setting: impl Display, address: &Address) -> String {
    match address {
        Address::Tcp(_) | Address::Tls { .. } => tcp_reason(error, &setting),
        Address::Unix(_) => {
            let reason = unix_reason(error);
            format!("{reason}, or choose another path with --{setting} unix:PATH")
        }
    }
}

fn unix_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its directory does not exist; make it".to_owned(),
        io::ErrorKind::NotADirectory => {
            "a part of the path is no directory; move that away".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; let the user of the server write to the directory and the socket"
                .to_owned()
        }
        // What has the path says the remedy too.
        io::ErrorKind::AddrInUse => error.to_string(),
        _ => format!("{error}; see to the file system"),
    }
}

fn tcp_reason(error: &io::Error, setting: &dyn Display) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "address already in use; choose another with --{setting} ADDR, or port 0 for any free one"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; choose one of its own with --{setting} ADDR")
        }
        io::ErrorKind::PermissionDenied => format!(
            "permission denied; choose a port from 1024 up with --{setting} ADDR, or run with the right to use this one"
        ),
        _ => error.to_string(),
    }
}
