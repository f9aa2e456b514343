//! Commands that may take more than one turn: each is a walk that keeps its place.
//!
//! A walk goes on while the turn has work and room left, and for the rest of it the conversation
//! waits for its next turn. Nothing behind the command is answered meanwhile, so replies keep their order.
//!
//! Invariant: a step does a bounded piece of work and is charged to the turn; what a walk has made
//! and not written is in [`Walk::bytes`].

use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;

use stockd_model::limits::{KEYS_MAX, SCAN_COUNT_MAX, SCAN_ROWS, WRITTEN_BYTES_PER_WORK};
use stockd_model::{Pattern, Right, Symbol};
use stockd_wire::resp::{ClientFilter, CommandError, Description, Encoder, Glob, Kill, Scan};

use super::cost;
use super::subscribe;
use crate::client_list::{ClientInfo, Killed, Listed};
use crate::conversation::{Ending, Waits};
use crate::turn::Turn;

/// A command that is under way.
#[derive(Debug)]
pub(super) enum Walk {
    /// `KEYS` and `PUBSUB CHANNELS` look for symbols.
    Symbols(Symbols),
    /// `SCAN` fills a page.
    Page(Page),
    /// `DBSIZE` counts the stocks that may be read, from here on.
    Count { from: u64, stocks: u64 },
    /// `RANDOMKEY` looks for a stock from here on, and from the beginning if there is none.
    Random { from: u64, wrapped: bool },
    /// `CLIENT LIST` describes the connections with these numbers: those that come later are in
    /// another list.
    Clients { next: u64, last: u64, listed: Listed, lines: String },
    /// `CLIENT KILL` closes connections with these numbers.
    Kill(Kills),
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
pub(super) struct Symbols {
    pattern: Pattern,
    place: Place,
    count: usize,
    /// The symbols, encoded.
    found: Vec<u8>,
}

/// Where symbols are looked for, and how far that has come.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Among the listed stocks.
    Catalog(u64),
    /// Among those that somebody is subscribed to.
    Directory(Option<Symbol>),
}

/// A page of `SCAN`, as far as it is filled.
#[derive(Debug)]
pub(super) struct Page {
    pattern: Option<Pattern>,
    right_type: bool,
    from_the_beginning: bool,
    /// The place in the catalog to go on from.
    from: u64,
    /// Stocks to look at, and rows.
    stocks_left: usize,
    rows_left: usize,
    /// Rows to read next.
    rows: usize,
    stocks: usize,
    found: Vec<Symbol>,
}

/// The connections to be closed, as far as they are found.
#[derive(Debug)]
pub(super) struct Kills {
    killed: Killed,
    numbers: RangeInclusive<u64>,
    /// Whether the connection that asks is one of them.
    own: bool,
    own_number: u64,
    /// Whether to say how many they are.
    counts: bool,
    count: u64,
}

/// What follows a step.
enum Step {
    Next,
    Become(Walk),
    Done,
    /// The connection ends with this reply.
    End,
}

impl Walk {
    pub(super) fn keys(pattern: Glob<'_>) -> Walk {
        Walk::symbols(pattern, Place::Catalog(0))
    }

    pub(super) fn channels(pattern: Glob<'_>) -> Walk {
        Walk::symbols(pattern, Place::Directory(None))
    }

    fn symbols(pattern: Glob<'_>, place: Place) -> Walk {
        let pattern = Pattern::new(pattern.as_bytes());
        Walk::Symbols(Symbols { pattern, place, count: 0, found: Vec::new() })
    }

    pub(super) fn scan(scan: &Scan<'_>) -> Walk {
        Walk::Page(Page {
            pattern: scan.pattern.map(|pattern| Pattern::new(pattern.as_bytes())),
            right_type: scan.right_type,
            from_the_beginning: scan.from == 0,
            from: scan.from,
            stocks_left: scan.count,
            rows_left: SCAN_ROWS.max(2 * scan.count),
            // About half of the rows hold a stock.
            rows: 2 * scan.count,
            stocks: 0,
            found: Vec::new(),
        })
    }

    pub(super) fn count() -> Walk {
        Walk::Count { from: 0, stocks: 0 }
    }

    pub(super) fn random() -> Walk {
        Walk::Random { from: random() & !0xffff, wrapped: false }
    }

    /// Only administrators see other connections than their own.
    pub(super) fn clients(filter: &ClientFilter<'_>, own: u64, turn: &Turn<'_>) -> Walk {
        let is_admin = turn.identity.access().has(Right::Admin);
        let (next, last) = match is_admin {
            true => (0, turn.server.clients.latest()),
            false => (own, own),
        };
        Walk::Clients { next, last, listed: filter.into(), lines: String::new() }
    }

