//! A file that stockd 0.1.0 wrote is read as it was meant, by every stockd after it. A new format gets a
//! file of its own beside this one.

use std::fs;
use std::io::Read;
use std::ops::ControlFlow;

use flate2::read::GzDecoder;
use stockd_model::limits::VERSION_MAX;
use stockd_model::{Price, Quote, Status, Volume};
use stockd_store::{DataDir, Store, Write, check};

const FORMAT_1: &[u8] = include_bytes!("format_1.redb.gz");

/// What is in it, in the order of the symbols; its version floor is 77.
fn quotes() -> Vec<Quote> {
    let quote = |symbol: &str, price, volume, status, version, updated_ns| Quote {
        symbol: symbol.parse().unwrap(),
        price,
        volume: Volume::new(volume),
        status,
        version,
        updated_ns,
    };
    let price = |text: &str| text.parse().unwrap();
    vec![
        quote("AAPL", price("172.5"), 1000, Status::Trading, 17, 1_790_000_000_000_000_000),
        quote("AAPL  260116C00200000", Price::MIN, 0, Status::Halted, 1, 0),
        quote("BRK/A", price("743500.000000001"), 3, Status::Trading, 2, 1),
        quote("NA", Price::MAX, u64::MAX, Status::Trading, VERSION_MAX, u64::MAX),
        quote("牛来USDT", price("0.0005"), 5, Status::Halted, 99, 2),
    ]
}

fn load(data: &DataDir) -> (Vec<Quote>, u64) {
    let mut found = Vec::new();
    let floor = data.load(|quote| {
        found.push(quote);
        ControlFlow::Continue(())
    });
    (found, floor.unwrap())
}

#[test]
fn a_file_of_format_1_is_read_and_written_on() {
    let home = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(FORMAT_1).read_to_end(&mut bytes).unwrap();
    fs::write(home.path().join("quotes.redb"), bytes).unwrap();
    let report = check(home.path()).unwrap();
    assert!(report.is_whole() && report.was_closed);
    assert_eq!((report.format, report.stocks), (1, 5));

    let mut data = DataDir::open(home.path(), true).unwrap();
    assert_eq!(load(&data), (quotes(), 77));
    data.commit(&[Write::Remove("NA".parse().unwrap())], 78).unwrap();
    drop(data);
    let (found, floor) = load(&DataDir::open(home.path(), true).unwrap());
    assert_eq!((found.len(), floor), (4, 78));
}
