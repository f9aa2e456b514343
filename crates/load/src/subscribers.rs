//! Subscribers beside the load: connections that read live quotes, count them, and tell how old they are.
//!
//! They have their own thread, so that reading messages delays no request. What an age is: the time from when the
//! server took a change, by its clock, to when a subscriber has read it, by the clock here. So it is one of the same machine, or of
//! clocks that agree. Only what changed in the window counts: the first quotes are as old as they are.

#[cfg(feature = "web")]
mod browsers;
mod carrier;
mod channels;
mod event;
#[cfg(feature = "web")]
mod watch;

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::{Events, Poll, Token, Waker};
use stockd_client::Stream;
use stockd_latency::{Latencies, nanoseconds};
use stockd_model::limits::{EVENTS_MAX, LOAD_READ_BYTES, LOAD_SUBSCRIBED_WITHIN};

pub use carrier::Carrier;
use carrier::{Reader, Subscription};
use event::Event;

use crate::codec::json;
use crate::connection::TURN_BYTES;
use crate::error::LoadError;
use crate::opening::{self, Opened};
use crate::stocks::Texts;
use crate::target::{Target, register};

/// Running subscribers. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Subscribers {
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<Told>>,
}

/// What the subscribers were told in the end.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Of changes in the window.
    pub(crate) ages: Latencies,
    /// Subscribers that the server closed.
    pub(crate) closed: u64,
    /// Why the first of them was.
    pub(crate) first_error: Option<String>,
}

/// What the thread of the subscribers and the others know of each other.
#[derive(Debug)]
struct Shared {
    /// Messages read so far.
    messages: AtomicU64,
    /// The window in Unix nanoseconds; it is in a time to come until it has begun, and until it has ended.
    begun_ns: AtomicU64,
    ended_ns: AtomicU64,
}

/// One connection.
struct Subscriber {
    stream: Stream,
    /// What was sent of the subscription.
    sent: usize,
    /// Answers to pings.
    output: Vec<u8>,
    tail: Vec<u8>,
    reader: Reader,
    is_subscribed: bool,
    open: bool,
}

/// All that the thread has.
struct Audience {
    subscribers: Vec<Subscriber>,
    /// Those that have more to be read than one turn may bring.
    unread: Vec<usize>,
    request: Vec<u8>,
    shared: Arc<Shared>,
    told: Told,
    /// Those that are not subscribed to everything yet.
    unsubscribed: usize,
    /// Hears once when none is left of those, or one was lost before.
    ready: Option<Sender<Result<(), String>>>,
}

const WAKE: Token = Token(usize::MAX);

impl Subscribers {
    /// Opens `count` connections, subscribes each to all names, or as many as one request holds, and waits until that is
    /// done.
    pub(crate) fn start(
        target: &Target,
        carrier: Carrier,
        count: usize,
        names: &Texts,
    ) -> Result<Subscribers, LoadError> {
        let subscription = Subscription::new(carrier, names, &target.caller());
        let subscribers = connect(target, carrier, count, &subscription)?;
        let system = || LoadError::system("start the subscribers");
        let poll = Poll::new().map_err(system())?;
        let waker = Waker::new(poll.registry(), WAKE).map_err(system())?;
        for (at, subscriber) in subscribers.iter().enumerate() {
            register(&subscriber.stream, poll.registry(), Token(at)).map_err(system())?;
        }
        let shared = Arc::new(Shared {
            messages: AtomicU64::new(0),
            begun_ns: AtomicU64::new(u64::MAX),
            ended_ns: AtomicU64::new(u64::MAX),
        });
        let (ready, is_ready) = mpsc::channel();
        let audience = Audience {
            unsubscribed: subscribers.len(),
            subscribers,
            unread: Vec::new(),
            request: subscription.request,
            shared: Arc::clone(&shared),
            told: Told { ages: Latencies::preallocated(), ..Told::default() },
            ready: Some(ready),
        };
        let thread = thread::Builder::new()
            .name("load-subscribers".to_owned())
            .spawn(move || audience.listen(poll))
            .map_err(system())?;
        let running = Subscribers { shared, waker, thread: Some(thread) };
        let why = match is_ready.recv_timeout(LOAD_SUBSCRIBED_WITHIN) {
            Ok(Ok(())) => return Ok(running),
            Ok(Err(why)) => io::Error::other(why),
            Err(_) => ErrorKind::TimedOut.into(),
        };
        Err(LoadError::Preparing { target: target.to_string(), doing: "subscribing", why })
    }

