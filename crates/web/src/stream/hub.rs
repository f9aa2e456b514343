//! The streams of the plane and the one feed that tells them.
//!
//! It owns how many there may be, what they hold in memory, and who has to be woken. What is made of a
//! message, and when, is the stream's affair.
//!
//! Invariant: a stream that is not woken has been told all that was passed on, or has not looked for room since
//! it was woken. The lock is held for a bounded piece of work, and nothing is locked under it but what the
//! engine locks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

use stockd_access::Identity;
use stockd_engine::{Budget, Ended, Engine, Feed, Message, NotSubscribed, Progress, SubscriberId};
use stockd_model::limits::{
    FEED_PASS_WORK, FEED_TELL_WORK, FEED_TIDY_WORK, PATTERN_BYTES_MAX, STREAM_BYTES_MAX,
    STREAM_HEARTBEAT,
};
use stockd_model::{Address, Pattern, Problem, Symbol};
use stockd_server::{Holding, Observer};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::connection::ConnectionInfo;
use crate::door::lock;
use crate::refused::Refused;
use crate::stream::clock::Clock;

/// Bytes of a stream beyond what the feed holds for it and what it has made: its task and its buffers.
const STREAM_OWN_BYTES: usize = 4096;

/// All streams.
#[derive(Debug)]
pub(crate) struct Hub {
    inner: Mutex<Inner>,
    /// There is something to pass on, or to tidy up.
    changed: Arc<Notify>,
    observer: Observer,
    streams_max: usize,
    /// What streams hold beyond what all of them do.
    more_bytes: AtomicUsize,
    engine: Arc<Engine>,
    pub(crate) clock: Clock,
    pub(crate) counts: StreamCounts,
}

/// What streams have done so far.
#[derive(Debug, Default)]
pub(crate) struct StreamCounts {
    pub(crate) opened: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) conflated: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    feed: Feed,
    entries: BTreeMap<u64, Entry>,
    latest: u64,
    holding: Holding,
    awake: Vec<SubscriberId>,
    stopping: bool,
}

#[derive(Debug)]
struct Entry {
    waker: Option<Waker>,
    info: Arc<StreamInfo>,
}

/// What others may know of a stream.
#[derive(Debug)]
pub(crate) struct StreamInfo {
    pub(crate) id: u64,
    /// How it is carried: `sse`, `json-lines`, `websocket` or `grpc`.
    pub(crate) kind: &'static str,
    pub(crate) peer: Address,
    /// The server's end of its connection, where that is of TCP.
    pub(crate) local: Option<SocketAddr>,
    /// What the client calls itself; empty unless it does.
    pub(crate) name: String,
    /// Which user it was when it began, where there is an access file.
    pub(crate) user: Option<String>,
    pub(crate) since: Instant,
    pub(crate) messages: AtomicU64,
    /// Bytes that are made and that the system has not taken.
    pub(crate) unsent: AtomicU64,
    /// When it last looked for something to tell: milliseconds since it began.
    active_ms: AtomicU64,
    /// What it holds beyond what all streams do.
    more_bytes: AtomicUsize,
}

/// A stream as it is at a moment.
#[derive(Debug)]
pub(crate) struct StreamState {
    pub(crate) info: Arc<StreamInfo>,
    pub(crate) symbols: usize,
    pub(crate) patterns: usize,
    /// Symbols of which it has still to be told.
    pub(crate) marks: usize,
    pub(crate) conflated: u64,
    pub(crate) memory_bytes: usize,
    /// How long there has been something to tell and no room for it.
    pub(crate) waiting: Duration,
}

/// One stream, as its task has it. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Stream {
    hub: Arc<Hub>,
    pub(crate) info: Arc<StreamInfo>,
    identity: Identity,
}

/// Counters of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) messages: u64,
    pub(crate) conflated: u64,
    pub(crate) marks: usize,
}

impl Hub {
    pub(crate) fn new(engine: &Arc<Engine>, observer: &Observer, streams_max: usize) -> Arc<Hub> {
        let changed = Arc::new(Notify::new());
        let wake = Arc::clone(&changed);
        let inner = Inner {
            feed: engine.feed(move || wake.notify_one()),
            entries: BTreeMap::new(),
            latest: 0,
            holding: observer.holding(),
            awake: Vec::new(),
            stopping: false,
        };
        Arc::new(Hub {
            inner: Mutex::new(inner),
            changed,
            observer: observer.clone(),
            streams_max,
            more_bytes: AtomicUsize::new(0),
            engine: Arc::clone(engine),
            clock: Clock::new(),
            counts: StreamCounts::default(),
        })
    }

    /// Begins a stream without subscriptions, of a client that calls itself `name`.
    pub(crate) fn open(
        self: &Arc<Self>,
        kind: &'static str,
        connection: &ConnectionInfo,
        name: &str,
        identity: &Identity,
    ) -> Result<Stream, Refused> {
        let stream = self.enter(kind, connection, name, identity);
        let count = if stream.is_ok() { &self.counts.opened } else { &self.counts.refused };
        count.fetch_add(1, Ordering::Relaxed);
        stream
    }

