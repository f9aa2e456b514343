//! What clients of Alpaca's stream say and are told.
//!
//! It owns the messages, who is subscribed to which kinds, and what each stock was told last, since a trade is told when
//! the price has changed, a quote when a bid, an ask or a size has, and a status when it has.
//!
//! Invariant: the last price, quote and status of a stock are told; none is told twice in a row, but of stocks beyond
//! [`ALPACA_TOLD_MAX`].

use std::collections::HashMap;

use axum::extract::ws::Message as Frame;
use serde::Deserialize;
use stockd_engine::Message;
use stockd_model::limits::{ALPACA_MESSAGE_DEPTH_MAX, ALPACA_TOLD_MAX, STREAM_BYTES_MAX};
use stockd_model::{Price, Problem, Quote, Status, Symbol, Volume};

use crate::alpaca::record::{Encoding, Record, Value, write_array};
use crate::refused::Refused;
use crate::stream::conversation::{Dialect, Said, Talk};
use crate::stream::subscription::EventId;
use crate::stream::teller::{Notice, Sink};

/// What stands for all stocks.
const ALL: &str = "*";

/// The kinds of messages that there are here, and those that there are not.
const KINDS: [&str; 3] = ["trades", "quotes", "statuses"];
const OTHER_KINDS: [&str; 6] =
    ["bars", "updatedBars", "dailyBars", "lulds", "corrections", "cancelErrors"];

/// The messages of one connection.
#[derive(Debug)]
pub(crate) struct Alpaca {
    encoding: Encoding,
    /// What it is told of all stocks, and what of single ones beside that.
    all: Kinds,
    by_symbol: HashMap<Symbol, Kinds>,
    told: HashMap<Symbol, Told>,
    /// Messages that are made and not sent, and how many they are.
    made: Vec<u8>,
    count: usize,
}

/// Some of the kinds of messages, in the order of [`KINDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds([bool; 3]);

/// What a stock was told last.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    price: Option<Price>,
    sides: Option<Sides>,
    status: Option<Status>,
}

/// Bid and ask, with their sizes.
type Sides = (Option<Price>, Option<Price>, Option<Volume>, Option<Volume>);

/// What a client says.
#[derive(Debug, Deserialize)]
struct Asked {
    action: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    trades: Vec<String>,
    #[serde(default)]
    quotes: Vec<String>,
    #[serde(default)]
    statuses: Vec<String>,
    #[serde(default)]
    bars: Vec<String>,
    #[serde(default, rename = "updatedBars")]
    updated_bars: Vec<String>,
    #[serde(default, rename = "dailyBars")]
    daily_bars: Vec<String>,
    #[serde(default)]
    lulds: Vec<String>,
}

impl Asked {
    fn parse(said: Said<'_>) -> Option<Asked> {
        match said {
            Said::Text(text) => serde_json::from_str(text).ok(),
            Said::Binary(bytes) => {
                let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
                reader.set_max_depth(ALPACA_MESSAGE_DEPTH_MAX);
                Asked::deserialize(&mut reader).ok()
            }
        }
    }

    fn names(&self) -> [&[String]; 3] {
        [&self.trades, &self.quotes, &self.statuses]
    }

    /// Whether it asks for something that there is not.
    fn asks_for_others(&self) -> bool {
        let others = [&self.bars, &self.updated_bars, &self.daily_bars, &self.lulds];
        others.iter().any(|names| !names.is_empty())
    }
}

