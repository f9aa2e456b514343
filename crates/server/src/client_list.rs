//! Every open connection, for those who ask who is connected.
//!
//! A connection's worker writes its [`ClientInfo`], any thread reads it. The list is locked when a
//! connection comes, goes or is asked for; never while one is served.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use socket2::Socket;
use stockd_access::Authority;
use stockd_model::Address;
use stockd_wire::resp::{ClientFilter, ClientKind, CommandId, Kill, command_name};

use crate::cell::Cell;
use crate::endings::Ending;
use crate::endpoint::Protocol;

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct ClientList {
    clients: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    latest: AtomicU64,
}

/// What others may know of one connection. What few of them have is apart: an idle connection is to take little
/// memory.
#[derive(Debug)]
pub(crate) struct ClientInfo {
    /// Unlike any other connection's since the server was started.
    pub(crate) id: u64,
    peer: Address,
    /// Whom the peer speaks for, where it is a proxy that says so.
    source: OnceLock<Box<Address>>,
    /// Where it has come to, if that is an address of IP, and its file.
    local: Option<SocketAddr>,
    file: i32,
    /// The worker that serves it, by its number from 0.
    worker: Option<usize>,
    /// How others close it.
    ending: Option<Ending>,
    pub(crate) protocol: Protocol,
    since: Instant,
    /// None before it has said any.
    names: Mutex<Option<Box<Names>>>,
    /// Which user it is, where there is an access file.
    user: Mutex<Option<Box<str>>>,
    /// When it last sent something: milliseconds since it came.
    active_ms: Cell,
    /// Bytes of requests that are not answered yet.
    pub(crate) requests: Cell,
    /// Bytes of replies and messages that wait for the client.
    pub(crate) unsent: Cell,
    /// Bytes of memory for those, and the most that there ever were.
    pub(crate) replies: Cell,
    pub(crate) replies_peak: Cell,
    /// Symbols whose quote it has still to be told.
    pub(crate) marks: Cell,
    /// Messages that it was told, and those that it was spared.
    pub(crate) messages: Cell,
    pub(crate) conflated: Cell,
    /// Symbols it is subscribed to.
    pub(crate) symbols: Cell,
    /// Patterns it is subscribed to.
    pub(crate) patterns: Cell,
    /// Bytes that it holds.
    pub(crate) memory: Cell,
    pub(crate) conversation: Conversed,
}

/// What the conversation of a connection tells of itself.
#[derive(Debug, Default)]
pub(crate) struct Conversed {
    /// One more than the number of the last command, or 0.
    pub(crate) command: Cell,
    /// One more than the number of commands that are queued in a transaction, or 0.
    pub(crate) queued: Cell,
    /// Bytes of those.
    pub(crate) queued_bytes: Cell,
    /// Stocks that are watched for a transaction.
    pub(crate) watched: Cell,
    /// Bytes that hold what the client calls itself.
    pub(crate) names_bytes: Cell,
    /// 1 where reads are tracked, 2 where all changes of some prefixes are told.
    pub(crate) tracking: Cell,
    /// 1 where RESP3 is spoken.
    pub(crate) is_resp3: Cell,
}

/// What a client calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) client: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
}

/// What a connection is served with.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    pub(crate) worker: usize,
    pub(crate) socket: &'a Socket,
    pub(crate) ending: Ending,
}

/// What every client is called where there is no access file.
const USER: &str = "default";

/// Which connections are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    All,
    Kind(ClientKind),
    Ids(Vec<u64>),
}

/// Which connections are closed: those of which all that is given here holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killed {
    id: Option<u64>,
    address: Option<Vec<u8>>,
    local: Option<Vec<u8>>,
    kind: Option<ClientKind>,
    user: Option<Vec<u8>>,
    age_min: Option<u64>,
}

