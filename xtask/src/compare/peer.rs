//! The servers that are compared: which there are, how each is reached and who asks it.

use anyhow::Result;

use crate::packages;

/// A server, how it is reached, and who asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) program: Program,
    /// Whether it listens on a Unix socket.
    pub(super) unix: bool,
    /// Whether redis-benchmark asks it, and not `stockd load`.
    pub(super) by_redis_benchmark: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// A bare echo server, one thread: what sockets cost alone.
    Echo,
    StockdLine,
    StockdResp,
    Redis,
    Memcached,
    Valkey,
    Pogocache,
    Dragonfly,
    /// A blocking server with a thread for each connection.
    ThreadPerConnection,
    /// A pool of ten threads in Python: the textbook.
    PythonThreadPool,
}

/// Installs the peers that Debian has, where that is possible.
pub(super) fn install() -> Result<()> {
    packages::install(&[
        ("redis-server", "redis-server"),
        ("redis-benchmark", "redis-tools"),
        ("memcached", "memcached"),
        ("taskset", "util-linux"),
        ("python3", "python3"),
    ])
}

impl Peer {
    pub(super) const ECHO: Peer = Peer::of(Program::Echo);
    pub(super) const LINE: Peer = Peer::of(Program::StockdLine);
    pub(super) const RESP: Peer = Peer::of(Program::StockdResp);
    pub(super) const REDIS: Peer = Peer::of(Program::Redis);
    pub(super) const MEMCACHED: Peer = Peer::of(Program::Memcached);
    pub(super) const VALKEY: Peer = Peer::of(Program::Valkey);
    pub(super) const POGOCACHE: Peer = Peer::of(Program::Pogocache);
    pub(super) const DRAGONFLY: Peer = Peer::of(Program::Dragonfly);
    pub(super) const THREAD_PER_CONNECTION: Peer = Peer::of(Program::ThreadPerConnection);
    pub(super) const PYTHON_THREAD_POOL: Peer = Peer::of(Program::PythonThreadPool);

    const fn of(program: Program) -> Peer {
        Peer { program, unix: false, by_redis_benchmark: false }
    }

    pub(super) const fn over_unix(self) -> Peer {
        Peer { unix: true, ..self }
    }

    pub(super) const fn by_redis_benchmark(self) -> Peer {
        Peer { by_redis_benchmark: true, ..self }
    }

    pub(super) fn name(self) -> String {
        let program = match self.program {
            Program::Echo => "bare echo",
            Program::StockdLine | Program::StockdResp => "stockd",
            Program::Redis => "Redis",
            Program::Memcached => "memcached, mg",
            Program::Valkey => "Valkey",
            Program::Pogocache => "Pogocache, 1 thread",
            Program::Dragonfly => "Dragonfly, 1 thread",
            Program::ThreadPerConnection => "a thread a connection",
            Program::PythonThreadPool => "Python, 10 threads",
        };
        let socket = if self.unix { ", Unix" } else { "" };
        let generator = if self.by_redis_benchmark { ", by redis-benchmark" } else { "" };
        [program, socket, generator].concat()
    }

    /// How the load generator speaks with it.
    pub(super) fn protocol(self) -> &'static [&'static str] {
        match self.program {
            Program::Echo
            | Program::StockdLine
            | Program::ThreadPerConnection
            | Program::PythonThreadPool => &["--protocol", "line"],
            Program::StockdResp => &["--protocol", "resp"],
            Program::Redis | Program::Valkey | Program::Pogocache | Program::Dragonfly => {
                &["--protocol", "resp", "--fill-with", "set"]
            }
            Program::Memcached => &["--protocol", "memcached", "--memcached-meta"],
        }
    }

    /// Whether the load generator has to give it its stocks.
    pub(super) fn wants_filling(self) -> bool {
        self.protocol().contains(&"--fill-with") || self.program == Program::Memcached
    }
}
