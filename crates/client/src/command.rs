//! Writes and questions about quotes, as commands and as what their replies mean.

use std::borrow::Cow;

use stockd_model::{Answer, Field, Fields, Price, Quote, QuoteFeed, Shares, Symbol, Volume};
use stockd_wire::resp::{Value, frame};

use crate::Credentials;
use crate::error::Refused;
use crate::payload::{self, Update};
use crate::protocol::{NoAnswer, Question, Request};
use crate::resp::Replies;

/// A change of the catalog.
///
/// ```no_run
/// use stockd_client::{QuoteClient, Write, Written};
///
/// let mut client = QuoteClient::connect("127.0.0.1:7879")?;
/// let apple = "AAPL".parse()?;
/// let writes = [Write::Price(apple, "173".parse()?), Write::Trade(apple, (-5).into())];
/// for outcome in client.write_all(writes)? {
///     match outcome {
///         Ok(Written::Traded(left)) => println!("{left} shares are left"),
///         Ok(_) => {}
///         Err(refused) => eprintln!("{refused}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Lists the stock, or updates the given fields of a listed one, all at once. Listing needs a
    /// price, a bid, an ask or a status; the status is then trading unless given, and what else is not
    /// given is absent. A write with a time before that of the stock is refused.
    Set(Symbol, Fields),
    /// Updates the price of a stock that must be listed.
    Price(Symbol, Price),
    /// Adds shares to the volume of a listed stock that trades, or takes them.
    Trade(Symbol, Shares),
    /// Removes the stock from the catalog.
    Delist(Symbol),
}

/// What a [`Write`] did.
///
/// ```no_run
/// use stockd_client::{Fields, QuoteClient, Written};
///
/// let mut client = QuoteClient::connect("127.0.0.1:7879")?;
/// let fields = Fields { price: "1.0834".parse()?, ..Fields::default() };
/// match client.set("EURUSD".parse()?, fields)? {
///     Written::Listed => println!("it is new"),
///     _ => println!("it was there"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The stock is new.
    Listed,
    /// The stock was listed, and has its new fields.
    Updated,
    /// The trade is done; so much volume is left.
    Traded(Volume),
    /// The stock is gone.
    Delisted,
    /// The stock to delist was not there.
    NotListed,
}

/// An answer, unless the server refused.
pub(crate) type Answered<T> = Result<T, Refused>;

/// What `read` makes of a reply that is no refusal; nothing where it is `None`.
pub(crate) fn answered<T>(
    reply: &Value,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Answered<T>, NoAnswer> {
    match reply {
        Value::Error(why) => Ok(Err(Refused::new(why))),
        reply => read(reply).map(Ok).ok_or_else(|| NoAnswer::rubbish(reply)),
    }
}

/// A command that is the same words each time, and what its reply means.
pub(crate) struct Fixed<T> {
    words: &'static [&'static str],
    read: fn(&Value) -> Option<T>,
}

/// What the server tells of itself.
pub(crate) const INFO: Fixed<Vec<(String, String)>> = Fixed { words: &["INFO"], read: info };

/// The connections of the server.
pub(crate) const CLIENTS: Fixed<Vec<Vec<(String, String)>>> =
    Fixed { words: &["CLIENT", "LIST"], read: clients };

/// How many stocks are listed.
pub(crate) const COUNT: Fixed<u64> = Fixed { words: &["DBSIZE"], read: count };

/// What a feed says of itself: that it lives, has missed something, or has come to its end.
pub(crate) const BEAT: Fixed<()> = Fixed { words: &["FEED", "BEAT"], read: done };
pub(crate) const GAP: Fixed<()> = Fixed { words: &["FEED", "GAP"], read: done };
pub(crate) const END: Fixed<()> = Fixed { words: &["FEED", "END"], read: done };

impl<T> Request for Fixed<T> {
    fn encode(&self, chunk: &mut Vec<u8>) {
        let words: Vec<&[u8]> = self.words.iter().map(|word| word.as_bytes()).collect();
        frame::command(&words, chunk);
    }

    fn name(&self) -> Cow<'_, str> {
        self.words.join(" ").into()
    }
}

