//! The one place where a [`Request`](stockd_model::Request) becomes a [`Reply`](stockd_model::Reply).
//!
//! Every way in, the line protocol, embedded use and whatever comes later, executes its requests
//! here, so that they all mean the same. The engine knows the catalog, the store and the wall clock;
//! it knows nothing of connections or bytes.
//!
//! An engine is in memory alone, [`Engine::new`], where each thread does its own writes; or
//! [durable](Engine::durable), where the journal does all of them and a thread that must not wait
//! hands them over with a [`Writer`].
//!
//! ```
//! use std::sync::Arc;
//! use stockd_engine::Engine;
//! use stockd_model::{Fields, Reply, Request, Symbol};
//!
//! let engine = Arc::new(Engine::default());
//! let mut executor = engine.executor();
//! let mut batch = executor.batch();
//!
//! let apple: Symbol = "AAPL".parse()?;
//! let fields = Fields { price: Some("172.50".parse()?), volume: Some("100".parse()?), status: None };
//! assert!(matches!(batch.execute(&Request::Set(apple, fields)), Reply::Listed(_)));
//!
//! let Reply::Found(quote) = batch.execute(&Request::Lookup(Ok(apple))) else { panic!("listed") };
//! assert_eq!(quote.price.to_string(), "172.5");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod counters;
mod decide;
mod execute;
mod feed;
mod inbox;
mod journal;
#[cfg(all(test, loom))]
mod models;
mod snapshot;
mod sync;
mod writer;

pub use counters::Totals;
pub use execute::{Batch, Engine, Executor, now_ns};
pub use feed::{Budget, Feed, Message, Progress, SubscriberId, TooManySubscriptions, Watcher};
pub use journal::{JournalReport, Sync};
pub use snapshot::Snapshot;
pub use stockd_catalog::Catalog;
pub use writer::{Tag, Writer};
