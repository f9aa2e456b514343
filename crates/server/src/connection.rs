//! A connection: one client's stream around its [`Session`].
//!
//! It owns what is known of the socket's readiness, the replies that wait for the client, and when
//! something last happened. It knows no other connection: the turner gives it turns, and a turn is at
//! most one read and the writes of what is due.
//!
//! ```text
//!   accepted
//!      │
//!   ┌──▼──────┐  the client has ended its stream:          ┌─────────────────────┐
//!   │ Serving ├────────────────────────────────────────────► Finishing(Close)    │
//!   │         │  its last requests are answered            └──────────┬──────────┘
//!   │         │                                                       │ all is written
//!   │         │  the client said goodbye, broke the        ┌──────────▼──────────┐
//!   │         │  protocol, or the server shuts down        │ closed              │
//!   │         ├───────────┐                                └──────────▲──────────┘
//!   └─────────┘           │                                           │ the client closes too,
//!                ┌────────▼────────────┐  all is written   ┌──────────┴──────────┐ or the linger
//!                │ Finishing(Linger)   ├───────────────────► Lingering           │ timeout passes
//!                └─────────────────────┘  closes its side  └─────────────────────┘
//!
//!   From any state: an error of the socket, the idle timeout and the stalled timeout close it.
//! ```
//!
//! Over TLS a connection begins with the handshake, in which nothing is there for its session; one that
//! does not end it in time is closed. Records that break the protocol are as a client that does.
//!
//! Invariant: while a connection has something to do it says so ([`Next::again`]), and otherwise
//! it waits for an event that has not happened yet. It never reads while replies of
//! [`OUTPUT_BYTES_MAX`] bytes or more wait, and an idle one holds no buffer.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockd_access::Identity;
use stockd_engine::Answered;
use stockd_model::limits::{
    LINGER_BYTES_MAX, MESSAGE_BYTES_MAX, OUTPUT_BYTES_MAX, READ_BYTES_PER_WORK, TLS_HANDSHAKE_WORK,
    TLS_RECORD_BYTES_MAX, UNDECODED_BYTES_MAX, WRITTEN_BYTES_PER_WORK,
};

use crate::admission::Permit;
use crate::client_list::ClientInfo;
use crate::closed::Closed;
use crate::conversation::{Conversation, Ending, Patience, Waits};
use crate::memory::Held;
use crate::metrics::Cells;
use crate::output::Output;
use crate::protocol;
use crate::reactor::Event;
use crate::session::Session;
use crate::sweep::Timeouts;
use crate::tls_stream::{TlsBuffers, TlsStream};
use crate::transport::{Received, Stream};
use crate::turn::Turn;
use crate::turn_queue::Pace;

/// A read that fills less than its buffer has emptied the socket, and whatever comes later is a
/// new event: epoll(7) promises that of stream sockets. Elsewhere a read has to find nothing. (A
/// client that passes files along a Unix socket cuts its own reads short: what it sent behind a file
/// waits for its next bytes or its end.)
const SHORT_READ_EMPTIES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// One client.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    /// What others may know of it.
    client: Arc<ClientInfo>,
    session: Session,
    output: Output,
    phase: Phase,
    /// Bytes may wait in the socket.
    readable: bool,
    /// The socket may take bytes.
    writable: bool,
    /// The client has closed its direction; an end waits behind the bytes in the socket.
    hung_up: bool,
    /// The time in which a newline had to follow the first bytes is over.
    silent: bool,
    pause: Pause,
    /// Bytes of replies that may wait, as of its last turn: fewer while memory is scarce.
    output_bytes_max: usize,
    /// It has been told of a subscription.
    is_subscriber: bool,
    /// None where no TLS is spoken, or not any more.
    tls_since: Option<Box<TlsSince>>,
    /// How many more bytes are read; only while the server shuts down.
    drain_bytes: Option<u64>,
    /// When a byte last came or went.
    active_at: Instant,
    /// When the client last took replies, or when they began to wait.
    taken_at: Instant,
    _permit: Permit,
}

/// Since when the client is to go on with TLS.
#[derive(Clone, Copy, Debug, Default)]
struct TlsSince {
    /// The handshake goes on, as long as it has not ended.
    handshake: Option<Instant>,
    /// The rest of a record is to come, if a part of one is there.
    record: Option<Instant>,
}

