//! Which commands of a conversation are timed, and for how many calls their times stand.
//!
//! Every [61st](stockd_model::limits::TURNS_PER_TIMED) turn of a worker is timed command by command, and each of these times stands for all calls of
//! the command since the last one. Commands that are neither lookups nor writes of stocks, and those in the first
//! turn of a connection, are timed each, for themselves alone. So the clock is not read for a lookup.
//!
//! Invariant: a time is what the worker spent: on decoding, executing and encoding, in all turns of the
//! command; neither on the socket nor in waiting.

use std::time::Instant;

use stockd_wire::resp::CommandId;

use crate::metrics::Cells;

/// Times commands.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    /// Since when it runs.
    since: Option<Instant>,
    samples: Samples,
    has_begun: bool,
    /// The command that is under way, and what it took by now.
    current: Option<CommandId>,
    spent_ns: u64,
}

/// What the times of a turn stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Samples {
    /// Only a command that is timed by itself is.
    #[default]
    No,
    /// All are, each for itself.
    Own,
    /// All are, each for all calls since the last one.
    All,
}

impl Stopwatch {
    /// A turn begins, which is timed or not.
    #[inline]
    pub(super) fn begin_turn(&mut self, is_timed: bool) {
        if is_timed || self.current.is_some() || !self.has_begun {
            self.start_turn(is_timed);
        } else {
            (self.since, self.samples) = (None, Samples::No);
        }
    }

    #[cold]
    fn start_turn(&mut self, is_timed: bool) {
        self.since = Some(Instant::now());
        self.samples = match (is_timed, self.has_begun) {
            (true, _) => Samples::All,
            (false, false) => Samples::Own,
            (false, true) => Samples::No,
        };
        self.has_begun = true;
    }

    /// A command begins that is timed whatever the turn.
    pub(super) fn begin_command(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    #[inline]
    pub(super) fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// Notes the time of this number of lookups that were made together.
    pub(super) fn lap_lookups(&mut self, command: CommandId, calls: u64, cells: &Cells) {
        let ns = self.lap(true) / calls.max(1);
        self.sample(command, ns, calls, cells);
    }

    /// Notes the time of what was just performed: this command, or a further part of the current one.
    pub(super) fn lap_command(
        &mut self,
        command: Option<CommandId>,
        has_ended: bool,
        cells: &Cells,
    ) {
        let ns = self.lap(has_ended);
        if command.is_some() {
            (self.current, self.spent_ns) = (command, 0);
        }
        self.spent_ns += ns;
        if has_ended && let Some(command) = self.current.take() {
            self.sample(command, self.spent_ns, 1, cells);
        }
    }

    fn lap(&mut self, has_ended: bool) -> u64 {
        let now = Instant::now();
        let goes_on = self.samples != Samples::No || !has_ended;
        let since = std::mem::replace(&mut self.since, goes_on.then_some(now));
        since.map_or(0, |since| now.saturating_duration_since(since).as_nanos() as u64)
    }

    fn sample(&self, command: CommandId, ns: u64, calls: u64, cells: &Cells) {
        let counted = cells.calls.get(command.index());
        let unsampled = counted.saturating_sub(cells.times.calls(command));
        let calls = if self.samples == Samples::All { unsampled } else { calls.min(unsampled) };
        if calls > 0 {
            cells.times.sample(command, ns, calls);
        }
    }
}
