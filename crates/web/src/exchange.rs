//! HTTP over one connection, in the version that its client speaks, from its first byte to its end.
//!
//! It owns the bounds of HTTP and what is under way. What is answered it does not know, but that plain lookups are
//! answered [at once](crate::direct), and that a response which [streams](crate::streams::Streams) over HTTP/1.1 is
//! [written elsewhere](crate::long_response).
//!
//! One timer bounds the whole connection. It is not set again for each request: when it has run out, what happened
//! meanwhile says how much longer it is to run.
//!
//! Invariant: when the plane stops, a connection without anything under way ends soon, whatever its client does.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::future::Either;
use http::{Method, Response, Version};
use http_body::{Frame, SizeHint};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use stockd_model::limits::{
    HTTP_HEAD_BYTES_MAX, HTTP2_PING_INTERVAL, HTTP2_RESETS_MAX, HTTP2_SEND_BYTES_MAX,
    HTTP2_STREAMS_MAX, LINGER_TIMEOUT,
};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::connection::{Closed, Connection, ConnectionInfo};
use crate::direct::{self, Content};
use crate::door::lock;
use crate::lent::Lent;
use crate::long_response;
use crate::plane::Plane;
use crate::streams::Streams;

/// What happens on the connection.
#[derive(Debug)]
struct Exchange {
    began: Instant,
    /// How long it may take until the head of a request is there.
    patience: Duration,
    /// Requests that have begun and whose responses have not ended.
    under_way: AtomicUsize,
    /// When the last response ended, in milliseconds since it began.
    last_ended_ms: AtomicU64,
    /// Something was asked over HTTP/2, which finds out itself whether its client is there.
    is_http2: AtomicBool,
    /// A response that is to be written elsewhere.
    long: Mutex<Option<Response<Body>>>,
}

/// A request that is under way as long as this is there.
#[derive(Debug)]
struct UnderWay(Arc<Exchange>);

/// The body of a response. The request is under way until it has ended.
#[derive(Debug)]
struct Answer {
    content: Content,
    _under_way: UnderWay,
}

/// What a listener serves.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) router: Router,
    /// Whether plain lookups are among it, which are answered without the routes.
    pub(crate) has_lookups: bool,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Why HTTP is over on a connection.
enum End {
    Over(Result<(), Error>),
    /// This response is to be written, alone.
    Long(Response<Body>),
}

/// What a connection is when its timer has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It may go on; look again after this time.
    Again(Duration),
    Over,
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    connection: Connection,
    info: Arc<ConnectionInfo>,
    plane: Arc<Plane>,
    Served { router, has_lookups }: Served,
) {
    let patience = plane.config.patience.head;
    let (lent, exchange) = (Lent::new(connection), Arc::new(Exchange::new(patience)));
    let service = service_fn({
        let (info, exchange, plane) =
            (Arc::clone(&info), Arc::clone(&exchange), Arc::clone(&plane));
        move |request: Request<Incoming>| {
            let under_way = UnderWay::begin(&exchange, request.version());
            let direct = if has_lookups { direct::answer(&plane, &info, &request) } else { None };
            match direct {
                Some(response) => {
                    Either::Left(ready(Ok::<_, Infallible>(under_way.until_sent(response))))
                }
                // In a box, since it is large, and most requests are answered without it.
                None => Either::Right(Box::pin(route(router.clone(), &info, request, under_way))),
            }
        }
    });
    let builder = bounded();
    let served = builder.serve_connection_with_upgrades(TokioIo::new(lent.clone()), service);
    tokio::pin!(served);
    let mut is_stopping = false;
    let timer = tokio::time::sleep(patience);
    tokio::pin!(timer);
    let end = loop {
        tokio::select! {
            biased;
            end = poll_fn(|cx| poll(served.as_mut(), &exchange, &lent, cx)) => break end,
            () = plane.stopped(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
                timer.as_mut().reset(Instant::now() + LINGER_TIMEOUT);
            }
            () = timer.as_mut() => {
                let now = Instant::now();
                match exchange.look(now, lent.is_waiting(), is_stopping) {
                    Look::Again(after) => timer.as_mut().reset(now + after),
                    Look::Over if is_stopping => return,
                    Look::Over => {
                        plane.traffic.note_closed(Closed::Idle);
                        return tracing::debug!("{}: closed: idle", info.peer);
                    }
                }
            }
        }
    };
    match end {
        End::Over(Ok(())) => {}
        End::Over(Err(error)) => {
            if let Some(why) = fault(&*error) {
                plane.traffic.note_closed(why);
            }
            tracing::debug!("{}: closed: {error}", info.peer);
        }
        End::Long(response) => {
            if let Some(connection) = lent.take_back() {
                // A task of its own, so that what this one holds is given back.
                tokio::spawn(long_response::write(connection, response, info, plane));
            }
        }
    }
}

/// Answers a request by the routes.
fn route(
    router: Router,
    info: &Arc<ConnectionInfo>,
    mut request: Request<Incoming>,
    under_way: UnderWay,
) -> impl Future<Output = Result<Response<Answer>, Infallible>> + use<> {
    request.extensions_mut().insert(Arc::clone(info));
    // The body of a POST has been read when its response streams.
    let may_be_long = request.version() == Version::HTTP_11
        && matches!(*request.method(), Method::GET | Method::POST);
    let answered = router.oneshot(request.map(Body::new));
    async move {
        let response = answered.await?;
        if may_be_long && response.extensions().get::<Streams>().is_some() {
            *lock(&under_way.0.long) = Some(response);
            return pending().await;
        }
        Ok(under_way.until_sent(response.map(Content::Right)))
    }
}

