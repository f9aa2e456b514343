//! A conversation over HTTP/2: each request on a stream of its own, answered in any order. `h2` speaks the
//! protocol, over a pipe instead of a socket, and is polled when bytes have come or requests are to go.
//!
//! It has no runtime: nothing happens between calls. Invariant: when a call returns, `h2` can go no further without
//! bytes from the server.

mod pipe;
mod response;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderMap, Method, Request, Uri, Version};
use stockd_model::limits::{LOAD_READ_BYTES, RESP_REPLY_BYTES_MAX};

use crate::chance::Chance;
use crate::codec::http::QUOTE_PATH;
use crate::codec::{Foreign, Protocol, grpc};
use crate::conversation::turn::{Misunderstanding, Turn};
use crate::figures::{Figures, Kind};
use crate::workload::Workload;
use pipe::{Pipe, Woken};
use response::{Answer, Response};

/// Requests that wait for a stream, and those that have one.
#[derive(Debug)]
pub(crate) struct Multiplexed {
    pipe: Pipe,
    connection: Connection<Pipe, Bytes>,
    sender: SendRequest<Bytes>,
    woken: Arc<Woken>,
    waker: Waker,
    is_grpc: bool,
    authority: String,
    headers: HeaderMap,
    waiting: VecDeque<Asked>,
    under_way: Vec<(Asked, Response)>,
    /// The first bytes of the server, to show if they are of another protocol.
    first: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: u64,
    name: u32,
}

/// Streams at once before the server has said how many it allows. It refuses those beyond.
const STREAMS_AT_FIRST: usize = 100;

/// Bytes of the server that are kept to be shown.
const FIRST_BYTES: usize = 128;

impl Multiplexed {
    pub(crate) fn new(workload: &Workload) -> io::Result<Multiplexed> {
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
        let is_grpc = workload.protocol() == Protocol::Grpc;
        let caller = workload.caller();
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
        Ok(Multiplexed {
            pipe,
            connection,
            sender,
            woken,
            waker,
            is_grpc,
            authority: caller.host.clone(),
            headers,
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            first: Vec::new(),
        })
    }

    pub(crate) fn ask(&mut self, at: u64, workload: &Workload, chance: &mut Chance) {
        self.waiting.push_back(Asked { at, name: workload.name(chance) });
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }

    pub(crate) fn give_up(&mut self, now: u64, figures: &mut Figures) {
        let under_way = self.under_way.drain(..).map(|(asked, _)| asked);
        for asked in under_way.chain(self.waiting.drain(..)) {
            figures.given_up(Kind::Lookup, asked.at, now, 1);
        }
    }

    /// Begins the requests that the server has streams for.
    pub(crate) fn write(&mut self, workload: &Workload, output: &mut Vec<u8>) -> io::Result<()> {
        self.go_on(workload).map_err(io::Error::other)?;
        self.pipe.take_output(output);
        Ok(())
    }

    pub(crate) fn hear(
        &mut self,
        bytes: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<usize, Misunderstanding> {
        let room = FIRST_BYTES.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..room]);
        // In pieces, so that what is read is bounded by the windows and not doubled here.
        for piece in bytes.chunks(LOAD_READ_BYTES) {
            self.pipe.put_input(piece);
            let gone_on = self.go_on(turn.workload);
            self.answer(turn)?;
            // What was answered may have made room.
            gone_on.and_then(|()| self.go_on(turn.workload)).map_err(|why| self.over(&why))?;
        }
        self.pipe.take_output(turn.output);
        Ok(bytes.len())
    }

    /// Has `h2` read, send and begin as much as it can.
    fn go_on(&mut self, workload: &Workload) -> Result<(), h2::Error> {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        loop {
            self.woken.clear();
            while let Some(asked) = self.waiting.front().copied() {
                match self.sender.poll_ready(&mut cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => break,
                }
                let response = self.begin(asked.name, workload)?;
                self.under_way.push((asked, response));
                self.waiting.pop_front();
            }
            match std::pin::Pin::new(&mut self.connection).poll(&mut cx) {
                Poll::Ready(ended) => {
                    ended?;
                    return Err(h2::Reason::NO_ERROR.into());
                }
                Poll::Pending if self.woken.is_set() => {}
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn begin(&mut self, name: u32, workload: &Workload) -> Result<Response, h2::Error> {
        let prepared = workload.prepared(name);
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        let path = match self.is_grpc {
            true => grpc::LOOKUP_PATH.to_owned(),
            // It was encoded, so it is text.
            false => format!("{QUOTE_PATH}{}", String::from_utf8_lossy(prepared)),
        };
        *request.method_mut() = if self.is_grpc { Method::POST } else { Method::GET };
        let uri = Uri::builder().scheme("http").authority(self.authority.as_str());
        let uri = uri.path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|_| h2::Error::from(h2::Reason::INTERNAL_ERROR))?;
        let (response, mut body) = self.sender.send_request(request, !self.is_grpc)?;
        if self.is_grpc {
            body.send_data(Bytes::copy_from_slice(prepared), true)?;
        }
        Ok(Response::new(response))
    }

    /// Counts the responses that have come whole.
    fn answer(&mut self, turn: &mut Turn<'_>) -> Result<(), Misunderstanding> {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        let mut at = 0;
        while let Some((asked, response)) = self.under_way.get_mut(at) {
            let Poll::Ready(answer) = response.poll(&mut cx, self.is_grpc) else {
                at += 1;
                continue;
            };
            let Asked { at: since, name } = *asked;
            self.under_way.swap_remove(at);
            match answer {
                Answer::Found(price) => turn.found(Some(name), price.item(), since),
                Answer::Refused(why) => turn.figures.refused(&why),
                Answer::Foreign(body) => {
                    return Err(Misunderstanding::Foreign(Foreign::new(&body)));
                }
            }
            turn.figures.answered(Kind::Lookup, since, turn.now, 1);
        }
        Ok(())
    }

    /// Why it ended: what is no HTTP/2 from its first byte on is another protocol.
    fn over(&self, error: &h2::Error) -> Misunderstanding {
        let is_http2 = self.first.get(3).is_none_or(|kind| *kind == SETTINGS);
        match is_http2 {
            true => Misunderstanding::Over(io::Error::other(format!("HTTP/2: {error}"))),
            false => Misunderstanding::Foreign(Foreign::new(&self.first)),
        }
    }
}

/// The type of the frame that a server sends first, the fourth byte of which it is.
const SETTINGS: u8 = 4;
