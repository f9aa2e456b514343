//! Whether a history of one stock is linearizable: is there one order of all calls, each at a moment between question and
//! answer, in which every answer is right?
//!
//! The search is that of Wing and Gong (1993) with the memory of Lowe (2017): it takes calls out of a list of questions and answers,
//! in time, as long as each can come next, and goes back where an answer was reached whose call has found no place. What it has
//! tried before, the same calls with the same state, it does not try again.
//!
//! It is quick because answers say where they belong. A read that fits is taken at once, since it changes nothing; where none
//! does, so is a write that says its version, since no other change can stand there.
//!
//! Invariant: the state is what the calls that were taken out have made of the first one, in their order.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::history::{Ask, Call, History, Shown, State, Told};

/// Calls that are tried before a search gives up.
const STEPS_MAX: usize = 20_000_000;

/// Why a history is not linearizable, as far as can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The call that found no place in the order that came furthest.
    pub call: Call,
    /// What the stock was then.
    pub state: State,
    /// Calls that had found one.
    pub placed: usize,
    /// Whether the search was given up before all was tried.
    pub is_given_up: bool,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { call, state, placed, is_given_up } = self;
        let how = if *is_given_up { "no order was found in time" } else { "there is no order" };
        write!(
            f,
            "not linearizable: {how}; after {placed} calls the stock is {state:?}, and {call:?} fits nowhere"
        )
    }
}

/// Checks what clients of one node saw: its answers in time, and the writes of others at any time after they were asked for,
/// since a node may show them late.
///
/// # Errors
///
/// [`Violation`].
pub fn through_node(history: &History, node: usize) -> Result<(), Violation> {
    let of_node = |call: &Call| match call.node == node {
        true => Some(*call),
        false if call.ask.is_read() => None,
        false => Some(Call { returned: None, ..*call }),
    };
    check(history.before, history.calls.iter().filter_map(of_node).collect())
}

/// Checks all writes, and the reads behind a fence, of all nodes in time.
///
/// # Errors
///
/// [`Violation`].
pub fn across_nodes(history: &History) -> Result<(), Violation> {
    let calls = history.calls.iter().filter(|call| call.ask != Ask::Read);
    check(history.before, calls.copied().collect())
}

/// Checks these calls of a stock that was this before.
///
/// # Errors
///
/// [`Violation`].
pub fn check(before: State, calls: Vec<Call>) -> Result<(), Violation> {
    let says_something = |call: &Call| match call.told {
        Told::NoEffect => false,
        // Nothing follows from a read that was not answered.
        Told::Unknown => !call.ask.is_read(),
        // A version that was watched may be an earlier one than the client knows.
        Told::Refused => !matches!(call.ask, Ask::SetPriceIf { .. }),
        Told::Done(_) => true,
    };
    let calls: Vec<Call> = calls.into_iter().filter(says_something).collect();
    Search::new(before, calls).run()
}

/// What stands in the list.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// Ends of the list.
    End,
    Asked(usize),
    Answered(usize),
}

/// A list of questions and answers, out of which calls are taken and put back.
struct Timeline {
    entries: Vec<Entry>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Where question and answer of each call stand.
    places: Vec<(usize, Option<usize>)>,
}

/// One order that is tried.
struct Search {
    calls: Vec<Call>,
    timeline: Timeline,
    state: State,
    /// A number for the set of calls that were taken.
    taken: u128,
    tried: HashSet<(u128, State)>,
    steps: Vec<Step>,
}

/// A call that was taken, and which others could have been.
struct Step {
    call: usize,
    before: State,
    others: Vec<usize>,
}

