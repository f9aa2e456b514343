//! Where rude clients act: the server's addresses, what they may use of it, and when it is over.
//!
//! Invariants: a visit ends soon after its time, and whatever it opened ends with it. Rude clients
//! write only stocks of their own, so what others wrote is theirs to check.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use socket2::{Domain, SockRef, Socket, Type};
use stockd_witness::Random;

/// How long a rude client waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause of a rude client that cannot go on before it tries again.
const RETRY: Duration = Duration::from_millis(1);

/// Reads of one connection before the client looks at the time, and at its other connections.
const DRAINS_MAX: usize = 16;

/// Names that must not be listed, at most; later ones are not checked.
const NEVER_MAX: usize = 4096;

/// The longest time that one rude client stays at one thing, where several take turns.
const VISIT_MS_MAX: usize = 3000;

/// One kind of rude client.
pub(super) trait Rude: Sync {
    /// Its name on the command line and in tables.
    fn name(&self) -> &'static str;

    /// Is rude until the visit is over.
    ///
    /// # Errors
    ///
    /// Whatever its connections meet. That is not looked at: a server may refuse rude clients.
    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()>;
}

/// What rude clients find.
#[derive(Debug)]
pub(super) struct Scene {
    line: SocketAddr,
    resp: SocketAddr,
    /// Stocks that are listed: `S0000000` and so on.
    stocks: usize,
    /// Stocks that may be listed and stay.
    growth_max: usize,
    over: AtomicBool,
    serial: AtomicU64,
    grown: AtomicU64,
    /// Names that must not be listed whatever was sent.
    never: Mutex<Vec<String>>,
}

/// Who comes, and how many.
pub(super) struct Party<'a> {
    pub(super) kinds: &'a [&'static dyn Rude],
    /// Visits at once.
    pub(super) threads: usize,
    pub(super) size: Size,
}

/// How many clients of a kind come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// A number that the seed decides, up to what the kind has at most, for a few seconds.
    Seeded,
    /// As many as the kind has, until all is over.
    Full,
    /// [`CROWD`] of them, until all is over.
    Crowd,
}

/// Clients of a crowd.
const CROWD: usize = 2000;

/// The time that one rude client has.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    scene: &'a Scene,
    pub(super) random: Random,
    until: Instant,
    size: Size,
    /// Its own address of the loopback network: each has ports of its own.
    source: Ipv4Addr,
}

impl Scene {
    pub(super) fn new(
        line: SocketAddr,
        resp: SocketAddr,
        stocks: usize,
        growth_max: usize,
    ) -> Scene {
        Scene {
            line,
            resp,
            stocks,
            growth_max,
            over: AtomicBool::new(false),
            serial: AtomicU64::new(0),
            grown: AtomicU64::new(0),
            never: Mutex::new(Vec::new()),
        }
    }

