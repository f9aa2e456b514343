//! The server over real TCP on the loopback interface.

mod awaiting;
mod limits;
mod listening;
mod market;
mod page;
mod serving;
mod shutdown;
mod timeouts;

/// How clients of this suite reach the server.
const WAY: market::Way = market::Way::Tcp;
