//! One thread of the load generator: sends requests over its connections when they are due, and
//! reads the replies.
//!
//! A closed loop keeps a batch of requests in flight on each connection and sends the next when all
//! of it is answered. An open loop sends each request when the schedule says, whatever the server
//! does. One readiness loop serves both; it owns the connections, and a counter is all that it
//! writes for other threads.
//!
//! Invariant: a request counts from when it was due (open) or given to the socket (closed), once,
//! whether it is answered or not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use mio::{Events, Poll, Token};
use stockd_latency::nanoseconds;
use stockd_model::limits::{
    EVENTS_MAX, LOAD_DRAIN_TIMEOUT, LOAD_IN_FLIGHT_MAX, LOAD_OUTPUT_BYTES_MAX, LOAD_SEND_BATCH,
    LOAD_SILENCE_MAX,
};

use crate::alarm::Alarm;
use crate::chance::Chance;
use crate::clock::{Clock, thread_cpu_ns};
use crate::connection::{Connection, Received};
use crate::conversation::Misunderstanding;
use crate::error::LoadError;
use crate::figures::{Figures, Kind};
use crate::opening::Opened;
use crate::pacer::Pacer;
use crate::process::Scheduled;
use crate::target::register;
use crate::workload::Workload;

/// What one thread is to do. Times are nanoseconds on the clock of the run.
pub(crate) struct Orders {
    pub(crate) workload: Arc<Workload>,
    pub(crate) opened: Vec<Opened>,
    /// The server, for messages.
    pub(crate) target: String,
    pub(crate) clock: Clock,
    pub(crate) mode: Mode,
    pub(crate) window_begin: u64,
    /// When the window ends, if it ends by time.
    pub(crate) window_end: Option<u64>,
    /// Requests to send in the window, if it ends by their number.
    pub(crate) requests: Option<u64>,
    pub(crate) chance: Chance,
    /// Whether the thread polls instead of sleeping.
    pub(crate) spins: bool,
    /// Requests answered so far, for other threads to read.
    pub(crate) answered: Arc<AtomicU64>,
    /// Receives one message when the window has ended.
    pub(crate) window_over: Sender<()>,
}

/// How requests follow each other.
#[derive(Debug)]
pub(crate) enum Mode {
    /// `pipeline` requests at once on each connection; the next when all are answered.
    Closed { pipeline: usize },
    /// When they are due.
    Open(Pacer),
}

/// The token of the alarm; connections have their numbers.
const ALARM: Token = Token(usize::MAX);

pub(crate) struct Driver {
    orders: Orders,
    poll: Poll,
    alarm: Alarm,
    connections: Vec<Connection>,
    /// Connections that have something to send.
    unflushed: Vec<usize>,
    /// Connections that have more to be read than one turn may bring.
    unread: Vec<usize>,
    /// The connection whose turn it is in the open loop.
    turn: usize,
    scratch: Vec<u8>,
    figures: Figures,
    /// Requests that may still be sent in the window.
    quota: u64,
    total_answered: u64,
    open_connections: usize,
    phase: Phase,
    /// When the loop woke up last.
    woken: u64,
    /// When a request was sent, or a reply was read, for the last time.
    active: u64,
    /// Time spent waiting since the window began, and CPU time until then.
    waited: u64,
    begun_at: u64,
    cpu_before: u64,
    scheduled_before: Option<Scheduled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Window,
    /// The window is over; the loop waits for replies until then.
    Drain {
        until: u64,
    },
}

impl Driver {
    /// Makes a loop of the connections.
    ///
    /// # Errors
    ///
    /// When the system lacks what a loop needs.
    pub(crate) fn new(mut orders: Orders) -> io::Result<Driver> {
        let poll = Poll::new()?;
        let opened = std::mem::take(&mut orders.opened).into_iter();
        let connections = opened.map(|opened| Connection::new(opened, &orders.workload));
        let connections = connections.collect::<io::Result<Vec<Connection>>>()?;
        for (at, connection) in connections.iter().enumerate() {
            register(connection.stream(), poll.registry(), Token(at))?;
        }
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let mut figures = Figures::new(orders.window_begin);
        figures.window_end = orders.window_end.unwrap_or(u64::MAX);
        Ok(Driver {
            figures,
            quota: orders.requests.unwrap_or(u64::MAX),
            open_connections: connections.len(),
            unflushed: Vec::with_capacity(connections.len()),
            unread: Vec::new(),
            poll,
            alarm,
            connections,
            orders,
            turn: 0,
            scratch: Vec::new(),
            total_answered: 0,
            phase: Phase::WarmUp,
            woken: 0,
            active: 0,
            waited: 0,
            begun_at: 0,
            cpu_before: 0,
            scheduled_before: None,
        })
    }

