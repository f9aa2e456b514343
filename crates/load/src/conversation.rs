//! What a connection asks and what is made of the answers, in the way of its protocol: in order, or on streams.
//!
//! It knows no socket. Invariant: every request that was asked is answered or given up, and is counted once.

mod in_order;
#[cfg(feature = "web")]
mod multiplexed;
mod turn;

use std::io;

pub(crate) use turn::{Misunderstanding, Turn};

use crate::chance::Chance;
use crate::figures::Figures;
use crate::workload::Workload;
use in_order::InOrder;
#[cfg(feature = "web")]
use multiplexed::Multiplexed;

/// The conversation of one connection.
#[derive(Debug)]
pub(crate) enum Conversation {
    InOrder(InOrder),
    #[cfg(feature = "web")]
    Multiplexed(Box<Multiplexed>),
}

impl Conversation {
    pub(crate) fn new(workload: &Workload) -> io::Result<Conversation> {
        if !workload.protocol().has_streams() {
            return Ok(Conversation::InOrder(InOrder::default()));
        }
        #[cfg(feature = "web")]
        return Ok(Conversation::Multiplexed(Box::new(Multiplexed::new(workload)?)));
        #[cfg(not(feature = "web"))]
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Draws the next request, sent or due at `at`.
    #[inline]
    pub(crate) fn ask(
        &mut self,
        at: u64,
        workload: &Workload,
        chance: &mut Chance,
        output: &mut Vec<u8>,
    ) {
        match self {
            Conversation::InOrder(it) => it.ask(at, workload, chance, output),
            #[cfg(feature = "web")]
            Conversation::Multiplexed(it) => it.ask(at, workload, chance),
        }
    }

    /// Appends what is to be sent and was not written when it was asked.
    ///
    /// # Errors
    ///
    /// When the conversation is over.
    #[inline]
    pub(crate) fn write(&mut self, workload: &Workload, output: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Conversation::InOrder(_) => Ok(()),
            #[cfg(feature = "web")]
            Conversation::Multiplexed(it) => it.write(workload, output),
        }
    }

    /// Counts the whole replies among these bytes. Returns how many bytes they are; the others are to come again,
    /// with those behind them.
    #[inline]
    pub(crate) fn hear(
        &mut self,
        bytes: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<usize, Misunderstanding> {
        match self {
            Conversation::InOrder(it) => it.hear(bytes, turn),
            #[cfg(feature = "web")]
            Conversation::Multiplexed(it) => it.hear(bytes, turn),
        }
    }

    /// Requests without a reply.
    #[inline]
    pub(crate) fn outstanding(&self) -> usize {
        match self {
            Conversation::InOrder(it) => it.outstanding(),
            #[cfg(feature = "web")]
            Conversation::Multiplexed(it) => it.outstanding(),
        }
    }

    /// Counts all that is left as unanswered.
    pub(crate) fn give_up(&mut self, now: u64, figures: &mut Figures) {
        match self {
            Conversation::InOrder(it) => it.give_up(now, figures),
            #[cfg(feature = "web")]
            Conversation::Multiplexed(it) => it.give_up(now, figures),
        }
    }
}
