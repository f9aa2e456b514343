//! Beyond one machine: nodes that follow and write one ordered log.
//!
//! ```text
//!   clients ─▶ engine ─asked─▶ Node ─ batches ─▶ ┌─────────────┐
//!                ▲              │                │ the log:    │ ordered, replicated and kept
//!                └──decided─────┤ ◀─ messages ── │ JetStream   │ by others
//!                               └─ time          └─────────────┘
//! ```
//!
//! Every node holds the whole catalog and answers lookups from its own memory. What its clients write becomes batches
//! of commands in one log, and every node decides the same commands in the same order; so they hold the same quotes, to the
//! last bit, without asking each other. docs/cluster.md says what may be relied on and draws the messages byte by
//! byte.
//!
//! [`Node`] is all of it without I/O and clock; [`Cluster`] runs one, on two threads. The engine knows nothing of logs, and no other
//! crate of NATS.

#![forbid(unsafe_code)]

mod chain;
mod cluster;
mod deliveries;
mod event;
mod joining;
mod keeper;
mod link;
mod log_state;
mod monitor;
mod nats;
mod node;
mod options;
mod origin;
mod place;
mod recover;
mod round;
mod sessions;
mod snapshot;
mod status;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traps;
mod verify;
mod votes;

pub use cluster::Cluster;
pub use event::{Effect, Event, Now, Taken};
pub use joining::Joining;
pub use log_state::Fault;
pub use monitor::{Syncing, look_at_syncing};
pub use nats::api::LogInfo;
pub use node::{Node, NodeOptions};
pub use options::{ClusterError, ClusterName, ClusterOptions};
pub use origin::Outgoing;
pub use recover::{Recovery, recover};
pub use status::{Closed, NodeStatus};
pub use stream::{
    NATS_CONFIGURATION, StreamOptions, StreamReport, look_at_stream, make_stream, mirror_stream,
};
pub use verify::{Verification, verify};

/// Hashes the bytes of a quote, the same on every machine.
pub fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
