//! The loads under which servers are compared, and the goals that they are compared for.

use super::peer::Peer;

/// One load, and the servers that it is for.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) connections: usize,
    pub(super) pipeline: usize,
    /// Names of one lookup.
    pub(super) mget: usize,
    /// Share of requests that write, in percent.
    pub(super) updates: usize,
    pub(super) stocks: usize,
    pub(super) keeps: Keeps,
    /// Whether subscribers are told of updates, and nothing is looked up.
    pub(super) fan_out: Option<FanOut>,
    /// Whether one client writes all the time beside the load, waiting for the disk each time.
    pub(super) beside_writer: bool,
    /// The others are compared with the first.
    pub(super) peers: &'static [Peer],
}

/// What servers keep of their stocks on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Nothing,
    /// A write is acknowledged when it is there.
    EachWrite,
    /// What was written is there a second later.
    EachSecond,
}

/// One publisher, and subscribers who are told of all of it.
pub(super) struct FanOut {
    /// Each wants every stock of the scenario.
    pub(super) subscribers: usize,
    /// Updates a second, spread over all stocks.
    pub(super) rate: usize,
}

const LOOKUPS: Scenario = Scenario {
    name: "",
    connections: 50,
    pipeline: 1,
    mget: 1,
    updates: 0,
    stocks: 10_000,
    keeps: Keeps::Nothing,
    fan_out: None,
    beside_writer: false,
    peers: &[],
};

/// Lookups over the line protocol, beside an echo server, which shows the cost of sockets alone.
const LINE: &[Peer] = &[Peer::ECHO, Peer::LINE, Peer::THREAD_PER_CONNECTION];

/// Lookups, each server in its own protocol.
const CACHES: &[Peer] =
    &[Peer::REDIS, Peer::RESP, Peer::MEMCACHED, Peer::VALKEY, Peer::POGOCACHE, Peer::DRAGONFLY];

/// Lookups over TCP and over Unix sockets.
const LINE_UNIX: &[Peer] = &[Peer::LINE, Peer::LINE.over_unix()];

const GET_UNIX: &[Peer] =
    &[Peer::RESP, Peer::RESP.over_unix(), Peer::REDIS, Peer::REDIS.over_unix()];

/// Both load generators on both servers.
const GENERATORS: &[Peer] =
    &[Peer::REDIS, Peer::REDIS.by_redis_benchmark(), Peer::RESP, Peer::RESP.by_redis_benchmark()];

const DURABLE: &[Peer] = &[Peer::REDIS, Peer::RESP];

const PUBLISHERS: &[Peer] = &[Peer::REDIS, Peer::RESP, Peer::NATS];