/// How far a pause of the session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// There is none, or its time does not run yet.
    None,
    Running,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Requests are read and answered.
    Serving,
    /// The last request is answered; replies may still wait to be written.
    Finishing(AtEnd),
    /// The server has closed its direction. What the client still sends is discarded until it
    /// closes too.
    Lingering { discarded_bytes: usize },
}

/// What follows when the last reply is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtEnd {
    /// The client has ended its stream, so nothing can be destroyed by closing.
    Close,
    /// The client may still be sending, and closing at once could destroy the last replies.
    Linger,
}

/// What a connection wants after its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    /// Another turn, without an event.
    pub(crate) again: bool,
    /// A deadline.
    pub(crate) start: Option<Delay>,
}

/// The delays after which a turner comes back to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// Then it has [fallen silent](Connection::fall_silent).
    Silence(Patience),
    /// Then its [pause is over](Connection::end_pause).
    Pause,
    /// Then it is closed.
    Linger,
}

/// What is next for a session.
#[derive(Clone, Copy)]
enum Step {
    Received(usize),
    HeldBack,
    Silence,
    End,
    Stop,
}

impl Connection {
    pub(crate) fn new(
        stream: Stream,
        conversation: Box<dyn Conversation>,
        permit: Permit,
        client: Arc<ClientInfo>,
        now: Instant,
    ) -> Connection {
        let tls_since =
            stream.tls().map(|_| Box::new(TlsSince { handshake: Some(now), record: None }));
        Connection {
            stream,
            session: Session::new(conversation),
            client,
            output: Output::default(),
            phase: Phase::Serving,
            readable: false,
            writable: true,
            hung_up: false,
            silent: false,
            pause: Pause::None,
            output_bytes_max: OUTPUT_BYTES_MAX,
            is_subscriber: false,
            tls_since,
            drain_bytes: None,
            active_at: now,
            taken_at: now,
            _permit: permit,
        }
    }

    /// Notes what an event says of the socket. Returns whether that gives it something to do.
    #[inline]
    pub(crate) fn note(&mut self, event: Event) -> bool {
        self.hung_up |= event.hung_up || event.failed;
        self.readable |= event.readable || self.hung_up;
        self.writable |= event.writable || event.failed;
        self.has_work()
    }

    /// The delay that was asked for with [`Delay::Silence`] is over.
    pub(crate) fn fall_silent(&mut self) {
        self.silent = true;
    }

    /// The delay that was asked for with [`Delay::Pause`] is over.
    pub(crate) fn end_pause(&mut self) {
        self.pause = Pause::Over;
    }

    /// The server shuts down: what has been received by now is still answered, which the
    /// socket's receive buffer bounds.
    pub(crate) fn drain(&mut self) {
        if self.drain_bytes.is_none() {
            // One byte more, so that the end of the stream is found if it has come too.
            self.drain_bytes = Some(self.stream.received_bytes() + 1);
            self.readable = true;
        }
    }

    /// The committer has answered what was handed to it first: appends the reply to those that
    /// [leave](Connection::tell_committed) together.
    pub(crate) fn committed(&mut self, answered: &Answered, replies: &mut Vec<u8>) {
        self.session.committed(answered, replies);
    }

    /// Writes replies of the committer, unless older ones wait; keeps what the socket does not take. Returns whether a
    /// turn is due then.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection is to be dropped.
    pub(crate) fn tell_committed(
        &mut self,
        replies: &[u8],
        tls: &mut TlsBuffers,
        now: Instant,
        cells: &Cells,
    ) -> Result<bool, Closed> {
        if !replies.is_empty() {
            let bytes = self.stream.seal(replies, tls);
            self.put(bytes, now, cells)?;
        }
        Ok(self.phase != Phase::Serving || !self.output.is_empty() || self.has_work())
    }

    /// Puts plain bytes behind what waits to be written.
    fn keep(&mut self, plain: &[u8], tls: &mut TlsBuffers, now: Instant) {
        if self.output.is_empty() {
            self.taken_at = now;
        }
        self.output.append(self.stream.seal(plain, tls));
    }

