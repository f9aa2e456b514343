//! HTTP over one connection, in the version that its client speaks, from its first byte to its end.
//!
//! It owns the bounds of HTTP and what is under way. What is answered it does not know, but that a response which
//! [streams](crate::streams::Streams) over HTTP/1.1 is [written elsewhere](crate::long_response).
//!
//! Invariant: when the plane stops, a connection without anything under way ends soon, whatever its client does.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use http::{Method, Response, Version};
use http_body::{Frame, SizeHint};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use stockd_model::limits::{
    HTTP_HEAD_BYTES_MAX, HTTP_HEAD_TIMEOUT, HTTP2_PING_INTERVAL, HTTP2_RESETS_MAX,
    HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX, LINGER_TIMEOUT,
};
use tower::ServiceExt;

use crate::connection::{Connection, ConnectionInfo};
use crate::door::lock;
use crate::lent::Lent;
use crate::long_response;
use crate::plane::Plane;
use crate::streams::Streams;

/// What happens on the connection.
#[derive(Debug, Default)]
struct Exchange {
    /// Requests that have begun and whose responses have not ended.
    under_way: AtomicUsize,
    /// A response that is to be written elsewhere.
    long: Mutex<Option<Response<Body>>>,
}

/// A request that is under way as long as this is there.
#[derive(Debug)]
struct UnderWay(Arc<Exchange>);

/// The body of a response. The request is under way until it has ended.
#[derive(Debug)]
struct Answer {
    body: Body,
    _under_way: UnderWay,
}

/// Why HTTP is over on a connection.
enum End<E> {
    Over(Result<(), E>),
    /// This response is to be written, alone.
    Long(Response<Body>),
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    connection: Connection,
    info: Arc<ConnectionInfo>,
    plane: Arc<Plane>,
    router: Router,
) {
    let (lent, exchange) = (Lent::new(connection), Arc::new(Exchange::default()));
    let service = service_fn({
        let (info, exchange) = (Arc::clone(&info), Arc::clone(&exchange));
        move |mut request: Request<Incoming>| {
            info.count_request();
            request.extensions_mut().insert(Arc::clone(&info));
            // The body of a POST has been read when its response streams.
            let may_be_long = request.version() == Version::HTTP_11
                && matches!(*request.method(), Method::GET | Method::POST);
            let under_way = UnderWay::begin(&exchange);
            let answered = router.clone().oneshot(request.map(Body::new));
            async move {
                let response = answered.await?;
                if may_be_long && response.extensions().get::<Streams>().is_some() {
                    *lock(&under_way.0.long) = Some(response);
                    return pending().await;
                }
                Ok::<_, Infallible>(response.map(|body| Answer { body, _under_way: under_way }))
            }
        }
    });
    let builder = bounded();
    let served = builder.serve_connection_with_upgrades(TokioIo::new(lent.clone()), service);
    tokio::pin!(served);
    let mut is_stopping = false;
    // Before its first byte the protocol is not known, and nothing else bounds the wait.
    let patience = tokio::time::sleep(HTTP_HEAD_TIMEOUT);
    tokio::pin!(patience);
    let mut is_patient = true;
    let end = loop {
        tokio::select! {
            end = poll_fn(|cx| poll(served.as_mut(), &exchange, &lent, cx)) => break end,
            () = plane.stopped(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
                is_patient = true;
                patience.as_mut().reset(tokio::time::Instant::now() + LINGER_TIMEOUT);
            }
            () = patience.as_mut(), if is_patient => {
                let is_idle = exchange.is_idle() && !lent.is_waiting();
                if is_idle && (is_stopping || info.requests.load(Ordering::Relaxed) == 0) {
                    return;
                }
                is_patient = is_stopping;
                patience.as_mut().reset(tokio::time::Instant::now() + LINGER_TIMEOUT);
            }
        }
    };
    match end {
        End::Over(Ok(())) => {}
        End::Over(Err(error)) => tracing::debug!("{}: closed: {error}", info.peer),
        End::Long(response) => {
            if let Some(connection) = lent.take_back() {
                // A task of its own, so that what this one holds is given back.
                tokio::spawn(long_response::write(connection, response, info, plane));
            }
        }
    }
}

/// Goes on with HTTP, until it is over or a response takes the connection. What was answered before is sent then.
fn poll<E>(
    served: Pin<&mut impl Future<Output = Result<(), E>>>,
    exchange: &Exchange,
    lent: &Lent,
    cx: &mut Context<'_>,
) -> Poll<End<E>> {
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
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEAD_TIMEOUT)
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

impl Exchange {
    fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0
    }
}

impl UnderWay {
    fn begin(exchange: &Arc<Exchange>) -> UnderWay {
        exchange.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(exchange))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl http_body::Body for Answer {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
