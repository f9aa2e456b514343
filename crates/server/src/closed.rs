//! Why a connection is closed, as it is counted and logged.

use std::io;

use stockd_model::Address;

use crate::metrics::Cells;

/// Why a connection is closed.
#[derive(Debug)]
pub(crate) enum Closed {
    /// Both sides have said all.
    Ended,
    /// The client no longer listens, or the system gave an error.
    Failed(io::Error),
    /// Nothing came or went for too long.
    Idle,
    /// The client took no replies for too long.
    Stalled,
    /// The client did not send the rest of a request for too long.
    HalfRequest,
    /// The client did not end the handshake of TLS in time, or too many others came meanwhile.
    Handshake,
    /// Another client has had it closed.
    Killed,
    /// All connections held more memory than they may, and this one was among those that held the
    /// most. Its bytes.
    Memory(usize),
}

impl Closed {
    /// Counts it, and says it in the log.
    pub(crate) fn note(&self, peer: &Address, cells: &Cells) {
        match self {
            Closed::Ended => tracing::trace!("{peer}: closed"),
            Closed::Failed(error) => {
                cells.closed_failed.add(1);
                tracing::debug!("{peer}: closed: {error}");
            }
            Closed::Idle => {
                cells.closed_idle.add(1);
                tracing::debug!("{peer}: closed: idle for longer than the timeout");
            }
            Closed::Stalled => {
                cells.closed_stalled.add(1);
                tracing::warn!("{peer}: closed: left replies unread for longer than the timeout");
            }
            Closed::HalfRequest => {
                cells.closed_request_timeout.add(1);
                tracing::debug!("{peer}: closed: the rest of a request did not come in time");
            }
            Closed::Handshake => {
                cells.closed_handshake.add(1);
                tracing::debug!("{peer}: closed: did not end the handshake of TLS in time");
            }
            Closed::Killed => {
                cells.closed_killed.add(1);
                tracing::debug!("{peer}: closed: another client has killed it");
            }
            Closed::Memory(bytes) => {
                cells.closed_memory.add(1);
                tracing::debug!("{peer}: closed: held {bytes} bytes of memory");
            }
        }
    }
}
