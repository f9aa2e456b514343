//! A file that an earlier stockd wrote is read as it was meant, by every stockd after it. A new format
//! gets a file of its own beside these: format 1 is that of stockd 0.1.0.

use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use flate2::read::GzDecoder;
use stockd_model::limits::VERSION_MAX;
use stockd_model::{Quote, Status};
use stockd_store::{DataDir, Store, Write, check};

const FORMAT_1: &[u8] = include_bytes!("format_1.redb.gz");
const FORMAT_2: &[u8] = include_bytes!("format_2.redb.gz");

fn quote(symbol: &str, price: &str, volume: Option<&str>, status: Status) -> Quote {
    Quote {
        price: price.parse().ok(),
        volume: volume.map(|volume| volume.parse().unwrap()),
        status,
        version: 1,
        updated_ns: 0,
        ..Quote::new(symbol.parse().unwrap())
    }
}

/// What is in the file of format 1, in the order of the symbols.
fn quotes_1() -> Vec<Quote> {
    let (trading, halted) = (Status::Trading, Status::Halted);
    let mut quotes = vec![
        quote("AAPL", "172.5", Some("1000"), trading),
        quote("AAPL  260116C00200000", "0.000000001", Some("0"), halted),
        quote("BRK/A", "743500.000000001", Some("3"), trading),
        quote("NA", "9223372036.854775807", Some("18446744073709551615"), trading),
        quote("牛来USDT", "0.0005", Some("5"), halted),
    ];
    let times = [(17, 1_790_000_000_000_000_000), (1, 0), (2, 1), (VERSION_MAX, u64::MAX), (99, 2)];
    for (quote, (version, updated_ns)) in quotes.iter_mut().zip(times) {
        (quote.version, quote.updated_ns) = (version, updated_ns);
    }
    quotes
}

/// What is in the file of format 2: its stock of format 1 was there before.
fn quotes_2() -> Vec<Quote> {
    let (trading, halted) = (Status::Trading, Status::Halted);
    let mut quotes = vec![
        quote("AAPL", "172.5", Some("1000"), trading),
        quote("BTC-IRR", "9223372036854775807", Some("18446744073709551615"), trading),
        quote("CL", "-37.63", Some("0"), halted),
        quote("EURUSD", "1.0834", None, trading),
        quote("SHIB", "0.000000000000000001", Some("92621.807321"), trading),
        quote("ZERO", "0", None, halted),
    ];
    (quotes[0].version, quotes[0].updated_ns) = (17, 1_790_000_000_000_000_000);
    (quotes[1].version, quotes[1].updated_ns) = (VERSION_MAX, u64::MAX);
    quotes
}

/// A data directory with this file in it, which must be of that format and whole.
fn directory(file: &[u8], format: u64) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    fs::write(home.path().join("quotes.redb"), bytes).unwrap();
    let report = check(home.path()).unwrap();
    assert!(report.is_whole() && report.was_closed);
    assert_eq!(report.format, format);
    home
}

fn load(path: &Path) -> (Vec<Quote>, u64) {
    let mut found = Vec::new();
    let floor = DataDir::open(path, true).unwrap().load(|quote| {
        found.push(quote);
        ControlFlow::Continue(())
    });
    (found, floor.unwrap())
}

#[test]
fn a_file_of_format_1_is_read_and_becomes_one_of_this_format_when_it_is_written() {
    let home = directory(FORMAT_1, 1);
    assert_eq!(load(home.path()), (quotes_1(), 77));
    assert_eq!(check(home.path()).unwrap().format, 1, "reading changes nothing");

    let added = quote("EURUSD", "1.0834", None, Status::Trading);
    let mut data = DataDir::open(home.path(), true).unwrap();
    data.commit(&[Write::Remove("NA".parse().unwrap()), Write::Put(added)], 78).unwrap();
    drop(data);
    let report = check(home.path()).unwrap();
    assert_eq!((report.format, report.stocks, report.is_whole()), (3, 5, true));
    let mut expected = quotes_1();
    expected[3] = added;
    assert_eq!(load(home.path()), (expected, 78));
}

#[test]
fn a_file_of_format_2_is_read() {
    let home = directory(FORMAT_2, 2);
    assert_eq!(load(home.path()), (quotes_2(), 78));
}