    /// Messages read so far.
    pub(crate) fn messages(&self) -> u64 {
        self.shared.messages.load(Ordering::Relaxed)
    }

    /// What changes from now on counts.
    pub(crate) fn begin_window(&self) {
        self.shared.begun_ns.store(unix_ns(), Ordering::Relaxed);
    }

    /// What is read from now on does not count any more.
    pub(crate) fn end_window(&self) {
        self.shared.ended_ns.store(unix_ns(), Ordering::Relaxed);
    }

    /// Ends them.
    pub(crate) fn end(mut self) -> Told {
        match self.join() {
            Some(Ok(told)) => told,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Told::default(),
        }
    }

    fn join(&mut self) -> Option<thread::Result<Told>> {
        let _ = self.waker.wake();
        Some(self.thread.take()?.join())
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

fn connect(
    target: &Target,
    carrier: Carrier,
    count: usize,
    subscription: &Subscription,
) -> Result<Vec<Subscriber>, LoadError> {
    let one = |number: usize| {
        let opened = opening::open_nonblocking(target, carrier.protocol());
        let Opened { stream, received } = opened.map_err(|why| LoadError::Connect {
            target: target.to_string(),
            number,
            of: count,
            why,
            remedy: carrier.remedy(),
        })?;
        let reader = Reader::new(subscription).map_err(LoadError::system("begin a subscriber"))?;
        let mut output = Vec::new();
        reader.opening(&mut output);
        let (sent, is_subscribed, open) = (0, false, true);
        Ok(Subscriber { stream, sent, output, tail: received, reader, is_subscribed, open })
    };
    (1..=count).map(one).collect()
}

impl Audience {
    fn listen(mut self, mut poll: Poll) -> Told {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut scratch = vec![0; LOAD_READ_BYTES];
        loop {
            // No event says that there is more to be read.
            let timeout = (!self.unread.is_empty()).then_some(Duration::ZERO);
            match poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return self.told,
                _ => {}
            }
            for at in std::mem::take(&mut self.unread) {
                self.turn(at, &mut scratch);
            }
            for event in &events {
                if event.token() == WAKE {
                    return self.told;
                }
                self.turn(event.token().0, &mut scratch);
            }
        }
    }

    /// Reads what one subscriber was told.
    fn turn(&mut self, at: usize, scratch: &mut [u8]) {
        let subscriber = &mut self.subscribers[at];
        if !subscriber.open {
            return;
        }
        let was_subscribed = subscriber.is_subscribed;
        let outcome = subscriber.turn(&self.request, scratch, &self.shared, &mut self.told.ages);
        if subscriber.is_subscribed && !was_subscribed {
            self.unsubscribed -= 1;
            if self.unsubscribed == 0 {
                self.say(Ok(()));
            }
        }
        match outcome {
            Ok(false) if !self.unread.contains(&at) => self.unread.push(at),
            Ok(_) => {}
            Err(error) => {
                self.subscribers[at].open = false;
                self.told.closed += 1;
                let why = format!("a subscriber was lost: {error}");
                self.say(Err(why.clone()));
                self.told.first_error.get_or_insert(why);
            }
        }
    }

    fn say(&mut self, outcome: Result<(), String>) {
        if let Some(ready) = self.ready.take() {
            // There is no receiver if the run was given up.
            let _ = ready.send(outcome);
        }
    }
}

impl Subscriber {
    /// Sends what is left of the request, and hears the messages that came, or as many as one turn may bring.
    /// Returns whether that was all.
    fn turn(
        &mut self,
        request: &[u8],
        scratch: &mut [u8],
        shared: &Shared,
        ages: &mut Latencies,
    ) -> io::Result<bool> {
        self.send(request)?;
        let mut received = 0;
        let is_all = loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) => return Err(error),
            };
            self.tail.extend_from_slice(&scratch[..read]);
            self.hear(shared, ages)?;
            received += read;
            if received >= TURN_BYTES {
                break false;
            }
        };
        self.send(request)?;
        Ok(is_all)
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        while self.sent < request.len() || !self.output.is_empty() {
            let rest = request.get(self.sent..).filter(|rest| !rest.is_empty());
            match self.stream.write(rest.unwrap_or(&self.output)) {
                Ok(bytes) if rest.is_some() => self.sent += bytes,
                Ok(bytes) => _ = self.output.drain(..bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // What TLS has made of it.
        match self.stream.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    fn hear(&mut self, shared: &Shared, ages: &mut Latencies) -> io::Result<()> {
        let now = unix_ns();
        let begun = shared.begun_ns.load(Ordering::Relaxed);
        let counts = now >= begun && now < shared.ended_ns.load(Ordering::Relaxed);
        let (output, is_subscribed) = (&mut self.output, &mut self.is_subscribed);
        let mut messages = 0;
        let heard = self.reader.read(&self.tail, &mut |event| {
            let updated = match event {
                Event::Subscribed => return *is_subscribed = true,
                Event::Answer(bytes) => return output.extend_from_slice(bytes),
                Event::Message(message) => json::updated_ns(message),
                Event::Change(updated) => updated,
            };
            messages += 1;
            if let Some(updated) = updated.filter(|it| counts && *it >= begun) {
                ages.record(now.saturating_sub(updated), 1);
            }
        });
        shared.messages.fetch_add(messages, Ordering::Relaxed);
        let heard =
            heard.map_err(|foreign| io::Error::new(ErrorKind::InvalidData, foreign.excerpt))?;
        self.tail.drain(..heard);
        Ok(())
    }
}

fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use stockd_model::limits::LOAD_PATIENCE;

    use super::*;
    use crate::codec::Caller;

    #[test]
    fn a_subscriber_with_much_to_read_gives_way_to_others() {
        const MESSAGE: &str = "*3\r\n$7\r\nmessage\r\n$1\r\nA\r\n$2\r\n{}\r\n";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let server = UnixListener::bind(&path).unwrap();
        let address = format!("unix:{}", path.display()).parse().unwrap();
        let stream = Stream::connect(&address, LOAD_PATIENCE).unwrap();
        stream.set_nonblocking().unwrap();
        let mut sender = server.accept().unwrap().0;
        sender.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(bytes) = sender.write(MESSAGE.repeat(1000).as_bytes()) {
            sent += bytes;
        }
        let subscription =
            Subscription::new(Carrier::Resp, &Texts::generated(1), &Caller::default());
        let mut subscriber = Subscriber {
            stream,
            sent: 0,
            output: Vec::new(),
            tail: Vec::new(),
            reader: Reader::new(&subscription).unwrap(),
            is_subscribed: false,
            open: true,
        };
        let shared = Shared {
            messages: AtomicU64::new(0),
            begun_ns: AtomicU64::new(u64::MAX),
            ended_ns: AtomicU64::new(u64::MAX),
        };
        let mut scratch = vec![0; LOAD_READ_BYTES];
        let mut turn = || subscriber.turn(&[], &mut scratch, &shared, &mut Latencies::default());
        let messages = || shared.messages.load(Ordering::Relaxed) as usize;
        assert!(!turn().unwrap(), "{sent} bytes in one turn");
        assert_eq!(messages(), TURN_BYTES / MESSAGE.len());
        while !turn().unwrap() {}
        assert_eq!(messages(), sent / MESSAGE.len());
    }
}
