//! `CLIENT REPLY`: which replies a client is sent.
//!
//! A reply that is not to be sent is made as any other and taken back when its command has ended, so that
//! commands know nothing of this. Messages, and confirmations of subscriptions, are sent in any mode.
//!
//! Invariant: what is encoded before the mark is sent, what is encoded behind it while replies are hushed is not.

use stockd_wire::resp::{Encoder, ReplyMode};

/// Which replies are sent.
#[derive(Debug, Default)]
pub(super) struct Hush {
    mode: Mode,
    /// Bytes of what is being encoded that are sent.
    mark: usize,
    /// A command was decoded that has not been seen to end.
    is_under_way: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// All replies.
    #[default]
    On,
    /// None.
    Off,
    /// This one, which is none, and then one that is skipped.
    SkipNext,
    /// None to this command, and all from the next one on.
    Skip,
}

/// Whether a client is sent what is encoded for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    No,
}

impl Hush {
    /// Whether there is anything to see to.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.mode != Mode::On
    }

    /// Whether the reply to the command that is under way is sent.
    #[inline]
    pub(super) fn sent(&self) -> Sent {
        if matches!(self.mode, Mode::Off | Mode::Skip) { Sent::No } else { Sent::Yes }
    }

    /// Takes the mode that the client asks for, and says so where replies are sent.
    pub(super) fn switch(&mut self, mode: ReplyMode, encoder: &Encoder, out: &mut Vec<u8>) {
        self.keep(out);
        self.is_under_way = true;
        match mode {
            ReplyMode::On => {
                self.mode = Mode::On;
                encoder.ok(out);
            }
            ReplyMode::Off => self.mode = Mode::Off,
            ReplyMode::Skip if self.mode == Mode::Off => {}
            ReplyMode::Skip => self.mode = Mode::SkipNext,
        }
    }

    /// From now on replies are sent, but for the one that is being skipped, as in Redis.
    pub(super) fn reset(&mut self) {
        if self.mode == Mode::Off {
            self.mode = Mode::On;
        }
    }

    /// What is encoded by now is sent.
    #[inline]
    pub(super) fn keep(&mut self, out: &[u8]) {
        self.mark = out.len();
    }

    /// A command, or a part of one, is about to be performed.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.is_under_way = true;
    }

    /// Takes back what is not to be sent. Where the command that was under way has ended, sees to the next.
    pub(super) fn settle(&mut self, has_ended: bool, out: &mut Vec<u8>) {
        if self.sent() == Sent::No {
            out.truncate(self.mark);
        }
        self.keep(out);
        if has_ended && std::mem::take(&mut self.is_under_way) {
            self.mode = match self.mode {
                Mode::SkipNext => Mode::Skip,
                Mode::Skip => Mode::On,
                mode => mode,
            };
        }
    }
}
