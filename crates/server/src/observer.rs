//! What a running server tells other planes of the same process, and what they tell it: how it is, who is
//! connected, and the memory that their own connections hold.
//!
//! It knows nothing of how that is shown. Invariant: looking holds up no worker.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockd_access::Authority;
use stockd_model::Address;

use crate::client_list::ClientInfo;
use crate::endpoint::Protocol;
use crate::pool::Pool;
use crate::process;
use crate::server_state::ServerState;
use crate::{Metrics, system_memory};

/// A view of a running [`Server`](crate::Server). Cheap to clone; it keeps nothing running.
#[derive(Clone, Debug)]
pub struct Observer {
    state: Arc<ServerState>,
    pool: Arc<Pool>,
}

/// One connection, as it is at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// Unlike any other connection's since the server was started.
    pub id: u64,
    /// Where it comes from; of a Unix socket that is the socket that it came to.
    pub peer: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// What it calls itself; empty unless it does.
    pub name: String,
    /// Which user it is, where there is an access file.
    pub user: Option<String>,
    /// How long it has been connected.
    pub age: Duration,
    /// How long it has sent nothing.
    pub idle: Duration,
    /// Symbols that it is subscribed to.
    pub symbols: u64,
    /// Patterns that it is subscribed to.
    pub patterns: u64,
    /// Symbols of which it has still to be told.
    pub marks: u64,
    /// Messages that it was told as a subscriber.
    pub messages: u64,
    /// Messages that it was spared because a newer quote took their place.
    pub conflated: u64,
    /// Bytes of replies and messages that wait for it.
    pub unsent_bytes: u64,
    /// Bytes of memory that it holds.
    pub memory_bytes: u64,
}

/// Memory that connections of another plane hold, counted with that of all. Given back when it is dropped.
#[derive(Debug)]
pub struct Holding {
    state: Arc<ServerState>,
    bytes: usize,
}

impl Observer {
    pub(crate) fn new(state: Arc<ServerState>, pool: Arc<Pool>) -> Observer {
        Observer { state, pool }
    }

    /// What the server has done so far and what it holds now.
    pub fn metrics(&self) -> Metrics {
        self.state.metrics()
    }

    /// Who says who clients are.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.state.authority
    }

    /// Notes that a wrong token was shown from this address, over whatever protocol. Returns whether the answer is
    /// to wait.
    pub fn note_failed_attempt(&self, address: Option<IpAddr>) -> bool {
        self.state.failed_attempts.note(address, Instant::now())
    }

    /// For how long one of its workers has not passed although it was asked to, by an earlier call of this. Asks all of
    /// them again.
    pub fn longest_silence(&self, now: Instant) -> Duration {
        self.pool.take_pulse(now)
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.state.started
    }

    /// Requests a second of late, over all its protocols.
    pub fn requests_per_second(&self, now: Instant) -> u64 {
        self.state.rates.per_second(now, (&self.state.metrics()).into()).requests
    }

    /// The first few connections with numbers from this one on, in the order they came.
    pub fn clients(&self, from: u64, count: usize, now: Instant) -> Vec<Client> {
        self.state.clients.next(from, count).iter().map(|info| client(info, now)).collect()
    }

    /// Whether connections hold so much memory that what would take more is to be refused.
    pub fn memory_is_scarce(&self) -> bool {
        self.state.memory.is_scarce()
    }

    /// Counts memory that another plane holds, 0 bytes at first.
    pub fn holding(&self) -> Holding {
        Holding { state: Arc::clone(&self.state), bytes: 0 }
    }

    /// Memory of the process that is in use, in bytes, where the system tells.
    pub fn resident_bytes(&self) -> Option<usize> {
        process::resident_bytes().map(|resident| resident.now)
    }

    /// Memory of the machine in bytes, where the system tells.
    pub fn system_bytes(&self) -> Option<usize> {
        system_memory::total_system_memory()
    }

    /// Processor time that the process has used, in seconds, where the system tells.
    pub fn cpu_seconds(&self) -> Option<f64> {
        process::cpu_seconds().map(|seconds| seconds.user + seconds.system)
    }
}

impl Holding {
    /// It is this number of bytes now.
    pub fn set(&mut self, bytes: usize) {
        self.state.memory.change_outside(self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.set(0);
    }
}

fn client(info: &ClientInfo, now: Instant) -> Client {
    let (age, idle) = info.age_and_idle(now);
    Client {
        id: info.id,
        peer: info.peer().clone(),
        protocol: info.protocol,
        name: info.names().client,
        user: info.known_user(),
        age,
        idle,
        symbols: info.symbols.get(),
        patterns: info.patterns.get(),
        marks: info.marks.get(),
        messages: info.messages.get(),
        conflated: info.conflated.get(),
        unsent_bytes: info.unsent.get(),
        memory_bytes: info.memory.get(),
    }
}
