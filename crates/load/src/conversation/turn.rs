//! What a conversation uses while it hears, and why it may not understand.

use std::io;

use crate::codec::{Foreign, Item};
use crate::figures::Figures;
use crate::workload::Workload;

/// What a conversation uses while it hears.
pub(crate) struct Turn<'a> {
    /// When the bytes were read, by the clock of the run.
    pub(crate) now: u64,
    pub(crate) workload: &'a Workload,
    pub(crate) figures: &'a mut Figures,
    /// Bytes on their way to the server.
    pub(crate) output: &'a mut Vec<u8>,
}

/// Why replies cannot be understood.
#[derive(Debug)]
pub(crate) enum Misunderstanding {
    /// Not of this protocol.
    Foreign(Foreign),
    /// Not asked for.
    Unasked(String),
    /// The conversation is over before the connection is.
    #[cfg_attr(not(feature = "web"), allow(dead_code))]
    Over(io::Error),
}

impl Turn<'_> {
    /// Counts what was found for a name: `None` where replies are not compared. The request was sent, or due,
    /// at `since`.
    #[inline]
    pub(crate) fn found(&mut self, name: Option<u32>, item: Item<'_>, since: u64) {
        if let Some(name) = name {
            self.workload.verify(name, item, self.figures);
        }
        if since >= self.figures.window_begin {
            match item {
                Item::Missing => self.figures.counts.misses += 1,
                _ => self.figures.counts.hits += 1,
            }
        }
    }
}
