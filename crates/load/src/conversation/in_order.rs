//! A conversation in which the server answers in the order asked: all protocols without streams.
//!
//! Invariant: its buffers are reused, so in the long run no request allocates.

use std::collections::VecDeque;

use crate::chance::Chance;
use crate::codec::Item;
#[cfg(feature = "web")]
use crate::codec::websocket;
use crate::conversation::turn::{Misunderstanding, Turn};
use crate::figures::{Figures, Kind};
use crate::ledger::Ledger;
use crate::workload::Workload;

/// Requests in flight, and where in the reply to the first one it is.
#[derive(Debug, Default)]
pub(crate) struct InOrder {
    ledger: Ledger,
    /// The names looked up, in order, where replies are compared.
    asked: VecDeque<u32>,
    /// Items that are still missing in the reply to one request.
    parts_left: usize,
}

impl InOrder {
    #[inline]
    pub(crate) fn ask(
        &mut self,
        at: u64,
        workload: &Workload,
        chance: &mut Chance,
        output: &mut Vec<u8>,
    ) {
        let kind = workload.write_next(chance, output, &mut self.asked);
        self.ledger.sent(at, kind);
    }

    #[inline]
    pub(crate) fn outstanding(&self) -> usize {
        self.ledger.outstanding()
    }

    pub(crate) fn give_up(&mut self, now: u64, figures: &mut Figures) {
        self.ledger.give_up(now, figures);
        self.asked.clear();
    }

    /// Counts the whole replies among these bytes and says where they end.
    #[inline]
    pub(crate) fn hear(
        &mut self,
        bytes: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<usize, Misunderstanding> {
        let (protocol, mut at) = (turn.workload.protocol(), 0);
        while let Some((item, length)) =
            protocol.decode(&bytes[at..]).map_err(Misunderstanding::Foreign)?
        {
            self.item(item, turn)?;
            at += length;
        }
        self.ledger.settle(turn.now, turn.figures);
        Ok(at)
    }

    #[inline]
    fn item(&mut self, item: Item<'_>, turn: &mut Turn<'_>) -> Result<(), Misunderstanding> {
        match item {
            Item::Aside => return Ok(()),
            #[cfg(feature = "web")]
            Item::Ping(payload) => {
                websocket::pong(payload, turn.output);
                return Ok(());
            }
            _ => {}
        }
        let Some((kind, since)) = self.ledger.next() else {
            // A server that is full says so before it is asked.
            if let Item::Error(why) = item {
                turn.figures.refused(why);
                return Ok(());
            }
            return Err(Misunderstanding::Unasked(item.to_string()));
        };
        let workload = turn.workload;
        match (kind, item, workload.parts()) {
            (_, Item::Error(why), _) => {
                turn.figures.refused(why);
                if kind == Kind::Lookup && workload.verifies() {
                    let names = workload.parts().unwrap_or(1).min(self.asked.len());
                    self.asked.drain(..names);
                }
                self.parts_left = 0;
                self.ledger.answer(turn.now, turn.figures);
            }
            (Kind::Lookup, Item::Array(parts), Some(expected))
                if parts == expected && self.parts_left == 0 =>
            {
                self.parts_left = parts;
            }
            (Kind::Lookup, Item::Value(_) | Item::Missing, parts)
                if parts.is_none() || self.parts_left > 0 =>
            {
                turn.found(self.asked.pop_front(), item, since);
                self.parts_left = self.parts_left.saturating_sub(1);
                if self.parts_left == 0 {
                    self.ledger.answer(turn.now, turn.figures);
                }
            }
            (Kind::Update, Item::Done, _) => self.ledger.answer(turn.now, turn.figures),
            _ => return Err(Misunderstanding::Unasked(item.to_string())),
        }
        Ok(())
    }
}
