//! A client of gRPC over one connection, for tests that wait.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tonic::body::Body;
use tower::Service;

#[allow(missing_docs, unreachable_pub, dead_code, clippy::all, reason = "it is generated")]
pub(crate) mod proto {
    include!(concat!(env!("OUT_DIR"), "/stockd.v1.rs"));
}

pub(crate) use proto::stocks_client::StocksClient;

/// Bytes that the server may send before the client has taken them.
const WINDOW_BYTES: u32 = 65_535;

/// The connection.
#[derive(Clone)]
pub(crate) struct Link(SendRequest<Body>);

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// What clients call the server.
pub(crate) fn origin() -> Uri {
    Uri::from_static("http://localhost")
}

/// A client over this socket, served by tasks of the runtime.
pub(crate) fn client(
    runtime: &Runtime,
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> StocksClient<Link> {
    of(link(runtime, socket))
}

/// A client over this connection.
pub(crate) fn of(link: Link) -> StocksClient<Link> {
    StocksClient::with_origin(link, origin())
}

/// A connection over this socket, served by tasks of the runtime.
pub(crate) fn link(
    runtime: &Runtime,
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Link {
    runtime.block_on(async {
        let shaken = Builder::new(TokioExecutor::new())
            // As much as most clients take: what waits in it is of the past.
            .initial_stream_window_size(WINDOW_BYTES)
            .handshake(TokioIo::new(socket))
            .await;
        let (sender, connection) = shaken.unwrap();
        tokio::spawn(connection);
        Link(sender)
    })
}
