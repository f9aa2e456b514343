//! What clients and monitors of Redis ask without being told to, over real connections.

mod client;
mod connections;
mod many;
mod monitors;
mod tracking;
mod unasked;
