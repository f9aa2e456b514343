//! Who is subscribed to what, over all feeds of an engine, for those who ask.
//!
//! Feeds note here when a subscription begins or ends. Nothing is looked up here to tell anybody anything.
//!
//! Invariant: what stands here is what the feeds' subscribers that have not left are subscribed to,
//! and what those that have left held and the feeds have not tidied up.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stockd_access::Access;
use stockd_model::{Pattern, Symbol};

/// The symbols and patterns that somebody is subscribed to.
#[derive(Debug, Default)]
pub struct Directory(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// With how many subscribers.
    symbols: BTreeMap<Symbol, u32>,
    /// With how many feeds.
    patterns: HashMap<Arc<Pattern>, u32>,
}

impl Directory {
    /// How many symbols somebody is subscribed to.
    pub fn symbols(&self) -> usize {
        self.lock().symbols.len()
    }

    /// How many patterns.
    pub fn patterns(&self) -> usize {
        self.lock().patterns.len()
    }

    /// How many subscribers a symbol has, those by patterns apart; `None` where it may not be read.
    pub fn subscribers(&self, access: &Access, symbol: &Symbol) -> Option<usize> {
        let count = || self.lock().symbols.get(symbol).map_or(0, |it| *it as usize);
        access.reads(symbol).then(count)
    }

    /// Looks at the next few symbols behind this one that somebody is subscribed to: those that may be
    /// read, in order, and the last that was looked at.
    pub fn symbols_after(
        &self,
        access: &Access,
        symbol: Option<&Symbol>,
        at_most: usize,
    ) -> (Vec<Symbol>, Option<Symbol>) {
        let from = symbol.map_or(Unbounded, |symbol| Excluded(*symbol));
        let entries = self.lock();
        let next = entries.symbols.range((from, Unbounded)).take(at_most).map(|(it, _)| *it);
        let mut symbols: Vec<Symbol> = next.collect();
        drop(entries);
        let last = symbols.last().copied();
        symbols.retain(|symbol| access.reads(symbol));
        (symbols, last)
    }

    pub(crate) fn join(&self, symbol: &Symbol) {
        *self.lock().symbols.entry(*symbol).or_default() += 1;
    }

    pub(crate) fn end(&self, symbol: &Symbol) {
        let mut entries = self.lock();
        if let Some(subscribers) = entries.symbols.get_mut(symbol) {
            *subscribers -= 1;
            if *subscribers == 0 {
                entries.symbols.remove(symbol);
            }
        }
    }

    pub(crate) fn join_pattern(&self, pattern: &Arc<Pattern>) {
        *self.lock().patterns.entry(Arc::clone(pattern)).or_default() += 1;
    }

    pub(crate) fn end_pattern(&self, pattern: &Pattern) {
        let mut entries = self.lock();
        if let Some(feeds) = entries.patterns.get_mut(pattern) {
            *feeds -= 1;
            if *feeds == 0 {
                entries.patterns.remove(pattern);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // An entry is whole whenever the lock is free, so a poisoned lock holds good ones.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
