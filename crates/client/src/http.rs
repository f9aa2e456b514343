//! An asynchronous client, over HTTP, for programs on [tokio](https://tokio.rs).
//!
//! ```
//! # use std::sync::Arc;
//! # use stockd_engine::Engine;
//! # #[tokio::main(flavor = "multi_thread", worker_threads = 1)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let engine = Arc::new(Engine::default());
//! # let server = stockd_server::Server::start(Default::default(), Arc::clone(&engine))?;
//! # let http = vec!["127.0.0.1:0".parse()?];
//! # let config = stockd_web::Config { http, ..Default::default() };
//! # let web = stockd_web::WebServer::start(config, engine, server.observer())?;
//! # let address = web.endpoints()[0].1.clone();
//! use stockd_client::Fields;
//! use stockd_client::http::{Client, Condition, Event, WatchRequest};
//!
//! let client = Client::new(address); // "127.0.0.1:7880", or "tls:…" or "unix:…"
//! let apple = "AAPL".parse()?;
//! let fields = |price: &str| price.parse().map(|price| Fields { price, ..Fields::default() });
//! let listed = client.list(apple, fields("172.50")?, Condition::Unlisted).await?;
//! let mut watch = client.watch(WatchRequest { symbols: vec![apple], ..Default::default() }).await?;
//! client.update(apple, fields("173")?, Condition::Unchanged(listed.etag)).await?;
//! loop {
//!     match watch.next().await {
//!         Event::Quote(quote) if quote.price == "173".parse().ok() => break,
//!         Event::Disconnected { reason, .. } => eprintln!("{reason}; connecting again"),
//!         _ => {}
//!     }
//! }
//! # drop(watch);
//! # drop(client);
//! # tokio::task::spawn_blocking(move || web.shutdown(std::time::Instant::now())).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] asks: [`lookup`](Client::lookup), [`quotes`](Client::quotes), [`list`](Client::list),
//! [`update`](Client::update), [`trade`](Client::trade), [`snapshot`](Client::snapshot) and more. Each request has a
//! deadline; writes can have a [`Condition`]; and an [`Error`] has the server's reason. A [`Watch`] follows quotes through
//! lost connections, and says where it may have missed something.
//!
//! ```text
//!   client.rs ── pool.rs ── connector.rs ── socket, TLS        requests: connections are kept and shared
//!   watch.rs ─────────────┘                                    live quotes: a connection each
//!     └ events.rs: bytes to events, ../told.rs: what is new    pure
//!   body.rs: what requests say, reply.rs: what answers mean    pure
//! ```
//!
//! It speaks HTTP/1.1 and Server-Sent Events (docs/decisions/029-async-client.md says why). Invariant: as everywhere in
//! this crate, an answer belongs to the request that it is returned for.

mod body;
mod client;
mod connector;
mod error;
mod etag;
mod events;
mod listing;
mod pool;
mod reply;
mod watch;

pub use client::Client;
pub use error::{Error, Refused};
pub use etag::{Condition, ETag, ETagError, Tagged};
pub use listing::{Browse, Pages, Snapshot};
pub use reply::Found;
pub use watch::{Event, Watch, WatchRequest};

pub use crate::told::Continuity;
