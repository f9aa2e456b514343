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
//! [`Node`] is all of it without I/O and clock. The engine knows nothing of logs, and no other crate of NATS.

#![forbid(unsafe_code)]

mod chain;
mod log_state;
mod node;
mod origin;
mod sessions;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traps;
mod votes;

pub use log_state::Fault;
pub use node::{Closed, Effect, Event, Node, NodeOptions, NodeStatus, Now};
pub use origin::Outgoing;