    /// Takes one turn: writes what waits, then reads once, answers and writes the answers.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection is to be dropped.
    #[inline]
    pub(crate) fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Next, Closed> {
        self.output_bytes_max = turn.server.memory.output_bytes_max();
        let had_undecoded = self.session.undecoded_bytes() > 0;
        if turn.server.authority.refresh(turn.identity) {
            self.session.identified(turn);
        }
        self.flush(turn)?;
        match self.phase {
            Phase::Serving if self.has_room() => {
                if !self.awaits_commit() && !self.is_paused() {
                    self.serve(turn)?;
                }
                // A quick turn that has done its work leaves this to the next one, a heavy one.
                if turn.pace == Pace::Heavy || !turn.work.is_spent() {
                    self.tell(turn)?;
                }
            }
            Phase::Lingering { .. } => self.discard(turn)?,
            _ => {}
        }
        let mut next = Next::default();
        if let Phase::Finishing(at_end) = self.phase
            && self.output.is_empty()
            && !self.session.awaits_commit()
        {
            match at_end {
                AtEnd::Close => {
                    self.stream.say_end(turn.tls);
                    return Err(Closed::Ended);
                }
                AtEnd::Linger => self.linger(turn.tls)?,
            }
            next.start = Some(Delay::Linger);
        } else if self.is_paused() {
            let is_new = mem::replace(&mut self.pause, Pause::Running) == Pause::None;
            next.start = is_new.then_some(Delay::Pause);
        } else if !had_undecoded {
            next.start = self.session.awaits_newline(turn).map(Delay::Silence);
        }
        next.again = self.has_work() || self.is_to_be_told(turn);
        self.check_invariants();
        Ok(next)
    }

    /// Whether the client has let a timeout pass. After [`Closed::HalfRequest`] it is to be
    /// [told](Connection::give_request_up) before it is closed.
    pub(crate) fn overdue(&self, now: Instant, timeouts: &Timeouts) -> Option<Closed> {
        let Timeouts { idle, stalled, request, handshake } = *timeouts;
        let past = |since: Instant, timeout| now.saturating_duration_since(since) >= timeout;
        if self.awaits_client() && past(self.taken_at, stalled) {
            return Some(Closed::Stalled);
        }
        if self.tls_since().handshake.is_some_and(|since| past(since, handshake)) {
            return Some(Closed::Handshake);
        }
        if self.half_request_since().is_some_and(|since| past(since, request)) {
            return Some(Closed::HalfRequest);
        }
        // Lingering has its own, shorter end; a client that waits for the disk is not idle.
        let idle = idle.filter(|_| !self.is_lingering() && !self.session.awaits_commit())?;
        past(self.active_at, idle).then_some(Closed::Idle)
    }

    /// The rest of a request has not come in time: what is there of it is forgotten, and the client
    /// is told so, in its next turns, and sent away.
    pub(crate) fn give_request_up(
        &mut self,
        timeout: Duration,
        tls: &mut TlsBuffers,
        now: Instant,
    ) {
        self.session.give_up();
        let why = format!("the rest of the request did not come within {timeout:?}");
        let mut text = Vec::new();
        (protocol::of(self.client.protocol).encode_error)(&why, &mut text);
        self.keep(&text, tls, now);
        if let Some(since) = &mut self.tls_since {
            since.record = None;
        }
        self.phase = Phase::Finishing(AtEnd::Linger);
    }

    /// Since when the rest of a request is awaited.
    #[inline]
    fn half_request_since(&self) -> Option<Instant> {
        let since = self.tls_since().record.or_else(|| self.session.half_request_since())?;
        let is_awaited = self.phase == Phase::Serving && !self.session.awaits_commit();
        is_awaited.then_some(since)
    }

    /// Whether the client may come to let a timeout pass, the one for idle ones apart.
    #[inline]
    pub(crate) fn may_be_late(&self) -> bool {
        let TlsSince { handshake, record } = self.tls_since();
        let has_half = handshake.or(record).or_else(|| self.session.half_request_since());
        self.awaits_client() || has_half.is_some()
    }

    /// Bytes that it holds, subscriptions apart.
    #[inline]
    pub(crate) fn held(&self) -> Held {
        let mut held = Held { replies: self.output.capacity(), ..Held::default() };
        held.requests = self.stream.tls().map_or(0, TlsStream::held_bytes);
        self.session.add_held(&mut held);
        held
    }

