//! Subscribers beside the load: connections that read the messages of `SUBSCRIBE` and count them.
//!
//! They have their own thread, so that reading messages delays no request.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use mio::{Events, Poll, Token, Waker};
use stockd_client::Stream;
use stockd_model::limits::{EVENTS_MAX, LOAD_READ_BYTES, SUBSCRIPTIONS_MAX};
use stockd_wire::resp::frame;

use crate::codec::{Item, Protocol};
use crate::error::LoadError;
use crate::stocks::Texts;
use crate::target::{Target, register};

/// Running subscribers. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Subscribers {
    messages: Arc<AtomicU64>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// One connection.
struct Subscriber {
    stream: Stream,
    /// What was sent of the subscription.
    sent: usize,
    tail: Vec<u8>,
    /// The next value names the kind of a message.
    kind_is_next: bool,
    open: bool,
}

const WAKE: Token = Token(usize::MAX);

impl Subscribers {
    /// Opens `count` connections and subscribes each to all names, or as many as the limit allows.
    pub(crate) fn start(
        target: &Target,
        count: usize,
        names: &Texts,
    ) -> Result<Subscribers, LoadError> {
        let subscribed = names.len().min(SUBSCRIPTIONS_MAX);
        let mut request = Vec::new();
        frame::array(1 + subscribed, &mut request);
        frame::bulk(b"SUBSCRIBE", &mut request);
        names.iter().take(subscribed).for_each(|name| frame::bulk(name, &mut request));
        let mut subscribers = Vec::with_capacity(count);
        for number in 1..=count {
            let stream = target.connect_nonblocking().map_err(|why| LoadError::Connect {
                target: target.to_string(),
                number,
                of: count,
                why,
                remedy: "subscribers need the RESP listener of stockd; name it with --resp",
            })?;
            let (tail, kind_is_next) = (Vec::new(), false);
            subscribers.push(Subscriber { stream, sent: 0, tail, kind_is_next, open: true });
        }
        let system = || LoadError::system("start the subscribers");
        let poll = Poll::new().map_err(system())?;
        let waker = Waker::new(poll.registry(), WAKE).map_err(system())?;
        for (at, subscriber) in subscribers.iter().enumerate() {
            register(&subscriber.stream, poll.registry(), Token(at)).map_err(system())?;
        }
        let messages = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&messages);
        let thread = thread::Builder::new()
            .name("load-subscribers".to_owned())
            .spawn(move || serve(poll, subscribers, &request, &counter))
            .map_err(system())?;
        Ok(Subscribers { messages, waker, thread: Some(thread) })
    }

    /// Messages read so far.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        let _ = self.waker.wake();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(mut poll: Poll, mut subscribers: Vec<Subscriber>, request: &[u8], messages: &AtomicU64) {
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut scratch = vec![0; LOAD_READ_BYTES];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return,
            _ => {}
        }
        for event in &events {
            if event.token() == WAKE {
                return;
            }
            let subscriber = &mut subscribers[event.token().0];
            if subscriber.open && subscriber.turn(request, &mut scratch, messages).is_err() {
                subscriber.open = false;
            }
        }
    }
}

impl Subscriber {
    /// Sends what is left of the request and counts the messages that came.
    fn turn(&mut self, request: &[u8], scratch: &mut [u8], messages: &AtomicU64) -> io::Result<()> {
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.tail.extend_from_slice(&scratch[..read]);
            let counted = self.count();
            messages.fetch_add(counted?, Ordering::Relaxed);
        }
    }

    /// Counts the messages among the whole items that came.
    fn count(&mut self) -> io::Result<u64> {
        let (mut messages, mut at) = (0, 0);
        while let Some((item, length)) = Protocol::Resp
            .decode(&self.tail[at..])
            .map_err(|foreign| io::Error::new(ErrorKind::InvalidData, foreign.excerpt))?
        {
            messages += u64::from(self.kind_is_next && item == Item::Value(b"message"));
            self.kind_is_next = matches!(item, Item::Array(_));
            at += length;
        }
        self.tail.drain(..at);
        Ok(messages)
    }
}
