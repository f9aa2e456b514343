//! Every open connection, for those who ask who is connected.
//!
//! A connection's worker writes its [`ClientInfo`], any thread reads it. The list is locked when a
//! connection comes, goes or is asked for; never while one is served.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use stockd_model::Address;

use crate::endpoint::Protocol;
use crate::metrics::Cell;

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct ClientList {
    clients: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    latest: AtomicU64,
}

/// What others may know of one connection.
#[derive(Debug)]
pub(crate) struct ClientInfo {
    /// Unlike any other connection's since the server was started.
    pub(crate) id: u64,
    peer: Address,
    /// Whom the peer speaks for, where it is a proxy that says so.
    source: OnceLock<Address>,
    pub(crate) protocol: Protocol,
    since: Instant,
    names: Mutex<Names>,
    /// Bytes of replies and messages that wait for the client.
    pub(crate) unsent: Cell,
    /// Symbols whose quote it has still to be told.
    pub(crate) marks: Cell,
    /// Symbols and patterns it is subscribed to.
    pub(crate) subscriptions: Cell,
    /// Bytes that it holds.
    pub(crate) memory: Cell,
}

/// What a client calls itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) client: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
}

impl ClientList {
    pub(crate) fn enter(
        &self,
        peer: Address,
        protocol: Protocol,
        since: Instant,
    ) -> Arc<ClientInfo> {
        let info = Arc::new(ClientInfo {
            id: self.latest.fetch_add(1, Ordering::Relaxed) + 1,
            peer,
            source: OnceLock::new(),
            protocol,
            since,
            names: Mutex::default(),
            unsent: Cell::default(),
            marks: Cell::default(),
            subscriptions: Cell::default(),
            memory: Cell::default(),
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

    /// Appends a line for each of the first `count` connections with these numbers, in the order they
    /// came. Returns the last of them, or `None` where there was none.
    pub(crate) fn write_lines(
        &self,
        numbers: RangeInclusive<u64>,
        count: usize,
        now: Instant,
        lines: &mut String,
    ) -> Option<u64> {
        // Written when the lock is released: connections come and go meanwhile.
        let next: Vec<_> =
            self.lock().range(numbers).take(count).map(|(_, it)| it.clone()).collect();
        for info in &next {
            info.write_line(now, lines);
        }
        next.last().map(|info| info.id)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ClientInfo>>> {
        // Entries come and go whole, so a poisoned lock holds good ones.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientInfo {
    /// What the client calls itself.
    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it comes from; of a Unix socket that is the socket that it came to.
    pub(crate) fn peer(&self) -> &Address {
        self.source.get().unwrap_or(&self.peer)
    }

    /// Its peer is a proxy, which has said where the client comes from.
    pub(crate) fn speaks_for(&self, source: Address) {
        let _ = self.source.set(source);
    }

    /// The connection in the words of Redis: bytes that wait are `omem`, all that it holds is
    /// `tot-mem`, subscriptions `sub`; and in one of ours: symbols to be told of are `marks`.
    pub(crate) fn write_line(&self, now: Instant, lines: &mut String) {
        let ClientInfo { id, protocol, .. } = self;
        let peer = match self.peer() {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("{}:0", path.display()),
        };
        let age = now.saturating_duration_since(self.since).as_secs();
        let Names { client, library, library_version } = self.names().clone();
        let (unsent, marks) = (self.unsent.get(), self.marks.get());
        let (subscriptions, memory) = (self.subscriptions.get(), self.memory.get());
        let written = writeln!(
            lines,
            "id={id} addr={peer} name={client} age={age} db=0 sub={subscriptions} omem={unsent} \
             tot-mem={memory} marks={marks} protocol={protocol} lib-name={library} lib-ver={library_version}"
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
}
