//! Live quotes over gRPC.
//!
//! It owns how events become messages. Invariant: at most [`STREAM_MESSAGES_MAX`] messages and a few notices are made
//! before the transport takes them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use stockd_engine::Message;
use stockd_model::Problem;
use stockd_model::limits::STREAM_MESSAGES_MAX;
use tonic::{Request, Status};

use super::convert;
use super::proto::{self, watch_response::Event};
use crate::caller::Caller;
use crate::connection::ConnectionInfo;
use crate::plane::Plane;
use crate::refused::Refused;
use crate::stream::hub::{Counters, StreamInfo};
use crate::stream::subscription::{EventId, Names, Subscription, parse_interval};
use crate::stream::teller::{Notice, Sink, Teller};
use crate::streams;

/// A stream of live quotes.
#[derive(Debug)]
pub(super) struct Watching {
    teller: Teller,
    events: Events,
    ended: bool,
    /// Keeps the connection counted as open.
    _info: Arc<ConnectionInfo>,
}

/// Events that are made and not sent.
#[derive(Debug, Default)]
struct Events(VecDeque<Event>);

impl Watching {
    pub(super) fn begin(
        plane: &Plane,
        request: Request<proto::WatchRequest>,
    ) -> Result<Watching, Status> {
        let caller = Caller::of(request.extensions());
        let missing = || Refused::new(Problem::InvalidRequest, "the connection is not known");
        let info = request.extensions().get::<Arc<ConnectionInfo>>().cloned();
        let info = info.ok_or_else(missing)?;
        let proto::WatchRequest { symbols, patterns, interval_ms } = request.into_inner();
        let subscription = Subscription {
            names: Names::parse(symbols.iter().map(String::as_str), !patterns.is_empty())?,
            patterns: patterns.into_iter().map(String::into_bytes).collect(),
            interval: parse_interval(&interval_ms.to_string())?,
            ..Subscription::default()
        };
        if subscription.is_empty() {
            let detail = "nothing is subscribed to; give symbols or patterns";
            return Err(Refused::new(Problem::InvalidRequest, detail).into());
        }
        let teller = streams::begin(plane, &caller, &info, "grpc", &subscription)?;
        Ok(Watching { teller, events: Events::default(), ended: false, _info: info })
    }

    /// What others may know of it.
    pub(super) fn info(&self) -> Arc<StreamInfo> {
        Arc::clone(&self.teller.stream.info)
    }
}

impl Stream for Watching {
    type Item = Result<proto::WatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.events.0.is_empty() && !this.ended {
            this.ended = !ready!(this.teller.poll(cx, &mut this.events));
        }
        let event = this.events.0.pop_front();
        Poll::Ready(event.map(|event| Ok(proto::WatchResponse { event: Some(event) })))
    }
}

impl Sink for Events {
    fn quote(&mut self, message: &Message<'_>, _: Option<EventId>) {
        let symbol = || message.symbol.to_string();
        self.0.push_back(match message.quote {
            Some(quote) => Event::Quote(convert::quote(quote)),
            None if message.is_unlisted => Event::Unlisted(symbol()),
            None => Event::Delisted(symbol()),
        });
    }

    fn unlisted(&mut self, name: &str, _: Option<EventId>) {
        self.0.push_back(Event::Unlisted(name.to_owned()));
    }

    fn notice(&mut self, notice: Notice, _: Option<EventId>) {
        self.0.push_back(match notice {
            Notice::Hello { epoch, .. } => {
                let server = format!("stockd {}", env!("CARGO_PKG_VERSION"));
                Event::Hello(proto::Hello { server, epoch })
            }
            Notice::Synced => Event::Synced(proto::Synced {}),
            Notice::Heartbeat { counters, staleness } => {
                let Counters { messages, conflated, marks } = counters;
                let fresh_ms = staleness.map(|age| age.as_millis() as u64);
                Event::Heartbeat(proto::Heartbeat {
                    messages,
                    conflated,
                    marks: marks as u64,
                    fresh_ms,
                })
            }
            Notice::Forbidden(symbol) => {
                let symbol = symbol.map(|symbol| symbol.to_string()).unwrap_or_default();
                Event::Forbidden(proto::Forbidden { symbol })
            }
            Notice::Unauthenticated => Event::Forbidden(proto::Forbidden::default()),
            Notice::Goodbye { retry } => {
                Event::Goodbye(proto::Goodbye { retry_ms: retry.as_millis() as u32 })
            }
        });
    }

    fn has_room(&self) -> bool {
        self.0.len() < STREAM_MESSAGES_MAX
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