const fn fan_out(name: &'static str, subscribers: usize, rate: usize) -> Scenario {
    let fan_out = Some(FanOut { subscribers, rate });
    Scenario { name, stocks: 100, fan_out, peers: PUBLISHERS, ..LOOKUPS }
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "line 50x1", peers: LINE, ..LOOKUPS },
    Scenario { name: "line 50x16", pipeline: 16, peers: LINE, ..LOOKUPS },
    Scenario { name: "line 8x256", connections: 8, pipeline: 256, peers: LINE, ..LOOKUPS },
    // As many names at once as in an MGET: what sockets alone cost it.
    Scenario { name: "line 50x100", pipeline: 100, peers: LINE, ..LOOKUPS },
    Scenario {
        name: "line 10x1 textbook",
        connections: 10,
        peers: &[Peer::LINE, Peer::THREAD_PER_CONNECTION, Peer::PYTHON_THREAD_POOL],
        ..LOOKUPS
    },
    Scenario { name: "get 50x1", peers: CACHES, ..LOOKUPS },
    Scenario { name: "get 50x16", pipeline: 16, peers: CACHES, ..LOOKUPS },
    Scenario { name: "get 8x256", connections: 8, pipeline: 256, peers: CACHES, ..LOOKUPS },
    Scenario { name: "unix line 1x1", connections: 1, peers: LINE_UNIX, ..LOOKUPS },
    Scenario { name: "unix line 50x1", peers: LINE_UNIX, ..LOOKUPS },
    Scenario { name: "unix get 1x1", connections: 1, peers: GET_UNIX, ..LOOKUPS },
    Scenario { name: "unix get 50x1", peers: GET_UNIX, ..LOOKUPS },
    Scenario {
        name: "mget 50x1 of 100",
        mget: 100,
        peers: &[Peer::REDIS, Peer::RESP, Peer::VALKEY],
        ..LOOKUPS
    },
    Scenario { name: "mget 50x16 of 100", pipeline: 16, mget: 100, peers: GENERATORS, ..LOOKUPS },
    Scenario { name: "redis-benchmark 50x1", peers: GENERATORS, ..LOOKUPS },
    Scenario { name: "redis-benchmark 50x16", pipeline: 16, peers: GENERATORS, ..LOOKUPS },
    Scenario {
        name: "redis-benchmark 8x256",
        connections: 8,
        pipeline: 256,
        peers: GENERATORS,
        ..LOOKUPS
    },
    Scenario {
        name: "get 8x256 of 1 M stocks",
        connections: 8,
        pipeline: 256,
        stocks: 1_000_000,
        peers: &[Peer::REDIS, Peer::RESP],
        ..LOOKUPS
    },
    Scenario {
        name: "durable updates 1x1",
        connections: 1,
        updates: 100,
        keeps: Keeps::EachWrite,
        peers: DURABLE,
        ..LOOKUPS
    },
    Scenario {
        name: "durable updates 16x1",
        connections: 16,
        updates: 100,
        keeps: Keeps::EachWrite,
        peers: DURABLE,
        ..LOOKUPS
    },
    Scenario {
        name: "durable updates 256x1",
        connections: 256,
        updates: 100,
        keeps: Keeps::EachWrite,
        peers: DURABLE,
        ..LOOKUPS
    },
    Scenario {
        name: "durable updates 256x16",
        connections: 256,
        pipeline: 16,
        updates: 100,
        keeps: Keeps::EachWrite,
        peers: DURABLE,
        ..LOOKUPS
    },
    Scenario {
        name: "updates kept each second 256x1",
        connections: 256,
        updates: 100,
        keeps: Keeps::EachSecond,
        peers: DURABLE,
        ..LOOKUPS
    },
    Scenario {
        name: "updates kept each second 256x16",
        connections: 256,
        pipeline: 16,
        updates: 100,
        keeps: Keeps::EachSecond,
        peers: DURABLE,
        ..LOOKUPS
    },
    Scenario {
        name: "lookups, disk idle",
        keeps: Keeps::EachWrite,
        peers: &[Peer::RESP, Peer::REDIS],
        ..LOOKUPS
    },
    Scenario {
        name: "lookups, disk busy",
        keeps: Keeps::EachWrite,
        beside_writer: true,
        peers: &[Peer::RESP, Peer::REDIS],
        ..LOOKUPS
    },
    fan_out("fan-out to 1 at 2,000", 1, 2_000),
    fan_out("fan-out to 1 at 20,000", 1, 20_000),
    fan_out("fan-out to 10 at 2,000", 10, 2_000),
    fan_out("fan-out to 10 at 20,000", 10, 20_000),
    fan_out("fan-out to 100 at 2,000", 100, 2_000),
    fan_out("fan-out to 100 at 20,000", 100, 20_000),
    fan_out("fan-out to 1,000 at 2,000", 1_000, 2_000),
    fan_out("fan-out to 1,000 at 20,000", 1_000, 20_000),
];

/// Loads of different size, drawn as curves.
pub(super) struct Sweep {
    pub(super) name: &'static str,
    /// What changes, and to what, as `stockd load --sweep` takes it.
    pub(super) values: &'static str,
}

pub(super) const SWEEPS: &[Sweep] = &[
    Sweep { name: "clients", values: "connections=1,2,4,8,16,32,64,128,256,512" },
    Sweep { name: "rates", values: "rate=10000,20000,40000,60000,80000,100000,120000" },
];

/// The servers that are drawn.
pub(super) const SWEPT: &[Peer] = &[Peer::RESP, Peer::REDIS, Peer::MEMCACHED];

/// The load that all sweeps begin from.
pub(super) const SWEPT_LOAD: Scenario = Scenario { name: "sweeps", peers: SWEPT, ..LOOKUPS };