impl<T> Question<Replies> for Fixed<T> {
    type Answer = Answered<T>;

    fn answer(&self, reply: Value) -> Result<Answered<T>, NoAnswer> {
        answered(&reply, self.read)
    }
}

fn info(reply: &Value) -> Option<Vec<(String, String)>> {
    let Value::Text(text) = reply else { return None };
    let text = String::from_utf8_lossy(text);
    Some(text.lines().filter_map(|line| pair(line, ':')).collect())
}

fn clients(reply: &Value) -> Option<Vec<Vec<(String, String)>>> {
    let Value::Text(text) = reply else { return None };
    let text = String::from_utf8_lossy(text);
    let fields = |line: &str| line.split_whitespace().filter_map(|it| pair(it, '=')).collect();
    Some(text.lines().map(fields).collect())
}

/// A name and its value.
fn pair(text: &str, between: char) -> Option<(String, String)> {
    let (name, value) = text.split_once(between)?;
    Some((name.to_owned(), value.to_owned()))
}

fn count(reply: &Value) -> Option<u64> {
    match reply {
        Value::Integer(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}

/// Says nothing but that it was done.
pub(crate) fn done(reply: &Value) -> Option<()> {
    matches!(reply, Value::Text(ok) if ok == b"OK").then_some(())
}

impl Write {
    /// The stock that changes.
    pub fn symbol(&self) -> &Symbol {
        let (Write::Set(symbol, _)
        | Write::Price(symbol, _)
        | Write::Trade(symbol, _)
        | Write::Delist(symbol)) = self;
        symbol
    }
}

impl Request for Write {
    fn encode(&self, chunk: &mut Vec<u8>) {
        let symbol = self.symbol().as_bytes();
        match self {
            Write::Set(_, fields) => {
                // What the fields make of a quote of which nothing is known is what they give.
                let given = fields.outcome(&Quote::new(*self.symbol()));
                let texts = Field::WRITABLE.map(|field| given.text_of(field));
                let mut parts: Vec<&[u8]> = vec![b"HSET", symbol];
                for (field, text) in Field::WRITABLE.into_iter().zip(&texts) {
                    let name = field.name().as_bytes();
                    match text {
                        Some(text) if fields.gives(field) => parts.extend([name, text.as_bytes()]),
                        None if fields.clears(field) => parts.extend([name, &b"none"[..]]),
                        _ => {}
                    }
                }
                frame::command(&parts, chunk);
            }
            Write::Price(_, price) => {
                frame::command(&[b"SET", symbol, price.text().as_str().as_bytes()], chunk);
            }
            Write::Trade(_, shares) => {
                let command: &[u8] = match shares.whole() {
                    Some(_) => b"HINCRBY",
                    None => b"HINCRBYFLOAT",
                };
                let shares = shares.to_string();
                frame::command(&[command, symbol, b"volume", shares.as_bytes()], chunk);
            }
            Write::Delist(_) => frame::command(&[b"DEL", symbol], chunk),
        }
    }

    fn name(&self) -> Cow<'_, str> {
        self.symbol().as_str().into()
    }
}

impl Question<Replies> for Write {
    type Answer = Answered<Written>;

    fn answer(&self, reply: Value) -> Result<Answered<Written>, NoAnswer> {
        answered(&reply, |reply| {
            Some(match (self, reply) {
                (Write::Set(..), Value::Integer(0)) => Written::Updated,
                (Write::Set(..), Value::Integer(1..)) => Written::Listed,
                (Write::Price(..), reply) => done(reply).map(|()| Written::Updated)?,
                (Write::Trade(..), reply) => Written::Traded(volume(reply)?),
                (Write::Delist(_), Value::Integer(0)) => Written::NotListed,
                (Write::Delist(_), Value::Integer(1)) => Written::Delisted,
                _ => return None,
            })
        })
    }
}

/// A volume, which is an integer, or a text where it has a fraction or too many digits for one.
fn volume(reply: &Value) -> Option<Volume> {
    match reply {
        Value::Integer(shares) => u64::try_from(*shares).ok().map(Volume::new),
        Value::Text(text) => Volume::parse(text).ok(),
        _ => None,
    }
}

/// Whether the server serves this connection.
pub(crate) struct Ping;

impl Request for Ping {
    fn encode(&self, chunk: &mut Vec<u8>) {
        frame::command(&[b"PING"], chunk);
    }

    fn name(&self) -> Cow<'_, str> {
        "PING".into()
    }
}