    /// Whether the client has yet to take replies.
    #[inline]
    pub(crate) fn awaits_client(&self) -> bool {
        let last_ones = matches!(self.phase, Phase::Finishing(_)) && !self.session.awaits_commit();
        !self.output.is_empty() || last_ones
    }

    /// Whether all is said and only the client's end is awaited.
    pub(crate) fn is_lingering(&self) -> bool {
        matches!(self.phase, Phase::Lingering { .. })
    }

    /// Bytes of replies that wait for the client.
    #[inline]
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.output.len()
    }

    /// Whether the handshake of TLS has not ended.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.tls_since().handshake.is_some()
    }

    #[inline]
    fn tls_since(&self) -> TlsSince {
        self.tls_since.as_deref().copied().unwrap_or_default()
    }

    pub(crate) fn client(&self) -> &ClientInfo {
        &self.client
    }

    #[inline]
    fn has_work(&self) -> bool {
        let can_write = self.writable && !self.output.is_empty();
        match self.phase {
            Phase::Serving => {
                let draining = self.drain_bytes.is_some();
                let can_step =
                    self.readable || self.silent || draining || self.session.is_held_back();
                let must_wait = self.awaits_commit() || self.is_paused();
                can_write || (can_step && self.has_room() && !must_wait)
            }
            Phase::Finishing(_) => can_write,
            Phase::Lingering { .. } => self.readable,
        }
    }

    /// Whether what was received cannot be answered before the committer has answered.
    #[inline]
    fn awaits_commit(&self) -> bool {
        self.session.is_held_for_commit()
    }

    /// Whether it is too early to go on. A server that shuts down does not wait.
    #[inline]
    fn is_paused(&self) -> bool {
        self.session.is_paused() && self.pause != Pause::Over && self.drain_bytes.is_none()
    }

    /// Whether the client has taken enough replies to be asked for more requests.
    #[inline]
    fn has_room(&self) -> bool {
        self.output.len() < self.output_bytes_max
    }

    #[inline]
    fn serve(&mut self, turn: &mut Turn<'_>) -> Result<(), Closed> {
        let Some(step) = self.next_step(turn)? else {
            return Ok(());
        };
        turn.replies.out.clear();
        turn.replies.bytes_max = self.output_bytes_max - self.output.len();
        let waits = self.take_step(step, turn);
        if let Waits::Nothing(ending) = waits {
            tracing::debug!("{}: closing: {ending:?}", self.client.peer());
            match ending {
                Ending::LineTooLong => turn.cells.closed_line_too_long.add(1),
                Ending::ProtocolError | Ending::Foreign => turn.cells.closed_protocol_error.add(1),
                Ending::Killed => turn.cells.closed_killed.add(1),
                Ending::Quit => {}
            }
            self.phase = Phase::Finishing(AtEnd::Linger);
        }
        self.send(turn)
    }

    /// Has the session answer. It lets go of the catalog before anything is written, so that no view
    /// of it outlasts a system call.
    #[inline]
    fn take_step(&mut self, step: Step, turn: &mut Turn<'_>) -> Waits {
        match step {
            Step::Received(bytes) => {
                let input = mem::take(&mut turn.input);
                let waits = self.session.receive(&input[..bytes], turn);
                turn.input = input;
                waits
            }
            Step::HeldBack => {
                self.pause = Pause::None;
                self.session.resume(turn)
            }
            Step::Silence => self.session.fall_silent(turn),
            Step::End => {
                self.session.end(turn);
                self.phase = Phase::Finishing(AtEnd::Close);
                Waits::Input
            }
            Step::Stop => {
                self.session.stop(turn);
                self.phase = Phase::Finishing(AtEnd::Linger);
                Waits::Input
            }
        }
    }

    /// Tells the client what it is subscribed to and has not been told.
    #[inline]
    fn tell(&mut self, turn: &mut Turn<'_>) -> Result<(), Closed> {
        if !self.is_to_be_told(turn) {
            return Ok(());
        }
        if !self.is_subscriber && turn.feed.len(turn.id.into()) > 0 {
            self.is_subscriber = true;
            self.stream.keep_few_unsent();
        }
        turn.replies.out.clear();
        let room = self.message_bytes_max() - self.output.len();
        let messages = self.session.tell(turn, room);
        turn.cells.messages.add(messages);
        self.client().messages.add(messages);
        self.send(turn)
    }

    /// Whether there is something to tell, and room for it. Messages wait as marks, not as bytes,
    /// so that a slow reader is told the latest when it has read what it was told before.
    #[inline]
    fn is_to_be_told(&self, turn: &Turn<'_>) -> bool {
        self.phase == Phase::Serving
            && self.output.len() < self.message_bytes_max()
            && self.session.has_messages(turn)
    }

    #[inline]
    fn message_bytes_max(&self) -> usize {
        MESSAGE_BYTES_MAX.min(self.output_bytes_max)
    }

    /// What there is to do for the session, and the read that finds it out. What was received
    /// counts before silence and before the stop.
    #[inline]
    fn next_step(&mut self, turn: &mut Turn<'_>) -> Result<Option<Step>, Closed> {
        if self.session.is_held_back() {
            return Ok(Some(Step::HeldBack));
        }
        if self.readable && self.drain_bytes != Some(0) {
            match self.read(turn)? {
                Some(0) => return Ok(Some(Step::End)),
                Some(bytes) => return Ok(Some(Step::Received(bytes))),
                // Records that hold nothing for the session may be followed by others, or by the end.
                None if self.readable || self.phase != Phase::Serving => return Ok(None),
                None => {}
            }
        }
        if mem::take(&mut self.silent) {
            return Ok(Some(Step::Silence));
        }
        Ok(self.drain_bytes.map(|_| Step::Stop))
    }

    /// Reads once. `None` when nothing is there for the session, 0 at the end of the stream.
    #[inline]
    fn read(&mut self, turn: &mut Turn<'_>) -> Result<Option<usize>, Closed> {
        loop {
            match self.stream.receive(turn.input, turn.pace.read_bytes(), turn.tls) {
                Ok(received) => {
                    // Behind the last bytes of a client that hung up waits the end, and no event
                    // will tell of it again; nor is an event awaited in a shutdown.
                    let end_may_wait = self.hung_up || self.drain_bytes.is_some();
                    let Received { raw, plain, is_short, .. } = received;
                    if raw == 0 || (is_short && SHORT_READ_EMPTIES && !end_may_wait) {
                        self.readable = false;
                    }
                    if let Some(left) = &mut self.drain_bytes {
                        *left = left.saturating_sub(raw as u64);
                    }
                    self.active_at = turn.now;
                    self.client.note_active(turn.now);
                    turn.cells.reads.add(1);
                    turn.cells.bytes_in.add(raw as u64);
                    turn.work.spend(raw / READ_BYTES_PER_WORK);
                    return match self.stream.tls() {
                        None => Ok(Some(plain)),
                        Some(_) => self.opened(received, turn),
                    };
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.readable = false;
                        return Ok(None);
                    }
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::InvalidData => return self.refuse_records(&error, turn),
                    _ => return Err(Closed::Failed(error)),
                },
            }
        }
    }

    /// Records of TLS have been opened: tells the client what it has to know of them, and returns what
    /// there is for the session as [`read`](Connection::read) does.
    fn opened(&mut self, received: Received, turn: &mut Turn<'_>) -> Result<Option<usize>, Closed> {
        self.put(&turn.tls.outgoing, turn.now, turn.cells)?;
        let Some(tls) = self.stream.tls() else {
            return Ok(None);
        };
        if let Some(since) = self.tls_since.as_deref_mut()
            && since.handshake.is_some()
        {
            turn.work.spend(TLS_HANDSHAKE_WORK);
            if !tls.is_shaking_hands() {
                since.handshake = None;
                turn.cells.tls_handshakes.add(1);
                let names = tls.peer_names();
                tracing::debug!("{}: over TLS, as {names:?}", self.client.peer());
                if !names.is_empty() {
                    self.identify(turn.server.authority.by_certificate(names), turn);
                }
            }
        }
        let Some(tls) = self.stream.tls() else {
            return Ok(None);
        };
        let is_closed = tls.is_closed_by_peer();
        if let Some(since) = &mut self.tls_since {
            let began = since.record.unwrap_or(turn.now);
            since.record = tls.has_partial().then_some(began);
        }
        match received {
            Received { plain: 0, .. } if is_closed => Ok(Some(0)),
            // The stream was cut: what was not whole may have been more, and is not executed.
            Received { raw: 0, .. } => Err(Closed::Ended),
            Received { plain: 0, .. } => Ok(None),
            Received { plain, .. } => {
                // No event will tell of the end that was among the records.
                self.readable |= is_closed;
                Ok(Some(plain))
            }
        }
    }

    /// It has turned out who the client is.
    fn identify(&mut self, identity: Identity, turn: &mut Turn<'_>) {
        *turn.identity = identity;
        if let Some(user) = turn.identity.user() {
            tracing::info!("{} is user '{user}', by its certificate", self.client.peer());
        }
        self.session.identified(turn);
    }

    /// The client breaks the protocol of TLS: it is told so and sent away.
    fn refuse_records(
        &mut self,
        error: &io::Error,
        turn: &mut Turn<'_>,
    ) -> Result<Option<usize>, Closed> {
        tracing::debug!("{}: closing: TLS: {error}", self.client.peer());
        turn.cells.closed_tls_error.add(1);
        self.tls_since = None;
        self.put(&turn.tls.outgoing, turn.now, turn.cells)?;
        self.phase = Phase::Finishing(AtEnd::Linger);
        Ok(None)
    }

    /// Writes the new replies, unless older ones wait; keeps what the socket does not take.
    #[inline]
    fn send(&mut self, turn: &mut Turn<'_>) -> Result<(), Closed> {
        if turn.replies.out.is_empty() {
            return Ok(());
        }
        let bytes = self.stream.seal(turn.replies.out, turn.tls);
        self.put(bytes, turn.now, turn.cells)
    }

    /// Writes bytes for the socket, unless others wait; keeps what it does not take.
    #[inline]
    fn put(&mut self, bytes: &[u8], now: Instant, cells: &Cells) -> Result<(), Closed> {
        let mut unsent = bytes;
        if self.output.is_empty() && !unsent.is_empty() {
            let written = write(&mut self.stream, unsent, &mut self.writable)?;
            self.count_written(written, now, cells);
            unsent = &unsent[written..];
            self.taken_at = now;
        }
        self.output.append(unsent);
        Ok(())
    }

    /// Writes what waits.
    #[inline]
    fn flush(&mut self, turn: &mut Turn<'_>) -> Result<(), Closed> {
        if self.writable && !self.output.is_empty() {
            let unwritten = self.output.unwritten();
            let written = write(&mut self.stream, unwritten, &mut self.writable)?;
            self.output.advance(written);
            turn.work.spend(written / WRITTEN_BYTES_PER_WORK);
            self.count_written(written, turn.now, turn.cells);
        }
        Ok(())
    }

    #[inline]
    fn count_written(&mut self, bytes: usize, now: Instant, cells: &Cells) {
        if bytes > 0 {
            self.active_at = now;
            self.taken_at = now;
            cells.writes.add(1);
            cells.bytes_out.add(bytes as u64);
        }
    }

    /// All is said: closes the server's direction.
    fn linger(&mut self, tls: &mut TlsBuffers) -> Result<(), Closed> {
        self.stream.end(tls).map_err(Closed::Failed)?;
        self.phase = Phase::Lingering { discarded_bytes: 0 };
        Ok(())
    }

    /// Reads once what nobody will answer.
    fn discard(&mut self, turn: &mut Turn<'_>) -> Result<(), Closed> {
        let Phase::Lingering { discarded_bytes } = self.phase else {
            return Ok(());
        };
        if !self.readable {
            return Ok(());
        }
        match self.read(turn)? {
            None => Ok(()),
            Some(0) => Err(Closed::Ended),
            Some(_) if discarded_bytes >= LINGER_BYTES_MAX => Err(Closed::Ended),
            Some(bytes) => {
                self.phase = Phase::Lingering { discarded_bytes: discarded_bytes + bytes };
                Ok(())
            }
        }
    }

    fn check_invariants(&self) {
        debug_assert!(self.session.undecoded_bytes() <= UNDECODED_BYTES_MAX + TLS_RECORD_BYTES_MAX);
        debug_assert!(self.writable || !self.output.is_empty() || self.is_lingering());
        debug_assert!(!self.is_lingering() || self.output.is_empty());
    }
}

/// Writes once as much as the socket takes.
#[inline]
fn write(stream: &mut Stream, bytes: &[u8], writable: &mut bool) -> Result<usize, Closed> {
    loop {
        match stream.write(bytes) {
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *writable = false;
                return Ok(0);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Closed::Failed(error)),
        }
    }
}
