//! The client: what can be asked, each a request and what its answer means.
//!
//! It knows no sockets. Invariant: a request ends within its deadline, with the answer to it or an error.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use stockd_model::limits::{
    EXCERPT_BYTES_MAX, HTTP_CLIENT_NAME_BYTES_MAX, HTTP_CLIENT_NAMES_TOGETHER,
    HTTP_CLIENT_UPDATES_TOGETHER,
};
use stockd_model::{Answer, Fields, Price, Problem, Shares, Symbol, ToAddresses, escaped};

use super::body;
use super::connector::Connector;
use super::error::{Error, Refused};
use super::etag::{Condition, Tagged};
use super::listing::{Browse, Pages, Snapshot};
use super::pool::{Asked, JSON, Pool, Reply, within};
use super::reply::Found;
use super::watch::{Watch, WatchRequest};
use crate::Options;

/// A client of a server over HTTP, for programs on [tokio](https://tokio.rs).
///
/// It is cheap to clone, and its clones share up to
/// [`HTTP_CLIENT_CONNECTIONS_MAX`](stockd_model::limits::HTTP_CLIENT_CONNECTIONS_MAX) connections, which are opened when they are
/// needed and kept while they are. Any number of tasks can ask at once.
///
/// A call whose future is dropped is given up: its connection is closed, and a write may have taken effect.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Arc<Pool>,
    deadline: Duration,
}

impl Client {
    /// A client of the server at this address, `"127.0.0.1:7880"`, `"tls:stocks.example.org:7880"` or
    /// `"unix:/run/stockd/http.sock"` for example. Where the address stands for several, each is tried in turn. Nothing
    /// is connected yet; a name is resolved whenever a connection is opened.
    pub fn new(address: impl ToAddresses + Send + Sync + 'static) -> Client {
        Client::with(address, Options::default())
    }

    /// The same, with timeouts, TLS and credentials of one's own. [`Options::timeout`] is the deadline of each request,
    /// from the moment when it is asked to the last byte of its answer.
    pub fn with(address: impl ToAddresses + Send + Sync + 'static, options: Options) -> Client {
        let deadline = options.timeout;
        Client { pool: Pool::new(Connector::new(address, options)), deadline }
    }

