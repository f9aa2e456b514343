//! The data plane of stockd: listener → work queue → worker pool, on std threads, over mio.
//!
//! A [`Server`] owns sockets and the threads that serve them. It knows what bytes mean only
//! through `stockd-wire` and what is answered only through `stockd-engine`. A fixed number of
//! threads serves any number of clients.
//!
//! ```text
//!               clients
//!                  │ connect                               bounds (all in stockd_model::limits)
//!   ┌──────────────▼──────────────┐
//!   │ kernel: backlog             │                        ACCEPT_BACKLOG a listener
//!   └──────────────┬──────────────┘
//!   ┌──────────────▼──────────────┐   one too many: told why and closed
//!   │ stockd-acceptor             ├──────────────────►     Config::connections_max
//!   │ listener.rs, admission.rs   │
//!   └──────────────┬──────────────┘
//!            push  │ wakes the worker with the fewest connections
//!   ┌──────────────▼──────────────┐   full for 100 ms: told why and closed
//!   │ work queue     queue.rs     ├──────────────────►     WORK_QUEUE_MAX, WORK_QUEUE_PATIENCE
//!   └───┬─────────────────────┬───┘
//!       │ takes its share     │       pool.rs              TAKES_PER_PASS
//!   ┌───▼─────────────┐   ┌───▼─────────────┐
//!   │ stockd-worker-0 │ … │ stockd-worker-N │              WORKERS_MAX
//!   └───┬─────────────┘   └─────────────────┘
//!       │ worker.rs: wait (reactor.rs, EVENTS_MAX), then
//!       │ turn_queue.rs: a short turn for each quick one,   QUICK_WORK, QUICK_READ_BYTES
//!       │ then turns of heavy ones for a slice of time:     TURN_WORK, READ_BYTES_MAX;
//!       │                                                   HEAVY_SLICE_MIN to HEAVY_SLICE_MAX
//!       │   read once into the worker's buffer
//!       │    → session.rs, wire: bytes to requests          UNDECODED_BYTES_MAX kept of half a request,
//!       │                                                   for Config::request_timeout
//!       │    → engine: requests to replies
//!       │    → encoded into the worker's reply buffer
//!       │    → write once; what is left waits in output.rs  OUTPUT_BYTES_MAX, then reading stops
//!       │    → what is left of a long command is a walk, for the next turn
//!       ▼
//!    the next connection's turn; then the feed (FEED_TIDY_WORK), timeouts (SWEEP_CONNECTIONS,
//!    CLOSES_PER_PASS) and memory: what all connections hold, Config::memory_max
//! ```
//!
//! # What a client can rely on
//!
//! - Its requests are answered in the order it sent them, each once.
//! - While it asks little it has a turn in every pass of its worker, and waits for one short turn of each
//!   neighbour like it and one slice of those that ask much. Those have their turns in order; each does a
//!   bounded piece of work, whatever is asked.
//! - What it does, sends or fails to read cannot make the server hold more than a bounded number
//!   of bytes for it, nor end any connection but its own. All connections together are bounded
//!   too (`memory.rs`): when they hold too much, those that hold the most are closed.
//! - When it closes its direction, or the server is [shut down](Server::shutdown), every request
//!   received before that is answered, and the connection ends without a reset.
//!
//! - A write is answered when the engine has it on the disk, if it keeps it there. Until then what the
//!   client asked behind it waits too, up to PARKED_REQUESTS_MAX requests; other clients do not, but for
//!   a moment where their worker commits itself: SEAT_LOOK_INTERVAL, twice.
//!
//! # Costs
//!
//! A connection that is idle holds no buffer: less than a KiB. A request that is served costs
//! one read and one write, shared by all that arrived with it; one wait, shared by all connections
//! that were ready; and one clock reading a wakeup. No lock is taken and nothing is allocated.
//!
//! # Two kinds of socket
//!
//! A listener is of TCP or a Unix socket ([`Address`](stockd_model::Address)). From the accepted socket on
//! they are the same. A Unix socket has a file, which `socket_file.rs` looks after.
//!
//! # Order of atomics and locks
//!
//! The lock of the work queue is held to push or to take, and nothing else is locked under it. Writes
//! of a durable engine go through the two locks of its committer in the same way, and a worker that commits them
//! itself lies under the lock of its seat meanwhile: docs/concurrency.md has them. Who shares what:
//!
//! | shared | written by | read by | order, and why that is enough |
//! |---|---|---|---|
//! | work queue | acceptor, workers | the same | the lock |
//! | its length beside the lock | who holds the lock | workers, metrics | relaxed: a hint. Who sees an old one is woken, or looks again in its next turn |
//! | connections of each worker | that worker | acceptor, workers, metrics | relaxed: they choose whom to wake. They grow under the lock together with the taking, so that the shares add up |
//! | memory of all connections | workers | workers, metrics | relaxed: a sum that moves by read-modify-write. Who reads an old one refuses or closes a little later |
//! | open connections (permits) | acceptor, workers | acceptor, metrics | relaxed: a count that nothing else hangs on; it moves by read-modify-write, so none is lost |
//! | counters | one thread each | metrics | relaxed: each number stands alone |
//! | `stopping` | shutdown | acceptor | release, acquire; the waker ends the acceptor's wait after it is set |
//! | the end of the drain | shutdown, after the acceptor was joined | workers | set once; all wakers are woken after it. Nothing is pushed once it is set, so a worker that finds the queue empty then is done with it |
//!
//! No wake is lost: what a wake is to show is always done before it, and a waker's event stays
//! until its worker has seen it. So no connection is stranded: a push onto an empty queue wakes a
//! worker; a worker that leaves some behind wakes the one with the fewest connections; and that one
//! is below the average, which is its fair share, so it takes at least one.
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use std::net::TcpStream;
//! use std::sync::Arc;
//!
//! use stockd_engine::{Access, Engine};
//! use stockd_model::{Fields, Request};
//! use stockd_server::{Config, Endpoint, Protocol, Server};
//!
//! let engine = Arc::new(Engine::default());
//! let fields = Fields { price: "172.50".parse()?, volume: "100".parse()?, ..Fields::default() };
//! engine.executor().batch(&Access::All).execute(&Request::Set("AAPL".parse()?, fields));
//!
//! let endpoint = Endpoint::plain(Protocol::Line, ([127, 0, 0, 1], 0));
//! let config = Config { endpoints: vec![endpoint], ..Config::default() };
//! let server = Server::start(config, engine)?;
//!
//! let address = &server.endpoints()[0].address;
//! let mut client = BufReader::new(TcpStream::connect(address.to_string())?);
//! client.get_mut().write_all(b"AAPL\nXYZ\n")?;
//! let mut replies = client.lines();
//! assert_eq!(replies.next().unwrap()?, "172.5");
//! assert_eq!(replies.next().unwrap()?, "-1");
//! drop(replies);
//!
//! assert_eq!(server.shutdown().unflushed, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod access_review;
mod admission;
mod cell;
mod client_list;
mod closed;
mod command_times;
mod config;
mod connection;
mod connection_id;
mod conversation;
mod deadlines;
mod endings;
mod endpoint;
mod error;
mod file_limit;
mod info;
mod listener;
mod mark_rounds;
mod memory;
mod metrics;
mod observer;
mod output;
mod own_commits;
mod pool;
mod process;
mod protocol;
mod pulse;
mod queue;
mod rates;
mod reactor;
mod relief;
mod seat;
mod server;
mod server_state;
mod session;
mod slot;
mod socket_file;
mod sweep;
mod system_memory;
mod time_buckets;
mod timers;
mod tls_stream;
mod transport;
mod turn;
mod turn_queue;
mod unplugged;
mod unterminated_peers;
mod worker;

pub use config::Config;
pub use endpoint::{Endpoint, Protocol};
pub use error::{StartError, listen_reason};
pub use file_limit::raise_file_limit;
pub use listener::Listening;
pub use metrics::Metrics;
pub use observer::{Client, Holding, Observer};
pub use server::{Server, ShutdownReport};
pub use system_memory::default_memory_max;
pub use time_buckets::{TIME_BUCKETS, longest_ns, time_bucket};
pub use transport::Transport;
#[doc(hidden)]
pub use unplugged::{Unplugged, UnpluggedTls};
