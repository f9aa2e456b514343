//! What a conversation has handed to the committer, in the order in which that answers.
//!
//! It knows how each answer is encoded, and nothing of what is asked behind it.
//!
//! Invariant: for each thing that was handed over there is one entry, until it is answered.

use std::collections::VecDeque;

use stockd_engine::{Access, Answered, WriteHandle};
use stockd_model::Request;
use stockd_wire::resp::{Encoder, Shape};

use super::hush::Sent;
use super::transaction;
use crate::connection_id::ConnectionId;

/// What the committer is to answer, in order.
#[derive(Debug, Default)]
pub(super) struct Parked {
    awaited: VecDeque<Awaited>,
    /// How many of them are outcomes: those alone hold bytes elsewhere.
    outcomes: usize,
}

/// What an answer of the committer is encoded as.
#[derive(Debug)]
pub(super) enum Awaited {
    Reply(Shape<'static>, Sent),
    Outcome(Box<transaction::Queue>, Sent),
    /// Of `MSET`.
    SetAll(transaction::SetAll, Sent),
}

impl Parked {
    /// About how many bytes they take, here and on the way to the committer and back.
    pub(super) fn bytes(&self) -> usize {
        const REQUEST_BYTES: usize = 256;
        let outcomes = self.awaited.iter().filter_map(|awaited| match awaited {
            Awaited::Reply(..) | Awaited::SetAll(..) => None,
            Awaited::Outcome(queue, _) => Some(queue.held_bytes()),
        });
        self.awaited.capacity() * size_of::<Awaited>()
            + self.awaited.len() * REQUEST_BYTES
            + outcomes.take(self.outcomes).sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.awaited.len()
    }

    /// The committer is to answer one thing more.
    pub(super) fn push(&mut self, awaited: Awaited) {
        self.outcomes += usize::from(matches!(awaited, Awaited::Outcome(..)));
        self.awaited.push_back(awaited);
    }

    /// Encodes what the committer has answered. Returns whether the client is to be sent that.
    pub(super) fn answer(
        &mut self,
        answered: &Answered,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
    ) -> Sent {
        let awaited = self.awaited.pop_front();
        self.outcomes -= usize::from(matches!(awaited, Some(Awaited::Outcome(..))));
        match (awaited, answered) {
            (Some(Awaited::Reply(shape, sent)), Answered::Reply(reply)) => {
                encoder.reply(reply, &shape, out);
                sent
            }
            (Some(Awaited::Outcome(queue, sent)), Answered::Outcome(outcome)) => {
                queue.answer(outcome, encoder, out);
                sent
            }
            (Some(Awaited::SetAll(set, sent)), Answered::Outcome(outcome)) => {
                set.answer(outcome, encoder, out);
                sent
            }
            (awaited, _) => {
                debug_assert!(awaited.is_none(), "answers come in order, in kind");
                Sent::Yes
            }
        }
    }

    /// Hands a request to the committer, which answers it later.
    #[cold]
    pub(super) fn park(
        &mut self,
        request: Request,
        shape: &Shape<'_>,
        sent: Sent,
        writer: Option<&mut WriteHandle>,
        access: &Access,
        id: ConnectionId,
    ) {
        if let (Some(writer), Some(shape)) = (writer, shape.lasting()) {
            writer.submit(access, id.into(), request);
            self.push(Awaited::Reply(shape, sent));
        } else {
            debug_assert!(false, "every write can be parked where there is a committer");
        }
    }
}
