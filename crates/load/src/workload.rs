//! The requests of a run: which names, how often each, and the share of writes and of names that do
//! not exist.
//!
//! All threads share one workload; each has its own random numbers. Knows no connection.

use std::collections::VecDeque;

use crate::chance::{Chance, Zipf};
use crate::codec::{Caller, Item, Protocol, Requests, WriteWith, excerpt};
use crate::error::LoadError;
use crate::figures::{Figures, Kind};
use crate::stocks::{Texts, price};

/// Number of names that are not listed, for the share of misses.
const UNKNOWN_NAMES: u32 = 1024;

/// How requests are chosen.
#[derive(Clone, Debug)]
pub struct Mix {
    /// The protocol.
    pub protocol: Protocol,
    /// Names of one lookup; above 1 it is an `MGET`.
    pub mget: usize,
    /// Exponent of Zipf's law by the order of names; `None` for a uniform choice.
    pub zipf: Option<f64>,
    /// Share of lookups of unknown names, in percent.
    pub misses_percent: f64,
    /// Share of requests that are writes, in percent.
    pub updates_percent: f64,
    /// How a price is written.
    pub update_with: WriteWith,
    /// Who asks, over HTTP.
    pub caller: Caller,
}

/// The requests of a run and what their replies should be.
#[derive(Debug)]
pub struct Workload {
    protocol: Protocol,
    requests: Requests,
    names: Texts,
    stocks: u32,
    zipf: Option<Zipf>,
    mget: usize,
    misses: Share,
    updates: Share,
    expected: Option<Expected>,
    caller: Caller,
}

/// What lookups should find.
#[derive(Debug)]
pub enum Expected {
    /// The prices of filling, or the prices one cent higher that updates write.
    Filled,
    /// The answers before the run, name by name; an empty text for a name that was not listed.
    Recorded(Texts),
}

/// A share of cases, of 2³².
#[derive(Clone, Copy, Debug)]
struct Share(u64);

impl Share {
    fn of_percent(percent: f64) -> Share {
        Share((percent / 100.0 * 2_f64.powi(32)).round() as u64)
    }

    #[inline]
    fn hits(self, chance: &mut Chance) -> bool {
        self.0 > 0 && chance.bits() >> 32 < self.0
    }
}

impl Workload {
    /// Prepares the requests for these names.
    ///
    /// # Errors
    ///
    /// When the mix or a name is not possible in the protocol.
    pub fn new(mix: &Mix, names: Texts, expected: Option<Expected>) -> Result<Workload, LoadError> {
        let usage = |why: String| Err(LoadError::Usage(why));
        if names.is_empty() {
            return usage("there are no names to look up".to_owned());
        }
        if !mix.protocol.has_writes() && mix.updates_percent > 0.0 {
            return usage(format!(
                "the {} protocol has no writes; use --updates with --protocol resp",
                mix.protocol
            ));
        }
        if mix.protocol != Protocol::Resp && mix.mget > 1 {
            return usage(
                "--mget needs --protocol resp, which alone looks up many names at once".to_owned(),
            );
        }
        let stocks = names.len() as u32;
        let mut requests = Requests::new(mix.protocol, mix.mget, mix.update_with, &mix.caller);
        for name in names.iter() {
            if let Some(why) = mix.protocol.refuses(name) {
                return usage(format!("name '{}' {why}", excerpt(name)));
            }
            requests.add(name);
        }
        (0..UNKNOWN_NAMES).for_each(|number| requests.add(&unknown_name(number)));
        Ok(Workload {
            protocol: mix.protocol,
            requests,
            names,
            stocks,
            zipf: mix.zipf.map(|theta| Zipf::new(stocks, theta)),
            mget: mix.mget,
            misses: Share::of_percent(mix.misses_percent),
            updates: Share::of_percent(mix.updates_percent),
            expected,
            caller: mix.caller.clone(),
        })
    }

    /// The protocol.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Who asks, over HTTP.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// A name as it stands in a request.
    pub(crate) fn prepared(&self, name: u32) -> &[u8] {
        self.requests.name(name)
    }

    /// The items that a lookup's reply has after its head, or `None` where it is one item.
    #[inline]
    pub fn parts(&self) -> Option<usize> {
        (self.mget > 1).then_some(self.mget)
    }

    /// Whether replies are compared.
    #[inline]
    pub fn verifies(&self) -> bool {
        self.expected.is_some()
    }

    /// Draws the next request and appends it. The names that it looks up are noted in `asked`,
    /// where replies are compared.
    #[inline]
    pub fn write_next(
        &self,
        chance: &mut Chance,
        out: &mut Vec<u8>,
        asked: &mut VecDeque<u32>,
    ) -> Kind {
        if self.updates.hits(chance) {
            let name = self.stock(chance);
            let price = price(name, chance.bits() >> 63 == 1).text();
            self.requests.update(name, price.as_bytes(), out);
            return Kind::Update;
        }
        if self.mget > 1 {
            let names = (0..self.mget).map(|_| {
                let name = self.name(chance);
                self.note(name, asked);
                name
            });
            self.requests.lookup_many(names, out);
        } else {
            let name = self.name(chance);
            self.note(name, asked);
            self.requests.lookup(name, out);
        }
        Kind::Lookup
    }

