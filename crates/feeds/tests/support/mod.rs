//! What the tests share: files, how they are decoded, and how the end is compared with an oracle.
//!
//! The files that may be committed are in `tests/data`. The others are larger, and their tests say so and pass
//! where they are not: they are looked for in `feeds` below the directory that `STOCKD_DATA` names, or beside the
//! repository.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use stockd_feeds::{Decode, FeedError, Market, Rules, Step, Stock};
use stockd_model::Status;

pub(crate) type Row = BTreeMap<String, String>;

pub(crate) fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The optional larger data, if it is there.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    let dirs = std::env::var_os("STOCKD_DATA").map(PathBuf::from).into_iter().chain([beside, near]);
    let found = dirs.map(|dir| dir.join("feeds").join(name)).find(|path| path.exists());
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "skipped: feeds/{name} is not there");
    }
    found
}

/// The bytes of a file, uncompressed.
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = File::open(path).unwrap();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap(),
        Some("zst") => {
            let mut left = std::fs::read(path).unwrap();
            // Frames one behind the other.
            while !left.is_empty() {
                let mut rest = &left[..];
                let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest).unwrap();
                decoder.read_to_end(&mut bytes).unwrap();
                drop(decoder);
                let taken = left.len() - rest.len();
                left.drain(..taken);
            }
            0
        }
        _ => std::io::BufReader::new(file).read_to_end(&mut bytes).unwrap(),
    };
    bytes
}

pub(crate) fn rows(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| {
        header.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// Decodes these bytes, cut into chunks of this size, and what stopped it.
pub(crate) fn decode(
    feed: &mut dyn Decode,
    bytes: &[u8],
    chunk: usize,
    rules: Rules,
) -> (Market, Result<(), FeedError>) {
    let mut market = Market::new(rules);
    for chunk in bytes.chunks(chunk) {
        feed.fill(chunk);
        loop {
            match feed.step(&mut market) {
                Ok(Step::Took(_)) => {}
                Ok(Step::NeedsMore) => break,
                Err(error) => return (market, Err(error)),
            }
        }
    }
    let end = feed.end();
    (market, end)
}

pub(crate) fn whole(feed: &mut dyn Decode, bytes: &[u8], rules: Rules) -> Market {
    let (market, end) = decode(feed, bytes, 1 << 16, rules);
    end.unwrap();
    market
}

pub(crate) fn price(stock: &Stock) -> String {
    stock.last().map(|trade| trade.price.to_string()).unwrap_or_default()
}

pub(crate) fn status(stock: &Stock) -> &'static str {
    match stock.status() {
        Status::Trading => "trading",
        Status::Halted => "halted",
    }
}

/// Compares every stock of an oracle, in these columns, and that there are no others.
pub(crate) fn compare(market: &Market, oracle: &[Row], columns: &[&str], midnight_ns: u64) {
    for row in oracle {
        let symbol = row["symbol"].parse().unwrap();
        let stock = market.find(&symbol).unwrap_or_else(|| panic!("{symbol} is not there"));
        compare_stock(stock, row, columns, midnight_ns);
    }
    assert_eq!(market.stocks().len(), oracle.len(), "stocks");
}

/// Compares one stock with its row.
pub(crate) fn compare_stock(stock: &Stock, row: &Row, columns: &[&str], midnight_ns: u64) {
    for column in columns {
        let last = stock.last();
        let of = |text: Option<String>| text.unwrap_or_default();
        let is = match *column {
            "price" | "last_eligible" | "last_any" | "last_trade" => price(stock),
            "last_size" | "last_eligible_size" | "last_any_size" => {
                of(last.map(|trade| trade.size.to_string()))
            }
            "event_ns" | "last_eligible_ns" | "last_any_ns" | "last_ts_event" => {
                of(last.map(|trade| trade.time_ns.to_string()))
            }
            "ns_since_midnight" => of(last.map(|trade| (trade.time_ns - midnight_ns).to_string())),
            "status" => status(stock).to_owned(),
            "bid" => of(stock.bid.map(|price| price.to_string())),
            "ask" => of(stock.ask.map(|price| price.to_string())),
            "bid_size" => of(stock.bid_size.map(|size| size.to_string())),
            "ask_size" => of(stock.ask_size.map(|size| size.to_string())),
            other => panic!("{other}"),
        };
        // A size of 0 beside an absent side is none.
        let is_no_size = (*column == "bid_size" && stock.bid.is_none())
            || (*column == "ask_size" && stock.ask.is_none());
        let expected = if is_no_size { "" } else { row[*column].as_str() };
        assert_eq!(is, expected, "{column} of {}: {row:?}", stock.symbol);
    }
}
