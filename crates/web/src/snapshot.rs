//! The whole catalog at one moment, as JSON lines or CSV, sent while it is read.
//!
//! It owns the pages and their bytes. Invariant: what was sent to its end is one moment; where the snapshot was
//! ended early the response breaks off, so that a part is not taken for all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body as AnyBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http_body::{Body, Frame};
use stockd_engine::{Snapshot, SnapshotEnded};
use stockd_model::limits::{SNAPSHOT_PAGE_ROWS, SNAPSHOTS_MAX};
use stockd_model::{Field, Problem, Quote, quote_json};

use crate::caller::Caller;
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::{accept, schema};

const LINES: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

/// All quotes at one moment, in no useful order: a quote a line, or CSV with a header.
#[utoipa::path(get, path = "/v1/snapshot", tag = "quotes",
    responses((status = 200, description = "all quotes", content((schema::Quote = "application/x-ndjson"), (String = "text/csv"))),
        (status = 503, description = "as many snapshots are being read as may be", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn snapshot(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    query.only(&[])?;
    let kind = accept::best(&headers, &[LINES, CSV])?;
    let snapshot = plane.engine().snapshot(caller.access(), Instant::now()).ok_or_else(|| {
        let detail = format!("{SNAPSHOTS_MAX} snapshots are being read, the limit");
        Refused::new(Problem::TooManySnapshots, detail)
    })?;
    let rows = Rows { snapshot: Some(snapshot), is_csv: kind == CSV, has_header: kind != CSV };
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store"), (VARY, "Accept")];
    Ok((headers, AnyBody::new(rows)).into_response())
}

/// What is left of a snapshot.
struct Rows {
    snapshot: Option<Snapshot>,
    is_csv: bool,
    has_header: bool,
}

impl Body for Rows {
    type Data = Bytes;
    type Error = SnapshotEnded;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SnapshotEnded>>> {
        let Some(snapshot) = &mut self.snapshot else { return Poll::Ready(None) };
        let page = match snapshot.page(SNAPSHOT_PAGE_ROWS, Instant::now()) {
            Err(ended) => {
                tracing::warn!("a snapshot was ended before its end: {ended}");
                self.snapshot = None;
                return Poll::Ready(Some(Err(ended)));
            }
            Ok(page) => page,
        };
        let mut out = Vec::new();
        if !self.has_header {
            self.has_header = true;
            out.extend_from_slice(Field::ALL.map(Field::name).join(",").as_bytes());
            out.push(b'\n');
        }
        match page {
            Some(quotes) if self.is_csv => quotes.iter().for_each(|it| encode_csv(it, &mut out)),
            Some(quotes) => {
                for quote in &quotes {
                    quote_json::encode_kept(quote, &mut out);
                    out.push(b'\n');
                }
            }
            None => self.snapshot = None,
        }
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}

/// One line of CSV (RFC 4180). A text that a spreadsheet would take for a formula begins with an apostrophe.
fn encode_csv(quote: &Quote, out: &mut Vec<u8>) {
    for (at, field) in Field::ALL.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let Some(text) = quote.text_of(field) else { continue };
        let text = text.as_str();
        if field != Field::Symbol {
            out.extend_from_slice(text.as_bytes());
            continue;
        }
        let apostrophe = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
        match text.contains([',', '"']) {
            true => {
                let doubled = text.replace('"', "\"\"");
                out.extend_from_slice(format!("\"{apostrophe}{doubled}\"").as_bytes());
            }
            false => {
                out.extend_from_slice(apostrophe.as_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
    out.push(b'\n');
}
