//! The one place where a [`Request`](stockd_model::Request) becomes a
//! [`Reply`](stockd_model::Reply), and the one door to the catalog.
//!
//! Every way in (the line protocol, RESP, embedded use) executes its requests here, so that they
//! mean the same everywhere. Each use is made with an [`Access`], which says what the client may
//! do. The engine knows the catalog, the store and the wall clock; it knows nothing of connections
//! or bytes.
//!
//! An engine is in memory alone ([`Engine::new`]), where each thread does its own writes; or
//! [durable](Engine::durable), where the committer does all of them. A thread that must not wait
//! for the disk hands its writes over with a [`WriteHandle`].
//!
//! Invariant: in a durable engine with [`Sync::Always`] what can be seen has been committed, and what
//! was acknowledged is kept.
//!
//! ```
//! use std::sync::Arc;
//! use stockd_engine::{Access, Engine};
//! use stockd_model::{Fields, Reply, Request, Symbol};
//!
//! let engine = Arc::new(Engine::default());
//! let mut executor = engine.executor();
//! let mut batch = executor.batch(&Access::All);
//!
//! let apple: Symbol = "AAPL".parse()?;
//! let fields = Fields { price: "172.50".parse()?, volume: "100".parse()?, ..Fields::default() };
//! assert!(matches!(batch.execute(&Request::Set(apple, fields)), Reply::Listed(_)));
//!
//! let Reply::Found(quote) = batch.execute(&Request::Lookup(Ok(apple))) else { panic!("listed") };
//! assert_eq!(quote.price, "172.5".parse().ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod access;
mod checkpointer;
mod cluster_report;
mod commit_record;
mod committer;
mod counters;
mod decide;
mod engine;
mod execute;
mod feed;
mod feeding;
mod freshness;
mod gate;
mod grower;
mod inbox;
mod market;
#[cfg(all(test, loom))]
mod models;
mod overlay;
mod read_only;
mod replica;
mod role;
mod rounds;
mod saved;
mod snapshot;
mod sources;
mod sync;
mod transaction;
mod write_queue;

pub use cluster_report::ClusterReport;
pub use commit_record::{COMMIT_TIMES_US, CommitReport};
pub use committer::{CloseError, CommitRole};
pub use counters::Totals;
pub use engine::Engine;
pub use execute::{Batch, Executor};
pub use feed::{
    Budget, Directory, Ended, Feed, Framed, Message, NotSubscribed, Progress, Standing,
    SubscriberId,
};
pub use feeding::FeedHandle;
pub use market::now_ns;
#[cfg(feature = "simulation")]
pub use overlay::Trap;
pub use replica::{Hash, Holdings, Interrupter, Pending, Replica, ReplicaFault, Replicated};
pub use rounds::Sync;
pub use saved::SnapshotEnded;
pub use snapshot::Snapshot;
pub use sources::{FeedReport, NotOpened, Opening};
pub use stockd_access::Access;
pub use stockd_catalog::{Catalog, Page};
pub use transaction::{Outcome, Transaction};
pub use write_queue::{Answered, ReplyTo, WriteHandle};
