//! Databento's encoding against what independent decoders made of it.
#![cfg(feature = "dbn")]

#[path = "support/mod.rs"]
mod support;

use stockd_feeds::{Cause, DbnFeed, Decode, Market, Rules, Step};
use support::{bytes, committed, compare, data, decode, price, rows, status, whole};

const COLUMNS: [&str; 8] =
    ["price", "last_size", "status", "event_ns", "bid", "ask", "bid_size", "ask_size"];

#[test]
fn a_live_stream_with_every_trap_ends_as_the_oracle_does() {
    for name in ["edge_live_v3.dbn", "edge_live_v3.dbn.zst"] {
        let market = whole(&mut DbnFeed::new(), &bytes(&committed(name)), Rules::default());
        compare(&market, &rows(&committed("edge_live_v3.oracle.csv")), &COLUMNS, 0);
        for row in rows(&committed("edge_live_v3.counts.csv")) {
            let causes = [Cause::BadSymbol, Cause::NoSymbol, Cause::Older, Cause::UndefinedPrice];
            let cause =
                causes.into_iter().find(|cause| cause.to_string() == row["skipped because"]);
            let count = market.counts().skipped_for(cause.unwrap());
            assert_eq!(count.to_string(), row["records"], "{row:?}");
        }
        assert_eq!(market.counts().gaps, 1, "the gateway said that it skipped records");
    }
}

#[test]
fn a_live_stream_is_as_the_oracle_says_after_every_record() {
    let mut feed = DbnFeed::new();
    let mut market = Market::new(Rules::default());
    feed.fill(&bytes(&committed("edge_live_v3.dbn")));
    assert_eq!(feed.step(&mut market), Ok(Step::Took(None)), "the metadata");
    for row in rows(&committed("edge_live_v3.timeline.csv")) {
        assert!(matches!(feed.step(&mut market), Ok(Step::Took(_))), "{row:?}");
        let stock = row["symbol"].parse().ok().and_then(|symbol| market.find(&symbol));
        let Some(stock) = stock else {
            assert_eq!(row["price_after"], "", "{row:?}");
            continue;
        };
        assert_eq!(price(stock), row["price_after"], "{row:?}");
        let expected = row["status_after"].as_str();
        assert_eq!(
            status(stock),
            if expected.is_empty() { "trading" } else { expected },
            "{row:?}"
        );
        let event = stock.last().map(|trade| trade.time_ns.to_string()).unwrap_or_default();
        assert_eq!(event, row["event_ns_after"], "{row:?}");
    }
    assert_eq!(feed.step(&mut market), Ok(Step::NeedsMore));
}

#[test]
fn ids_that_swap_overnight_are_those_of_the_day_of_receipt() {
    let bytes = bytes(&committed("edge_ids_swap_overnight_v3.dbn"));
    let market = whole(&mut DbnFeed::new(), &bytes, Rules::default());
    compare(&market, &rows(&committed("edge_ids_swap_overnight_v3.oracle.csv")), &COLUMNS, 0);
}

#[test]
fn a_prefix_stands_before_every_symbol() {
    let rules = Rules { prefix: "XNAS:".to_owned(), ..Rules::default() };
    let market = whole(&mut DbnFeed::new(), &bytes(&committed("edge_live_v3.dbn")), rules);
    assert!(market.find(&"XNAS:AAPL".parse().unwrap()).is_some());
    assert!(market.stocks().iter().all(|stock| stock.symbol.as_str().starts_with("XNAS:")));
}

#[test]
fn damaged_dbn_is_an_error_with_its_place_and_what_came_before_is_applied() {
    let read = |name: &str| {
        let bytes = bytes(&committed(name));
        let (market, end) = decode(&mut DbnFeed::new(), &bytes, 1 << 16, Rules::default());
        (market.counts().records, bytes.len() as u64, end.unwrap_err())
    };
    let (whole_records, ..) = {
        let market =
            whole(&mut DbnFeed::new(), &bytes(&committed("edge_live_v3.dbn")), Rules::default());
        (market.counts().records,)
    };
    let (records, len, error) = read("edge_live_v3_truncated.dbn");
    assert_eq!(records, whole_records - 1);
    assert!(error.offset < len && error.why.contains("ends within a message"), "{error}");
    let (records, len, error) = read("edge_live_v3_zero_length_record.dbn");
    assert!(records > 0 && error.offset > 0 && error.offset < len, "{error}");
    let (records, _, error) = read("edge_live_v3_newer_version.dbn");
    assert_eq!((records, error.offset), (0, 0), "{error}");
    assert!(error.why.contains("version"), "{error}");
}

#[test]
fn dbn_may_be_cut_at_every_byte() {
    let bytes = bytes(&committed("edge_live_v3.dbn"));
    let expected = whole(&mut DbnFeed::new(), &bytes, Rules::default());
    for chunk in [1, 3, 56, 1000] {
        let (market, end) = decode(&mut DbnFeed::new(), &bytes, chunk, Rules::default());
        assert_eq!((market.counts(), end), (expected.counts(), Ok(())), "{chunk}");
    }
    for len in 0..bytes.len() {
        let (_, end) = decode(&mut DbnFeed::new(), &bytes[..len], 1 << 16, Rules::default());
        if let Err(error) = end {
            assert!(error.offset < len as u64 && error.why.contains("ends within"), "{error}");
        }
    }
    // And with each byte another one.
    for at in 0..bytes.len() {
        let mut garbled = bytes.clone();
        garbled[at] ^= 0xff;
        let _ = decode(&mut DbnFeed::new(), &garbled, 1 << 16, Rules::default());
    }
}

#[test]
fn files_of_databento_in_all_versions() {
    let Some(oracle) = data("dbn/databento/oracle.csv") else { return };
    let oracle = rows(&oracle);
    let counts = rows(&data("dbn/databento/counts.csv").unwrap());
    for row in counts {
        let path = data(&format!("dbn/databento/{}", row["file"])).unwrap();
        let (market, end) = decode(&mut DbnFeed::new(), &bytes(&path), 100, Rules::default());
        end.unwrap_or_else(|error| panic!("{}: {error}", row["file"]));
        let number = |part: &str| part.split_once('=')?.1.parse::<u64>().ok();
        let expected: u64 = row["records"].split(' ').filter_map(number).sum();
        assert_eq!(market.counts().records, expected, "{}", row["file"]);
        for expected in oracle.iter().filter(|expected| expected["file"] == row["file"]) {
            let columns =
                ["last_trade", "last_size", "last_ts_event", "bid", "ask", "bid_size", "ask_size"];
            let Some(stock) = market.find(&expected["symbol"].parse().unwrap()) else {
                let nothing =
                    columns.iter().all(|column| matches!(expected[*column].as_str(), "" | "0"));
                assert!(nothing, "{expected:?}");
                continue;
            };
            support::compare_stock(stock, expected, &columns, 0);
        }
    }
}

#[test]
fn a_day_of_real_trades_as_dbn() {
    let Some(path) = data("dbn/ticks_aig_bac_ibm_20131007.trades.dbn.zst") else { return };
    let market = whole(&mut DbnFeed::new(), &bytes(&path), Rules::default());
    let oracle = path.with_file_name("ticks_aig_bac_ibm_20131007.trades.oracle.csv");
    compare(&market, &rows(&oracle), &COLUMNS[..4], 0);
    assert_eq!(market.counts().trades, 137_816);
}
