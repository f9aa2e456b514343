use std::io;
use std::net::SocketAddr;

use stockd_model::limits::WORKERS_MAX;

use crate::Protocol;

/// Why a server did not start. Nothing is left running or listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration has no listener.
    #[error("nothing to listen on; give at least one address")]
    NoListener,
    /// A number of workers that no pool can have.
    #[error("{0} workers are not possible; choose 1 to {WORKERS_MAX}")]
    Workers(usize),
    /// A limit of connections under which nobody could be served.
    #[error("a limit of 0 connections serves nobody; choose at least 1")]
    NoConnections,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", listen_reason(.source, *.protocol))]
    Listen {
        /// What was to be spoken there.
        protocol: Protocol,
        /// The address as it was configured.
        address: SocketAddr,
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

/// What was wrong with an address, and the remedy.
fn listen_reason(error: &io::Error, protocol: Protocol) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "address already in use; choose another with --{protocol} ADDR, or port 0 for any free one"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "this machine has no such address; choose one of its own with --{protocol} ADDR"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "permission denied; choose a port from 1024 up with --{protocol} ADDR, or run with the right to use this one"
        ),
        _ => error.to_string(),
    }
}