impl Question<Replies> for Ping {
    type Answer = ();

    fn answer(&self, reply: Value) -> Result<(), NoAnswer> {
        match reply {
            Value::Text(pong) if pong == b"PONG" => Ok(()),
            Value::Error(why) => Err(NoAnswer::TurnedAway(Refused::new(&why).text)),
            other => Err(NoAnswer::rubbish(&other)),
        }
    }
}

/// Whether the server lets this client in, and serves it.
pub(crate) struct Greet<'a>(pub(crate) Option<&'a Credentials>);

impl Request for Greet<'_> {
    fn encode(&self, chunk: &mut Vec<u8>) {
        match self.0 {
            Some(credentials) => frame::command(&credentials.command(), chunk),
            None => Ping.encode(chunk),
        }
    }

    fn name(&self) -> Cow<'_, str> {
        if self.0.is_some() { "AUTH".into() } else { Ping.name() }
    }
}

impl Question<Replies> for Greet<'_> {
    type Answer = ();

    fn answer(&self, reply: Value) -> Result<(), NoAnswer> {
        match reply {
            Value::Text(ok) if self.0.is_some() && ok == b"OK" => Ok(()),
            reply => Ping.answer(reply),
        }
    }
}

/// The answer to a lookup of one name.
pub(crate) struct GetPrice<N>(pub(crate) N);

impl<N: AsRef<str>> Request for GetPrice<N> {
    fn encode(&self, chunk: &mut Vec<u8>) {
        frame::command(&[b"GET", self.0.as_ref().as_bytes()], chunk);
    }

    fn name(&self) -> Cow<'_, str> {
        self.0.as_ref().into()
    }
}

impl<N: AsRef<str>> Question<Replies> for GetPrice<N> {
    type Answer = Answered<Answer>;

    fn answer(&self, reply: Value) -> Result<Answered<Answer>, NoAnswer> {
        let read = |reply: &Value| match reply {
            Value::Nil => Some(Answer::NotFound),
            Value::Text(zero) if zero == b"0" => Some(Answer::NotTradable),
            Value::Text(text) => Price::parse(text).ok().map(Answer::Price),
            _ => None,
        };
        Ok(match answered(&reply, read)? {
            Err(refused) if refused.is_not_permitted() => Ok(Answer::NotPermitted),
            answer => answer,
        })
    }
}

/// The quote of one stock.
pub(crate) struct GetQuote<N>(pub(crate) N);

impl<N: AsRef<str>> Request for GetQuote<N> {
    fn encode(&self, chunk: &mut Vec<u8>) {
        frame::command(&[b"HGETALL", self.0.as_ref().as_bytes()], chunk);
    }

    fn name(&self) -> Cow<'_, str> {
        self.0.as_ref().into()
    }
}

impl<N: AsRef<str>> Question<Replies> for GetQuote<N> {
    type Answer = Answered<Option<Quote>>;

    fn answer(&self, reply: Value) -> Result<Answered<Option<Quote>>, NoAnswer> {
        answered(&reply, quote)
    }
}

/// The quotes of several stocks.
pub(crate) struct GetQuotes<'a, N>(pub(crate) &'a [N]);

impl<N: AsRef<str>> Request for GetQuotes<'_, N> {
    fn encode(&self, chunk: &mut Vec<u8>) {
        let names = self.0.iter().map(|name| name.as_ref().as_bytes());
        let parts: Vec<&[u8]> = [&b"HMGETALL"[..]].into_iter().chain(names).collect();
        frame::command(&parts, chunk);
    }

    fn name(&self) -> Cow<'_, str> {
        self.0.first().map_or("", AsRef::as_ref).into()
    }
}

