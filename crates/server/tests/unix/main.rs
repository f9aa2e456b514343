//! The server over Unix sockets: the suite of TCP, and what their files add.

#[path = "../tcp/awaiting.rs"]
mod awaiting;
#[path = "../tcp/limits.rs"]
mod limits;
mod listening;
#[path = "../tcp/market.rs"]
mod market;
#[path = "../tcp/page.rs"]
mod page;
#[path = "../tcp/serving.rs"]
mod serving;
#[path = "../tcp/shutdown.rs"]
mod shutdown;
#[path = "../tcp/timeouts.rs"]
mod timeouts;

/// How clients of this suite reach the server.
const WAY: market::Way = market::Way::Unix;
