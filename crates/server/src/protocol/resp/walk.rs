//! Commands that may take more than one turn: each is a walk that keeps its place.
//!
//! A walk goes on while the turn has work and room left, and for the rest of it the conversation
//! waits for its next turn. Nothing behind the command is answered meanwhile, so replies keep their order.
//!
//! Invariant: a step does a bounded piece of work and is charged to the turn; what a walk has made
//! and not written is in [`Walk::bytes`].

use stockd_model::Pattern;
use stockd_model::limits::{KEYS_MAX, SCAN_COUNT_MAX, WRITTEN_BYTES_PER_WORK};
use stockd_wire::resp::{Description, Encoder, Glob};

use super::cost;
use super::subscribe;
use crate::conversation::Waits;
use crate::turn::Turn;

/// A command that is under way.
#[derive(Debug)]
pub(super) enum Walk {
    /// `KEYS` looks for symbols.
    Keys(Keys),
    /// `CLIENT LIST` describes the connections with these numbers: those that come later are in
    /// another list.
    Clients { next: u64, last: u64, lines: String },
    /// `COMMAND` and its subcommands.
    Describe(Description),
    /// `UNSUBSCRIBE` of all symbols.
    EndSymbols,
    /// `PUNSUBSCRIBE` of all patterns.
    EndPatterns,
    /// What was found is written.
    Write { reply: Vec<u8>, written: usize },
}

/// The symbols that match, as far as they are found.
#[derive(Debug)]
pub(super) struct Keys {
    pattern: Pattern,
    /// The place in the catalog to go on from.
    from: u64,
    count: usize,
    /// The symbols, encoded.
    found: Vec<u8>,
}

/// What follows a step.
enum Step {
    Next,
    Become(Walk),
    Done,
}

impl Walk {
    pub(super) fn keys(pattern: Glob<'_>) -> Walk {
        let pattern = Pattern::new(pattern.as_bytes());
        Walk::Keys(Keys { pattern, from: 0, count: 0, found: Vec::new() })
    }

    pub(super) fn clients(turn: &Turn<'_>) -> Walk {
        Walk::Clients { next: 0, last: turn.server.clients.latest(), lines: String::new() }
    }

    /// Goes on. Says what it waits for, unless it has come to its end.
    pub(super) fn go_on(&mut self, encoder: &Encoder, turn: &mut Turn<'_>) -> Option<Waits> {
        loop {
            if turn.replies.room() == 0 {
                return Some(Waits::Room);
            }
            if turn.work.is_spent() {
                return Some(Waits::Turn);
            }
            match self.step(encoder, turn) {
                Step::Next => {}
                Step::Become(walk) => *self = walk,
                Step::Done => return None,
            }
        }
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Walk::Keys(keys) => keys.found.capacity(),
            Walk::Clients { lines, .. } => lines.capacity(),
            Walk::Describe(description) => description.bytes(),
            Walk::EndSymbols | Walk::EndPatterns => 0,
            Walk::Write { reply, .. } => reply.capacity(),
        }
    }

    fn step(&mut self, encoder: &Encoder, turn: &mut Turn<'_>) -> Step {
        match self {
            Walk::Keys(keys) => keys.step(encoder, turn),
            Walk::Clients { next, last, lines } => list_clients(next, *last, lines, encoder, turn),
            Walk::Describe(description) => {
                turn.work.spend(cost::DESCRIPTION);
                match description.next(encoder, turn.replies.out) {
                    true => Step::Next,
                    false => Step::Done,
                }
            }
            Walk::EndSymbols => subscribe::end_next_symbol(encoder, turn).into(),
            Walk::EndPatterns => subscribe::end_next_pattern(encoder, turn).into(),
            Walk::Write { reply, written } => write(reply, written, turn),
        }
    }
}

impl Keys {
    /// Looks at a page of the catalog.
    fn step(&mut self, encoder: &Encoder, turn: &mut Turn<'_>) -> Step {
        if let Err(full) = turn.check_memory() {
            encoder.error(&full, turn.replies.out);
            return Step::Done;
        }
        let row_cost = cost::row(self.pattern.as_bytes().len());
        let rows = (turn.work.left() / row_cost).clamp(1, SCAN_COUNT_MAX);
        let page = turn.executor.engine().browse(turn.access, self.from, rows);
        let before = self.count;
        for quote in &page.quotes {
            if self.pattern.matches(&quote.symbol) {
                encoder.symbol(&quote.symbol, &mut self.found);
                self.count += 1;
            }
        }
        turn.work.spend(rows * row_cost + self.count - before);
        if self.count > KEYS_MAX {
            let refusal = format_args!(
                "ERR KEYS would list more than {KEYS_MAX} stocks, the limit; use SCAN"
            );
            encoder.error(&refusal, turn.replies.out);
            return Step::Done;
        }
        match page.next {
            Some(place) => {
                self.from = place;
                Step::Next
            }
            None => {
                encoder.array(self.count, turn.replies.out);
                Step::write(std::mem::take(&mut self.found))
            }
        }
    }
}

/// Describes the next few connections.
fn list_clients(
    next: &mut u64,
    last: u64,
    lines: &mut String,
    encoder: &Encoder,
    turn: &mut Turn<'_>,
) -> Step {
    if let Err(full) = turn.check_memory() {
        encoder.error(&full, turn.replies.out);
        return Step::Done;
    }
    let count = (turn.work.left() / cost::CLIENT_LINE).clamp(1, cost::CLIENTS_TOGETHER);
    turn.work.spend(count * cost::CLIENT_LINE);
    match turn.server.clients.write_lines(*next..=last, count, turn.now, lines) {
        Some(listed) if listed < last => {
            *next = listed + 1;
            Step::Next
        }
        _ => {
            encoder.begin_lines(lines.len(), turn.replies.out);
            let mut reply = std::mem::take(lines).into_bytes();
            encoder.end_lines(&mut reply);
            Step::write(reply)
        }
    }
}

/// Writes some more of a reply.
fn write(reply: &[u8], written: &mut usize, turn: &mut Turn<'_>) -> Step {
    let rest = reply.get(*written..).unwrap_or_default();
    let most = turn.replies.room().min(turn.work.left().saturating_mul(WRITTEN_BYTES_PER_WORK));
    let next = rest.get(..most).unwrap_or(rest);
    turn.replies.out.extend_from_slice(next);
    turn.work.spend(next.len().div_ceil(WRITTEN_BYTES_PER_WORK));
    *written += next.len();
    if *written < reply.len() { Step::Next } else { Step::Done }
}

impl Step {
    fn write(reply: Vec<u8>) -> Step {
        Step::Become(Walk::Write { reply, written: 0 })
    }
}

impl From<stockd_engine::Progress> for Step {
    fn from(progress: stockd_engine::Progress) -> Step {
        match progress {
            stockd_engine::Progress::More => Step::Next,
            stockd_engine::Progress::Done => Step::Done,
        }
    }
}