impl<N: AsRef<str>> Question<Replies> for GetQuotes<'_, N> {
    type Answer = Answered<Vec<Option<Quote>>>;

    fn answer(&self, reply: Value) -> Result<Self::Answer, NoAnswer> {
        match reply {
            Value::Array(quotes) if quotes.len() == self.0.len() => {
                quotes.iter().map(|it| answered(it, quote)).collect()
            }
            other => answered(&other, |_| None),
        }
    }
}

/// The quote that names and values are; none of a stock that is not listed. Unknown names are passed over.
fn quote(reply: &Value) -> Option<Option<Quote>> {
    let Value::Array(parts) = reply else { return None };
    let (pairs, []) = parts.as_chunks::<2>() else { return None };
    if pairs.is_empty() {
        return Some(None);
    }
    let value = |wanted: &str| {
        pairs.iter().find_map(|pair| match pair {
            [Value::Text(name), Value::Text(value)] if name == wanted.as_bytes() => {
                std::str::from_utf8(value).ok()
            }
            _ => None,
        })
    };
    let symbol = value("symbol")?.parse().ok()?;
    value("status")?;
    let mut fields = Fields::default();
    for field in Field::WRITABLE {
        if let Some(text) = value(field.name()) {
            fields.set(field, text.as_bytes()).ok()?;
        }
    }
    let feed = match (value("feed"), value("feed_state")) {
        (Some(name), Some(state)) => Some(QuoteFeed::told(name, state.parse().ok()?)),
        _ => None,
    };
    Some(Some(Quote {
        feed,
        version: value("version")?.parse().ok()?,
        updated_ns: value("updated")?.parse().ok()?,
        ..fields.outcome(&Quote::new(symbol))
    }))
}

/// The first page of a snapshot, or the next.
#[derive(Debug)]
pub(crate) enum GetPage {
    First,
    Next,
}

impl Request for GetPage {
    fn encode(&self, chunk: &mut Vec<u8>) {
        match self {
            GetPage::First => frame::command(&[b"SNAPSHOT"], chunk),
            GetPage::Next => frame::command(&[b"SNAPSHOT", b"NEXT"], chunk),
        }
    }

    fn name(&self) -> Cow<'_, str> {
        "SNAPSHOT".into()
    }
}

impl Question<Replies> for GetPage {
    /// Quotes in no order; `None` after the last.
    type Answer = Answered<Option<Vec<Quote>>>;

