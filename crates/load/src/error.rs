//! Why a run cannot begin or go on.

use std::io;

use crate::codec::Protocol;

/// An error of a run. What goes wrong with single requests is counted instead.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The options are not possible together; nothing was begun.
    #[error("{0}")]
    Usage(String),
    /// A connection failed.
    #[error("cannot connect to {target} (connection {number} of {of}): {why}; {remedy}")]
    Connect {
        /// The server.
        target: String,
        /// Which connection.
        number: usize,
        /// Of how many.
        of: usize,
        /// What the system says.
        why: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The server speaks another protocol.
    #[error(
        "{target} does not speak the {protocol} protocol: it answered '{excerpt}'; choose another --protocol or another --server"
    )]
    Foreign {
        /// The server.
        target: String,
        /// The protocol of the requests.
        protocol: Protocol,
        /// The beginning of its answer.
        excerpt: String,
    },
    /// A reply that belongs to no request.
    #[error("{target} sent a reply that was not asked for: '{excerpt}'")]
    Unasked {
        /// The server.
        target: String,
        /// The reply.
        excerpt: String,
    },
    /// The server went away, or did not answer, before the run.
    #[error("{target} failed while {doing}: {why}")]
    Preparing {
        /// The server.
        target: String,
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        why: io::Error,
    },
    /// The server refused what the run needs.
    #[error("{target} refused while {doing}: {why}; {remedy}")]
    Refused {
        /// The server.
        target: String,
        /// What was being done.
        doing: &'static str,
        /// What it said.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The process of `--pid` cannot be watched.
    #[error(
        "cannot read the CPU time of process {pid}: {why}; give the --pid of a running server on this machine"
    )]
    Process {
        /// Its number.
        pid: u32,
        /// What the system says.
        why: io::Error,
    },
    /// The system denies something else.
    #[error("cannot {doing}: {why}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        why: io::Error,
    },
}

impl LoadError {
    /// Makes an error of the system one of a run.
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> LoadError {
        move |why| LoadError::System { doing, why }
    }
}
