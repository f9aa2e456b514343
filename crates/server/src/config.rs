//! What a server listens on and how much it takes on.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::available_parallelism;
use std::time::Duration;

use stockd_access::Authority;
use stockd_model::limits::{
    CONNECTIONS_MAX, REQUEST_TIMEOUT, STALLED_CLIENT_TIMEOUT, UNREAD_REPLIES_MAX,
};

use crate::{Endpoint, default_memory_max};

/// What a [`Server`](crate::Server) listens on and how much it takes on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; without an address it serves no clients, and other planes may.
    pub endpoints: Vec<Endpoint>,
    /// Worker threads, 1 to [`WORKERS_MAX`](stockd_model::limits::WORKERS_MAX). By default one
    /// for each core.
    pub workers: usize,
    /// Workers look again and again instead of waiting to be woken: quicker for few connections, at
    /// the price of a busy core each. Off by default.
    pub spin: bool,
    /// Connections open at once, at least 1. The limit of open files may lower it at the start; see
    /// [`raise_file_limit`](crate::raise_file_limit).
    pub connections_max: usize,
    /// Open files that other parts of the process may need at once, beside
    /// [`FILES_RESERVED`](stockd_model::limits::FILES_RESERVED).
    pub files_reserved: usize,
    /// A connection on which no byte came or went for this long is closed. `None`, the default,
    /// keeps it for ever. Checked about once a second.
    pub idle_timeout: Option<Duration>,
    /// A client that has taken none of its waiting replies for this long is closed. Checked
    /// about once a second.
    pub stalled_timeout: Duration,
    /// A client that has sent a part of a request and not the rest of it for this long is told so
    /// and closed. Checked about once a second. The handshake of TLS has to end in this time, too, and in
    /// [`TLS_HANDSHAKE_TIMEOUT`](stockd_model::limits::TLS_HANDSHAKE_TIMEOUT).
    pub request_timeout: Duration,
    /// Bytes that all connections hold together, at least
    /// [`MEMORY_FLOOR`](stockd_model::limits::MEMORY_FLOOR): unread replies, half requests,
    /// subscriptions, replies that are being made. Close to it commands that would take more are
    /// refused, above it the connections that hold the most are closed.
    pub memory_max: usize,
    /// Bytes of replies that all clients together may leave unread beyond
    /// [`OUTPUT_BYTES_MAX`](stockd_model::limits::OUTPUT_BYTES_MAX) each, at most a
    /// quarter of `memory_max`. With 0 each has that and no more.
    pub unread_replies_max: usize,
    /// Who clients are and what they may do. By default there is no access file, and all may do
    /// everything.
    pub authority: Arc<Authority>,
    /// How many endpoints others can reach although they protect nothing. The metrics show it.
    pub insecure_listeners: u64,
    /// Lines of the log that were lost, counted by the thread that writes it. The metrics show it.
    pub log_lines_lost: Arc<AtomicU64>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            endpoints: Vec::new(),
            workers: available_parallelism().map_or(1, usize::from),
            spin: false,
            connections_max: CONNECTIONS_MAX,
            files_reserved: 0,
            idle_timeout: None,
            stalled_timeout: STALLED_CLIENT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            memory_max: default_memory_max(),
            unread_replies_max: UNREAD_REPLIES_MAX,
            authority: Arc::default(),
            insecure_listeners: 0,
            log_lines_lost: Arc::default(),
        }
    }
}