impl Timeline {
    fn new(calls: &[Call]) -> Timeline {
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * calls.len());
        for (number, call) in calls.iter().enumerate() {
            events.push((call.invoked, false, number));
            // An unknown call may take effect after whatever came in place of an answer.
            let returned = call.returned.filter(|_| call.told != Told::Unknown);
            events.extend(returned.map(|returned| (returned, true, number)));
        }
        // Of the same moment, questions come first.
        events.sort_unstable();
        let mut entries = vec![Entry::End];
        let mut places = vec![(0, None); calls.len()];
        for (_, is_answer, number) in events {
            let at = entries.len();
            if is_answer {
                places[number].1 = Some(at);
                entries.push(Entry::Answered(number));
            } else {
                places[number].0 = at;
                entries.push(Entry::Asked(number));
            }
        }
        let count = entries.len();
        let next = (1..=count).map(|at| at % count).collect();
        let previous = (0..count).map(|at| (at + count - 1) % count).collect();
        Timeline { entries, next, previous, places }
    }

    fn take(&mut self, call: usize) {
        let (asked, answered) = self.places[call];
        for at in [Some(asked), answered].into_iter().flatten() {
            let (before, after) = (self.previous[at], self.next[at]);
            self.next[before] = after;
            self.previous[after] = before;
        }
    }

    /// Puts back the one that was taken last of those that are out.
    fn put_back(&mut self, call: usize) {
        let (asked, answered) = self.places[call];
        for at in [answered, Some(asked)].into_iter().flatten() {
            let (before, after) = (self.previous[at], self.next[at]);
            self.next[before] = at;
            self.previous[after] = at;
        }
    }

    /// The questions before the first answer, and whose answer that is.
    fn open(&self) -> (Vec<usize>, Option<usize>) {
        let mut open = Vec::new();
        let mut at = self.next[0];
        loop {
            match self.entries[at] {
                Entry::End => return (open, None),
                Entry::Answered(call) => return (open, Some(call)),
                Entry::Asked(call) => open.push(call),
            }
            at = self.next[at];
        }
    }
}

impl Search {
    fn new(before: State, calls: Vec<Call>) -> Search {
        let timeline = Timeline::new(&calls);
        Search { calls, timeline, state: before, taken: 0, tried: HashSet::new(), steps: vec![] }
    }

    fn run(mut self) -> Result<(), Violation> {
        let mut furthest: Option<Violation> = None;
        for _ in 0..STEPS_MAX {
            let (open, due) = self.timeline.open();
            let Some(due) = due else { return Ok(()) };
            let mut candidates = self.candidates(&open, due);
            candidates.reverse();
            if furthest.as_ref().is_none_or(|it| it.placed <= self.steps.len()) {
                let (call, state, placed) = (self.calls[due], self.state, self.steps.len());
                furthest = Some(Violation { call, state, placed, is_given_up: false });
            }
            if !self.go_on(candidates) {
                return Err(furthest.unwrap_or_else(|| unreachable!("an answer was due")));
            }
        }
        let furthest = furthest.unwrap_or_else(|| unreachable!("steps were made"));
        Err(Violation { is_given_up: true, ..furthest })
    }

    /// Takes the last of these that leads to something that was not tried, or goes back to where there is another one.
    /// `false` when there is none at all.
    fn go_on(&mut self, mut candidates: Vec<usize>) -> bool {
        loop {
            while let Some(call) = candidates.pop() {
                let Call { ask, told, .. } = self.calls[call];
                let Some(after) = self.state.after(ask, told) else { continue };
                let taken = self.taken ^ number_of(call);
                if self.tried.insert((taken, after)) {
                    self.timeline.take(call);
                    self.steps.push(Step { call, before: self.state, others: candidates });
                    (self.state, self.taken) = (after, taken);
                    return true;
                }
            }
            let Some(Step { call, before, others }) = self.steps.pop() else { return false };
            self.timeline.put_back(call);
            (self.state, self.taken) = (before, self.taken ^ number_of(call));
            candidates = others;
        }
    }

    /// The calls that can come next, the likeliest first.
    fn candidates(&self, open: &[usize], due: usize) -> Vec<usize> {
        if self.is_too_late_for(&self.calls[due]) {
            return Vec::new();
        }
        let (mut located, mut sure, mut unknown) = (None, Vec::new(), Vec::new());
        for &number in open {
            let Call { ask, told, .. } = self.calls[number];
            let Some(after) = self.state.after(ask, told) else { continue };
            match told {
                Told::Unknown if after == self.state => {}
                Told::Unknown => unknown.push(number),
                // What changes nothing may stand here, whatever else does.
                _ if after == self.state => return vec![number],
                // No other change can stand here.
                Told::Done(Shown { version: Some(_), .. }) => located = Some(number),
                _ => sure.push(number),
            }
        }
        if let Some(located) = located {
            return vec![located];
        }
        sure.extend(unknown);
        sure
    }

    /// Whether the stock has gone past what this call was told: versions go up, shares go down.
    fn is_too_late_for(&self, call: &Call) -> bool {
        let Told::Done(Shown { version, volume, .. }) = call.told else { return false };
        let before = u64::from(!call.ask.is_read());
        version.is_some_and(|version| version < self.state.version + before)
            || volume.is_some_and(|volume| volume > self.state.volume)
    }
}

/// A random number for each call, so that sets of them can be told by the sum.
fn number_of(call: usize) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        (call, salt).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

#[cfg(test)]
mod tests;