/// Goes on with HTTP, until it is over or a response takes the connection. What was answered before is sent then.
fn poll(
    served: Pin<&mut impl Future<Output = Result<(), Error>>>,
    exchange: &Exchange,
    lent: &Lent,
    cx: &mut Context<'_>,
) -> Poll<End> {
    if let Poll::Ready(over) = served.poll(cx) {
        return Poll::Ready(End::Over(over));
    }
    match lock(&exchange.long).take_if(|_| !lent.is_waiting()) {
        Some(response) => Poll::Ready(End::Long(response)),
        None => Poll::Pending,
    }
}

/// HTTP in both versions, with a bound on everything that a client can make it hold.
fn bounded() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // It would set a timer for each request.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_INTERVAL)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .max_header_list_size(HTTP_HEAD_BYTES_MAX as u32)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX);
    builder
}

/// Which bound or rule the client has broken; `None` where it has just gone.
fn fault(error: &(dyn std::error::Error + 'static)) -> Option<Closed> {
    let error = error.downcast_ref::<hyper::Error>()?;
    match (error.is_parse_too_large(), error.is_parse()) {
        (true, _) => return Some(Closed::HeadTooLong),
        (false, true) => return Some(Closed::ProtocolError),
        (false, false) => {}
    }
    let http2 = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    let is_ours = http2.is_go_away() && http2.is_library();
    is_ours.then(|| match http2.reason() {
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Closed::Resets,
        _ => Closed::ProtocolError,
    })
}

impl Exchange {
    fn new(patience: Duration) -> Exchange {
        Exchange {
            began: Instant::now(),
            patience,
            under_way: AtomicUsize::new(0),
            last_ended_ms: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            long: Mutex::new(None),
        }
    }

    /// What to do when the timer has run out. `is_waiting` says that the client does not take what is sent.
    fn look(&self, now: Instant, is_waiting: bool, is_stopping: bool) -> Look {
        let is_busy = is_waiting || self.under_way.load(Ordering::Relaxed) > 0;
        match (is_busy, is_stopping) {
            (false, true) => Look::Over,
            (true, true) => Look::Again(LINGER_TIMEOUT),
            (true, false) => Look::Again(self.patience),
            (false, false) if self.is_http2.load(Ordering::Relaxed) => Look::Again(self.patience),
            (false, false) => {
                let last_ended = Duration::from_millis(self.last_ended_ms.load(Ordering::Relaxed));
                let left = (self.began + last_ended + self.patience).duration_since(now);
                if left.is_zero() { Look::Over } else { Look::Again(left) }
            }
        }
    }
}

impl UnderWay {
    fn begin(exchange: &Arc<Exchange>, version: Version) -> UnderWay {
        exchange.under_way.fetch_add(1, Ordering::Relaxed);
        if version == Version::HTTP_2 {
            exchange.is_http2.store(true, Ordering::Relaxed);
        }
        UnderWay(Arc::clone(exchange))
    }

    /// The request is under way until its response has been sent.
    fn until_sent(self, response: Response<Content>) -> Response<Answer> {
        response.map(|content| Answer { content, _under_way: self })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let exchange = &self.0;
        let ended_ms = exchange.began.elapsed().as_millis() as u64;
        exchange.last_ended_ms.store(ended_ms, Ordering::Relaxed);
        exchange.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.content).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_connection_ends_when_nothing_was_asked_for_its_time() {
        let exchange = Arc::new(Exchange::new(MINUTE));
        let look = |since_began: Duration, is_waiting, is_stopping| {
            exchange.look(exchange.began + since_began, is_waiting, is_stopping)
        };
        assert_eq!(look(MINUTE / 4, false, false), Look::Again(MINUTE - MINUTE / 4));
        assert_eq!(look(MINUTE, false, false), Look::Over);
        // Its last response ended later.
        exchange.last_ended_ms.store(HOUR.as_millis() as u64, Ordering::Relaxed);
        assert_eq!(look(HOUR + MINUTE / 2, false, false), Look::Again(MINUTE / 2));
        assert_eq!(look(HOUR + MINUTE, false, false), Look::Over);
        // The client takes nothing, or something is under way: that has bounds of its own.
        assert_eq!(look(2 * HOUR, true, false), Look::Again(MINUTE));
        assert_eq!(look(2 * HOUR, true, true), Look::Again(LINGER_TIMEOUT));
        let request = UnderWay::begin(&exchange, Version::HTTP_11);
        assert_eq!(look(2 * HOUR, false, false), Look::Again(MINUTE));
        assert_eq!(look(2 * HOUR, false, true), Look::Again(LINGER_TIMEOUT));
        drop(request);
        assert_eq!(look(2 * HOUR, false, false), Look::Over);
        assert_eq!(look(Duration::ZERO, false, true), Look::Over);
    }

    #[test]
    fn over_http_2_pings_find_out_who_is_there() {
        let exchange = Arc::new(Exchange::new(MINUTE));
        drop(UnderWay::begin(&exchange, Version::HTTP_2));
        let later = exchange.began + HOUR;
        assert_eq!(exchange.look(later, false, false), Look::Again(MINUTE));
        assert_eq!(exchange.look(later, false, true), Look::Over);
    }
}
