//! That the body of a request comes whole in time.
//!
//! It owns the bound in time and knows no route. Invariant: a request is given up only while its handler waits for more of
//! its body. Handlers read it whole before they ask anything of the engine, so what is given up has done nothing.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

/// Has a request answered; `None` where its body has not come whole in this time.
pub(crate) async fn answer_within(
    time: Duration,
    request: Request,
    next: Next,
) -> Option<Response> {
    if request.body().is_end_stream() {
        return Some(next.run(request).await);
    }
    let is_awaited = Arc::new(AtomicBool::new(false));
    let arriving = |body| Body::new(Arriving { body, is_awaited: Arc::clone(&is_awaited) });
    let answered = next.run(request.map(arriving));
    let late = tokio::time::sleep(time);
    tokio::pin!(answered, late);
    poll_fn(|cx| {
        if let Poll::Ready(response) = answered.as_mut().poll(cx) {
            return Poll::Ready(Some(response));
        }
        ready!(late.as_mut().poll(cx));
        // What the handler waits for else has bounds of its own.
        if is_awaited.load(Ordering::Relaxed) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// A body that says whether more of it is waited for.
#[derive(Debug)]
struct Arriving {
    body: Body,
    is_awaited: Arc<AtomicBool>,
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.is_awaited.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
