//! The server over real TCP on the loopback interface.

mod limits;
mod market;
mod page;
mod serving;
mod shutdown;
mod timeouts;