    /// Of connections that are to be closed by this one; an error where there is no such user.
    pub(super) fn kill<'a>(
        kill: &Kill<'a>,
        own: &ClientInfo,
        turn: &Turn<'_>,
    ) -> Result<Walk, CommandError<'a>> {
        let user = kill.user.unwrap_or_default();
        let killed =
            Killed::new(kill, &turn.server.authority).ok_or(CommandError::NoSuchUser(user))?;
        Ok(Walk::Kill(Kills {
            numbers: killed.numbers(turn.server.clients.latest()),
            own: !kill.skips_own && own.is_killed_by(&killed, turn.now),
            own_number: own.id,
            counts: kill.counts,
            count: 0,
            killed,
        }))
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
                Step::End => return Some(Waits::Nothing(Ending::Killed)),
            }
        }
    }

    /// Whether all that it writes are confirmations of subscriptions.
    pub(super) fn confirms(&self) -> bool {
        matches!(self, Walk::EndSymbols | Walk::EndPatterns)
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Walk::Symbols(symbols) => symbols.found.capacity(),
            Walk::Page(page) => page.found.capacity() * size_of::<Symbol>(),
            Walk::Random { .. } | Walk::Count { .. } => 0,
            Walk::Clients { lines, .. } => lines.capacity(),
            Walk::Kill(kills) => kills.killed.bytes(),
            Walk::Describe(description) => description.bytes(),
            Walk::EndSymbols | Walk::EndPatterns => 0,
            Walk::Write { reply, .. } => reply.capacity(),
        }
    }

    fn step(&mut self, encoder: &Encoder, turn: &mut Turn<'_>) -> Step {
        match self {
            Walk::Symbols(symbols) => symbols.step(encoder, turn),
            Walk::Page(page) => page.step(encoder, turn),
            Walk::Count { from, stocks } => count(from, stocks, encoder, turn),
            Walk::Random { from, wrapped } => find_any(from, wrapped, encoder, turn),
            Walk::Clients { next, last, listed, lines } => {
                list_clients((next, *last), listed, lines, encoder, turn)
            }
            Walk::Kill(kills) => kills.step(encoder, turn),
            Walk::Describe(description) => {
                let before = turn.replies.out.len();
                let is_over = !description.next(encoder, turn.replies.out);
                let bytes = turn.replies.out.len() - before;
                turn.work.spend(cost::DESCRIPTION + bytes / WRITTEN_BYTES_PER_WORK);
                if is_over { Step::Done } else { Step::Next }
            }
            Walk::EndSymbols => subscribe::end_next_symbol(encoder, turn).into(),
            Walk::EndPatterns => subscribe::end_next_pattern(encoder, turn).into(),
            Walk::Write { reply, written } => write(reply, written, turn),
        }
    }
}

impl Symbols {
    /// Looks at a page of the catalog or of the directory.
    fn step(&mut self, encoder: &Encoder, turn: &mut Turn<'_>) -> Step {
        if let Err(full) = turn.check_memory() {
            encoder.error(&full, turn.replies.out);
            return Step::Done;
        }
        let row_cost = cost::row(self.pattern.as_bytes().len());
        let rows = (turn.work.left() / row_cost).clamp(1, SCAN_COUNT_MAX);
        let (engine, access) = (turn.executor.engine(), turn.identity.access());
        let (symbols, next): (Vec<Symbol>, _) = match self.place {
            Place::Catalog(from) => {
                let page = engine.browse(access, from, rows);
                let symbols = page.quotes.iter().map(|quote| quote.symbol).collect();
                (symbols, page.next.map(Place::Catalog))
            }
            Place::Directory(after) => {
                let directory = engine.directory();
                let (symbols, last) = directory.symbols_after(access, after.as_ref(), rows);
                (symbols, last.map(|last| Place::Directory(Some(last))))
            }
        };
        let before = self.count;
        for symbol in symbols.iter().filter(|symbol| self.pattern.matches(symbol)) {
            encoder.symbol(symbol, &mut self.found);
            self.count += 1;
        }
        turn.work.spend(rows * row_cost + self.count - before);
        if self.count > KEYS_MAX {
            let refusal = format_args!(
                "ERR more than {KEYS_MAX} symbols would be listed, the limit; use SCAN or a narrower pattern"
            );
            encoder.error(&refusal, turn.replies.out);
            return Step::Done;
        }
        match next {
            Some(place) => {
                self.place = place;
                Step::Next
            }
            None => {
                encoder.array(self.count, turn.replies.out);
                Step::write(std::mem::take(&mut self.found))
            }
        }
    }
}

