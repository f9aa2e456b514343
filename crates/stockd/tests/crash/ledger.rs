//! What one client has asked of its stocks, and what of that was acknowledged.
//!
//! Each client has stocks of its own, so that it knows the state after every write; and all of them
//! buy the shares of some stocks together, of which they know the sum.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::server::Connection;

/// Stocks that one client alone writes.
const OWN: usize = 8;
/// Stocks that all clients buy.
const SHARED: usize = 2;
/// Shares of each of them at the start of a round.
const ISSUED: u64 = 2000;
/// Writes that a client sends ahead of their replies, at most.
const AHEAD_MAX: u64 = 24;

/// What a crash may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing that was acknowledged.
    Acknowledged,
    /// The latest writes of the round, acknowledged or not.
    SomePrefix,
}

/// One client's book.
#[derive(Debug)]
pub(crate) struct Ledger {
    stocks: Vec<Story>,
    /// Shares bought of each shared stock: acknowledged, and asked in all.
    bought: [Bought; SHARED],
    /// Writes so far. They make each state unlike any other.
    writes: u64,
}

/// The states of one stock, from that before the round to that after the last write asked.
#[derive(Debug)]
struct Story {
    symbol: String,
    states: Vec<State>,
    /// The state after the last write that was acknowledged.
    acknowledged: usize,
    /// Its version when the round began.
    version: u64,
    /// Writes acknowledged since that have counted it up.
    changes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bought {
    acknowledged: u64,
    asked: u64,
}

/// A stock, unless it is not listed: price in whole units, volume, whether it trades.
type State = Option<(u64, u64, bool)>;

/// What is asked with one write, and what the reply has to be.
enum Asked {
    Own { stock: usize, reply: Reply },
    Buy { stock: usize, shares: u64 },
}

#[derive(Debug, PartialEq)]
enum Reply {
    Exactly(String),
    Refused,
}

impl Ledger {
    pub(crate) fn new(writer: usize) -> Ledger {
        let story = |stock| Story {
            symbol: format!("W{writer}.{stock}"),
            states: vec![None],
            acknowledged: 0,
            version: 0,
            changes: 0,
        };
        let stocks = (0..OWN).map(story).collect();
        Ledger { stocks, bought: Default::default(), writes: 0 }
    }

