//! Every command reaches a server over a Unix socket.

use std::fs;

use crate::server::{Running, Server};

#[test]
fn all_commands_work_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let server = Server::start_on(&format!("unix:{}", path("resp")));
    assert_eq!(server.resp, format!("unix:{}", path("resp")));
    server.out(&["set", "AAPL", "--price", "172.50", "--volume", "1000", "--server", &server.resp]);
    assert_eq!(server.out(&["buy", "AAPL", "5"]), "AAPL volume 995\n");
    assert_eq!(server.out(&["sell", "AAPL", "1"]), "AAPL volume 996\n");
    let mut watch = Running::start(server.command(&["watch", "AAPL", "--count", "1"]));
    assert!(watch.line().contains(r#""volume":"996""#));
    assert_eq!(watch.end().0, Some(0));
    server.out(&["export", &path("stocks.csv")]);
    assert_eq!(server.out(&["delist", "AAPL"]), "AAPL delisted\n");
    server.out(&["import", &path("stocks.csv")]);
    assert_eq!(server.stocks(), ["AAPL,172.5,996,trading"]);
    fs::write(path("updates.csv"), "time,symbol,price,volume\n0,AAPL,173,7\n").unwrap();
    server.out(&["replay", &path("updates.csv")]);
    assert_eq!(server.stocks(), ["AAPL,173,7,trading"]);
    let load = ["load", "--protocol", "resp", "--requests", "200", "--warmup", "10ms", "--verify"];
    let places = ["--server", &server.resp, "--resp", &server.resp];
    let (code, _, err) = server.run(&[&load[..], &places].concat());
    assert!(code == Some(0) && err.contains(" 0 wrong"), "{err}");
}
