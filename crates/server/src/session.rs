//! The session: what one connection has said and what is answered, without its socket.
//!
//! Bytes go in, replies come out, and what the session waits for next is returned. It knows no
//! sockets and no clock: its turn says what time it is, and its connection tells it when the client fell silent, ended its stream or is
//! to be sent away. What bytes mean is its [`Conversation`]'s affair; what is kept of them is its own.
//!
//! Invariant: requests are answered in the order they came, each once. Only bytes that make no
//! whole request yet, or for whose replies there was no room, are kept.

use std::mem;
use std::time::Instant;

use stockd_engine::Answered;

use crate::conversation::{Conversation, Patience, Waits};
use crate::memory::Held;
use crate::turn::Turn;

/// One connection's side of the conversation.
#[derive(Debug)]
pub(crate) struct Session {
    conversation: Box<dyn Conversation>,
    /// Received and not decoded yet. Holds no memory while it is empty.
    undecoded: Vec<u8>,
    /// Since when the first of them are there.
    undecoded_since: Option<Instant>,
    waits: Waits,
}

impl Session {
    pub(crate) fn new(conversation: Box<dyn Conversation>) -> Session {
        let waits = Waits::Input;
        Session { conversation, undecoded: Vec::new(), undecoded_since: None, waits }
    }

    /// Answers what one read has brought.
    #[inline]
    pub(crate) fn receive(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Waits {
        debug_assert!(!self.is_held_back(), "input before there was room");
        if !self.undecoded.is_empty() {
            self.undecoded.extend_from_slice(input);
            return self.resume(turn);
        }
        let (consumed, waits) = self.conversation.answer(input, turn);
        self.waits = waits;
        let rest = &input[consumed..];
        if !rest.is_empty() && !matches!(waits, Waits::Nothing(_)) {
            self.undecoded.extend_from_slice(rest);
            self.undecoded_since = Some(turn.now);
        }
        waits
    }

    /// Answers what was held back.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) -> Waits {
        self.answer_undecoded(turn, |conversation, input, turn| conversation.answer(input, turn))
    }

    fn answer_undecoded(
        &mut self,
        turn: &mut Turn<'_>,
        answer: impl FnOnce(&mut dyn Conversation, &[u8], &mut Turn<'_>) -> (usize, Waits),
    ) -> Waits {
        let mut input = mem::take(&mut self.undecoded);
        let (consumed, waits) = answer(&mut *self.conversation, &input, turn);
        self.waits = waits;
        if consumed < input.len() && !matches!(waits, Waits::Nothing(_)) {
            if consumed > 0 {
                input.drain(..consumed);
                self.undecoded_since = Some(turn.now);
            }
            if waits == Waits::Input {
                input.shrink_to_fit();
            }
            self.undecoded = input;
        }
        waits
    }

    /// The client has sent its first bytes and nothing in the time that a newline has to follow: what
    /// is there is its request. A connection that is decided already stays what it is.
    pub(crate) fn fall_silent(&mut self, turn: &mut Turn<'_>) -> Waits {
        if self.awaits_newline(turn).is_none() {
            return self.waits;
        }
        self.answer_undecoded(turn, |conversation, input, turn| {
            conversation.fall_silent(input, turn)
        })
    }

    /// The client has ended its stream: answers what is left of it, a last request without its
    /// newline too.
    pub(crate) fn end(&mut self, turn: &mut Turn<'_>) {
        debug_assert!(!self.is_held_back(), "the end before what was held back");
        let rest = mem::take(&mut self.undecoded);
        self.conversation.end(&rest, turn);
    }

    /// The server stops: answers first bytes that a newline might have followed, since they may
    /// be all that the client ever meant to send. Half a line is given up: what it would ask is
    /// not known.
    pub(crate) fn stop(&mut self, turn: &mut Turn<'_>) {
        let _ = self.fall_silent(turn);
        self.give_up();
    }

    /// Half a request is given up.
    pub(crate) fn give_up(&mut self) {
        self.undecoded = Vec::new();
    }

    /// How soon a newline has to follow, where the first bytes have come and none is among them.
    #[inline]
    pub(crate) fn awaits_newline(&self, turn: &Turn<'_>) -> Option<Patience> {
        if self.undecoded.is_empty() { None } else { self.conversation.patience(turn) }
    }

    /// Whether there is something to tell a subscriber now.
    #[inline]
    pub(crate) fn has_messages(&self, turn: &Turn<'_>) -> bool {
        let subscriber = turn.id.into();
        turn.feed.has(subscriber) && self.conversation.has_messages(turn.id, turn.feed)
    }

    /// Tells a subscriber what it has not been told, until the replies have `bytes_max` bytes. Returns
    /// how many messages that were.
    pub(crate) fn tell(&mut self, turn: &mut Turn<'_>, bytes_max: usize) -> u64 {
        self.conversation.tell(turn, bytes_max)
    }

    /// Whether [`resume`](Session::resume) is due: in the next turn, or as soon as there is room, the
    /// committer has answered or the [pause](Session::is_paused) is over.
    #[inline]
    pub(crate) fn is_held_back(&self) -> bool {
        matches!(self.waits, Waits::Room | Waits::Turn | Waits::Commit | Waits::Pause)
    }

    /// Whether that must wait until a pause is over.
    #[inline]
    pub(crate) fn is_paused(&self) -> bool {
        self.waits == Waits::Pause
    }

    /// The client is somebody else from now on, or may do something else.
    pub(crate) fn identified(&mut self, turn: &mut Turn<'_>) {
        self.conversation.identified(turn);
    }

    /// Whether that must wait for the committer.
    #[inline]
    pub(crate) fn is_held_for_commit(&self) -> bool {
        matches!(self.waits, Waits::Room | Waits::Commit) && self.awaits_commit()
    }

    /// Since when the rest of a request is to come, if a part of one is there.
    #[inline]
    pub(crate) fn half_request_since(&self) -> Option<Instant> {
        match self.undecoded[..] {
            [] => None,
            _ => self.undecoded_since.filter(|_| self.waits == Waits::Input),
        }
    }

    /// Whether replies are to come from the committer.
    #[inline]
    pub(crate) fn awaits_commit(&self) -> bool {
        self.conversation.awaits_commit()
    }

    /// The committer has answered what was handed to it first.
    pub(crate) fn committed(&mut self, answered: &Answered, out: &mut Vec<u8>) {
        self.conversation.committed(answered, out);
    }

    /// Bytes of requests that are kept.
    #[inline]
    pub(crate) fn undecoded_bytes(&self) -> usize {
        self.undecoded.len()
    }

    /// Adds the bytes that it holds.
    #[inline]
    pub(crate) fn add_held(&self, held: &mut Held) {
        held.requests += self.undecoded.capacity();
        self.conversation.add_held(held);
    }
}

#[cfg(test)]
mod tests;