    fn enter(
        self: &Arc<Self>,
        kind: &'static str,
        connection: &ConnectionInfo,
        name: &str,
        identity: &Identity,
    ) -> Result<Stream, Refused> {
        self.check_memory()?;
        let mut inner = lock(&self.inner);
        if inner.stopping {
            return Err(Refused::new(Problem::Stopping, "the server is stopping"));
        }
        if inner.entries.len() >= self.streams_max {
            let max = self.streams_max;
            let detail = format!("{max} streams are open, the limit streams_max");
            return Err(Refused::new(Problem::TooManyStreams, detail).with("streams_max", max));
        }
        inner.latest += 1;
        let info = Arc::new(StreamInfo {
            id: inner.latest,
            kind,
            peer: connection.peer.clone(),
            local: connection.local,
            name: name.to_owned(),
            user: identity.user().map(str::to_owned),
            since: Instant::now(),
            messages: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            active_ms: AtomicU64::new(0),
            more_bytes: AtomicUsize::new(0),
        });
        inner.entries.insert(info.id, Entry { waker: None, info: Arc::clone(&info) });
        Ok(Stream { hub: Arc::clone(self), info, identity: identity.clone() })
    }

    fn check_memory(&self) -> Result<(), Refused> {
        if self.observer.memory_is_scarce() {
            let detail = "connections hold nearly as much as memory_max allows";
            return Err(Refused::new(Problem::MemoryFull, detail));
        }
        Ok(())
    }

    /// Passes on what has changed, tidies up, and looks at the clock, for ever.
    pub(crate) async fn pass_on(&self) {
        let mut looks = interval(STREAM_HEARTBEAT);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                _ = looks.tick() => {
                    self.clock.look();
                    continue;
                }
            }
            while self.pass_slice() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// A slice of it. Returns whether there is more.
    fn pass_slice(&self) -> bool {
        let mut inner = lock(&self.inner);
        let Inner { feed, entries, holding, awake, .. } = &mut *inner;
        let passed = feed.pass_on(&mut Budget::new(FEED_PASS_WORK));
        let tidied = feed.tidy(&mut Budget::new(FEED_TIDY_WORK));
        feed.take_awake(awake);
        let waker = |id: SubscriberId| entries.get_mut(&id.0)?.waker.take();
        let wakers: Vec<Waker> = awake.drain(..).filter_map(waker).collect();
        self.counts.conflated.fetch_add(feed.take_conflated(), Ordering::Relaxed);
        let own = STREAM_OWN_BYTES + STREAM_BYTES_MAX;
        let more = self.more_bytes.load(Ordering::Relaxed);
        holding.set(feed.bytes_in_all() + entries.len() * own + more);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        passed == Progress::More || tidied == Progress::More
    }

    /// Has every stream say goodbye, and none begin.
    pub(crate) fn stop(&self) {
        lock(&self.inner).stopping = true;
        self.wake_all();
    }

    /// Has every stream look what there is to do.
    pub(crate) fn wake_all(&self) {
        let mut inner = lock(&self.inner);
        let wakers: Vec<Waker> =
            inner.entries.values_mut().filter_map(|entry| entry.waker.take()).collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Streams that are open, and their subscriptions.
    pub(crate) fn open_streams(&self) -> (usize, usize) {
        let inner = lock(&self.inner);
        (inner.entries.len(), inner.feed.counts().1)
    }

    /// The first few streams with numbers from this one on.
    pub(crate) fn states(&self, from: u64, count: usize) -> Vec<StreamState> {
        let inner = lock(&self.inner);
        let state = |(id, entry): (&u64, &Entry)| {
            let (id, feed) = (SubscriberId(*id), &inner.feed);
            let (symbols, patterns) = feed.subscriptions(id);
            let active = entry.info.active_ms.load(Ordering::Relaxed);
            let age = entry.info.since.elapsed();
            let waits = feed.has_messages(id) && entry.waker.is_none();
            StreamState {
                info: Arc::clone(&entry.info),
                symbols,
                patterns,
                marks: feed.backlog(id),
                conflated: feed.conflated(id),
                memory_bytes: feed.bytes(id)
                    + STREAM_OWN_BYTES
                    + entry.info.more_bytes.load(Ordering::Relaxed),
                waiting: match waits {
                    true => age.saturating_sub(Duration::from_millis(active)),
                    false => Duration::ZERO,
                },
            }
        };
        inner.entries.range(from..).take(count).map(state).collect()
    }
}

impl Stream {
    fn id(&self) -> SubscriberId {
        SubscriberId(self.info.id)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.hub.engine.epoch()
    }

    /// How old what the node of a cluster shows may be; `None` of a server that is none.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        self.hub.engine.cluster_report()?.staleness
    }

    /// When this life of the server began, by the clock.
    pub(crate) fn life_ns(&self) -> u64 {
        self.hub.clock.began_ns
    }

    /// Subscribes to a symbol, listed or not.
    pub(crate) fn subscribe(&self, symbol: &Symbol) -> Result<(), Refused> {
        self.change(|feed, id| {
            feed.subscribe(id, self.identity.access(), symbol).map_err(not_subscribed)
        })
    }

