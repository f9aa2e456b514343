//! Transactions of clients of Redis, as their libraries make them.

use crate::server::PATIENCE;
use crate::{market, node_is_well, python_is_well};

#[test]
fn redis_py_transacts() {
    python_is_well("transactions.py");
}

#[test]
fn node_redis_and_ioredis_transact() {
    node_is_well("transactions.mjs", include_str!("transactions.mjs"));
}

#[test]
fn the_redis_crate_transacts() {
    use redis::TypedCommands;
    let server = market();
    let client = redis::Client::open(format!("redis://{}/", server.resp)).unwrap();
    let mut connection = client.get_connection().unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let traded: (i64, i64, String) = redis::pipe()
        .atomic()
        .hincr("AAPL", "volume", -10)
        .hincr("BRK/A", "volume", 4)
        .get("AAPL")
        .query(&mut connection)
        .unwrap();
    assert_eq!(traded, (990, 16, "172.5".to_owned()));
    // As often as somebody else was first.
    let mut other = client.get_connection().unwrap();
    let mut attempts = 0;
    let names = ["AAPL", "BRK/A"];
    let (left,): (i64,) = redis::transaction(&mut connection, &names, |connection, pipe| {
        attempts += 1;
        let volume: i64 = connection.hget("AAPL", "volume").unwrap().unwrap().parse().unwrap();
        if attempts == 1 {
            other.hincr("BRK/A", "volume", 1).unwrap();
        }
        pipe.hset("AAPL", "volume", volume / 2).ignore();
        pipe.hincr("AAPL", "volume", 0).query(connection)
    })
    .unwrap();
    assert_eq!((left, attempts), (495, 2));
}
