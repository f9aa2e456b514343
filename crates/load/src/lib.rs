//! The load generator of stockd: asks a server as fast, or as often, as it is told, and measures how
//! long the answers take.
//!
//! It speaks stockd's line protocol, RESP (so Redis and its like, too) and memcached's. Two ways to
//! ask:
//!
//! - **Closed loop.** Each connection has a batch of requests under way and sends the next when it is
//!   answered. It finds what a server can do. Its latencies hide stalls: while the server stands
//!   still, nothing is asked, so nothing is slow.
//! - **Open loop.** Requests come at a rate of their own, as from many clients, and each counts from
//!   when it was *due*. A stall makes every request late that would have come meanwhile, and shows.
//!
//! One thread is one readiness loop with its own connections, histograms and chance; threads share
//! the prepared requests, which nobody writes:
//!
//! ```text
//!   plan ── stocks, codec ──▶ workload (shared)
//!                                │
//!   run ──▶ driver 0 … driver N: pacer ─▶ connection ─▶ ledger ─▶ figures
//!    │                                                              │
//!    └── process (CPU time of the server) ────▶ report ◀────────────┘
//! ```
//!
//! Everything that decides what is measured (`pacer`, `ledger`, `figures`, `chance`, `codec`) is pure:
//! it is told times and bytes, and tested without a clock.
//!
//! Bounds: requests under way, bytes that wait, and threads are bounded in `stockd_model::limits`
//! (`LOAD_…`). What an open loop cannot send for them stays in the schedule and counts as late.

#![forbid(unsafe_code)]

mod alarm;
mod chance;
mod clock;
mod codec;
mod connection;
mod counts;
mod dialogue;
mod driver;
mod error;
mod figures;
mod ledger;
mod pacer;
mod process;
pub mod report;
mod run;
mod stocks;
mod subscribers;
mod target;
mod workload;

pub use codec::{Protocol, WriteWith};
pub use counts::Counts;
pub use dialogue::{fill, names_of, record};
pub use error::LoadError;
pub use figures::Figures;
pub use pacer::Arrivals;
pub use process::{Machine, ServerProcess};
pub use run::{Course, Extent, Load, Outcome, Progress, run};
pub use stocks::Texts;
pub use target::Target;
pub use workload::{Expected, Mix, Workload};
