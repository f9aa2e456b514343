//! What the log of a cluster says of some stocks, by the rules of docs/cluster.md, written once more.
//!
//! A message counts if its session is open and its number is above the last one that counted. That sessions are forgotten
//! after a day, and that logs fork, is left out: no run is that long, and nodes are asked about forks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use stockd_model::batch::{self, Body, Command, Kind};
use stockd_model::{Condition, Edit, Fields, Request, Shares, Symbol};

use crate::history::{Ask, State};
use crate::nats::Message;

/// The log, read.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// What each stock is at the end.
    pub stocks: BTreeMap<String, State>,
    /// What was decided of stocks that were listed then, in order.
    pub effects: Vec<Effect>,
    /// Messages that count for nothing: repeated, of no session, or no messages at all.
    pub passed_over: usize,
    /// The last number that counted, of each session.
    sessions: BTreeMap<u64, u64>,
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The message that it was in.
    pub sequence: u64,
    /// The stock.
    pub symbol: String,
    /// What was asked.
    pub ask: Ask,
    /// What the stock is then; `None` where it was refused.
    pub after: Option<State>,
}

impl Truth {
    /// Reads a log from its beginning.
    pub fn of(log: &[Message]) -> Truth {
        let mut truth = Truth::default();
        for message in log {
            match batch::decode(&message.bytes) {
                Ok((head, body)) if truth.counts(head.kind, head.session, head.number) => {
                    if let Body::Commands(commands) = body {
                        commands.iter().for_each(|it| truth.decide(message.sequence, it));
                    }
                }
                _ => truth.passed_over += 1,
            }
        }
        truth
    }

    fn counts(&mut self, kind: Kind, session: u64, number: u64) -> bool {
        let is_hello = kind == Kind::Hello;
        match self.sessions.entry(session) {
            Entry::Vacant(entry) => {
                if is_hello {
                    entry.insert(number);
                }
                is_hello
            }
            Entry::Occupied(mut last) => {
                let counts = !is_hello && number > *last.get();
                if counts {
                    last.insert(number);
                }
                counts
            }
        }
    }

    fn decide(&mut self, sequence: u64, command: &Command) {
        match command {
            Command::One(asked) => self.request(sequence, asked.condition, &asked.request),
            Command::Together(watched, requests) => {
                // Each command that we read is on one stock, whose condition is the version.
                let expected = |symbol: &Symbol| {
                    let found = watched.iter().find(|(it, _)| it == symbol);
                    found.map_or(Condition::Always, |(_, condition)| *condition)
                };
                let holds =
                    watched.iter().all(|(symbol, condition)| self.holds(symbol, *condition));
                for request in requests {
                    let Some(symbol) = request.symbol() else { continue };
                    if holds {
                        self.request(sequence, expected(symbol), request);
                    } else if let Some(ask) = ask_of(expected(symbol), request) {
                        let symbol = symbol.as_str().to_owned();
                        self.effects.push(Effect { sequence, symbol, ask, after: None });
                    }
                }
            }
        }
    }

    fn holds(&self, symbol: &Symbol, condition: Condition) -> bool {
        let stock = self.stocks.get(symbol.as_str());
        match condition {
            Condition::Always => true,
            Condition::Listed => stock.is_some(),
            Condition::Unlisted => stock.is_none(),
            Condition::Version(version) => stock.is_some_and(|it| it.version == version),
        }
    }

    fn request(&mut self, sequence: u64, condition: Condition, request: &Request) {
        let Some(symbol) = request.symbol() else { return };
        let name = symbol.as_str();
        if let (Request::Set(_, fields), None) = (request, self.stocks.get(name)) {
            if let (Some(price), volume) = numbers(fields) {
                let state = State { version: 1, price, volume: volume.unwrap_or(0) };
                self.stocks.insert(name.to_owned(), state);
            }
            return;
        }
        let (Some(ask), Some(state)) = (ask_of(condition, request), self.stocks.get_mut(name))
        else {
            return;
        };
        let after = state.decide(ask);
        *state = after.unwrap_or(*state);
        self.effects.push(Effect { sequence, symbol: name.to_owned(), ask, after });
    }
}

/// The call of a client that a command is, if it is one of those.
fn ask_of(condition: Condition, request: &Request) -> Option<Ask> {
    match (request, condition) {
        (Request::Trade(_, Shares::Take(shares)), _) => shares.whole().map(Ask::Take),
        (Request::Set(_, fields) | Request::Update(_, fields), Condition::Version(version)) => {
            numbers(fields).0.map(|price| Ask::SetPriceIf { price, version })
        }
        (Request::Set(_, fields) | Request::Update(_, fields), _) => {
            numbers(fields).0.map(Ask::SetPrice)
        }
        _ => None,
    }
}

/// Price and volume, where they are set and whole.
fn numbers(fields: &Fields) -> (Option<u64>, Option<u64>) {
    let price = match fields.price {
        Edit::Set(price) if price.places() == 0 => u64::try_from(price.coefficient()).ok(),
        _ => None,
    };
    let volume = match fields.volume {
        Edit::Set(volume) => volume.whole(),
        _ => None,
    };
    (price, volume)
}