    /// Writes until the server is gone.
    pub(crate) fn write_until_cut_off(
        &mut self,
        mut connection: Connection,
        mut random: Random,
        acknowledged: &AtomicU64,
    ) {
        loop {
            let mut commands = String::new();
            let asked: Vec<Asked> = (0..=random.below(AHEAD_MAX))
                .map(|_| self.ask(&mut random, &mut commands))
                .collect();
            let _ = connection.send(&commands);
            for asked in asked {
                let Some(reply) = connection.line() else {
                    return;
                };
                self.acknowledge(asked, &reply);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Thinks of a write, and notes what it does to its stock.
    fn ask(&mut self, random: &mut Random, commands: &mut String) -> Asked {
        self.writes += 1;
        if random.below(4) == 0 {
            let (stock, shares) = (random.below(SHARED as u64) as usize, 1 + random.below(3));
            *commands += &format!("HINCRBY SHARED.{stock} volume -{shares}\r\n");
            self.bought[stock].asked += shares;
            return Asked::Buy { stock, shares };
        }
        let stock = random.below(OWN as u64) as usize;
        let number = self.writes;
        let Story { symbol, states, .. } = &mut self.stocks[stock];
        let before = *states.last().expect("the state before the round");
        let exactly = |reply: String| Reply::Exactly(reply);
        let (command, after, reply) = match (random.below(8), before) {
            (0, Some(_)) => (format!("DEL {symbol}"), None, exactly(":1".into())),
            (0, None) => (format!("DEL {symbol}"), None, exactly(":0".into())),
            (1 | 2, Some((_, volume, trades))) => {
                let after = Some((number, volume, trades));
                (format!("SET {symbol} {number}"), after, exactly("+OK".into()))
            }
            (3 | 4, Some((price, volume, true))) if volume > 0 => {
                let left = volume - 1;
                let command = format!("HINCRBY {symbol} volume -1");
                (command, Some((price, left, true)), exactly(format!(":{left}")))
            }
            (1..=4, _) => (format!("HINCRBY {symbol} volume -999999999"), before, Reply::Refused),
            (5, _) => {
                let volume = number * 3;
                let command = format!("HSET {symbol} price {number} volume {volume} status halted");
                let new = if before.is_none() { 3 } else { 0 };
                (command, Some((number, volume, false)), exactly(format!(":{new}")))
            }
            (_, _) => {
                let volume = number * 2;
                let command =
                    format!("HSET {symbol} price {number} volume {volume} status trading");
                let new = if before.is_none() { 3 } else { 0 };
                (command, Some((number, volume, true)), exactly(format!(":{new}")))
            }
        };
        states.push(after);
        *commands += &command;
        *commands += "\r\n";
        Asked::Own { stock, reply }
    }

    fn acknowledge(&mut self, asked: Asked, reply: &str) {
        match asked {
            Asked::Own { stock, reply: expected } => {
                match &expected {
                    Reply::Exactly(expected) => assert_eq!(reply, expected),
                    Reply::Refused => assert!(reply.starts_with("-ERR "), "{reply}"),
                }
                let story = &mut self.stocks[stock];
                let [before, after] = [0, 1].map(|i| story.states[story.acknowledged + i]);
                story.acknowledged += 1;
                story.changes += u64::from(before != after);
            }
            Asked::Buy { stock, shares } => match reply.strip_prefix(':') {
                Some(_) => self.bought[stock].acknowledged += shares,
                // Sold out.
                None => assert!(reply.starts_with("-ERR volume of"), "{reply}"),
            },
        }
    }

    /// Compares what the server has kept with the books, which go on from that.
    ///
    /// # Errors
    ///
    /// The first thing that was lost, torn or sold twice.
    pub(crate) fn settle(
        ledgers: &mut [Ledger],
        connection: &mut Connection,
        kept: Kept,
    ) -> Result<(), String> {
        for story in ledgers.iter_mut().flat_map(|ledger| &mut ledger.stocks) {
            story.settle(connection, kept)?;
        }
        for stock in 0..SHARED {
            let sum = |of: fn(&Bought) -> u64| -> u64 {
                ledgers.iter().map(|ledger| of(&ledger.bought[stock])).sum()
            };
            let (acknowledged, asked) = (sum(|it| it.acknowledged), sum(|it| it.asked));
            let left = quote(connection, &format!("SHARED.{stock}"))
                .and_then(|(state, _)| state)
                .map(|(_, left, _)| left);
            let possible = match kept {
                // Before the first round it is not listed.
                Kept::Acknowledged if asked == 0 && left.is_none() => continue,
                Kept::Acknowledged => acknowledged..=asked,
                // The listing, or the last issue, may be lost too.
                Kept::SomePrefix if left.is_none() => continue,
                Kept::SomePrefix => 0..=ISSUED,
            };
            let sold = left.and_then(|left| ISSUED.checked_sub(left));
            if !sold.is_some_and(|sold| possible.contains(&sold)) || acknowledged > ISSUED {
                return Err(format!(
                    "{left:?} of {ISSUED} shares of SHARED.{stock} are left; {acknowledged} were \
                     sold, {asked} asked for"
                ));
            }
        }
        Ok(())
    }
}

impl Story {
    fn settle(&mut self, connection: &mut Connection, kept: Kept) -> Result<(), String> {
        let (found, version) = quote(connection, &self.symbol).unwrap_or((None, 0));
        let possible = match kept {
            Kept::Acknowledged => &self.states[self.acknowledged..],
            Kept::SomePrefix => &self.states[..],
        };
        if !possible.contains(&found) {
            let Story { symbol, .. } = self;
            return Err(format!("{symbol} is {found:?}, which is none of {possible:?}"));
        }
        // An interval may take back versions that were seen.
        let version_min = self.version + self.changes;
        if found.is_some() && kept == Kept::Acknowledged && version < version_min {
            let Story { symbol, .. } = self;
            return Err(format!("{symbol} has version {version}, which was {version_min} before"));
        }
        self.states = vec![found];
        self.acknowledged = 0;
        self.version = version.max(if kept == Kept::Acknowledged { version_min } else { 0 });
        self.changes = 0;
        Ok(())
    }
}

/// Makes the shares of the shared stocks as many as at first.
pub(crate) fn issue(ledgers: &mut [Ledger], connection: &mut Connection) {
    for stock in 0..SHARED {
        let reply = connection.ask(&format!("HSET SHARED.{stock} price 1 volume {ISSUED}"));
        assert!(reply == ":0" || reply == ":2", "{reply}");
    }
    ledgers.iter_mut().for_each(|ledger| ledger.bought = Default::default());
}

/// State and version of a stock; `None` when it is not listed.
fn quote(connection: &mut Connection, symbol: &str) -> Option<(State, u64)> {
    let parts = connection.parts(&format!("HGETALL {symbol}"));
    let fields: BTreeMap<&str, &str> =
        parts.chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let number = |name| fields.get(name).map(|text| text.parse::<u64>().expect("a number"));
    let trades = *fields.get("status")? == "trading";
    Some((Some((number("price")?, number("volume")?, trades)), number("version")?))
}

/// A sequence of numbers that its seed decides (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