    /// Lets rude clients in while something runs. They have gone when this returns.
    pub(super) fn beside<T>(
        &self,
        party: &Party<'_>,
        random: &mut Random,
        meanwhile: impl FnOnce() -> T,
    ) -> T {
        self.over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            for _ in 0..party.threads {
                let random = random.fork();
                scope.spawn(|| self.be_rude(party, random));
            }
            let _over = Over(&self.over);
            meanwhile()
        })
    }

    /// What one thread does: one visit after the other.
    fn be_rude(&self, party: &Party<'_>, mut random: Random) {
        // Those whose latency is measured, and the server, go first: what is looked for is how long
        // the server makes others wait, not how the system shares its processors.
        let _ = setpriority_process(None, 10);
        while !self.over.load(Ordering::Relaxed) {
            let kind = random.pick(party.kinds);
            let time = match party.size {
                Size::Seeded => Duration::from_millis(random.between(300, VISIT_MS_MAX) as u64),
                Size::Full | Size::Crowd => Duration::from_secs(3600),
            };
            let host = |random: &mut Random| random.between(2, 250) as u8;
            let source = Ipv4Addr::new(127, host(&mut random), host(&mut random), 1);
            let until = Instant::now() + time;
            let (size, visitor) = (party.size, random.fork());
            let mut visit = Visit { scene: self, random: visitor, until, size, source };
            let _ = kind.act(&mut visit);
            visit.rest(Duration::from_millis(random.between(1, 200) as u64));
        }
    }

    /// Names that must not be listed.
    pub(super) fn never(&self) -> Vec<String> {
        self.never.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Ends the visits when it is dropped, however what ran beside them ended.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Visit<'_> {
    pub(super) fn goes_on(&self) -> bool {
        !self.scene.over.load(Ordering::Relaxed) && Instant::now() < self.until
    }

    /// How many clients come of a kind: a tenth of its most at least.
    pub(super) fn clients(&mut self, all: usize) -> usize {
        if self.size == Size::Crowd { CROWD } else { self.count(all) }
    }

    /// How many of something else there are.
    pub(super) fn count(&mut self, all: usize) -> usize {
        match self.size {
            Size::Seeded => self.random.between(all.div_ceil(10), all),
            Size::Full | Size::Crowd => all,
        }
    }

    /// A stock that is listed.
    pub(super) fn stock(&mut self) -> String {
        format!("S{:07}", self.random.below(self.scene.stocks))
    }

    /// A number that no other client gets.
    pub(super) fn serial(&self) -> u64 {
        self.scene.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether this number of further stocks may be listed and stay.
    pub(super) fn may_grow(&self, by: u64) -> bool {
        let grown = self.scene.grown.fetch_add(by, Ordering::Relaxed);
        grown < self.scene.growth_max as u64
    }

    /// A new name that must not become a stock, whatever is sent.
    pub(super) fn never(&self, what: &str) -> String {
        let symbol = format!("NEVER.{what}{}", self.serial());
        let mut never = self.scene.never.lock().unwrap_or_else(PoisonError::into_inner);
        if never.len() < NEVER_MAX {
            never.push(symbol.clone());
        }
        symbol
    }

    /// Waits, but not beyond the end of the visit.
    pub(super) fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.scene.over.load(Ordering::Relaxed) {
            thread::sleep(RETRY.max(time.min(Duration::from_millis(10))));
        }
    }

    pub(super) fn resp(&self) -> io::Result<RudeClient> {
        RudeClient::connect(self.source, self.scene.resp)
    }

    /// Several at once; fewer where the visit or the system's files end before.
    pub(super) fn resp_clients(&self, count: usize) -> io::Result<Vec<RudeClient>> {
        let mut clients = vec![self.resp()?];
        while clients.len() < count && self.goes_on() {
            match self.resp() {
                Ok(client) => clients.push(client),
                Err(_) => break,
            }
        }
        Ok(clients)
    }

    /// A client of either protocol.
    pub(super) fn either(&mut self) -> io::Result<RudeClient> {
        let address = *self.random.pick(&[self.scene.line, self.scene.resp]);
        RudeClient::connect(self.source, address)
    }
}

/// A connection of a rude client, which never blocks.
#[derive(Debug)]
pub(super) struct RudeClient(TcpStream);

impl RudeClient {
    fn connect(source: Ipv4Addr, address: SocketAddr) -> io::Result<RudeClient> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&address.into(), CONNECT_TIMEOUT)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        Ok(RudeClient(socket.into()))
    }

    /// Sends as much as the server takes now, and says how much that was.
    pub(super) fn offer(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// Sends everything and reads nothing.
    pub(super) fn push(&mut self, visit: &Visit<'_>, bytes: &[u8]) -> io::Result<()> {
        self.send(visit, bytes, false)
    }

    /// Sends everything and throws away what is answered meanwhile.
    pub(super) fn exchange(&mut self, visit: &Visit<'_>, bytes: &[u8]) -> io::Result<()> {
        self.send(visit, bytes, true)
    }

    fn send(&mut self, visit: &Visit<'_>, mut bytes: &[u8], drains: bool) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = self.offer(bytes)?;
            bytes = &bytes[sent..];
            let drained = if drains { self.drain()? } else { 0 };
            if !visit.goes_on() {
                return Err(ErrorKind::TimedOut.into());
            }
            if sent + drained == 0 {
                thread::sleep(RETRY);
            }
        }
        Ok(())
    }

    /// Throws away what has come, up to [`DRAINS_MAX`] reads of it, and says how much that was.
    ///
    /// # Errors
    ///
    /// When the server has closed.
    pub(super) fn drain(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 64 * 1024];
        let mut drained = 0;
        for _ in 0..DRAINS_MAX {
            match self.0.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => drained += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(drained)
    }

    /// Throws away what comes until nothing more has for this time.
    pub(super) fn drain_until_quiet(
        &mut self,
        visit: &Visit<'_>,
        quiet: Duration,
    ) -> io::Result<()> {
        let mut latest = Instant::now();
        while visit.goes_on() && latest.elapsed() < quiet {
            match self.drain()? {
                0 => thread::sleep(RETRY),
                _ => latest = Instant::now(),
            }
        }
        Ok(())
    }

    /// Leaves with a reset, whatever is under way.
    pub(super) fn reset(self) {
        let _ = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }
}
