//! The response on one stream, from its head to its trailers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::HeaderMap;
use stockd_model::limits::RESP_REPLY_BYTES_MAX;
use stockd_wire::reply::NotAReply;

use crate::codec::{Item, grpc, json};

/// A response that is on its way.
#[derive(Debug)]
pub(super) struct Response {
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(ResponseFuture),
    Body { head: http::response::Parts, stream: RecvStream, body: Vec<u8>, has_all: bool },
}

/// What it says to a lookup.
#[derive(Debug)]
pub(super) enum Answer {
    Found(Price),
    Refused(Vec<u8>),
    /// It is no answer; its bytes.
    Foreign(Vec<u8>),
}

/// The price that was found; `None` where the stock is not listed.
#[derive(Debug)]
pub(super) struct Price(Option<Vec<u8>>);

impl Price {
    pub(super) fn item(&self) -> Item<'_> {
        self.0.as_deref().map_or(Item::Missing, Item::Value)
    }
}

impl Response {
    pub(super) fn new(response: ResponseFuture) -> Response {
        Response { stage: Stage::Head(response) }
    }

    /// Ready when it has come whole, or the server has given it up.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, is_grpc: bool) -> Poll<Answer> {
        match ready!(self.poll_whole(cx)) {
            Err(error) => Poll::Ready(Answer::Refused(error.to_string().into_bytes())),
            Ok((head, body, trailers)) => {
                let answer = match is_grpc {
                    true => of_grpc(&head, &body, trailers.as_ref()),
                    false => of_http(&head, &body),
                };
                Poll::Ready(answer.unwrap_or(Answer::Foreign(body)))
            }
        }
    }

    #[allow(clippy::type_complexity, reason = "the three parts of a response")]
    fn poll_whole(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(http::response::Parts, Vec<u8>, Option<HeaderMap>), h2::Error>> {
        if let Stage::Head(response) = &mut self.stage {
            let (head, stream) = ready!(Pin::new(response).poll(cx))?.into_parts();
            self.stage = Stage::Body { head, stream, body: Vec::new(), has_all: false };
        }
        let Stage::Body { head, stream, body, has_all } = &mut self.stage else {
            return Poll::Pending;
        };
        while !*has_all {
            match ready!(stream.poll_data(cx)).transpose()? {
                Some(bytes) => take(stream, &bytes, body)?,
                None => *has_all = true,
            }
        }
        let trailers = ready!(stream.poll_trailers(cx))?;
        Poll::Ready(Ok((std::mem::replace(head, empty_head()), std::mem::take(body), trailers)))
    }
}

/// Adds a piece of a body, and lets the server send as much again.
fn take(stream: &mut RecvStream, bytes: &Bytes, body: &mut Vec<u8>) -> Result<(), h2::Error> {
    if body.len() + bytes.len() > RESP_REPLY_BYTES_MAX {
        return Err(h2::Reason::CANCEL.into());
    }
    body.extend_from_slice(bytes);
    stream.flow_control().release_capacity(bytes.len())
}

fn empty_head() -> http::response::Parts {
    http::Response::new(()).into_parts().0
}

fn of_http(head: &http::response::Parts, body: &[u8]) -> Result<Answer, NotAReply> {
    Ok(match head.status.as_u16() {
        200 => Answer::Found(Price(Some(json::price(body)?.to_vec()))),
        404 => Answer::Found(Price(None)),
        _ if body.is_empty() => Answer::Refused(head.status.to_string().into_bytes()),
        _ => Answer::Refused(body.to_vec()),
    })
}

fn of_grpc(
    head: &http::response::Parts,
    body: &[u8],
    trailers: Option<&HeaderMap>,
) -> Result<Answer, NotAReply> {
    let text = |name: &str| {
        // A response without a message has its status in its head.
        let value = trailers.and_then(|it| it.get(name)).or_else(|| head.headers.get(name));
        value.and_then(|value| value.to_str().ok())
    };
    Ok(match text("grpc-status") {
        Some(grpc::OK) => Answer::Found(Price(Some(grpc::price(body)?.into_bytes()))),
        Some(grpc::NOT_FOUND) => Answer::Found(Price(None)),
        Some(status) => {
            let why = text("grpc-message").unwrap_or_default();
            Answer::Refused(format!("status {status} {why}").into_bytes())
        }
        None => Answer::Refused(format!("{} without grpc-status", head.status).into_bytes()),
    })
}