    /// Compares the answer for a name with the expected one.
    pub fn verify(&self, name: u32, found: Item<'_>, figures: &mut Figures) {
        let Some(expected) = &self.expected else {
            return;
        };
        figures.counts.verified += 1;
        let is_price = |higher| match found {
            Item::Value(found) => found == price(name, higher).text().as_bytes(),
            _ => false,
        };
        let right = match (expected, found) {
            _ if name >= self.stocks => found == Item::Missing,
            (Expected::Filled, _) => is_price(false) || (self.updates.0 > 0 && is_price(true)),
            (Expected::Recorded(texts), Item::Value(found)) => found == texts.get(name as usize),
            (Expected::Recorded(texts), found) => {
                found == Item::Missing && texts.get(name as usize).is_empty()
            }
        };
        if right {
            return;
        }
        figures.counts.mismatches += 1;
        if figures.counts.first_mismatch.is_none() {
            figures.counts.first_mismatch = Some(self.mismatch(name, found));
        }
    }

    fn mismatch(&self, name: u32, found: Item<'_>) -> String {
        let expected = match &self.expected {
            _ if name >= self.stocks => "not listed".to_owned(),
            Some(Expected::Recorded(texts)) if texts.get(name as usize).is_empty() => {
                "not listed".to_owned()
            }
            Some(Expected::Recorded(texts)) => excerpt(texts.get(name as usize)),
            _ => price(name, false).to_string(),
        };
        let found = match found {
            Item::Value(value) => excerpt(value),
            _ => "not listed".to_owned(),
        };
        let name = match name.checked_sub(self.stocks) {
            Some(unknown) => excerpt(&unknown_name(unknown)),
            None => excerpt(self.names.get(name as usize)),
        };
        format!("'{name}' was answered with '{found}', not '{expected}'")
    }

    #[inline]
    fn note(&self, name: u32, asked: &mut VecDeque<u32>) {
        if self.expected.is_some() {
            asked.push_back(name);
        }
    }

    /// Draws a name to look up.
    #[inline]
    pub(crate) fn name(&self, chance: &mut Chance) -> u32 {
        match self.misses.hits(chance) {
            true => self.stocks + chance.below(UNKNOWN_NAMES),
            false => self.stock(chance),
        }
    }

    #[inline]
    fn stock(&self, chance: &mut Chance) -> u32 {
        match &self.zipf {
            Some(zipf) => zipf.draw(chance),
            None => chance.below(self.stocks),
        }
    }
}

fn unknown_name(number: u32) -> Vec<u8> {
    format!("~unknown{number:04}").into_bytes()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Lookups of single listed names.
    pub(crate) fn mix(protocol: Protocol) -> Mix {
        Mix {
            protocol,
            mget: 1,
            zipf: None,
            misses_percent: 0.0,
            updates_percent: 0.0,
            update_with: WriteWith::Hset,
            caller: Caller::default(),
        }
    }

    #[test]
    fn shares_of_misses_and_updates_are_kept() {
        let mix = Mix { misses_percent: 10.0, updates_percent: 25.0, ..mix(Protocol::Resp) };
        let expected = Some(Expected::Filled);
        let workload = Workload::new(&mix, Texts::generated(100), expected).unwrap();
        let mut chance = Chance::new(1, 0);
        let (mut updates, mut asked) = (0, VecDeque::new());
        for _ in 0..100_000 {
            let mut out = Vec::new();
            let kind = workload.write_next(&mut chance, &mut out, &mut asked);
            updates += usize::from(kind == Kind::Update);
        }
        assert!((24_500..25_500).contains(&updates), "{updates}");
        let misses = asked.iter().filter(|name| **name >= 100).count();
        assert_eq!(asked.len() + updates, 100_000);
        assert!((7_200..7_800).contains(&misses), "{misses}");
    }

    #[test]
    fn a_wrong_reply_is_a_mismatch_and_named() {
        let names = Texts::generated(2);
        let mut recorded = Texts::default();
        recorded.push(b"172.5");
        recorded.push(b"");
        let expected = Some(Expected::Recorded(recorded));
        let workload = Workload::new(&mix(Protocol::Line), names, expected).unwrap();
        let mut figures = Figures::new(0);
        for (name, found) in [(0, Item::Value(b"172.5")), (1, Item::Missing), (2, Item::Missing)] {
            workload.verify(name, found, &mut figures);
        }
        assert_eq!((figures.counts.verified, figures.counts.mismatches), (3, 0));
        for (name, found) in [
            (0, Item::Value(b"172.51")),
            (1, Item::Value(b"0")),
            (0, Item::Missing),
            (2, Item::Value(b"1")),
        ] {
            workload.verify(name, found, &mut figures);
        }
        assert_eq!((figures.counts.verified, figures.counts.mismatches), (7, 4));
        assert_eq!(
            figures.counts.first_mismatch.unwrap(),
            "'S0000000' was answered with '172.51', not '172.5'"
        );
    }

    #[test]
    fn a_mix_that_the_protocol_lacks_is_refused() {
        let why = |mix: &Mix, name: &[u8]| {
            let mut names = Texts::default();
            names.push(name);
            Workload::new(mix, names, None).unwrap_err().to_string()
        };
        assert!(
            why(&Mix { updates_percent: 1.0, ..mix(Protocol::Line) }, b"A").contains("--updates")
        );
        assert!(why(&Mix { updates_percent: 1.0, ..mix(Protocol::Grpc) }, b"A").contains("gRPC"));
        assert!(why(&Mix { mget: 2, ..mix(Protocol::Memcached) }, b"A").contains("--mget"));
        assert_eq!(
            why(&mix(Protocol::Memcached), b"A B"),
            "name 'A B' has a space or control character, which memcached's keys cannot"
        );
    }
}