    /// The same client with another deadline: `client.within(Duration::from_millis(50)).lookup("AAPL")`.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Client {
        Client { pool: Arc::clone(&self.pool), deadline }
    }

    /// Asks for the price of one stock. A name that can be no symbol is [`Answer::NotFound`].
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn lookup(&self, name: &str) -> Result<Answer, Error> {
        let Some(path) = body::lookup_path(name) else { return Ok(Answer::NotFound) };
        let reply = self.ask(&Asked::get(path).accept("text/plain"), || about(name)).await?;
        let answer = match (reply.status.as_u16(), reply.line()) {
            (200, Some("0")) => Some(Answer::NotTradable),
            (200, Some(text)) => text.parse::<Price>().ok().map(Answer::Price),
            (404, Some("-1")) => Some(Answer::NotFound),
            _ => None,
        };
        match answer {
            Some(answer) => Ok(answer),
            None => match reply.error() {
                error if error.problem() == Some(Problem::NotPermitted) => Ok(Answer::NotPermitted),
                error => Err(error),
            },
        }
    }

    /// Asks for the prices of many stocks. The answers come in the order of the names. Thousands go in one request;
    /// of more than that, each request has its own deadline.
    ///
    /// # Errors
    ///
    /// [`Error`]; the answers so far are lost then.
    pub async fn lookup_all<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Answer>, Error> {
        let names: Vec<N> = names.into_iter().collect();
        let found = self.find(&names).await?;
        let forbidden: HashSet<&str> = found.forbidden.iter().map(String::as_str).collect();
        let answer = |name: &N| match found.quotes.get(name.as_ref()) {
            Some(quote) => quote.answer(),
            None if forbidden.contains(name.as_ref()) => Answer::NotPermitted,
            None => Answer::NotFound,
        };
        Ok(names.iter().map(answer).collect())
    }

    /// All that is known of one stock, and the mark that a later write can depend on; `None` when it is not listed, or
    /// the name can be no symbol.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn quote(&self, name: &str) -> Result<Option<Tagged>, Error> {
        let Some(path) = body::lookup_path(name) else { return Ok(None) };
        let reply = self.ask(&Asked::get(path).accept(JSON), || about(name)).await?;
        match reply.is(StatusCode::OK) {
            Ok(reply) => reply.tagged().map(Some),
            Err(error) if error.problem() == Some(Problem::NotListed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All that is known of many stocks. One name that is missing or forbidden fails no other.
    ///
    /// # Errors
    ///
    /// As [`lookup_all`](Client::lookup_all).
    pub async fn quotes<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Found, Error> {
        let names: Vec<N> = names.into_iter().collect();
        self.find(&names).await
    }

    async fn find<N: AsRef<str>>(&self, names: &[N]) -> Result<Found, Error> {
        let mut found = Found::default();
        for names in names.chunks(HTTP_CLIENT_NAMES_TOGETHER) {
            let names = names.iter().map(AsRef::as_ref);
            let (short, long): (Vec<&str>, Vec<&str>) =
                names.partition(|name| name.len() <= HTTP_CLIENT_NAME_BYTES_MAX);
            found.missing.extend(long.into_iter().map(str::to_owned));
            let body = json!({ "symbols": short }).to_string().into_bytes();
            let asked = Asked::with_body(Method::POST, "/v1/lookup".to_owned(), JSON, body);
            let awaited = || format!("answer about {} stocks", short.len());
            let reply = self.ask(&asked.repeatable(), awaited).await?;
            reply.is(StatusCode::OK)?.found(&short, &mut found)?;
        }
        Ok(found)
    }

    /// Lists a stock with these fields, or replaces all that is known of it: a field that is not given is taken away.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Refused`](Error::Refused) when there is no price, bid, ask or status, the condition does not hold,
    /// or the catalog is full.
    pub async fn list(
        &self,
        symbol: Symbol,
        fields: Fields,
        condition: Condition,
    ) -> Result<Tagged, Error> {
        let body = Value::Object(body::fields(symbol, &fields)).to_string().into_bytes();
        let asked = Asked::with_body(Method::PUT, body::path(&symbol), JSON, body);
        let reply = self.write(asked, condition, &symbol).await?;
        if reply.status == StatusCode::CREATED { reply.tagged() } else { whole(reply) }
    }

    /// Updates the fields that are given of a listed stock, all at once.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Refused`](Error::Refused) when it is not listed, the condition does not hold, or the time that is
    /// given is before that of the stock.
    pub async fn update(
        &self,
        symbol: Symbol,
        fields: Fields,
        condition: Condition,
    ) -> Result<Tagged, Error> {
        const MERGE_PATCH: &str = "application/merge-patch+json";
        let body = Value::Object(body::fields(symbol, &fields)).to_string().into_bytes();
        let asked = Asked::with_body(Method::PATCH, body::path(&symbol), MERGE_PATCH, body);
        whole(self.write(asked, condition, &symbol).await?)
    }

    /// Many updates, in their order: each lists its stock, or updates the fields that are given of a listed one.
    /// Returns what became of each; one that is refused keeps no other from taking effect. A thousand go in one request.
    ///
    /// # Errors
    ///
    /// [`Error`]; which of the updates took effect is not known then.
    pub async fn set_all(
        &self,
        updates: impl IntoIterator<Item = (Symbol, Fields)>,
    ) -> Result<Vec<Result<(), Refused>>, Error> {
        let updates: Vec<(Symbol, Fields)> = updates.into_iter().collect();
        let mut outcomes = Vec::with_capacity(updates.len());
        for updates in updates.chunks(HTTP_CLIENT_UPDATES_TOGETHER) {
            let mut lines = Vec::new();
            updates.iter().for_each(|(symbol, it)| body::update_line(*symbol, it, &mut lines));
            let path = "/v1/updates".to_owned();
            let asked = Asked::with_body(Method::POST, path, "application/x-ndjson", lines);
            let awaited = || format!("answer to {} updates", updates.len());
            let reply = self.ask(&asked, awaited).await?.is(StatusCode::OK)?;
            let mut refused = reply.refused_updates(updates.len())?;
            outcomes.extend((0..updates.len()).map(|place| match refused.remove(&place) {
                Some(refused) => Err(refused),
                None => Ok(()),
            }));
        }
        Ok(outcomes)
    }

    /// Removes a stock from the catalog. Returns whether it was listed.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Refused`](Error::Refused) when the condition does not hold.
    pub async fn delist(&self, symbol: Symbol, condition: Condition) -> Result<bool, Error> {
        let reply = self.write(Asked::delete(body::path(&symbol)), condition, &symbol).await?;
        match reply.is(StatusCode::NO_CONTENT) {
            Ok(_) => Ok(true),
            Err(error) if error.problem() == Some(Problem::NotListed) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes shares of a stock where the number is negative, or gives them back: a whole number of them, or any exact
    /// decimal. Returns the quote after it. A trade never sells what is not there, however many clients trade at once.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Refused`](Error::Refused) when the stock is not listed or halted, fewer shares are left, or the
    /// condition does not hold.
    pub async fn trade(
        &self,
        symbol: Symbol,
        shares: impl Into<Shares>,
        condition: Condition,
    ) -> Result<Tagged, Error> {
        let path = format!("{}/trades", body::path(&symbol));
        let asked = Asked::with_body(Method::POST, path, JSON, body::trade(shares.into()));
        whole(self.write(asked, condition, &symbol).await?)
    }

    /// The stocks that are listed, page by page; over all pages every stock that was listed throughout.
    pub fn browse(&self, browse: &Browse) -> Pages {
        Pages::new(&self.pool, self.deadline, browse)
    }

    /// Every quote of the catalog as it is at one moment, in no order, while the catalog goes on changing. It has one of
    /// the connections until it is read to its end or dropped.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Refused`](Error::Refused) when as many snapshots are being read as may be.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::begin(&self.pool, self.deadline).await
    }

    /// Follows the quotes of stocks as they change, over a connection of its own. It returns when the server has taken
    /// it, and connects again by itself from then on.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Refused`](Error::Refused) when nothing is watched, or it may not be.
    pub async fn watch(&self, request: WatchRequest) -> Result<Watch, Error> {
        Watch::begin(Arc::clone(&self.pool.connector), request, self.deadline).await
    }

    async fn write(
        &self,
        asked: Asked,
        condition: Condition,
        symbol: &Symbol,
    ) -> Result<Reply, Error> {
        let asked = match condition.header() {
            None => asked,
            Some((name, value)) => {
                // Both are of visible characters alone.
                let value =
                    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("\"\""));
                asked.header(HeaderName::from_static(name), value)
            }
        };
        self.ask(&asked, || format!("answer to the write of '{symbol}'")).await
    }

    async fn ask(&self, asked: &Asked, awaited: impl Fn() -> String) -> Result<Reply, Error> {
        within(self.deadline, awaited, self.pool.ask(asked)).await
    }
}

fn about(name: &str) -> String {
    format!("answer about '{}'", escaped(name).at_most(EXCERPT_BYTES_MAX))
}

/// The quote after a write.
fn whole(reply: Reply) -> Result<Tagged, Error> {
    reply.is(StatusCode::OK)?.tagged()
}
