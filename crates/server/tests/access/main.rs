//! Who may do what, over real connections.

mod browsing;
#[allow(dead_code, reason = "shared with the tests of Redis' words")]
#[path = "../redis_words/client.rs"]
mod client;
mod matrix;
mod reload;
mod stage;
mod tokens;
