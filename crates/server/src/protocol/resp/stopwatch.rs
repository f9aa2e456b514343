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
#[derive(Debug)]
pub(super) struct Stopwatch {
    /// Whether it runs, and since when.
    is_running: bool,
    since: Instant,
    samples: Samples,
    /// The next turn is timed, whatever others are: it is the first, or a command goes on that was timed.
    times_next: bool,
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
    /// One of a connection that begins now.
    pub(super) fn new(now: Instant) -> Stopwatch {
        Stopwatch {
            is_running: false,
            since: now,
            samples: Samples::No,
            times_next: true,
            has_begun: false,
            current: None,
            spent_ns: 0,
        }
    }

    /// A turn begins, which is timed or not.
    #[inline]
    pub(super) fn begin_turn(&mut self, is_timed: bool) {
        if is_timed | self.times_next {
            self.start_turn(is_timed);
        }
    }

    #[cold]
    #[inline(never)]
    fn start_turn(&mut self, is_timed: bool) {
        self.start();
        self.samples = match (is_timed, self.has_begun) {
            (true, _) => Samples::All,
            (false, false) => Samples::Own,
            (false, true) => Samples::No,
        };
        self.has_begun = true;
    }

    /// A timed turn ends.
    #[cold]
    #[inline(never)]
    pub(super) fn end_turn(&mut self) {
        self.is_running = false;
        self.samples = Samples::No;
        self.times_next = self.current.is_some();
    }

    /// A command begins that is timed whatever the turn.
    pub(super) fn begin_command(&mut self) {
        if !self.is_running {
            self.start();
        }
    }

    fn start(&mut self) {
        self.is_running = true;
        self.since = Instant::now();
    }

    #[inline]
    pub(super) fn is_running(&self) -> bool {
        self.is_running
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
        self.is_running = self.samples != Samples::No || !has_ended;
        let since = std::mem::replace(&mut self.since, now);
        now.saturating_duration_since(since).as_nanos() as u64
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
