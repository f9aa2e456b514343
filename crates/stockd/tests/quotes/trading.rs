//! `stockd set`, `delist`, `buy` and `sell`.

use std::net::TcpListener;

use crate::server::{Server, run, stockd};

#[test]
fn a_stock_is_listed_updated_traded_and_delisted() {
    let server = Server::start();
    assert_eq!(
        server.out(&["set", "BRK/A", "--price", "743500.00", "--volume", "10"]),
        "BRK/A price 743500 volume 10 status trading version 1\n"
    );
    assert_eq!(
        server.out(&["set", "BRK/A", "--price", "0.0005"]),
        "BRK/A price 0.0005 volume 10 status trading version 2\n"
    );
    assert_eq!(server.out(&["buy", "BRK/A", "4"]), "BRK/A volume 6\n");
    assert_eq!(server.out(&["sell", "BRK/A", "1"]), "BRK/A volume 7\n");
    let (code, out, err) = server.run(&["buy", "BRK/A", "8"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, "stockd: volume of 'BRK/A' is 7, cannot take 8\n");
    assert_eq!(
        server.out(&["set", "BRK/A", "--status", "halted"]),
        "BRK/A price 0.0005 volume 7 status halted version 5\n"
    );
    assert_eq!(server.run(&["buy", "BRK/A", "1"]).0, Some(1));

    let (code, out, err) = server.run(&["delist", "BRK/A", "XYZ"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert_eq!(out, "BRK/A delisted\nXYZ not listed\n");
    assert_eq!(server.stocks(), [""; 0]);
}

#[test]
fn every_volume_can_be_set_and_left() {
    let server = Server::start();
    let most = u64::MAX.to_string();
    server.out(&["set", "牛来USDT", "--price", "1", "--volume", &most]);
    assert_eq!(server.out(&["buy", "牛来USDT", "1"]), "牛来USDT volume 18446744073709551614\n");
    assert_eq!(server.out(&["sell", "牛来USDT", "1"]), format!("牛来USDT volume {most}\n"));
    let (code, _, err) = server.run(&["sell", "牛来USDT", "1"]);
    assert_eq!(code, Some(1), "{err}");
    let (code, _, err) = server.run(&["buy", "牛来USDT", &i64::MAX.to_string()]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn prices_below_zero_and_stocks_without_a_volume_can_be_set() {
    let server = Server::start();
    for (args, quote) in [
        (&["--price", "-37.63"][..], "price -37.63 volume none status trading version 1"),
        (
            &["--price", "1e-18", "--volume", "0.5"],
            "price 0.000000000000000001 volume 0.5 status trading version 2",
        ),
        (&["--volume", "none"], "price 0.000000000000000001 volume none status trading version 3"),
    ] {
        let out = server.out(&[&["set", "CL"], args].concat());
        assert_eq!(out, format!("CL {quote}\n"));
    }
    let (code, out, err) = server.run(&["buy", "CL", "1"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("stockd: stock 'CL' has no volume"), "{err}");
}

#[test]
fn errors_are_one_line_and_say_what_to_do() {
    let server = Server::start();
    let long = "A".repeat(49);
    for (args, code, error) in [
        (&["set", "XYZ", "--volume", "1"][..], 1, "stock 'XYZ' is not listed"),
        (&["buy", "XYZ", "1"], 1, "stock 'XYZ' is not listed"),
        (&["set", "XYZ"], 2, "--price"),
        (&["set", "XYZ", "--price", "$1"], 2, "is not a price: write a decimal like 172.5"),
        (&["set", &long, "--price", "1"], 2, "the limit is 48"),
        (&["set", "XYZ", "--price", "1", "--status", "open"], 2, "write trading or halted"),
        (&["buy", "XYZ", "0"], 2, "0"),
        (&["sell", "XYZ", "x"], 2, "x"),
        (&["delist"], 2, "SYMBOL"),
        (&["set", "XYZ", "--price", "1", "--server", "nowhere"], 1, "server 'nowhere': "),
    ] {
        let (exit, out, err) = server.run(args);
        assert_eq!((exit, out.as_str()), (Some(code), ""), "{args:?}: {err}");
        assert!(err.starts_with("stockd: ") && err.contains(error), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, _, err) = run(stockd(&["delist", "A", "--server", &closed]));
    assert_eq!(code, Some(1));
    assert!(err.ends_with("check that the server runs and listens there\n"), "{err}");
}