impl Killed {
    /// Those that a command is about; `None` where there is no such user.
    pub(crate) fn new(kill: &Kill<'_>, authority: &Authority) -> Option<Killed> {
        let Kill { id, address, local, kind, user, age_min, skips_own: _, counts: _ } = *kill;
        let (address, local) = (address.map(<[u8]>::to_vec), local.map(<[u8]>::to_vec));
        let is_known = user.is_none_or(|user| match authority.file() {
            None => user == USER.as_bytes(),
            Some(file) => str::from_utf8(user).is_ok_and(|user| file.user(user).is_some()),
        });
        let user = user.map(<[u8]>::to_vec);
        is_known.then_some(Killed { id, address, local, kind, user, age_min })
    }

    /// The numbers that they may have, up to this one where nothing says more.
    pub(crate) fn numbers(&self, last: u64) -> RangeInclusive<u64> {
        self.id.map_or(0..=last, |id| id..=id)
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        [&self.address, &self.local, &self.user].into_iter().flatten().map(Vec::capacity).sum()
    }

    fn has(&self, client: &ClientInfo, now: Instant) -> bool {
        let (address, local) = client.places();
        self.id.is_none_or(|id| id == client.id)
            && self.address.as_ref().is_none_or(|own| own == address.as_bytes())
            && self.local.as_ref().is_none_or(|own| own == local.as_bytes())
            && self.kind.is_none_or(|kind| client.is(kind))
            && self.user.as_ref().is_none_or(|own| *own == client.user().as_bytes())
            && self.age_min.is_none_or(|secs| client.age(now).as_secs() >= secs)
    }
}

impl From<&ClientFilter<'_>> for Listed {
    fn from(filter: &ClientFilter<'_>) -> Listed {
        match *filter {
            ClientFilter::All => Listed::All,
            ClientFilter::Kind(kind) => Listed::Kind(kind),
            ClientFilter::Ids(ids) => {
                let number = |id| std::str::from_utf8(id).ok()?.parse().ok();
                Listed::Ids(ids.filter_map(number).collect())
            }
        }
    }
}

impl Listed {
    fn has(&self, client: &ClientInfo) -> bool {
        match self {
            Listed::All => true,
            Listed::Kind(kind) => client.is(*kind),
            Listed::Ids(ids) => ids.contains(&client.id),
        }
    }
}

impl ClientList {
    /// Enters a connection, and what it is served with, if that is known.
    pub(crate) fn enter(
        &self,
        peer: Address,
        protocol: Protocol,
        since: Instant,
        served: Option<Served<'_>>,
    ) -> Arc<ClientInfo> {
        let socket = served.as_ref().map(|served| served.socket);
        let local = socket.and_then(|socket| socket.local_addr().ok()?.as_socket());
        let info = Arc::new(ClientInfo {
            id: self.latest.fetch_add(1, Ordering::Relaxed) + 1,
            peer,
            source: OnceLock::new(),
            local,
            file: socket.map_or(-1, |socket| socket.as_raw_fd()),
            worker: served.as_ref().map(|served| served.worker),
            ending: served.map(|served| served.ending),
            protocol,
            since,
            names: Mutex::default(),
            user: Mutex::default(),
            active_ms: Cell::default(),
            requests: Cell::default(),
            unsent: Cell::default(),
            replies: Cell::default(),
            replies_peak: Cell::default(),
            marks: Cell::default(),
            messages: Cell::default(),
            conflated: Cell::default(),
            symbols: Cell::default(),
            patterns: Cell::default(),
            memory: Cell::default(),
            conversation: Conversed::default(),
        });
        self.lock().insert(info.id, Arc::clone(&info));
        info
    }

    pub(crate) fn leave(&self, info: &ClientInfo) {
        self.lock().remove(&info.id);
    }

    /// The number of the connection that came last.
    pub(crate) fn latest(&self) -> u64 {
        self.latest.load(Ordering::Relaxed)
    }

