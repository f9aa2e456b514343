//! The client's end of a connection of HTTP/2 without its socket: `h2` speaks the protocol, over a pipe instead, and is
//! polled when bytes have come or requests are to go.
//!
//! It knows heads of requests, and no answers. It has no runtime: nothing happens between calls. Invariant: when a call
//! returns, `h2` can go no further without bytes from the server.

mod pipe;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderMap, Method, Request, Uri, Version};
use stockd_model::limits::RESP_REPLY_BYTES_MAX;

use crate::codec::{Caller, Foreign};
use pipe::{Pipe, Woken};

/// A connection, between its bytes and `h2`.
#[derive(Debug)]
pub(crate) struct Link {
    pipe: Pipe,
    connection: Connection<Pipe, Bytes>,
    sender: SendRequest<Bytes>,
    woken: Arc<Woken>,
    waker: Waker,
    /// The first bytes of the server, to show if they are of another protocol.
    first: Vec<u8>,
}

/// The head of every request of a connection, but for its path.
#[derive(Debug)]
pub(crate) struct Head {
    is_grpc: bool,
    authority: String,
    headers: HeaderMap,
}

/// Streams at once before the server has said how many it allows. It refuses those beyond.
const STREAMS_AT_FIRST: usize = 100;

/// Bytes of the server that are kept to be shown.
const FIRST_BYTES: usize = 128;

/// The type of the frame that a server sends first, the fourth byte of which it is.
const SETTINGS: u8 = 4;

impl Link {
    pub(crate) fn new() -> io::Result<Link> {
        let pipe = Pipe::default();
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(RESP_REPLY_BYTES_MAX as u32)
            .initial_connection_window_size(RESP_REPLY_BYTES_MAX as u32)
            .initial_max_send_streams(STREAMS_AT_FIRST)
            .max_concurrent_reset_streams(0);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        // It writes to the pipe, which takes everything, and waits for nothing.
        let begun = pin!(builder.handshake(pipe.clone())).poll(&mut Context::from_waker(&waker));
        let Poll::Ready(Ok((sender, connection))) = begun else {
            return Err(io::Error::other("HTTP/2 cannot be begun"));
        };
        Ok(Link { pipe, connection, sender, woken, waker, first: Vec::new() })
    }

    /// Adds bytes of the server.
    pub(crate) fn put_input(&mut self, bytes: &[u8]) {
        let room = FIRST_BYTES.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..room]);
        self.pipe.put_input(bytes);
    }

    /// Appends what is to be sent.
    pub(crate) fn take_output(&self, output: &mut Vec<u8>) {
        self.pipe.take_output(output);
    }

    /// Has `h2` read and send as much as it can, after `begin` has begun the requests that it has room for.
    pub(crate) fn go_on(
        &mut self,
        mut begin: impl FnMut(&mut SendRequest<Bytes>, &mut Context<'_>) -> Result<(), h2::Error>,
    ) -> Result<(), h2::Error> {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        loop {
            self.woken.clear();
            begin(&mut self.sender, &mut cx)?;
            match Pin::new(&mut self.connection).poll(&mut cx) {
                Poll::Ready(ended) => {
                    ended?;
                    return Err(h2::Reason::NO_ERROR.into());
                }
                Poll::Pending if self.woken.is_set() => {}
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// By which `h2` says that there is more to do.
    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// What the server says, where that is no HTTP/2 from its first byte on.
    pub(crate) fn foreign(&self) -> Option<Foreign> {
        let is_http2 = self.first.get(3).is_none_or(|kind| *kind == SETTINGS);
        (!is_http2).then(|| Foreign::new(&self.first))
    }
}

impl Head {
    pub(crate) fn new(is_grpc: bool, caller: &Caller) -> io::Result<Head> {
        let mut headers = HeaderMap::new();
        if is_grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
        } else {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
        if let Some(authorization) = &caller.authorization {
            let value = HeaderValue::from_str(authorization).map_err(io::Error::other)?;
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Head { is_grpc, authority: caller.host.clone(), headers })
    }

    /// Whether it calls methods of gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    /// The request for this path: a call of gRPC, or a `GET`.
    pub(crate) fn request(&self, path: &str) -> Result<Request<()>, h2::Error> {
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        *request.method_mut() = if self.is_grpc { Method::POST } else { Method::GET };
        let uri = Uri::builder().scheme("http").authority(self.authority.as_str());
        let uri = uri.path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|_| h2::Error::from(h2::Reason::INTERNAL_ERROR))?;
        Ok(request)
    }
}