    fn answer(&self, reply: Value) -> Result<Self::Answer, NoAnswer> {
        let quote = |part: &Value| match part {
            Value::Text(json) => match payload::parse(json)? {
                Update::Quote(quote) => Some(quote),
                _ => None,
            },
            _ => None,
        };
        answered(&reply, |reply| match reply {
            Value::Nil => Some(None),
            Value::Array(parts) => parts.iter().map(quote).collect::<Option<_>>().map(Some),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockd_model::Edit;

    fn encoded(request: &impl Request) -> String {
        let mut chunk = Vec::new();
        request.encode(&mut chunk);
        let text = String::from_utf8(chunk).unwrap();
        let parts = text.split("\r\n").filter(|part| !part.starts_with(['$', '*']));
        parts.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn writes_are_the_commands_of_redis() {
        let symbol = "A B".parse().unwrap();
        let price = "172.50".parse().unwrap();
        let mut fields = Fields { price: Edit::Set(price), ..Fields::default() };
        assert_eq!(encoded(&Write::Set(symbol, fields)), "HSET A B price 172.5");
        fields.volume = Edit::Set(Volume::new(u64::MAX));
        fields.status = Some(stockd_model::Status::Halted);
        assert_eq!(
            encoded(&Write::Set(symbol, fields)),
            "HSET A B price 172.5 volume 18446744073709551615 status halted"
        );
        let cleared = Fields { volume: Edit::Clear, ..Fields::default() };
        assert_eq!(encoded(&Write::Set(symbol, cleared)), "HSET A B volume none");
        assert_eq!(encoded(&Write::Price(symbol, price)), "SET A B 172.5");
        assert_eq!(encoded(&Write::Trade(symbol, (-5).into())), "HINCRBY A B volume -5");
        let trade = Write::Trade(symbol, "-0.25".parse().unwrap());
        assert_eq!(encoded(&trade), "HINCRBYFLOAT A B volume -0.25");
        assert_eq!(encoded(&Write::Delist(symbol)), "DEL A B");
        assert_eq!(encoded(&GetQuote("x")), "HGETALL x");
        assert_eq!(encoded(&GetQuotes(&["x", "y z"])), "HMGETALL x y z");
        assert_eq!(encoded(&GetPage::First), "SNAPSHOT");
        assert_eq!(encoded(&GetPage::Next), "SNAPSHOT NEXT");
    }

    #[test]
    fn a_reply_that_no_command_gives_answers_nothing() {
        let symbol = "A".parse().unwrap();
        let refused = Refused { text: "no".into() };
        let trade = Write::Trade(symbol, 1.into());
        assert_eq!(trade.answer(Value::Error(b"ERR no".to_vec())), Ok(Err(refused)));
        let left = Volume::new(u64::MAX);
        assert_eq!(trade.answer(text("18446744073709551615")), Ok(Ok(Written::Traded(left))));
        let left = "2.5".parse().unwrap();
        assert_eq!(trade.answer(text("2.5")), Ok(Ok(Written::Traded(left))));
        let left = Volume::new(5);
        assert_eq!(trade.answer(Value::Integer(5)), Ok(Ok(Written::Traded(left))));
        for reply in [Value::Integer(-1), Value::Nil, text("-1"), text("OK")] {
            assert!(trade.answer(reply.clone()).is_err(), "{reply:?}");
        }
        assert!(Write::Delist(symbol).answer(Value::Integer(2)).is_err());
        assert!(COUNT.answer(Value::Integer(-1)).is_err());
        assert!(GetPage::Next.answer(Value::Array(vec![text("0")])).is_err());
        let delisted = text(r#"{"symbol":"A","status":"delisted"}"#);
        assert!(GetPage::Next.answer(Value::Array(vec![delisted])).is_err());
        assert!(GetPage::Next.answer(Value::Integer(0)).is_err());
        assert!(Ping.answer(text("OK")).is_err());
    }

    #[test]
    fn a_quote_needs_all_its_fields_but_those_that_may_be_absent() {
        let fields = [
            ("symbol", "AAPL"),
            ("colour", "red"),
            ("price", "172.5"),
            ("volume", "9"),
            ("status", "halted"),
            ("version", "3"),
            ("updated", "1790000000000000000"),
        ];
        let reply = |fields: &[(&str, &str)]| {
            Value::Array(
                fields.iter().flat_map(|(name, value)| [text(name), text(value)]).collect(),
            )
        };
        let quote = GetQuote("AAPL").answer(reply(&fields)).unwrap().unwrap().unwrap();
        assert_eq!(quote.price, "172.5".parse().ok());
        assert_eq!(quote.volume, Some(Volume::new(9)));
        assert_eq!((quote.version, quote.updated_ns), (3, 1_790_000_000_000_000_000));
        assert_eq!(GetQuote("AAPL").answer(reply(&[])), Ok(Ok(None)));
        let optional = ["colour", "price", "volume"];
        for missing in (0..fields.len()).filter(|&at| !optional.contains(&fields[at].0)) {
            let mut fields = fields.to_vec();
            fields.remove(missing);
            assert!(GetQuote("AAPL").answer(reply(&fields)).is_err(), "{missing}");
        }
        let (bid, time) = (("bid", "-37.63"), ("time", "1790000000123456789"));
        let quoted = [&[bid, time], &fields[..2], &fields[4..]].concat();
        let quote = GetQuote("AAPL").answer(reply(&quoted)).unwrap().unwrap().unwrap();
        assert_eq!((quote.price, quote.volume, quote.bid), (None, None, "-37.63".parse().ok()));
        assert_eq!(quote.time_ns, Some(1_790_000_000_123_456_789));
        let odd = Value::Array(vec![text("symbol")]);
        assert!(GetQuote("AAPL").answer(odd).is_err());
    }
}
