//! Routes that read quotes: one, several, many, a page.
//!
//! It knows HTTP and no bytes of quotes beyond their one encoder. Invariant: one bad name fails no other.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use stockd_model::limits::{
    HTTP_BODY_BYTES_MAX, HTTP_LOOKUP_NAMES_MAX, HTTP_PAGE_ROWS_MAX, HTTP_PAGE_STOCKS_MAX,
    HTTP_QUERY_NAMES_MAX, PATTERN_BYTES_MAX,
};
use stockd_model::{Pattern, Problem, Quote, Reply, Request, Symbol, quote_json};

use crate::caller::Caller;
use crate::lookup::{self, Found, FoundBody};
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::responses::{IfNoneMatch, OfStock};
use crate::segments::Segments;
use crate::{accept, body, etag, schema};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const TEXT_UTF_8: &str = "text/plain; charset=utf-8";

/// Room for a quote as JSON: most have half of that.
const QUOTE_BYTES: usize = 512;

/// The quote of a stock.
///
/// With `Accept: text/plain` it is the bare answer of a lookup: the price, `0` when the stock is halted or has no
/// shares left, and `-1` with status 404 when it is not listed.
#[utoipa::path(get, path = "/v1/stocks/{symbol}", tag = "quotes",
    params(OfStock, IfNoneMatch),
    responses((status = 200, description = "the quote", content((schema::Quote = "application/json"), (String = "text/plain")),
            headers(("ETag" = String, description = "`\"<epoch>.<version>\"`"))),
        (status = 304, description = "it is the one with this ETag"),
        (status = 404, description = "not listed", content((schema::Problem = "application/problem+json"), (String = "text/plain")))))]
pub(crate) async fn one(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    Segments(name): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    query.only(&[])?;
    Ok(answer_one(&plane, &caller, &name, &headers)?.map(Body::from))
}

/// The quote of a stock, named in the query.
#[utoipa::path(get, path = "/v1/stock", tag = "quotes",
    params(("symbol" = String, Query, description = "the name of the stock"), IfNoneMatch),
    responses((status = 200, description = "the quote", content((schema::Quote = "application/json"), (String = "text/plain"))),
        (status = 304, description = "it is the one with this ETag"),
        (status = 400, description = "no symbol is given", body = schema::Problem, content_type = "application/problem+json"),
        (status = 404, description = "not listed", content((schema::Problem = "application/problem+json"), (String = "text/plain")))))]
pub(crate) async fn one_by_query(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let query = query.only(&["symbol"])?;
    let missing = || Refused::new(Problem::InvalidRequest, "parameter 'symbol' is missing");
    let name = query.one("symbol")?.ok_or_else(missing)?;
    Ok(answer_one(&plane, &caller, name, &headers)?.map(Body::from))
}

/// The quote of a stock as the client likes it best, or that it has it already.
pub(crate) fn answer_one(
    plane: &Plane,
    caller: &Caller,
    name: &str,
    headers: &HeaderMap,
) -> Result<http::Response<Bytes>, Refused> {
    let kind = accept::best(headers, &[JSON, TEXT])?;
    let lookup = Request::Lookup(Symbol::parse(name.as_bytes()));
    let reply = plane.door.batch(caller.access(), |batch| batch.execute_now(&lookup));
    if let Some(Reply::Refused(refusal)) = &reply {
        return Err(refusal.into());
    }
    let Some(Reply::Found(quote)) = reply else {
        let headers = [fixed(CONTENT_TYPE, TEXT_UTF_8), fixed(VARY, "Accept")];
        return match kind {
            TEXT => Ok(respond(StatusCode::NOT_FOUND, headers, &b"-1\n"[..])),
            _ => Err(Refused::not_listed(name)),
        };
    };
    let epoch = plane.engine().epoch();
    if etag::is_known(headers, epoch, &quote)? {
        let headers = [(ETAG, etag::value(epoch, &quote)), fixed(CACHE_CONTROL, "no-cache")];
        return Ok(respond(StatusCode::NOT_MODIFIED, headers, Bytes::new()));
    }
    Ok(match kind {
        TEXT => {
            let text = format!("{}\n", quote.answer());
            with_tag(StatusCode::OK, (epoch, &quote), TEXT_UTF_8, text)
        }
        _ => whole(StatusCode::OK, epoch, &quote),
    })
}

