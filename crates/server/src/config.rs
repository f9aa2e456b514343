use std::fmt;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::IoEngine;
use stockd_model::Address;
use stockd_model::limits::{CONNECTIONS_MAX, STALLED_CLIENT_TIMEOUT};

/// What a [`Server`](crate::Server) listens on and how much it takes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen, at least one address.
    pub listeners: Vec<Listener>,
    /// Worker threads, 1 to [`WORKERS_MAX`](stockd_model::limits::WORKERS_MAX). By default one
    /// for each core.
    pub workers: usize,
    /// How workers reach their sockets.
    pub engine: IoEngine,
    /// Workers look again and again instead of waiting to be woken: quicker for few connections, at
    /// the price of a busy core each. Off by default.
    pub spin: bool,
    /// Connections open at once, at least 1. The limit of open files may lower it at the start, over
    /// io_uring only with few workers; see [`raise_file_limit`](crate::raise_file_limit).
    pub connections_max: usize,
    /// A connection on which no byte came or went for this long is closed. `None`, the default,
    /// keeps it for ever. Checked about once a second.
    pub idle_timeout: Option<Duration>,
    /// A client that has taken none of its waiting replies for this long is closed. Checked
    /// about once a second.
    pub stalled_timeout: Duration,
}

/// One address to listen on, and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The protocol of its connections.
    pub protocol: Protocol,
    /// The address. Port 0 takes a free one;
    /// [`Server::addresses`](crate::Server::addresses) tells which. The file of a Unix socket is made
    /// at the start, in place of one that a server which is gone has left, and removed at the end.
    pub address: Address,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// A symbol a line in, a price a line out: [`stockd_wire::line`].
    Line,
    /// The commands of Redis: [`stockd_wire::resp`].
    Resp,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listeners: Vec::new(),
            workers: available_parallelism().map_or(1, usize::from),
            engine: IoEngine::Auto,
            spin: false,
            connections_max: CONNECTIONS_MAX,
            idle_timeout: None,
            stalled_timeout: STALLED_CLIENT_TIMEOUT,
        }
    }
}

impl Protocol {
    /// The name of the protocol, also that of its setting: `line` or `resp`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Line => "line",
            Protocol::Resp => "resp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
