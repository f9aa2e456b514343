//! A conversation over HTTP/2: each request on a stream of its own, answered in any order.
//!
//! It owns which requests wait for a stream and which have one. Invariant: every request that was asked is answered or
//! given up, and is counted once.

mod response;

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::SendRequest;
use stockd_model::limits::LOAD_READ_BYTES;

use crate::chance::Chance;
use crate::codec::http::QUOTE_PATH;
use crate::codec::{Foreign, Protocol, grpc};
use crate::conversation::turn::{Misunderstanding, Turn};
use crate::figures::{Figures, Kind};
use crate::http2::{Head, Link};
use crate::workload::Workload;
use response::{Answer, Response};

/// Requests that wait for a stream, and those that have one.
#[derive(Debug)]
pub(crate) struct Multiplexed {
    link: Link,
    head: Head,
    waiting: VecDeque<Asked>,
    under_way: Vec<(Asked, Response)>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: u64,
    name: u32,
}

impl Multiplexed {
    pub(crate) fn new(workload: &Workload) -> io::Result<Multiplexed> {
        let head = Head::new(workload.protocol() == Protocol::Grpc, workload.caller())?;
        let (waiting, under_way) = (VecDeque::new(), Vec::new());
        Ok(Multiplexed { link: Link::new()?, head, waiting, under_way })
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
        self.link.take_output(output);
        Ok(())
    }

    pub(crate) fn hear(
        &mut self,
        bytes: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<usize, Misunderstanding> {
        // In pieces, so that what is read is bounded by the windows and not doubled here.
        for piece in bytes.chunks(LOAD_READ_BYTES) {
            self.link.put_input(piece);
            let gone_on = self.go_on(turn.workload);
            self.answer(turn)?;
            // What was answered may have made room.
            gone_on.and_then(|()| self.go_on(turn.workload)).map_err(|why| self.over(&why))?;
        }
        self.link.take_output(turn.output);
        Ok(bytes.len())
    }

    /// Reads, sends and begins as much as can be.
    fn go_on(&mut self, workload: &Workload) -> Result<(), h2::Error> {
        let Multiplexed { link, head, waiting, under_way } = self;
        link.go_on(|sender, cx| {
            while let Some(asked) = waiting.front().copied() {
                match sender.poll_ready(cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => break,
                }
                under_way.push((asked, begin(sender, head, asked.name, workload)?));
                waiting.pop_front();
            }
            Ok(())
        })
    }

    /// Counts the responses that have come whole.
    fn answer(&mut self, turn: &mut Turn<'_>) -> Result<(), Misunderstanding> {
        let (waker, is_grpc) = (self.link.waker(), self.head.is_grpc());
        let mut cx = Context::from_waker(&waker);
        let mut at = 0;
        while let Some((asked, response)) = self.under_way.get_mut(at) {
            let Poll::Ready(answer) = response.poll(&mut cx, is_grpc) else {
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

    fn over(&self, error: &h2::Error) -> Misunderstanding {
        match self.link.foreign() {
            None => Misunderstanding::Over(io::Error::other(format!("HTTP/2: {error}"))),
            Some(foreign) => Misunderstanding::Foreign(foreign),
        }
    }
}

fn begin(
    sender: &mut SendRequest<Bytes>,
    head: &Head,
    name: u32,
    workload: &Workload,
) -> Result<Response, h2::Error> {
    let prepared = workload.prepared(name);
    let is_grpc = head.is_grpc();
    let request = match is_grpc {
        true => head.request(grpc::LOOKUP_PATH),
        // It was encoded, so it is text.
        false => head.request(&format!("{QUOTE_PATH}{}", String::from_utf8_lossy(prepared))),
    };
    let (response, mut body) = sender.send_request(request?, !is_grpc)?;
    if is_grpc {
        body.send_data(Bytes::copy_from_slice(prepared), true)?;
    }
    Ok(Response::new(response))
}