    /// Runs until everything is counted.
    ///
    /// # Errors
    ///
    /// When the server does not speak the protocol, or the system fails.
    pub(crate) fn run(mut self) -> Result<Figures, LoadError> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.orders.clock.wait();
        if let Mode::Closed { .. } = self.orders.mode {
            (0..self.connections.len()).for_each(|at| self.send_batch(at));
        }
        loop {
            let now = self.orders.clock.now();
            self.enter_phase(now);
            if self.is_over(now) {
                break;
            }
            let more_is_due = self.send_due(now);
            self.flush();
            let timeout = match more_is_due || self.orders.spins || !self.unread.is_empty() {
                true => Some(Duration::ZERO),
                false => self.timeout(now).map_err(LoadError::system("set a timer"))?,
            };
            let waiting_since = self.orders.clock.now();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(LoadError::system("wait for the network")(error));
                }
                _ => {}
            }
            self.woken = self.orders.clock.now();
            self.waited += self.woken - waiting_since;
            for at in std::mem::take(&mut self.unread) {
                self.receive(at)?;
            }
            for event in &events {
                if event.token() == ALARM {
                    continue;
                }
                let at = event.token().0;
                if event.is_writable() {
                    self.connections[at].unblock();
                    self.queue(at);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.receive(at)?;
                }
            }
            self.orders.answered.store(self.total_answered, Ordering::Relaxed);
        }
        Ok(self.finish())
    }

    /// Goes on to the next phase when its time has come.
    fn enter_phase(&mut self, now: u64) {
        if self.phase == Phase::WarmUp && now >= self.orders.window_begin {
            self.phase = Phase::Window;
            (self.begun_at, self.waited, self.cpu_before) = (now, 0, thread_cpu_ns());
            self.scheduled_before = Scheduled::of_this_thread();
        }
        let ended = match self.orders.window_end {
            Some(end) => now >= end,
            None => {
                let is_silent = now >= self.gives_up_at();
                // Connections may be many, so they are looked at where it matters alone.
                (self.quota == 0 || is_silent)
                    && match self.outstanding() {
                        0 => self.quota == 0,
                        _ => is_silent,
                    }
            }
        };
        if self.phase == Phase::Window && (ended || self.open_connections == 0) {
            self.close_window(now);
        }
    }

    /// When a window that ends by the number of requests ends without them, unless something happens.
    fn gives_up_at(&self) -> u64 {
        self.active + nanoseconds(LOAD_SILENCE_MAX)
    }

    fn close_window(&mut self, now: u64) {
        let drain =
            if self.orders.window_end.is_some() { LOAD_DRAIN_TIMEOUT } else { Duration::ZERO };
        self.phase = Phase::Drain { until: now + nanoseconds(drain) };
        let figures = &mut self.figures;
        let end = match self.orders.window_end {
            Some(end) => end.min(now),
            None => figures.last_reply.max(figures.window_begin),
        };
        figures.window_end = end;
        figures.window_ns = end - figures.window_begin;
        figures.cpu_ns = thread_cpu_ns() - self.cpu_before;
        let wall = now - self.begun_at;
        if wall > 0 {
            let of_wall = |ns: u64| ns as f64 / wall as f64;
            let working = of_wall(wall.saturating_sub(self.waited));
            // Polling is waiting, too, although it takes CPU time.
            let cpu = if self.orders.spins { 0.0 } else { of_wall(figures.cpu_ns) };
            figures.busy_share = working.max(cpu).min(1.0);
            let scheduled = self.scheduled_before.zip(Scheduled::of_this_thread());
            figures.run_delay_share =
                scheduled.map(|(before, after)| of_wall(after.since(before).waited_ns));
        }
        self.orders.answered.store(self.total_answered, Ordering::Relaxed);
        // There is no receiver if the run was given up.
        let _ = self.orders.window_over.send(());
    }

    fn is_over(&self, now: u64) -> bool {
        match self.phase {
            Phase::Drain { until } => {
                (self.outstanding() == 0 && !self.has_backlog())
                    || self.open_connections == 0
                    || now >= until
            }
            // The warm-up would last for ever otherwise.
            _ => self.open_connections == 0,
        }
    }

    /// Whether requests that were due in the window have not been sent yet.
    fn has_backlog(&self) -> bool {
        match &self.orders.mode {
            Mode::Closed { .. } => false,
            Mode::Open(pacer) => self.sends_at(pacer.next_due()),
        }
    }

    fn outstanding(&self) -> usize {
        self.connections.iter().map(|connection| connection.outstanding()).sum()
    }

    /// Whether a request may begin at this time.
    fn sends_at(&self, at: u64) -> bool {
        self.quota > 0 && self.orders.window_end.is_none_or(|end| at < end)
    }

    /// Closed loop: gives a connection its next batch.
    fn send_batch(&mut self, at: usize) {
        let Mode::Closed { pipeline } = self.orders.mode else {
            return;
        };
        let connection = &mut self.connections[at];
        if !connection.open {
            return;
        }
        debug_assert_eq!(connection.outstanding(), 0, "the next batch follows the replies to all");
        let now = self.orders.clock.now();
        if !self.sends_at(now) {
            return;
        }
        let connection = &mut self.connections[at];
        let counted = now >= self.orders.window_begin;
        let batch = if counted { self.quota.min(pipeline as u64) } else { pipeline as u64 };
        for _ in 0..batch {
            connection.ask(now, &self.orders.workload, &mut self.orders.chance);
        }
        if counted && self.orders.requests.is_some() {
            self.quota -= batch;
        }
        self.active = now;
        self.write(at);
    }

    /// Open loop: gives every request that is due to a connection. Returns true if it stopped
    /// before the last one, so that replies are read in between.
    fn send_due(&mut self, now: u64) -> bool {
        let limit = now.min(self.orders.window_end.map_or(u64::MAX, |end| end.saturating_sub(1)));
        for _ in 0..LOAD_SEND_BATCH {
            if !self.sends_at(limit) {
                return false;
            }
            let Mode::Open(pacer) = &mut self.orders.mode else {
                return false;
            };
            if pacer.next_due() > limit {
                return false;
            }
            let Some(at) = next_with_room(&self.connections, &mut self.turn) else {
                return false;
            };
            let Some(due) = pacer.take_due(limit) else {
                return false;
            };
            self.connections[at].ask(due, &self.orders.workload, &mut self.orders.chance);
            self.queue(at);
            self.active = now;
            if due >= self.orders.window_begin {
                self.figures.offered += 1;
                self.figures.late.record(now - due, 1);
                if self.orders.requests.is_some() {
                    self.quota -= 1;
                }
            }
        }
        true
    }

    /// Has a connection sent what waits.
    #[inline]
    fn queue(&mut self, at: usize) {
        if !std::mem::replace(&mut self.connections[at].is_queued, true) {
            self.unflushed.push(at);
        }
    }

    /// Sends the waiting requests.
    fn flush(&mut self) {
        while let Some(at) = self.unflushed.pop() {
            self.write(at);
        }
    }

    fn write(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        connection.is_queued = false;
        if !connection.open {
            return;
        }
        if let Err(error) = connection.flush(&self.orders.workload) {
            self.lose(at, Some(&error));
        }
    }

    fn receive(&mut self, at: usize) -> Result<(), LoadError> {
        let connection = &mut self.connections[at];
        if !connection.open {
            return Ok(());
        }
        let before = connection.outstanding();
        let Orders { clock, workload, .. } = &self.orders;
        let received = connection.receive(&mut self.scratch, *clock, workload, &mut self.figures);
        let answered = (before - connection.outstanding()) as u64;
        if answered > 0 {
            self.active = self.woken;
        }
        self.total_answered += answered;
        match received {
            Ok(Ok(Received::End)) => self.lose(at, None),
            Ok(Ok(received)) => {
                if received == Received::Enough && !self.unread.contains(&at) {
                    self.unread.push(at);
                }
                // Answers to what the server has said besides replies.
                if connection.unwritten() > 0 {
                    self.queue(at);
                }
                if self.connections[at].outstanding() == 0 {
                    self.send_batch(at);
                }
            }
            Ok(Err(Misunderstanding::Over(error))) => self.lose(at, Some(&error)),
            Err(error) => self.lose(at, Some(&error)),
            Ok(Err(Misunderstanding::Foreign(foreign))) => {
                return Err(LoadError::Foreign {
                    target: self.orders.target.clone(),
                    protocol: self.orders.workload.protocol(),
                    excerpt: foreign.excerpt,
                });
            }
            Ok(Err(Misunderstanding::Unasked(excerpt))) => {
                return Err(LoadError::Unasked { target: self.orders.target.clone(), excerpt });
            }
        }
        Ok(())
    }

    /// Goes on without a connection that the server has closed.
    fn lose(&mut self, at: usize, error: Option<&io::Error>) {
        let connection = &mut self.connections[at];
        if !connection.open {
            return;
        }
        connection.close(self.orders.clock.now(), &mut self.figures);
        self.open_connections -= 1;
        self.figures.counts.connections_closed += 1;
        if self.figures.counts.first_error.is_none() {
            self.figures.counts.first_error = Some(match error {
                Some(error) => format!("connection lost: {error}"),
                None => "the server closed a connection".to_owned(),
            });
        }
    }

    /// How long the loop may sleep: until the phase changes, or the next request is due.
    fn timeout(&mut self, now: u64) -> io::Result<Option<Duration>> {
        let mut timeout = match self.phase {
            Phase::WarmUp => Some(self.orders.window_begin),
            // In the past it has no say: nothing is under way then.
            Phase::Window => {
                self.orders.window_end.or(Some(self.gives_up_at()).filter(|at| *at > now))
            }
            Phase::Drain { until } => Some(until),
        }
        .map(|next| Duration::from_nanos(next.saturating_sub(now)));
        if let Mode::Open(pacer) = &self.orders.mode {
            let due = pacer.next_due();
            // A request that is due already waits for a connection with room; its replies are an
            // event.
            if self.sends_at(due) && due > now {
                let nap = self.alarm.set(now, due)?;
                timeout = [timeout, nap].into_iter().flatten().min();
            }
        }
        Ok(timeout)
    }

    /// Counts what is left over.
    fn finish(mut self) -> Figures {
        let now = self.orders.clock.now();
        for connection in self.connections.iter_mut().filter(|connection| connection.open) {
            connection.give_up(now, &mut self.figures);
        }
        if let Mode::Open(pacer) = &mut self.orders.mode {
            // The window may have ended before the rest is due, since all connections were lost.
            let end = self.orders.window_end.map_or(now, |end| end.min(now));
            while self.quota > 0
                && let Some(due) = pacer.take_due(end.saturating_sub(1))
            {
                if due >= self.orders.window_begin {
                    self.figures.offered += 1;
                    self.figures.counts.unsent += 1;
                    self.figures.given_up(Kind::Lookup, due, now, 1);
                    if self.orders.requests.is_some() {
                        self.quota -= 1;
                    }
                }
            }
        }
        self.figures
    }
}