    /// Looks at the first `count` connections with these numbers, in the order they came, and appends a
    /// line for each that is to be listed. Returns the last that was looked at, or `None` where there was
    /// none.
    pub(crate) fn write_lines(
        &self,
        numbers: RangeInclusive<u64>,
        count: usize,
        listed: &Listed,
        now: Instant,
        lines: &mut String,
    ) -> Option<u64> {
        // Written when the lock is released: connections come and go meanwhile.
        let mut next = self.next(*numbers.start(), count);
        next.retain(|info| numbers.contains(&info.id));
        for info in next.iter().filter(|info| listed.has(info)) {
            info.write_line(now, lines);
        }
        next.last().map(|info| info.id)
    }

    /// Looks at the first `count` connections with these numbers, but for one that is not to be closed, and has
    /// those closed that are to be. Returns how many they are, and the last that was looked at, or `None` where
    /// there was none.
    pub(crate) fn kill(
        &self,
        numbers: RangeInclusive<u64>,
        count: usize,
        killed: &Killed,
        spared: u64,
        now: Instant,
    ) -> (u64, Option<u64>) {
        let next: Vec<_> =
            self.lock().range(numbers).take(count).map(|(_, it)| it.clone()).collect();
        let is_killed = |info: &&Arc<ClientInfo>| {
            let has_asked = || info.ending.as_ref().is_some_and(Ending::ask);
            info.id != spared && killed.has(info, now) && has_asked()
        };
        let count = next.iter().filter(is_killed).count() as u64;
        (count, next.last().map(|info| info.id))
    }