/// An error as these clients know it.
type Known = (u64, &'static str);

const INVALID: Known = (400, "invalid syntax");
const NOT_AUTHENTICATED: Known = (401, "not authenticated");
const WRONG_TOKEN: Known = (402, "auth failed");
const TOO_MANY: Known = (405, "symbol limit exceeded");
const NOT_PERMITTED: Known = (409, "insufficient subscription");
const NO_SUCH_KIND: Known = (410, "invalid subscribe action for this feed");

impl Alpaca {
    /// Begins a connection, with what is said first.
    pub(crate) fn new(encoding: Encoding) -> Alpaca {
        let mut alpaca = Alpaca {
            encoding,
            all: Kinds::default(),
            by_symbol: HashMap::new(),
            told: HashMap::new(),
            made: Vec::new(),
            count: 0,
        };
        alpaca.say(&success("connected"));
        alpaca
    }

    fn say(&mut self, record: &Record) {
        if self.encoding == Encoding::Json {
            self.made.push(if self.count == 0 { b'[' } else { b',' });
        }
        self.count += 1;
        record.encode(self.encoding, &mut self.made);
    }

    /// The messages that are made, as one frame.
    fn frame(&mut self) -> Frame {
        let mut made = std::mem::take(&mut self.made);
        let count = std::mem::take(&mut self.count);
        match self.encoding {
            Encoding::Json => {
                made.push(b']');
                Frame::text(String::from_utf8_lossy(&made).into_owned())
            }
            Encoding::MessagePack => {
                let mut whole = Vec::with_capacity(made.len() + 5);
                write_array(&mut whole, count);
                whole.append(&mut made);
                Frame::binary(whole)
            }
        }
    }

    fn subscribe(&mut self, talk: &mut Talk, asked: &Asked) {
        let mut errors: Vec<Known> = Vec::new();
        if asked.asks_for_others() {
            errors.push(NO_SUCH_KIND);
        }
        for (kind, names) in asked.names().into_iter().enumerate() {
            for name in names {
                if let Err(error) = self.subscribe_one(talk, name, kind)
                    && !errors.contains(&error)
                {
                    errors.push(error);
                }
            }
        }
        talk.teller.expect_synced();
        errors.into_iter().for_each(|error| self.say(&error_of(error)));
    }

    /// Subscribes to one kind of message of one stock, or of all. What is known now comes at once.
    fn subscribe_one(&mut self, talk: &Talk, name: &str, kind: usize) -> Result<(), Known> {
        let stream = &talk.teller.stream;
        if name == ALL {
            if !self.all.0[kind] {
                stream.unsubscribe_pattern(ALL.as_bytes());
                if let Err(refused) = stream.subscribe_pattern(ALL.as_bytes()) {
                    self.all = Kinds::default();
                    return Err(known(&refused));
                }
                self.all.0[kind] = true;
            }
            return Ok(());
        }
        let symbol: Symbol = name.parse().map_err(|_| INVALID)?;
        if self.by_symbol.get(&symbol).is_some_and(|kinds| kinds.0[kind]) {
            return Ok(());
        }
        stream.unsubscribe(&symbol);
        if let Err(refused) = stream.subscribe(&symbol) {
            self.by_symbol.remove(&symbol);
            return Err(known(&refused));
        }
        self.by_symbol.entry(symbol).or_default().0[kind] = true;
        Ok(())
    }

    fn unsubscribe(&mut self, talk: &Talk, asked: &Asked) {
        let stream = &talk.teller.stream;
        for (kind, names) in asked.names().into_iter().enumerate() {
            for name in names {
                if name == ALL {
                    self.all.0[kind] = false;
                    if self.all == Kinds::default() {
                        stream.unsubscribe_pattern(ALL.as_bytes());
                    }
                    continue;
                }
                let Ok(symbol) = name.parse::<Symbol>() else { continue };
                let Some(kinds) = self.by_symbol.get_mut(&symbol) else { continue };
                kinds.0[kind] = false;
                if *kinds == Kinds::default() {
                    self.by_symbol.remove(&symbol);
                    self.told.remove(&symbol);
                    stream.unsubscribe(&symbol);
                }
            }
        }
    }

    /// All that the client is subscribed to.
    fn subscriptions(&self) -> Record {
        let mut members = vec![("T", Value::Text("subscription".to_owned()))];
        for (kind, name) in KINDS.into_iter().enumerate() {
            let is_in = |(symbol, kinds): (&Symbol, &Kinds)| {
                kinds.0[kind].then(|| symbol.as_str().to_owned())
            };
            let mut names: Vec<String> = self.by_symbol.iter().filter_map(is_in).collect();
            if self.all.0[kind] {
                names.push(ALL.to_owned());
            }
            names.sort_unstable();
            members.push((name, Value::Texts(names)));
        }
        members.extend(OTHER_KINDS.map(|name| (name, Value::Texts(Vec::new()))));
        Record::new(members)
    }

    /// Tells of a quote what is new in it.
    fn tell(&mut self, quote: &Quote) {
        let symbol = quote.symbol;
        let own = self.by_symbol.get(&symbol).copied().unwrap_or_default();
        let wants = |kind: usize| own.0[kind] || self.all.0[kind];
        let [trades, quotes, statuses] = [wants(0), wants(1), wants(2)];
        let mut told = self.told.get(&symbol).copied().unwrap_or_default();
        let name = symbol.as_str();
        if trades && told.price != quote.price {
            told.price = quote.price;
            if let Some(trade) = Record::trade(quote) {
                self.say(&trade.of_stream("t", name));
            }
        }
        // A quote that is withdrawn is told, and one that never was is not.
        let sides = (quote.bid, quote.ask, quote.bid_size, quote.ask_size);
        if quotes && told.sides.unwrap_or_default() != sides {
            told.sides = Some(sides);
            self.say(&Record::sides(quote).of_stream("q", name));
        }
        if statuses && told.status.unwrap_or(Status::Trading) != quote.status {
            told.status = Some(quote.status);
            self.say(&Record::status(quote).of_stream("s", name));
        }
        if self.told.len() < ALPACA_TOLD_MAX || self.told.contains_key(&symbol) {
            self.told.insert(symbol, told);
        }
    }

    /// Bytes of what it remembers.
    fn bytes(&self) -> usize {
        let told = size_of::<(Symbol, Told)>() * self.told.capacity();
        told + size_of::<(Symbol, Kinds)>() * self.by_symbol.capacity()
    }
}

impl Dialect for Alpaca {
    async fn answer(
        &mut self,
        talk: &mut Talk,
        said: Said<'_>,
    ) -> Result<Frame, (u16, &'static str)> {
        match Asked::parse(said) {
            None => self.say(&error_of(INVALID)),
            Some(asked) => match asked.action.as_str() {
                "auth" => {
                    let user = Some(asked.key.as_str()).filter(|user| !user.is_empty());
                    let outcome = talk.authenticate(user, &asked.secret).await;
                    self.say(&match outcome {
                        Ok(()) => success("authenticated"),
                        Err(_) => error_of(WRONG_TOKEN),
                    });
                }
                "subscribe" | "unsubscribe" if talk.teller.awaits_token => {
                    self.say(&error_of(NOT_AUTHENTICATED));
                }
                "subscribe" => {
                    self.subscribe(talk, &asked);
                    let all = self.subscriptions();
                    self.say(&all);
                }
                "unsubscribe" => {
                    self.unsubscribe(talk, &asked);
                    let all = self.subscriptions();
                    self.say(&all);
                }
                _ => self.say(&error_of(INVALID)),
            },
        }
        talk.teller.stream.holds_more(self.bytes());
        Ok(self.frame())
    }

    fn next_frame(&mut self) -> Option<Frame> {
        (self.count > 0).then(|| self.frame())
    }
}

impl Sink for Alpaca {
    fn quote(&mut self, message: &Message<'_>, _: Option<EventId>) {
        match message.quote {
            Some(quote) => self.tell(quote),
            // There are no messages for that. What is listed again is told whole.
            None => _ = self.told.remove(message.symbol),
        }
    }

    fn notice(&mut self, notice: Notice, _: Option<EventId>) {
        match notice {
            Notice::Forbidden(symbol) => {
                match symbol {
                    Some(symbol) => _ = self.by_symbol.remove(&symbol),
                    None => self.all = Kinds::default(),
                }
                self.say(&error_of(NOT_PERMITTED));
            }
            Notice::Unauthenticated => self.say(&error_of(NOT_AUTHENTICATED)),
            // The connection says these things itself.
            Notice::Hello { .. }
            | Notice::Synced
            | Notice::Heartbeat { .. }
            | Notice::Goodbye { .. } => {}
        }
    }

    fn has_room(&self) -> bool {
        self.made.len() < STREAM_BYTES_MAX
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn success(message: &str) -> Record {
    let text = |text: &str| Value::Text(text.to_owned());
    Record::new(vec![("T", text("success")), ("msg", text(message))])
}

fn error_of((code, message): Known) -> Record {
    let text = |text: &str| Value::Text(text.to_owned());
    Record::new(vec![("T", text("error")), ("code", Value::Integer(code)), ("msg", text(message))])
}

fn known(refused: &Refused) -> Known {
    match refused.problem {
        Problem::NotPermitted => NOT_PERMITTED,
        Problem::InvalidSymbol => INVALID,
        _ => TOO_MANY,
    }
}