/// The next connection in turn that takes one more request.
fn next_with_room(connections: &[Connection], turn: &mut usize) -> Option<usize> {
    (0..connections.len()).find_map(|_| {
        let at = *turn;
        *turn = if at + 1 == connections.len() { 0 } else { at + 1 };
        let connection = &connections[at];
        let has_room = connection.open
            && connection.outstanding() < LOAD_IN_FLIGHT_MAX
            && connection.unwritten() < LOAD_OUTPUT_BYTES_MAX;
        has_room.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc::{self, Receiver};

    use stockd_client::Stream;
    use stockd_model::Address;
    use stockd_model::limits::LOAD_PATIENCE;

    use super::*;
    use crate::codec::Protocol;
    use crate::connection::TURN_BYTES;
    use crate::pacer::Arrivals;
    use crate::stocks::Texts;
    use crate::workload::tests::mix;

    /// A driver of one connection without a warm-up to a server that never answers, the server, and its window's end.
    fn driver(
        mode: Mode,
        window_end: Option<u64>,
        requests: Option<u64>,
    ) -> (Driver, TcpListener, Receiver<()>) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().into();
        let (driver, windows) = driver_of(&address, mode, window_end, requests);
        (driver, server, windows)
    }

    fn driver_of(
        address: &Address,
        mode: Mode,
        window_end: Option<u64>,
        requests: Option<u64>,
    ) -> (Driver, Receiver<()>) {
        let stream = Stream::connect(address, LOAD_PATIENCE).unwrap();
        stream.set_nonblocking().unwrap();
        let (window_over, windows) = mpsc::channel();
        let orders = Orders {
            workload: Arc::new(
                Workload::new(&mix(Protocol::Line), Texts::generated(1), None).unwrap(),
            ),
            opened: vec![Opened { stream, received: Vec::new() }],
            target: address.to_string(),
            clock: Clock::starting_in(Duration::ZERO),
            mode,
            window_begin: 0,
            window_end,
            requests,
            chance: Chance::new(1, 0),
            spins: false,
            answered: Arc::default(),
            window_over,
        };
        (Driver::new(orders).unwrap(), windows)
    }

    #[test]
    fn a_window_by_requests_ends_although_the_server_never_answers() {
        let (mut driver, _server, windows) = driver(Mode::Closed { pipeline: 1 }, None, Some(3));
        driver.send_batch(0);
        let end = driver.active + nanoseconds(LOAD_SILENCE_MAX);
        driver.enter_phase(end - 1);
        assert_eq!(driver.phase, Phase::Window);
        let timeout = driver.timeout(end - 1).unwrap();
        assert_eq!(timeout, Some(Duration::from_nanos(1)), "it wakes up by itself");
        driver.enter_phase(end);
        assert!(driver.is_over(end) && windows.try_recv().is_ok());
        let figures = driver.finish();
        assert_eq!((figures.counts.unanswered, figures.counts.unsent), (1, 0));
    }

    #[test]
    fn a_connection_with_much_to_read_gives_way_to_others_and_is_not_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let server = UnixListener::bind(&path).unwrap();
        let address = format!("unix:{}", path.display()).parse().unwrap();
        let mode = Mode::Closed { pipeline: 1 };
        let (mut driver, _windows) = driver_of(&address, mode, Some(u64::MAX), None);
        let mut stream = server.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        let errors = "ERR busy\n".repeat(1000);
        let mut sent = 0;
        while let Ok(bytes) = stream.write(errors.as_bytes()) {
            sent += bytes as u64;
        }
        assert!(sent > TURN_BYTES as u64, "the system keeps {sent} bytes");
        driver.receive(0).unwrap();
        assert_eq!(driver.figures.counts.bytes_received, TURN_BYTES as u64);
        while driver.figures.counts.bytes_received < sent {
            assert_eq!(driver.unread, [0], "it is noted, and once");
            driver.receive(0).unwrap();
        }
    }

    /// A rate at which nothing is under way for longer than a server may be silent.
    #[test]
    fn between_requests_of_a_low_rate_no_reply_is_missing() {
        let pacer = Pacer::new(0.001, Arrivals::Constant, 0, 1, 1);
        let (mut driver, _server, _windows) = driver(Mode::Open(pacer), None, Some(3));
        let later = nanoseconds(2 * LOAD_SILENCE_MAX);
        driver.enter_phase(later);
        assert_eq!(driver.phase, Phase::Window);
        assert_eq!(driver.timeout(later).unwrap(), None);
    }

    #[test]
    fn what_is_due_after_all_connections_were_lost_was_not_offered() {
        const GAP_NS: u64 = 1_000_000;
        let pacer = Pacer::new(1e9 / GAP_NS as f64, Arrivals::Constant, 0, 1, 1);
        let hour = nanoseconds(Duration::from_secs(3600));
        let (mut driver, _server, _windows) = driver(Mode::Open(pacer), Some(hour), None);
        let clock = driver.orders.clock;
        driver.enter_phase(clock.now());
        driver.lose(0, None);
        driver.enter_phase(clock.now());
        assert!(driver.is_over(clock.now()));
        let figures = driver.finish();
        let due_max = clock.now() / GAP_NS + 1;
        assert!(figures.offered <= due_max, "{} of {due_max}", figures.offered);
        assert_eq!(figures.counts.unanswered, figures.offered);
    }
}
