//! All stocks: page by page, or as a snapshot of one moment.
//!
//! It knows requests and their answers, and no sockets. Invariant: a snapshot whose end did not come is an error at its
//! end, so that a part is not taken for all.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::StatusCode;
use memchr::memchr;
use stockd_model::limits::{HTTP_CLIENT_LINE_BYTES_MAX, HTTP_PAGE_STOCKS_MAX};
use stockd_model::{Address, Quote};

use super::body::encoded;
use super::error::Error;
use super::pool::{Asked, Begun, JSON, Pool, shown, within};
use crate::error::excerpt;
use crate::payload::Payload;

/// Which stocks are browsed; all of them unless it says more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Browse {
    /// What the names begin with.
    pub prefix: String,
    /// What the names fit: `*` any text, `?` any character, `[A-C]` one of a set.
    pub pattern: Option<String>,
}

/// The pages of [`Client::browse`](super::Client::browse).
///
/// ```no_run
/// # async fn browse(client: stockd_client::http::Client) -> Result<(), stockd_client::http::Error> {
/// use stockd_client::http::Browse;
///
/// let mut pages = client.browse(&Browse { prefix: "BRK".to_owned(), ..Browse::default() });
/// while let Some(quotes) = pages.next().await? {
///     quotes.iter().for_each(|quote| println!("{}", quote.symbol));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pages {
    pool: Arc<Pool>,
    deadline: Duration,
    path: String,
    /// From where the next page goes on; `None` after the last.
    cursor: Option<String>,
}

impl Pages {
    pub(super) fn new(pool: &Arc<Pool>, deadline: Duration, browse: &Browse) -> Pages {
        let Browse { prefix, pattern } = browse;
        let mut path = format!("/v1/stocks?limit={HTTP_PAGE_STOCKS_MAX}");
        if !prefix.is_empty() {
            path.push_str(&format!("&prefix={}", encoded(prefix)));
        }
        if let Some(pattern) = pattern {
            path.push_str(&format!("&pattern={}", encoded(pattern)));
        }
        Pages { pool: Arc::clone(pool), deadline, path, cursor: Some(String::new()) }
    }

    /// The next page, which has at least one stock; `None` after the last.
    ///
    /// # Errors
    ///
    /// [`Error`]; the same page can be asked for again then.
    pub async fn next(&mut self) -> Result<Option<Vec<Quote>>, Error> {
        while let Some(cursor) = &self.cursor {
            let path = match cursor.as_str() {
                "" => self.path.clone(),
                cursor => format!("{}&cursor={}", self.path, encoded(cursor)),
            };
            let asked = Asked::get(path).accept(JSON);
            let awaited = || "page of stocks".to_owned();
            let reply = within(self.deadline, awaited, self.pool.ask(&asked)).await?;
            let page = reply.is(StatusCode::OK)?.page()?;
            self.cursor = page.next;
            if !page.quotes.is_empty() {
                return Ok(Some(page.quotes));
            }
        }
        Ok(None)
    }
}

/// The quotes of [`Client::snapshot`](super::Client::snapshot).
///
/// ```no_run
/// # async fn all(client: stockd_client::http::Client) -> Result<(), stockd_client::http::Error> {
/// let mut snapshot = client.snapshot().await?;
/// while let Some(quote) = snapshot.next().await? {
///     println!("{} {}", quote.symbol, quote.answer());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Snapshot {
    server: Address,
    /// `None` after the end.
    begun: Option<Begun>,
    deadline: Duration,
    lines: BytesMut,
}

impl Snapshot {
    pub(super) async fn begin(pool: &Arc<Pool>, deadline: Duration) -> Result<Snapshot, Error> {
        let asked = Asked::get("/v1/snapshot".to_owned()).accept("application/x-ndjson");
        let begun = within(deadline, || "snapshot".to_owned(), async {
            let begun = pool.begin(&asked).await?;
            match begun.status {
                StatusCode::OK => Ok(begun),
                _ => Err(begun.whole().await?.error()),
            }
        });
        let begun = begun.await?;
        let server = begun.server.clone();
        Ok(Snapshot { server, begun: Some(begun), deadline, lines: BytesMut::new() })
    }

    /// The next quote; `None` at the end. A page has to come within the deadline. It is cancel safe.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] where the server has given it up, since it was not read for a while or too much changed; then
    /// there are no more quotes.
    pub async fn next(&mut self) -> Result<Option<Quote>, Error> {
        loop {
            if let Some(end) = memchr(b'\n', &self.lines) {
                let line = self.lines.split_to(end + 1);
                return self.read(&line).map(Some);
            }
            let Some(begun) = &mut self.begun else { return Ok(None) };
            let frame = async { Ok(begun.body.frame().await) };
            match within(self.deadline, || "page of a snapshot".to_owned(), frame).await? {
                None => {
                    let is_whole = self.lines.is_empty();
                    self.end();
                    if !is_whole {
                        let cause = "the snapshot ends within a line".to_owned();
                        return Err(Error::Lost { server: self.server.clone(), cause });
                    }
                }
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.lines.extend_from_slice(&data);
                    if self.lines.len() > HTTP_CLIENT_LINE_BYTES_MAX
                        && memchr(b'\n', &self.lines).is_none()
                    {
                        let lines = self.lines.split();
                        return self.read(&lines).map(Some);
                    }
                }
                Some(Err(error)) => {
                    self.begun = None;
                    let cause = format!("the snapshot was ended early: {}", shown(&error));
                    return Err(Error::Lost { server: self.server.clone(), cause });
                }
            }
        }
    }

    fn read(&mut self, line: &[u8]) -> Result<Quote, Error> {
        let payload: Option<Payload<'_>> = serde_json::from_slice(line).ok();
        payload.and_then(Payload::quote).ok_or_else(|| {
            self.begun = None;
            self.lines.clear();
            let server = self.server.clone();
            Error::NotAReply { server, status: StatusCode::OK.as_u16(), reply: excerpt(line) }
        })
    }

    fn end(&mut self) {
        if let Some(begun) = self.begun.take() {
            begun.give_back();
        }
    }
}
