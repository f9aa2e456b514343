//! The service plane of stockd: HTTP, streams, gRPC and metrics, on tokio, beside the data plane and over the same
//! engine.
//!
//! A [`WebServer`] owns a runtime of a few threads, its listeners and all that is spoken there. It reaches the engine
//! through one door and knows nothing of the line protocol and RESP; of the data plane it sees what an
//! [`Observer`](stockd_server::Observer) tells.
//!
//! ```text
//!   socket ── connection.rs: bounds in time, few unsent bytes
//!     │
//!   hyper ── exchange.rs: HTTP/1.1, HTTP/2         HTTP_HEAD_BYTES_MAX, HTTP2_STREAMS_MAX
//!     │      direct.rs: a plain lookup, without the routes
//!     │      long_response.rs: a stream of events over HTTP/1.1, without hyper
//!     │
//!   guard.rs ── host, origin, length, number       HTTP_URI_BYTES_MAX, HTTP_REQUESTS_MAX
//!     │         caller.rs: who it is
//!     │         arrival.rs: time for the body  HTTP_REQUEST_TIMEOUT
//!   routes.rs ─┬─ quotes.rs, snapshot.rs           HTTP_LOOKUP_NAMES_MAX, SNAPSHOTS_MAX
//!              ├─ writes.rs                        HTTP_BODY_BYTES_MAX, HTTP_BODIES_BYTES_MAX
//!              ├─ streams.rs ── stream             Config::streams_max
//!              ├─ alpaca.rs, cs677.rs ── orders    ORDERS_WAITING_MAX
//!              ├─ health.rs, metrics.rs, state.rs
//!              └─ dashboard.rs                     the page at /, which uses the others
//!     │
//!   door.rs ── engine: reads and writes in memory at once, others by the committer
//! ```
//!
//! # What a client can rely on
//!
//! - A write is answered when it is kept, and is refused whole or done whole. One that the disk does not answer in time is
//!   `uncertain`, never refused.
//! - A stream's last message about a stock is its latest quote; a slow reader gets fewer quotes, and newer ones.
//! - Everything that a client can make the server hold or do is bounded, and a bound that is reached is said.
//! - When the server stops, streams say goodbye, and what was asked is answered.
//!
//! # Threads
//!
//! Nothing here blocks a thread of the runtime: the locks ([`std::sync::Mutex`]) are held for a bounded piece of work,
//! and a request that waits for the disk waits as a task. A task that has much to do yields.

#![forbid(unsafe_code)]

mod accept;
mod alpaca;
mod arrival;
mod asyncapi;
#[cfg(test)]
mod autobahn;
mod body;
mod caller;
mod config;
mod connection;
mod cors;
mod cs677;
mod dashboard;
mod direct;
#[cfg(test)]
mod documents;
mod door;
#[cfg(test)]
mod echo;
mod etag;
mod exchange;
mod facade;
mod fields;
mod grpc;
mod guard;
mod health;
mod latencies;
mod lent;
mod long_response;
mod lookup;
mod metrics;
mod openapi;
mod orders;
mod plane;
mod query;
mod quotes;
mod refused;
mod responses;
mod routes;
mod schema;
mod segments;
mod server;
mod session;
mod snapshot;
mod state;
mod stream;
mod streams;
mod trace;
mod unsent;
mod writes;

pub use config::{Config, Patience};
pub use orders::check::{OrdersCheck, OrdersReport};
pub use server::{StartError, WebServer};