    /// Subscribes to all symbols that fit a pattern.
    pub(crate) fn subscribe_pattern(&self, pattern: &[u8]) -> Result<(), Refused> {
        if pattern.len() > PATTERN_BYTES_MAX {
            let bytes = pattern.len();
            let detail =
                format!("the pattern is {bytes} bytes long, the limit is {PATTERN_BYTES_MAX}");
            return Err(Refused::new(Problem::InvalidPattern, detail));
        }
        let pattern = Pattern::new(pattern);
        self.change(|feed, id| {
            feed.subscribe_pattern(id, self.identity.access(), &pattern).map_err(not_subscribed)
        })
    }

    pub(crate) fn unsubscribe(&self, symbol: &Symbol) {
        lock(&self.hub.inner).feed.unsubscribe(self.id(), symbol);
        self.hub.changed.notify_one();
    }

    pub(crate) fn unsubscribe_pattern(&self, pattern: &[u8]) {
        lock(&self.hub.inner).feed.unsubscribe_pattern(self.id(), &Pattern::new(pattern));
        self.hub.changed.notify_one();
    }

    fn change(
        &self,
        subscribe: impl FnOnce(&mut Feed, SubscriberId) -> Result<usize, Refused>,
    ) -> Result<(), Refused> {
        self.hub.check_memory()?;
        subscribe(&mut lock(&self.hub.inner).feed, self.id())?;
        self.hub.changed.notify_one();
        Ok(())
    }

    /// Has this task woken when there is something to tell, or the plane stops. Returns whether it does.
    pub(crate) fn is_stopping(&self, waker: &Waker) -> bool {
        let mut inner = lock(&self.hub.inner);
        if let Some(entry) = inner.entries.get_mut(&self.info.id)
            && !entry.waker.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            entry.waker = Some(waker.clone());
        }
        inner.stopping
    }

    /// It was told something that is no message of the feed.
    pub(crate) fn note_told(&self) {
        self.info.messages.fetch_add(1, Ordering::Relaxed);
        self.hub.counts.messages.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells what there is to tell, as long as `tell` says that there is room for another message.
    pub(crate) fn tell(&self, mut tell: impl FnMut(&Message<'_>) -> bool) -> Progress {
        let age = self.info.since.elapsed().as_millis() as u64;
        self.info.active_ms.store(age, Ordering::Relaxed);
        let mut messages = 0;
        let mut inner = lock(&self.hub.inner);
        let feed = &mut inner.feed;
        let progress = feed.tell(self.id(), &mut Budget::new(FEED_TELL_WORK), |message| {
            messages += 1;
            tell(&message)
        });
        let more = feed.has_to_pass_on();
        drop(inner);
        if more {
            self.hub.changed.notify_one();
        }
        self.info.messages.fetch_add(messages, Ordering::Relaxed);
        self.hub.counts.messages.fetch_add(messages, Ordering::Relaxed);
        progress
    }

    /// The client has shown something, and is another user now.
    pub(crate) fn identify(&mut self, identity: Identity) {
        lock(&self.hub.inner).feed.change_access(self.id(), identity.access());
        self.identity = identity;
        self.hub.changed.notify_one();
    }

    /// Who the client is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Looks whether another access file has come into force. Returns whether the client may still be served.
    pub(crate) fn refresh(&mut self) -> bool {
        let authority = self.hub.observer.authority();
        if authority.refresh(&mut self.identity) {
            lock(&self.hub.inner).feed.change_access(self.id(), self.identity.access());
            self.hub.changed.notify_one();
        }
        self.identity.is_known()
    }

    /// Ends what the client may not be told any more, as long as `tell` says that there is room. Returns whether
    /// that is done.
    pub(crate) fn end_forbidden(&self, tell: impl FnMut(Ended<'_>) -> bool) -> bool {
        let feed = &mut lock(&self.hub.inner).feed;
        !feed.has_forbidden(self.id())
            || feed.end_forbidden(self.id(), &mut Budget::new(FEED_TELL_WORK), tell)
                == Progress::Done
    }

    /// It holds this much beyond what all streams do.
    pub(crate) fn holds_more(&self, bytes: usize) {
        let before = self.info.more_bytes.swap(bytes, Ordering::Relaxed);
        self.hub.more_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.hub.more_bytes.fetch_sub(before, Ordering::Relaxed);
    }

    pub(crate) fn counters(&self) -> Counters {
        let feed = &lock(&self.hub.inner).feed;
        Counters {
            messages: self.info.messages.load(Ordering::Relaxed),
            conflated: feed.conflated(self.id()),
            marks: feed.backlog(self.id()),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.holds_more(0);
        let mut inner = lock(&self.hub.inner);
        inner.feed.leave(self.id());
        inner.entries.remove(&self.info.id);
        drop(inner);
        self.hub.changed.notify_one();
    }
}

fn not_subscribed(error: NotSubscribed) -> Refused {
    match error {
        NotSubscribed::NotPermitted(refusal) => (&refusal).into(),
        error => Refused::new(Problem::TooManySubscriptions, error.to_string()),
    }
}