/// A response with a quote and its ETag.
pub(crate) fn whole(status: StatusCode, epoch: u64, quote: &Quote) -> http::Response<Bytes> {
    let mut json = Vec::with_capacity(QUOTE_BYTES);
    quote_json::encode_quote(quote, &mut json);
    with_tag(status, (epoch, quote), JSON, json)
}

fn with_tag(
    status: StatusCode,
    (epoch, quote): (u64, &Quote),
    kind: &'static str,
    body: impl Into<Bytes>,
) -> http::Response<Bytes> {
    let headers = [
        (ETAG, etag::value(epoch, quote)),
        fixed(CONTENT_TYPE, kind),
        fixed(CACHE_CONTROL, "no-cache"),
        fixed(VARY, "Accept"),
    ];
    respond(status, headers, body)
}

fn fixed(name: HeaderName, value: &'static str) -> (HeaderName, HeaderValue) {
    (name, HeaderValue::from_static(value))
}

fn respond<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, HeaderValue); N],
    body: impl Into<Bytes>,
) -> http::Response<Bytes> {
    let mut response = http::Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}

/// Several quotes, or a page of all.
///
/// With `symbols` or `symbol` the quotes of up to 1,000 stocks. Without them a page of the stocks that are listed;
/// over all pages every stock appears that was listed throughout.
#[utoipa::path(get, path = "/v1/stocks", tag = "quotes",
    params(("symbols" = Option<String>, Query, description = "names with commas between"),
        ("symbol" = Option<Vec<String>>, Query, description = "one name; may be repeated", explode = true),
        ("prefix" = Option<String>, Query, description = "of a page: what the names begin with"),
        ("pattern" = Option<String>, Query, nullable = false, max_length = 256, description = "of a page: what the names fit, such as `BRK*`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "of a page: stocks on it, up to 1,000; 100 unless given"),
        ("cursor" = Option<String>, Query, nullable = false, pattern = "^[0-9a-f]{1,8}$", description = "of a page: the `next` of the page before")),
    responses((status = 200, description = "quotes and names that are missing; or a page",
            body = inline(SomeOrPage), content_type = "application/json"),
        (status = 400, description = "a parameter cannot be understood", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "too many names", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn several(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let query = query.only(&["symbols", "symbol", "prefix", "pattern", "limit", "cursor"])?;
    accept::best(&headers, &[JSON])?;
    let names = query.list("symbols", "symbol");
    let is_page = query.all("symbols").chain(query.all("symbol")).next().is_none();
    match is_page {
        true => page(&plane, &caller, &query).await,
        false => {
            let paged = ["prefix", "pattern", "limit", "cursor"];
            if let Some(name) = paged.into_iter().find(|name| query.all(name).next().is_some()) {
                let detail = format!("'{name}' is of a page, and names are given");
                return Err(Refused::new(Problem::InvalidRequest, detail));
            }
            some(&plane, &caller, names)
        }
    }
}

/// What [`several`] answers.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "a description")]
enum SomeOrPage {
    Some(schema::Lookups),
    Page(schema::Page),
}

fn some(plane: &Plane, caller: &Caller, mut names: Vec<String>) -> Result<Response, Refused> {
    if names.len() > HTTP_QUERY_NAMES_MAX {
        return Err(lookup::too_many(names.len(), HTTP_QUERY_NAMES_MAX));
    }
    lookup::distinct(&mut names);
    let mut found = Found::new(b"{");
    found.look_up(&plane.door, caller.access(), &names);
    Ok(([(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-cache")], found.end()).into_response())
}

/// Which stocks a page is to have.
struct Wanted<'a> {
    prefix: &'a str,
    pattern: Option<Pattern>,
}

impl Wanted<'_> {
    fn of(query: &Query) -> Result<Wanted<'_>, Refused> {
        let prefix = query.one("prefix")?.unwrap_or_default();
        let pattern = query.one("pattern")?;
        if let Some(bytes) = pattern.map(str::len).filter(|bytes| *bytes > PATTERN_BYTES_MAX) {
            let detail =
                format!("the pattern is {bytes} bytes long, the limit is {PATTERN_BYTES_MAX}");
            return Err(Refused::new(Problem::InvalidPattern, detail));
        }
        let pattern = pattern.map(|pattern| Pattern::new(pattern.as_bytes()));
        Ok(Wanted { prefix, pattern })
    }

    fn is_all(&self) -> bool {
        self.prefix.is_empty() && self.pattern.is_none()
    }

    fn has(&self, symbol: &Symbol) -> bool {
        symbol.as_str().starts_with(self.prefix)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(symbol))
    }
}

/// Rows of the catalog that are read at once for a page.
const ROWS: usize = 2048;

async fn page(plane: &Plane, caller: &Caller, query: &Query) -> Result<Response, Refused> {
    let wanted = Wanted::of(query)?;
    let limit = query.number("limit", HTTP_PAGE_STOCKS_MAX)?.unwrap_or(100);
    let mut from = match query.one("cursor")? {
        None => Some(0),
        Some(cursor) => Some(parse_cursor(cursor)?),
    };
    let mut out = br#"{"quotes":["#.to_vec();
    let (mut quotes, mut rows) = (0, 0);
    while let Some(place) = from {
        if quotes >= limit || rows >= HTTP_PAGE_ROWS_MAX {
            break;
        }
        // No more rows than quotes fit: where to go on is known between calls alone.
        let at_once = (limit - quotes).min(ROWS);
        let at_once = if wanted.is_all() { at_once } else { at_once.max(64) };
        let page = plane.engine().browse(caller.access(), place, at_once);
        rows += at_once;
        for quote in page.quotes.iter().filter(|quote| wanted.has(&quote.symbol)) {
            if quotes > 0 {
                out.push(b',');
            }
            quotes += 1;
            quote_json::encode_quote(quote, &mut out);
        }
        from = page.next;
        if rows.is_multiple_of(8 * ROWS) {
            tokio::task::yield_now().await;
        }
    }
    out.push(b']');
    if let Some(place) = from {
        out.extend_from_slice(format!(r#","next":"{place:x}""#).as_bytes());
    }
    out.push(b'}');
    Ok(([(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-cache")], out).into_response())
}

fn parse_cursor(text: &str) -> Result<u64, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| digits).ok_or_else(|| {
        let shown = stockd_model::escaped(text.as_bytes()).at_most(100);
        Refused::new(
            Problem::InvalidCursor,
            format!("'{shown}' is no cursor that a page has given"),
        )
    })
}

/// The quotes of up to 100,000 stocks.
#[utoipa::path(post, path = "/v1/lookup", tag = "quotes", request_body = schema::Names,
    responses((status = 200, description = "quotes, and names that are missing", body = schema::Lookups),
        (status = 400, description = "the body cannot be understood", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "too many names", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn many(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Names {
        symbols: Vec<String>,
    }
    query.only(&[])?;
    accept::best(&headers, &[JSON])?;
    let (Names { symbols }, room) =
        body::json(&plane, &headers, &[JSON], body, (HTTP_BODY_BYTES_MAX, "list of names")).await?;
    if symbols.len() > HTTP_LOOKUP_NAMES_MAX {
        return Err(lookup::too_many(symbols.len(), HTTP_LOOKUP_NAMES_MAX));
    }
    let body = FoundBody::new(&plane, caller.access(), symbols, room);
    Ok(([(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-cache")], Body::new(body)).into_response())
}
