//! Looks at a cluster from outside, for tests and runs of faults.
//!
//! ```text
//!   clients ── calls ──▶ History ──▶ linearizable: is there one order that explains every answer?
//!                           │
//!                           └──────▶ audit: does the log say the same?  ◀── Truth ◀── the log, read by Nats
//! ```
//!
//! It shares no code with what it judges, but for the codec of messages and the values in them: the rule of sessions and what
//! a command does are written here once more, as docs/cluster.md has them.
//!
//! The calls that it understands are few: clients read one stock, take shares of it and set its price, and each write has
//! a number of shares or a price that no other write has. So every write can be found in the log, and
//! nearly every answer says where in the order it belongs.

#![forbid(unsafe_code)]

mod audit;
mod history;
mod linearizable;
mod nats;
mod random;
mod truth;

pub use audit::audit;
pub use history::{Ask, Call, History, Shown, State, Told};
pub use linearizable::{Violation, across_nodes, check, through_node};
pub use nats::{Message, Nats};
pub use random::Random;
pub use truth::{Effect, Truth};
