//! The client for whole quotes: reading, writing and trading, over RESP.

use std::vec;

use stockd_model::limits::RESP_BULK_BYTES_MAX;
use stockd_model::{Fields, Price, Quote, Shares, Symbol, Volume};

use crate::command::{
    Answered, BEAT, CLIENTS, COUNT, END, GAP, GetPage, GetQuote, GetQuotes, INFO, Ping, Write,
    Written,
};
use crate::error::{NameError, Refused, excerpt};
use crate::feed::FeedOptions;
use crate::link::Link;
use crate::protocol::Question;
use crate::resp::Replies;
use crate::{Address, ClientError, Options, ToAddresses};

/// Stocks that one command asks for: enough that what a command costs does not count.
const QUOTES_TOGETHER: usize = 256;

/// A connection to a server, for quotes, updates and trades.
///
/// ```no_run
/// use stockd_client::{Edit, Fields, QuoteClient};
///
/// let mut client = QuoteClient::connect("127.0.0.1:7879")?;
/// let fields = Fields {
///     price: "172.50".parse()?,
///     bid: "172.49".parse()?,
///     ask: "172.51".parse()?,
///     volume: Edit::Clear,
///     ..Fields::default()
/// };
/// client.set("AAPL".parse()?, fields)?;
/// for quote in client.quotes(["AAPL", "IBM"])?.into_iter().flatten() {
///     let bid = quote.bid.map_or("-".to_owned(), |bid| bid.to_string());
///     println!("{} {} bid {bid}", quote.symbol, quote.answer());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A client blocks while it waits and serves one caller at a time; threads that work at the same
/// time have a client each.
///
/// A write that the server refuses is [`ClientError::Refused`]: nothing changed and the client is
/// usable. After any other error but [`ClientError::NameNotSendable`] it is not known which of
/// the writes were done, the connection is closed, and all calls fail until
/// [`reconnect`](QuoteClient::reconnect).
#[derive(Debug)]
pub struct QuoteClient {
    link: Link<Replies>,
}

impl QuoteClient {
    /// Connects to a server, `"127.0.0.1:7879"` or `"unix:/run/stockd/resp.sock"` for example.
    /// Where the address stands for several, each is tried in turn.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when the address cannot be resolved, no connection comes about within
    /// [`Options::connect_timeout`], or what answers there does not serve this client.
    pub fn connect(address: impl ToAddresses) -> Result<QuoteClient, ClientError> {
        QuoteClient::connect_with(address, Options::default())
    }

    /// Connects as [`connect`](QuoteClient::connect) does, with timeouts of one's own.
    ///
    /// # Errors
    ///
    /// As [`connect`](QuoteClient::connect); a timeout of zero is an error too.
    pub fn connect_with(
        address: impl ToAddresses,
        options: Options,
    ) -> Result<QuoteClient, ClientError> {
        let mut link = Link::connect(address, options)?;
        link.greet()?;
        Ok(QuoteClient { link })
    }

