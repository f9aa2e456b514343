//! The load generator of stockd: sends requests to a server, as fast as it answers or at a given
//! rate, and measures how long the answers take.
//!
//! It speaks stockd's line protocol, RESP (so Redis and similar servers, too), memcached's, HTTP/1.1, HTTP/2,
//! WebSocket and gRPC. Two ways to ask:
//!
//! - **Closed loop.** Each connection has a batch of requests in flight and sends the next when it
//!   is answered. This finds a server's highest throughput. Its latencies hide stalls: while the
//!   server stalls, no request is sent, so none is slow.
//! - **Open loop.** Requests come at a fixed rate, as from many clients, and the latency of each
//!   counts from when it was *due*. A stall delays every request that is due during it, so it
//!   shows.
//!
//! One thread is one readiness loop with its own connections, histograms and random numbers;
//! threads share the prepared requests, which are read-only:
//!
//! ```text
//!   plan ── stocks, codec ──▶ workload (shared)
//!                                │
//!   run ──▶ driver 0 … driver N: pacer ─▶ connection ─▶ conversation ─▶ figures
//!    │                                                              │
//!    ├── process (CPU time of the server) ────▶ report ◀────────────┘
//!    └── disturbance (what others took) ──────────┘
//! ```
//!
//! Everything that decides what is measured (`pacer`, `ledger`, `figures`, `chance`, `codec`) is
//! pure: it takes times and bytes as arguments, and is tested without a clock.
//!
//! Bounds: requests in flight, bytes that wait, and threads are bounded in `stockd_model::limits`
//! (`LOAD_…`). Requests that an open loop cannot send within these bounds stay in the schedule and
//! count as late.

#![forbid(unsafe_code)]
// What the protocols of the feature use is left where it stands, and not used without it.
#![cfg_attr(not(feature = "web"), allow(dead_code, unused_variables, clippy::ptr_arg))]

mod alarm;
mod chance;
mod clock;
mod codec;
mod connection;
mod conversation;
mod counts;
mod dialogue;
mod disturbance;
mod driver;
mod error;
mod figures;
#[cfg(feature = "web")]
mod http2;
mod ledger;
mod opening;
mod pacer;
mod peer;
mod process;
pub mod report;
mod run;
mod stocks;
mod subscribers;
mod target;
mod workload;

pub use codec::{Caller, Protocol, WriteWith};
pub use counts::Counts;
pub use dialogue::{fill, names_of, record};
pub use disturbance::Disturbance;
pub use error::LoadError;
pub use figures::Figures;
pub use pacer::Arrivals;
pub use process::{Machine, ServerProcess};
pub use run::{Audience, Course, Extent, Load, Outcome, Progress, run};
pub use stocks::Texts;
pub use subscribers::Carrier;
pub use target::Target;
pub use workload::{Expected, Mix, Workload};