impl Scenario {
    /// What is counted.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Scenario { fan_out: Some(_), .. } => "message",
            Scenario { updates: 100, .. } => "write",
            _ => "lookup",
        }
    }
}

/// What a goal is about.
#[derive(Clone, Copy)]
pub(super) enum Measure {
    /// CPU time of the server for each lookup: the lower the better.
    Cpu,
    /// Lookups a second: the higher the better.
    Rate,
}

/// A ratio of two servers, each under a load, and its bound.
pub(super) struct Goal {
    pub(super) measure: Measure,
    pub(super) of: (Peer, &'static str),
    pub(super) to: (Peer, &'static str),
    /// At most this for CPU, at least this for a rate.
    pub(super) bound: f64,
}

const fn cpu(peer: Peer, scenario: &'static str, to: Peer, bound: f64) -> Goal {
    Goal { measure: Measure::Cpu, of: (peer, scenario), to: (to, scenario), bound }
}

const fn rate(peer: Peer, scenario: &'static str, to: Peer, bound: f64) -> Goal {
    Goal { measure: Measure::Rate, of: (peer, scenario), to: (to, scenario), bound }
}

/// The goals of the project that show in these scenarios.
pub(super) const GOALS: &[Goal] = &[
    cpu(Peer::LINE, "line 50x1", Peer::ECHO, 1.05),
    cpu(Peer::LINE, "line 50x16", Peer::ECHO, 1.12),
    rate(Peer::RESP, "get 50x16", Peer::REDIS, 2.2),
    rate(Peer::RESP, "get 50x16", Peer::MEMCACHED, 2.2),
    rate(Peer::RESP, "get 50x16", Peer::POGOCACHE, 1.4),
    rate(Peer::RESP, "get 8x256", Peer::REDIS, 6.0),
    rate(Peer::RESP, "get 8x256", Peer::POGOCACHE, 4.0),
    cpu(Peer::RESP, "mget 50x1 of 100", Peer::REDIS, 1.0 / 3.0),
    cpu(Peer::RESP, "mget 50x16 of 100", Peer::REDIS, 0.3),
    Goal {
        measure: Measure::Cpu,
        of: (Peer::RESP, "get 8x256 of 1 M stocks"),
        to: (Peer::RESP, "get 8x256"),
        bound: 2.5,
    },
    rate(Peer::RESP, "durable updates 1x1", Peer::REDIS, 1.2),
    cpu(Peer::RESP, "durable updates 1x1", Peer::REDIS, 0.9),
    rate(Peer::RESP, "durable updates 16x1", Peer::REDIS, 1.2),
    cpu(Peer::RESP, "durable updates 16x1", Peer::REDIS, 0.9),
    rate(Peer::RESP, "durable updates 256x1", Peer::REDIS, 1.2),
    cpu(Peer::RESP, "durable updates 256x1", Peer::REDIS, 0.9),
    rate(Peer::RESP, "durable updates 256x16", Peer::REDIS, 1.2),
    cpu(Peer::RESP, "durable updates 256x16", Peer::REDIS, 0.9),
    Goal {
        measure: Measure::Rate,
        of: (Peer::RESP, "lookups, disk busy"),
        to: (Peer::RESP, "lookups, disk idle"),
        bound: 0.9,
    },
    cpu(Peer::RESP, "fan-out to 100 at 2,000", Peer::REDIS, 0.8),
    cpu(Peer::RESP, "fan-out to 100 at 2,000", Peer::NATS, 0.4),
    cpu(Peer::RESP, "fan-out to 100 at 20,000", Peer::REDIS, 0.8),
    cpu(Peer::RESP, "fan-out to 100 at 20,000", Peer::NATS, 0.4),
    cpu(Peer::RESP, "fan-out to 1,000 at 2,000", Peer::REDIS, 0.8),
    cpu(Peer::RESP, "fan-out to 1,000 at 2,000", Peer::NATS, 0.4),
    cpu(Peer::RESP, "fan-out to 1,000 at 20,000", Peer::REDIS, 0.8),
    cpu(Peer::RESP, "fan-out to 1,000 at 20,000", Peer::NATS, 0.4),
];
