//! What should not be in the log, and nodes that only follow it: messages that are repeated, out of order, cut or of
//! somebody else count for nothing, at all nodes alike; those of a later version of stockd stop nodes of this one; a node over
//! a leaf node or a mirror shows what the others do.
//!
//! The messages are published by a client of NATS of our own, and the log is read by rules that were written once more
//! (`stockd_witness`). Runs of faults between processes are a task: `cargo xtask cluster --faults`.

mod edges;
mod hostile;
#[allow(dead_code, reason = "those of another test, which needs more of them")]
#[path = "../cluster/nats.rs"]
mod nats;
#[path = "../cluster/node.rs"]
mod node;

use self::node::{Node, becomes};

const STREAM: &str = "STOCKD_main_0";
const SUBJECT: &str = "stockd.main.0.log";

/// Version, price and volume of a stock at a node.
fn stock(node: &Node, symbol: &str) -> Option<(u64, u64, u64)> {
    let mut command = redis::cmd("HMGET");
    command.arg(symbol).arg("version").arg("price").arg("volume");
    let (version, price, volume): (Option<u64>, Option<u64>, Option<u64>) =
        command.query(&mut node.connect()).unwrap();
    Some((version?, price?, volume?))
}

fn set(node: &Node, symbol: &str, price: u64, volume: u64) -> redis::RedisResult<()> {
    let mut command = redis::cmd("HSET");
    command.arg(symbol).arg("price").arg(price).arg("volume").arg(volume);
    command.query(&mut node.connect())
}

fn take(node: &Node, symbol: &str, shares: i64) -> redis::RedisResult<i64> {
    redis::cmd("HINCRBY").arg(symbol).arg("volume").arg(-shares).query(&mut node.connect())
}

/// Waits until a node has applied the message of this sequence.
fn has_applied(node: &Node, sequence: u64) {
    becomes(|| (node.info("cluster_applied").parse::<u64>().unwrap() >= sequence).then_some(()));
}
