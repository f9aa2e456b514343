//! Many lookups at once: names in, quotes and the names that are missing out.
//!
//! It owns the form of that answer, `{"quotes":{"A":{…}},"missing":["B"]}`, and
//! `"forbidden":["C"]` where the access file does not let the client read some. Invariant: one bad name fails no other,
//! and each name is answered once, in the order of the first time that it is named.

use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use stockd_engine::Access;
use stockd_model::limits::{LOOKUPS_TOGETHER_MAX, STREAM_BYTES_MAX};
use stockd_model::{Problem, Reply, Request, Symbol, quote_json};
use tokio::sync::OwnedSemaphorePermit;

use crate::door::Door;
use crate::plane::Plane;
use crate::refused::Refused;

/// More names than a request may have.
pub(crate) fn too_many(names: usize, max: usize) -> Refused {
    let detail = format!("{names} stocks are named, the limit is {max}");
    Refused::new(Problem::TooManyNames, detail).with("names", names).with("names_max", max)
}

/// The answer so far.
#[derive(Debug)]
pub(crate) struct Found {
    out: Vec<u8>,
    quotes: usize,
    /// The names that are missing, as JSON, with commas between.
    missing: Vec<u8>,
    /// Those that may not be read, whether they are listed or not.
    forbidden: Vec<u8>,
}

impl Found {
    /// Begins an object with these bytes, which are `{` and perhaps members and a comma.
    pub(crate) fn new(beginning: &[u8]) -> Found {
        let out = [beginning, br#""quotes":{"#].concat();
        Found { out, quotes: 0, missing: Vec::new(), forbidden: Vec::new() }
    }

    /// Looks these names up.
    pub(crate) fn look_up(&mut self, door: &Door, access: &Access, names: &[String]) {
        door.batch(access, |batch| {
            for name in names {
                let symbol = Symbol::parse(name.as_bytes());
                match batch.execute_now(&Request::Lookup(symbol)) {
                    Some(Reply::Found(quote)) => {
                        if self.quotes > 0 {
                            self.out.push(b',');
                        }
                        self.quotes += 1;
                        encode_text(name, &mut self.out);
                        self.out.push(b':');
                        quote_json::encode_quote(&quote, &mut self.out);
                    }
                    Some(Reply::Refused(_)) => append_text(name, &mut self.forbidden),
                    _ => append_text(name, &mut self.missing),
                }
            }
        });
    }

    /// The rest of the answer.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.out.extend_from_slice(br#"},"missing":["#);
        self.out.extend_from_slice(&self.missing);
        if !self.forbidden.is_empty() {
            self.out.extend_from_slice(br#"],"forbidden":["#);
            self.out.extend_from_slice(&self.forbidden);
        }
        self.out.extend_from_slice(b"]}");
        self.out
    }
}

/// Appends a text to the elements of an array.
fn append_text(text: &str, out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
    encode_text(text, out);
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// Each name once.
pub(crate) fn distinct(names: &mut Vec<String>) {
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
}

/// An answer that is made while it is sent, so that it is never held as a whole.
pub(crate) struct FoundBody {
    plane: Arc<Plane>,
    access: Access,
    names: std::vec::IntoIter<String>,
    found: Option<Found>,
    /// Room for the names, which came with the body of the request.
    _room: OwnedSemaphorePermit,
}

impl FoundBody {
    pub(crate) fn new(
        plane: &Arc<Plane>,
        access: &Access,
        mut names: Vec<String>,
        room: OwnedSemaphorePermit,
    ) -> FoundBody {
        distinct(&mut names);
        FoundBody {
            plane: Arc::clone(plane),
            access: access.clone(),
            names: names.into_iter(),
            found: Some(Found::new(b"{")),
            _room: room,
        }
    }
}

impl Body for FoundBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some(mut found) = this.found.take() else { return Poll::Ready(None) };
        while found.out.len() < STREAM_BYTES_MAX && this.names.len() > 0 {
            let names: Vec<String> = this.names.by_ref().take(LOOKUPS_TOGETHER_MAX).collect();
            found.look_up(&this.plane.door, &this.access, &names);
        }
        let bytes = match this.names.len() {
            0 => found.end(),
            _ => {
                let bytes = std::mem::take(&mut found.out);
                this.found = Some(found);
                bytes
            }
        };
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }
}
