//! What a worker lends to the connection whose turn it is.
//!
//! All connections of a worker share these; each has them for one turn. Sessions and protocols know
//! the server through this struct alone.

use std::time::Instant;

use stockd_access::Identity;
use stockd_engine::{Budget, Executor, Feed, WriteHandle};
use stockd_model::limits::LOOKUPS_TOGETHER_MAX;

use crate::connection_id::ConnectionId;
use crate::memory::MemoryFull;
use crate::metrics::Cells;
use crate::server_state::ServerState;
use crate::tls_stream::TlsBuffers;
use crate::turn_queue::Pace;

/// One connection's turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Whose turn it is.
    pub(crate) id: ConnectionId,
    /// When the worker woke up.
    pub(crate) now: Instant,
    pub(crate) pace: Pace,
    /// Whether its commands are timed.
    pub(crate) is_timed: bool,
    /// The work that is left of it, lookups apart.
    pub(crate) work: Budget,
    /// Who the client is, and what it may do.
    pub(crate) identity: &'a mut Identity,
    pub(crate) executor: &'a mut Executor,
    /// For writes that have to be kept on the disk first, where there is one.
    pub(crate) writer: Option<&'a mut WriteHandle>,
    /// Who has to be told what.
    pub(crate) feed: &'a mut Feed,
    pub(crate) server: &'a ServerState,
    /// Where a read goes.
    pub(crate) input: &'a mut [u8],
    /// Where records of TLS are opened and made.
    pub(crate) tls: &'a mut TlsBuffers,
    pub(crate) replies: Replies<'a>,
    pub(crate) cells: &'a Cells,
}

/// Where the replies of a turn are encoded.
#[derive(Debug)]
pub(crate) struct Replies<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    /// No further request is decoded once `out` has this many bytes.
    pub(crate) bytes_max: usize,
}

impl Turn<'_> {
    /// Whether a command may be performed that takes memory. A refusal is counted.
    pub(crate) fn check_memory(&self) -> Result<(), MemoryFull> {
        let checked = self.server.memory.check();
        if checked.is_err() {
            self.cells.refused_memory.add(1);
        }
        checked
    }
}

impl Replies<'_> {
    /// Bytes for which there is room.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.out.len())
    }

    /// How many lookups may be begun before they are answered, so that no request is decoded once
    /// there is no room; 0 when there is none. An answer has at most `answer_bytes_max` bytes.
    #[inline]
    pub(crate) fn lookups_together(&self, answer_bytes_max: usize) -> usize {
        let room = self.room();
        match room >= answer_bytes_max * LOOKUPS_TOGETHER_MAX {
            true => LOOKUPS_TOGETHER_MAX,
            false => room.div_ceil(answer_bytes_max),
        }
    }
}