    /// The first few connections with numbers from this one on, in the order they came.
    pub(crate) fn next(&self, from: u64, count: usize) -> Vec<Arc<ClientInfo>> {
        self.lock().range(from..).take(count).map(|(_, it)| Arc::clone(it)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ClientInfo>>> {
        // Entries come and go whole, so a poisoned lock holds good ones.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientInfo {
    /// What the client calls itself.
    pub(crate) fn names(&self) -> Names {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.as_deref().cloned().unwrap_or_default()
    }

    /// Notes which command it has given last.
    #[inline]
    pub(crate) fn note_command(&self, command: CommandId) {
        self.conversation.command.set(command.index() as u64 + 1);
    }

    /// Changes what the client calls itself.
    pub(crate) fn rename(&self, change: impl FnOnce(&mut Names)) {
        let mut kept = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = kept.take().unwrap_or_default();
        change(&mut names);
        if *names == Names::default() {
            return self.conversation.names_bytes.set(0);
        }
        let Names { client, library, library_version } = &*names;
        let texts = client.capacity() + library.capacity() + library_version.capacity();
        self.conversation.names_bytes.set((size_of::<Names>() + texts) as u64);
        *kept = Some(names);
    }

    /// Which user it is, if there are any.
    pub(crate) fn user(&self) -> Box<str> {
        let user = self.user.lock().unwrap_or_else(PoisonError::into_inner);
        user.clone().unwrap_or_else(|| USER.into())
    }

    /// The same, where there is an access file and it is known.
    pub(crate) fn known_user(&self) -> Option<String> {
        let user = self.user.lock().unwrap_or_else(PoisonError::into_inner);
        user.as_deref().map(str::to_owned)
    }

    /// Notes which user it has turned out to be, if there are any.
    pub(crate) fn set_user(&self, user: Option<&str>) {
        *self.user.lock().unwrap_or_else(PoisonError::into_inner) = user.map(Box::from);
    }

    /// Where it comes from; of a Unix socket that is the socket that it came to.
    pub(crate) fn peer(&self) -> &Address {
        self.source.get().map_or(&self.peer, |source| &**source)
    }

    /// Its peer is a proxy, which has said where the client comes from.
    pub(crate) fn speaks_for(&self, source: Address) {
        let _ = self.source.set(Box::new(source));
    }

    /// How long it has been connected, and how long it has sent nothing.
    pub(crate) fn age_and_idle(&self, now: Instant) -> (Duration, Duration) {
        let age = now.saturating_duration_since(self.since);
        (age, age.saturating_sub(Duration::from_millis(self.active_ms.get())))
    }

    /// It has sent something.
    #[inline]
    pub(crate) fn note_active(&self, now: Instant) {
        self.active_ms.set(now.saturating_duration_since(self.since).as_millis() as u64);
    }

    fn is_subscriber(&self) -> bool {
        self.symbols.get() + self.patterns.get() > 0
    }

    fn is(&self, kind: ClientKind) -> bool {
        match kind {
            ClientKind::Normal => !self.is_subscriber(),
            ClientKind::Subscribed => self.is_subscriber(),
            ClientKind::Peer => false,
        }
    }

    /// How long it has been open.
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Where it comes from and where it has come to, as Redis writes them.
    fn places(&self) -> (String, String) {
        match (self.peer(), &self.local) {
            (Address::Tcp(peer), Some(local)) => (peer.to_string(), local.to_string()),
            (Address::Tcp(peer) | Address::Tls { address: peer, .. }, _) => {
                (peer.to_string(), String::new())
            }
            (Address::Unix(path), _) => {
                (format!("{}:0", path.display()), format!("{}:0", path.display()))
            }
        }
    }

    /// Whether all that is given holds of this connection.
    pub(crate) fn is_killed_by(&self, killed: &Killed, now: Instant) -> bool {
        killed.has(self, now)
    }

    /// The connection in the words of Redis, and in three of ours: symbols to be told of are `marks`, and
    /// `worker` is the thread that serves it.
    pub(crate) fn write_line(&self, now: Instant, lines: &mut String) {
        let ClientInfo { id, protocol, file, .. } = self;
        let Conversed { command, queued, queued_bytes, watched, is_resp3, names_bytes, tracking } =
            &self.conversation;
        let (peer, local) = self.places();
        let (age, idle) = self.age_and_idle(now);
        let Names { client, library, library_version } = self.names();
        let user = self.user();
        let unsent = self.unsent.get();
        let flags = self.flags();
        let worker = self.worker.map_or(-1, |worker| worker as i64);
        let is_waiting = u8::from(unsent > 0);
        let command = command_name(command.get().wrapping_sub(1) as usize).unwrap_or("NULL");
        let written = writeln!(
            lines,
            "id={id} addr={peer} laddr={local} fd={file} name={client} age={} idle={} flags={flags} \
             db=0 sub={} psub={} ssub=0 multi={} watch={} qbuf={} qbuf-free=0 argv-mem=0 multi-mem={} \
             rbs={} rbp={} obl=0 oll={is_waiting} omem={unsent} tot-mem={} events={} cmd={command} \
             user={user} redir={} resp={} lib-name={library} lib-ver={library_version} marks={} \
             protocol={protocol} worker={worker}",
            age.as_secs(),
            idle.as_secs(),
            self.symbols.get(),
            self.patterns.get(),
            queued.get() as i64 - 1,
            watched.get(),
            self.requests.get().saturating_sub(queued_bytes.get() + names_bytes.get()),
            queued_bytes.get(),
            self.replies.get(),
            self.replies_peak.get(),
            self.memory.get(),
            if unsent > 0 { "rw" } else { "r" },
            if tracking.get() > 0 { 0 } else { -1 },
            2 + is_resp3.get(),
            self.marks.get(),
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }

    /// As Redis writes them: a letter for each thing that the connection is, `N` for nothing.
    fn flags(&self) -> String {
        let flags = [
            (self.is_subscriber(), 'P'),
            (self.conversation.queued.get() > 0, 'x'),
            (self.conversation.tracking.get() > 0, 't'),
            (self.conversation.tracking.get() == 2, 'B'),
            (matches!(self.peer, Address::Unix(_)), 'U'),
        ];
        let flags: String =
            flags.into_iter().filter_map(|(has, flag)| has.then_some(flag)).collect();
        if flags.is_empty() { "N".to_owned() } else { flags }
    }
}
