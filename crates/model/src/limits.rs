//! Every bound of stockd, in one place: a file for each part of it.
//!
//! Each limit says what happens when it is reached. Limits marked *default* can be set in the
//! configuration of the server; the others are part of the formats and do not move.

mod access;
mod catalog;
mod client;
mod cluster;
mod commits;
mod connections;
mod feeds;
mod load;
mod process;
mod protocols;
mod subscriptions;
mod turns;
mod web;

pub use self::access::*;
pub use self::catalog::*;
pub use self::client::*;
pub use self::cluster::*;
pub use self::commits::*;
pub use self::connections::*;
pub use self::feeds::*;
pub use self::load::*;
pub use self::process::*;
pub use self::protocols::*;
pub use self::subscriptions::*;
pub use self::turns::*;
pub use self::web::*;
