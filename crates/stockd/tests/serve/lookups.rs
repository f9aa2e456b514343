//! What a server with a catalog answers.

use std::io::{Read, Write};

use crate::process::{PATIENCE, ServerProcess, replies, until_closed};

#[test]
fn every_kind_of_stock_is_answered() {
    let server = ServerProcess::start(&[]);
    let asked = [
        "ACME",
        "BIG/A",
        "GONE",
        "NA",
        "PAD",
        "  PAD\r",
        "STOP",
        "TRUE",
        "牛来USDT",
        "XYZ",
        "acme",
        "",
    ];
    let answers =
        ["172.5", "743500", "0", "0.0005", "5", "5", "0", "159", "0.25", "-1", "-1", "-1"];
    assert_eq!(server.lookup(&asked), answers);
}

#[test]
fn an_unterminated_request_is_answered_without_a_newline() {
    let server = ServerProcess::start(&[]);
    let mut stream = server.connect();
    let mut reply = [0; 64];
    for (name, answer) in [("ACME", "172.5"), ("XYZ", "-1"), ("TRUE", "159")] {
        stream.write_all(name.as_bytes()).unwrap();
        let len = stream.read(&mut reply).unwrap();
        assert_eq!(&reply[..len], answer.as_bytes());
    }
}

#[test]
fn one_worker_serves_many_clients() {
    let server = ServerProcess::start(&["--workers", "1"]);
    let streams: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for mut stream in &streams {
        stream.write_all(b"ACME\nGONE\n").unwrap();
    }
    for stream in &streams {
        assert_eq!(replies(stream, 2), ["172.5", "0"]);
    }
}

#[test]
fn an_idle_client_is_closed_where_a_timeout_is_set() {
    let server = ServerProcess::start(&["--idle-timeout", "100ms"]);
    let mut stream = server.connect();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(until_closed(&mut stream), "");
}
