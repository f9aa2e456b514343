//! Subscribers of gRPC: a call of `Watch` on a connection of HTTP/2 each, and its messages.
//!
//! It knows no socket. Invariant: what `h2` answers to the server is told as it comes, so that windows and pings do not
//! hold the messages up.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::HeaderMap;
use stockd_model::limits::WEBSOCKET_MESSAGE_BYTES_MAX;

use crate::codec::grpc::{self, Told};
use crate::codec::{Caller, Foreign};
use crate::http2::{Head, Link};
use crate::stocks::Texts;
use crate::subscribers::event::Event;

/// Bytes of the names of a request: with what stands around them they fit into the first window of the server.
const NAMES_BYTES_MAX: usize = WEBSOCKET_MESSAGE_BYTES_MAX - 64;

/// What every subscriber calls.
#[derive(Debug)]
pub(super) struct Call {
    caller: Caller,
    message: Bytes,
}

/// One call.
#[derive(Debug)]
pub(super) struct Watch {
    link: Link,
    stage: Stage,
    /// What came of messages and is no whole one yet.
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    Head(ResponseFuture),
    Body(RecvStream),
}

impl Call {
    /// A watch of these names, as many as one request holds. Returns how many those are, too.
    pub(super) fn new(names: &Texts, caller: &Caller) -> (Call, usize) {
        let (message, count) = grpc::watch(names.iter(), NAMES_BYTES_MAX);
        (Call { caller: caller.clone(), message: message.into() }, count)
    }

    /// Begins it on a connection of its own.
    pub(super) fn begin(&self) -> io::Result<Watch> {
        let mut link = Link::new()?;
        let request = Head::new(true, &self.caller)?.request(grpc::WATCH_PATH);
        let mut request = Some(request.map_err(io::Error::other)?);
        let mut response = None;
        let begun = link.go_on(|sender, _| {
            if let Some(request) = request.take() {
                let (head, mut body) = sender.send_request(request, false)?;
                body.send_data(self.message.clone(), true)?;
                response = Some(head);
            }
            Ok(())
        });
        begun.map_err(io::Error::other)?;
        let head = response.ok_or_else(|| io::Error::other("the call cannot be begun"))?;
        Ok(Watch { link, stage: Stage::Head(head), bytes: Vec::new() })
    }
}

impl Watch {
    /// Appends what is to be sent before anything is heard.
    pub(super) fn opening(&self, output: &mut Vec<u8>) {
        self.link.take_output(output);
    }

    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, Foreign> {
        self.link.put_input(bytes);
        let gone_on = self.link.go_on(|_, _| Ok(()));
        let heard = self.hear();
        // What was read has made room for more, which the server is to know.
        let gone_on = gone_on.and_then(|()| self.link.go_on(|_, _| Ok(())));
        let mut output = Vec::new();
        self.link.take_output(&mut output);
        if !output.is_empty() {
            tell(Event::Answer(&output));
        }
        self.tell(tell)?;
        heard?;
        gone_on.map_err(|why| self.foreign(&why))?;
        Ok(bytes.len())
    }

    /// Takes what has come of the body.
    fn hear(&mut self) -> Result<(), Foreign> {
        let waker = self.link.waker();
        let mut cx = Context::from_waker(&waker);
        if let Stage::Head(response) = &mut self.stage {
            let (head, body) = match Pin::new(response).poll(&mut cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(response)) => response.into_parts(),
                Poll::Ready(Err(why)) => return Err(self.foreign(&why)),
            };
            if let Some(why) = refusal(&head.headers) {
                return Err(why);
            }
            self.stage = Stage::Body(body);
        }
        let Stage::Body(body) = &mut self.stage else { return Ok(()) };
        let why = loop {
            match body.poll_data(&mut cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(data))) => {
                    self.bytes.extend_from_slice(&data);
                    if let Err(why) = body.flow_control().release_capacity(data.len()) {
                        break why;
                    }
                }
                Poll::Ready(Some(Err(why))) => break why,
                Poll::Ready(None) => {
                    let ended = || Foreign::new(b"the end of the watch");
                    return Err(match body.poll_trailers(&mut cx) {
                        Poll::Ready(Ok(Some(trailers))) => refusal(&trailers).unwrap_or_else(ended),
                        _ => ended(),
                    });
                }
            }
        };
        Err(self.foreign(&why))
    }

    /// Tells the messages that have come whole.
    fn tell(&mut self, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), Foreign> {
        let mut at = 0;
        let foreign = |_not_a_reply| Foreign::new(b"a message that is none of a watch");
        while let Some((told, length)) = grpc::told(&self.bytes[at..]).map_err(foreign)? {
            at += length;
            match told {
                Told::Synced => tell(Event::Subscribed),
                Told::Quote(updated_ns) => tell(Event::Change(updated_ns)),
                Told::Aside => {}
            }
        }
        self.bytes.drain(..at);
        Ok(())
    }

    fn foreign(&self, why: &h2::Error) -> Foreign {
        self.link.foreign().unwrap_or_else(|| Foreign::new(why.to_string().as_bytes()))
    }
}

/// Why the server has ended a call; `None` where it has not.
fn refusal(headers: &HeaderMap) -> Option<Foreign> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let status = text("grpc-status")?;
    let message = text("grpc-message").unwrap_or_default();
    Some(Foreign::new(format!("status {status} {message}").as_bytes()))
}