impl Page {
    /// Looks at some more rows.
    fn step(&mut self, encoder: &Encoder, turn: &mut Turn<'_>) -> Step {
        let row_cost = cost::row(self.pattern.as_ref().map_or(0, |it| it.as_bytes().len()));
        let affordable = (turn.work.left() / row_cost).max(1);
        let rows = self.rows.min(self.rows_left).min(affordable);
        turn.work.spend(rows * row_cost);
        let (engine, access) = (turn.executor.engine(), turn.identity.access());
        let page = engine.browse(access, self.from, rows);
        let symbols = page.quotes.iter().map(|quote| quote.symbol);
        let fits = |symbol: &Symbol| {
            self.right_type && self.pattern.as_ref().is_none_or(|it| it.matches(symbol))
        };
        self.found.extend(symbols.filter(fits));
        self.stocks += page.quotes.len();
        self.stocks_left = self.stocks_left.saturating_sub(page.quotes.len());
        self.rows_left -= rows;
        // Where stocks are rare more rows are read at once.
        self.rows =
            if page.quotes.is_empty() { 2 * rows } else { (2 * self.stocks_left).max(rows) };
        let sees_all = |all| self.from_the_beginning && self.stocks >= all;
        let has_seen_all = engine.count(access).is_some_and(sees_all);
        match page.next.filter(|_| !has_seen_all) {
            Some(place) if self.stocks_left > 0 && self.rows_left > 0 => {
                self.from = place;
                Step::Next
            }
            next => {
                encoder.scan(next, &self.found, turn.replies.out);
                Step::Done
            }
        }
    }
}

/// Looks at some more rows for a stock, and says which of them it is.
fn find_any(from: &mut u64, wrapped: &mut bool, encoder: &Encoder, turn: &mut Turn<'_>) -> Step {
    const ROWS: usize = 64;
    turn.work.spend(ROWS);
    let page = turn.executor.engine().browse(turn.identity.access(), *from, ROWS);
    let number = random() as usize % page.quotes.len().max(1);
    match (page.quotes.get(number), page.next) {
        (Some(quote), _) => encoder.symbol(&quote.symbol, turn.replies.out),
        (None, Some(place)) => {
            *from = place;
            return Step::Next;
        }
        (None, None) if !*wrapped => {
            (*from, *wrapped) = (0, true);
            return Step::Next;
        }
        (None, None) => encoder.nil(turn.replies.out),
    }
    Step::Done
}

/// Looks at some more rows and counts their stocks.
fn count(from: &mut u64, stocks: &mut u64, encoder: &Encoder, turn: &mut Turn<'_>) -> Step {
    let rows = turn.work.left().clamp(1, SCAN_COUNT_MAX);
    turn.work.spend(rows);
    let page = turn.executor.engine().browse(turn.identity.access(), *from, rows);
    *stocks += page.quotes.len() as u64;
    match page.next {
        Some(place) => {
            *from = place;
            Step::Next
        }
        None => {
            encoder.integer(*stocks, turn.replies.out);
            Step::Done
        }
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(stockd_engine::now_ns())
}

/// Describes the next few connections.
fn list_clients(
    (next, last): (&mut u64, u64),
    listed: &Listed,
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
    match turn.server.clients.write_lines(*next..=last, count, listed, turn.now, lines) {
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

impl Kills {
    /// Looks at the next few connections.
    fn step(&mut self, encoder: &Encoder, turn: &mut Turn<'_>) -> Step {
        let Kills { killed, numbers, own_number, .. } = self;
        let count = (turn.work.left() / cost::CLIENT_LINE).clamp(1, cost::CLIENTS_TOGETHER);
        turn.work.spend(count * cost::CLIENT_LINE);
        let clients = &turn.server.clients;
        let (count, last) = clients.kill(numbers.clone(), count, killed, *own_number, turn.now);
        self.count += count;
        if let Some(last) = last
            && last < *self.numbers.end()
        {
            self.numbers = last + 1..=*self.numbers.end();
            return Step::Next;
        }
        self.count += u64::from(self.own);
        match (self.counts, self.count) {
            (true, count) => encoder.integer(count, turn.replies.out),
            (false, 0) => encoder.error(&CommandError::NoSuchClient, turn.replies.out),
            (false, _) => encoder.ok(turn.replies.out),
        }
        if self.own { Step::End } else { Step::Done }
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