    /// Closes the connection if it is still open and connects again, to the addresses that were
    /// resolved at first.
    ///
    /// # Errors
    ///
    /// As [`connect`](QuoteClient::connect); the client can then try again.
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        self.link.reconnect()?;
        self.link.greet()
    }

    /// The address of the server connected to last.
    pub fn server(&self) -> &Address {
        self.link.server()
    }

    /// Whether the server answers this connection. Needs no stock.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn ping(&mut self) -> Result<(), ClientError> {
        self.link.with_connection(|connection| connection.ask(&Ping))
    }

    /// What the server tells of itself: the names and values of `INFO`, as docs/resp.md has them.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn info(&mut self) -> Result<Vec<(String, String)>, ClientError> {
        self.ask(&INFO)
    }

    /// The connections of the server: the names and values of each line of `CLIENT LIST`, as docs/resp.md has
    /// them. Without the right admin, this one alone.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn clients(&mut self) -> Result<Vec<Vec<(String, String)>>, ClientError> {
        self.ask(&CLIENTS)
    }

    /// All that is known of one stock; `None` when it is not listed, or the name is no possible
    /// symbol. White space around the name is ignored by the server.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`NameNotSendable`](ClientError::NameNotSendable) when the name is longer
    /// than 64 KiB.
    pub fn quote(&mut self, name: &str) -> Result<Option<Quote>, ClientError> {
        check_name(name)?;
        self.ask(&GetQuote(name))
    }

    /// All that is known of many stocks, in the order of the names. They are asked for in commands of
    /// 256 names, which are sent ahead of their replies, so that many names cost few round trips.
    ///
    /// # Errors
    ///
    /// As [`quote`](QuoteClient::quote); an error is that of all.
    pub fn quotes<N: AsRef<str>>(
        &mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Option<Quote>>, ClientError> {
        let names: Vec<N> = names.into_iter().collect();
        for name in &names {
            check_name(name.as_ref())?;
        }
        let requests: Vec<_> = names.chunks(QUOTES_TOGETHER).map(GetQuotes).collect();
        let quotes = self.link.with_connection(|connection| connection.ask_all(&requests))?;
        let quotes: Vec<Vec<Option<Quote>>> = quotes.into_iter().collect::<Result<_, _>>()?;
        Ok(quotes.into_iter().flatten().collect())
    }

    /// How many stocks are listed.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn count(&mut self) -> Result<u64, ClientError> {
        self.ask(&COUNT)
    }

    /// Lists a stock, or updates the given fields of a listed one, all at once. Listing needs a
    /// price, a bid, an ask or a status. Returns whether the stock is new: [`Written::Listed`] or
    /// [`Written::Updated`].
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`Refused`](ClientError::Refused) when the stock is new and has none of these,
    /// no field is given, the time that is given is before that of the stock, or the catalog is full.
    pub fn set(&mut self, symbol: Symbol, fields: Fields) -> Result<Written, ClientError> {
        self.write(Write::Set(symbol, fields))
    }

    /// Updates the price of a listed stock.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`Refused`](ClientError::Refused) when the stock is not listed.
    pub fn set_price(&mut self, symbol: Symbol, price: Price) -> Result<(), ClientError> {
        self.write(Write::Price(symbol, price)).map(|_updated| ())
    }

    /// Takes shares of a stock where the number is negative, or gives them back: a whole number of them, or any
    /// exact decimal. Returns the volume left. A trade never sells what is not there, however many clients trade at once.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`Refused`](ClientError::Refused) when the stock is not listed or halted,
    /// or fewer shares are left than are to be taken.
    pub fn trade(
        &mut self,
        symbol: Symbol,
        shares: impl Into<Shares>,
    ) -> Result<Volume, ClientError> {
        match self.write(Write::Trade(symbol, shares.into()))? {
            Written::Traded(left) => Ok(left),
            other => unreachable!("the answer to a trade is checked where it is read: {other:?}"),
        }
    }

    /// Removes a stock from the catalog. Returns whether it was listed.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn delist(&mut self, symbol: Symbol) -> Result<bool, ClientError> {
        Ok(self.write(Write::Delist(symbol))? == Written::Delisted)
    }

    /// Does one write.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`Refused`](ClientError::Refused) when the server refuses it.
    pub fn write(&mut self, write: Write) -> Result<Written, ClientError> {
        self.ask(&write)
    }

    /// Does many writes, in their order, and returns what came of each. They are sent ahead of
    /// their replies, hundreds at a time, so that many writes cost few round trips. A refused one does
    /// not stop the others.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; which of the writes were done is not known then.
    pub fn write_all(
        &mut self,
        writes: impl IntoIterator<Item = Write>,
    ) -> Result<Vec<Result<Written, Refused>>, ClientError> {
        let writes: Vec<Write> = writes.into_iter().collect();
        self.link.with_connection(|connection| connection.ask_all(&writes))
    }

    /// Makes this connection a feed of market data, or a part of one: its writes are tied to the feed until it
    /// [ends](QuoteClient::end_feed) or the connection does. Needs to be said again after
    /// [`reconnect`](QuoteClient::reconnect).
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`Refused`](ClientError::Refused) when the feed cannot have this name or this
    /// time, or belongs to another user.
    pub fn open_feed(&mut self, options: &FeedOptions) -> Result<(), ClientError> {
        self.ask(options)
    }

    /// Says that the feed lives, and has nothing to write.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`Refused`](ClientError::Refused) when no feed is open.
    pub fn beat(&mut self) -> Result<(), ClientError> {
        self.ask(&BEAT)
    }

    /// Says that the feed has missed something. It is so until it is opened again.
    ///
    /// # Errors
    ///
    /// As [`beat`](QuoteClient::beat).
    pub fn report_gap(&mut self) -> Result<(), ClientError> {
        self.ask(&GAP)
    }

    /// Says that the feed has come to its end.
    ///
    /// # Errors
    ///
    /// As [`beat`](QuoteClient::beat).
    pub fn end_feed(&mut self) -> Result<(), ClientError> {
        self.ask(&END)
    }

    fn ask<T>(
        &mut self,
        request: &impl Question<Replies, Answer = Answered<T>>,
    ) -> Result<T, ClientError> {
        Ok(self.link.with_connection(|connection| connection.ask(request))??)
    }

    /// Every quote of the catalog as it is at the moment of the first one, in no order, each stock
    /// once, while the catalog goes on changing. Fetched page by page.
    pub fn snapshot(&mut self) -> Snapshot<'_> {
        Snapshot { client: self, next: Some(GetPage::First), quotes: Vec::new().into_iter() }
    }
}

/// Checks that a name can travel. Which symbols are possible is the server's to say.
fn check_name(name: &str) -> Result<(), ClientError> {
    if name.len() <= RESP_BULK_BYTES_MAX {
        return Ok(());
    }
    let cause = NameError::TooLong { bytes: name.len() };
    Err(ClientError::NameNotSendable { name: excerpt(name), cause })
}

/// The quotes of a catalog, from [`QuoteClient::snapshot`].
///
/// ```no_run
/// # let mut client = stockd_client::QuoteClient::connect("127.0.0.1:7879")?;
/// for quote in client.snapshot() {
///     println!("{}", quote?.symbol);
/// }
/// # Ok::<(), stockd_client::ClientError>(())
/// ```
///
/// Ends after the first error, which is [`Refused`](ClientError::Refused) when too many snapshots are
/// being read at once, and [`SnapshotEnded`](ClientError::SnapshotEnded) when the server gave this one up.
#[derive(Debug)]
pub struct Snapshot<'a> {
    client: &'a mut QuoteClient,
    /// What to ask for when `quotes` is empty; `None` after the last page.
    next: Option<GetPage>,
    quotes: vec::IntoIter<Quote>,
}

impl Iterator for Snapshot<'_> {
    type Item = Result<Quote, ClientError>;

    fn next(&mut self) -> Option<Result<Quote, ClientError>> {
        loop {
            if let Some(quote) = self.quotes.next() {
                return Some(Ok(quote));
            }
            let request = self.next.take()?;
            match self.client.ask(&request) {
                Ok(Some(quotes)) => {
                    self.quotes = quotes.into_iter();
                    self.next = Some(GetPage::Next);
                }
                Ok(None) => {}
                Err(ClientError::Refused(why)) if matches!(request, GetPage::Next) => {
                    return Some(Err(ClientError::SnapshotEnded(why)));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
