//! Whose clients end their requests without a newline.
//!
//! A client that sends a name and waits is answered when it has been silent for a moment, since the
//! rest of its name may be on its way. One whose host has sent such requests before waits for less.
//! This is a table of hosts by their hash: bounded, without locks, and wrong at times, when two hosts
//! share a place. What it says decides how long is waited, never what is answered.
//!
//! Invariant: a host is in its own place or in none.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use foldhash::fast::RandomState;
use stockd_model::Address;
use stockd_model::limits::UNTERMINATED_PEERS_MAX;

/// The hosts, by hash; 0 in places without one.
#[derive(Debug)]
pub(crate) struct UnterminatedPeers {
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for UnterminatedPeers {
    fn default() -> UnterminatedPeers {
        let places = (0..UNTERMINATED_PEERS_MAX).map(|_| AtomicU64::new(0)).collect();
        UnterminatedPeers { places, hasher: RandomState::default() }
    }
}

impl UnterminatedPeers {
    /// Whether the latest client of this host was unterminated, as far as is known.
    pub(crate) fn knows(&self, peer: &Address) -> bool {
        let (place, host) = self.place(peer);
        place.load(Relaxed) == host
    }

    /// A client of this host is unterminated.
    pub(crate) fn remember(&self, peer: &Address) {
        let (place, host) = self.place(peer);
        place.store(host, Relaxed);
    }

    /// A client of this host speaks in lines.
    pub(crate) fn forget(&self, peer: &Address) {
        let (place, host) = self.place(peer);
        if place.load(Relaxed) == host {
            place.store(0, Relaxed);
        }
    }

    fn place(&self, peer: &Address) -> (&AtomicU64, u64) {
        let mut hasher = self.hasher.build_hasher();
        match peer {
            // Every connection of a host has a port of its own.
            Address::Tcp(address) | Address::Tls { address, .. } => address.ip().hash(&mut hasher),
            Address::Unix(path) => path.hash(&mut hasher),
        }
        let host = hasher.finish() | 1;
        let index = (host >> 32) as usize % self.places.len();
        (&self.places[index], host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u32, port: u16) -> Address {
        Address::Tcp((std::net::Ipv4Addr::from(host), port).into())
    }

    #[test]
    fn a_host_is_known_by_its_latest_client() {
        let peers = UnterminatedPeers::default();
        assert!(!peers.knows(&peer(1, 1)));
        peers.remember(&peer(1, 1));
        assert!(peers.knows(&peer(1, 2)) && !peers.knows(&peer(2, 1)));
        peers.forget(&peer(2, 1));
        assert!(peers.knows(&peer(1, 2)));
        peers.forget(&peer(1, 3));
        assert!(!peers.knows(&peer(1, 1)));
    }

    #[test]
    fn any_number_of_hosts_takes_the_same_room() {
        let peers = UnterminatedPeers::default();
        let hosts = 10 * UNTERMINATED_PEERS_MAX as u32;
        (0..hosts).for_each(|host| peers.remember(&peer(host, 1)));
        let known = (0..hosts).filter(|&host| peers.knows(&peer(host, 1))).count();
        assert!((1..=UNTERMINATED_PEERS_MAX).contains(&known), "{known}");
    }
}
