//! Whole files of ITCH and TOPS against what independent decoders made of them.

#[path = "support/mod.rs"]
mod support;

use stockd_feeds::{Capture, Cause, Decode, ItchFile, Market, Rules, Step, midnight_ns};
use support::{bytes, committed, compare, data, decode, price, rows, status, whole};

const ITCH_COLUMNS: [&str; 4] = ["price", "last_size", "ns_since_midnight", "status"];

fn edge_itch() -> (Vec<u8>, ItchFile, u64) {
    let midnight = midnight_ns("2019-12-30".parse().unwrap());
    (bytes(&committed("edge_20191230.itch50")), ItchFile::new(Some(midnight)), midnight)
}

fn with_tests() -> Rules {
    Rules { test_symbols: true, ..Rules::default() }
}

#[test]
fn itch_of_every_kind_ends_as_the_oracle_does() {
    let (bytes, mut file, midnight) = edge_itch();
    let market = whole(&mut file, &bytes, with_tests());
    let oracle = rows(&committed("edge_20191230.oracle.csv"));
    compare(&market, &oracle, &ITCH_COLUMNS, midnight);
    assert_eq!(market.counts().records, 100);
    // Unless it is asked for, a stock for tests is left out.
    let market = whole(&mut ItchFile::new(None), &bytes, Rules::default());
    assert_eq!(market.find(&"ZVZZT".parse().unwrap()).map(|stock| stock.symbol), None);
    assert_eq!(market.counts().skipped_for(Cause::TestSymbol), 1);
}

#[test]
fn itch_is_as_the_oracle_says_after_every_message() {
    let (bytes, mut file, _) = edge_itch();
    let mut market = Market::new(with_tests());
    file.fill(&bytes);
    for row in rows(&committed("edge_20191230.timeline.csv")) {
        assert!(matches!(file.step(&mut market), Ok(Step::Took(_))), "{row:?}");
        let Ok(symbol) = row["symbol"].parse() else { continue };
        let Some(stock) = market.find(&symbol) else {
            assert_eq!(row["price_after"], "", "{row:?}");
            continue;
        };
        assert_eq!(price(stock), row["price_after"], "{row:?}");
        assert_eq!(status(stock), row["status_after"], "{row:?}");
    }
    assert_eq!(file.step(&mut market), Ok(Step::NeedsMore));
}

/// However the bytes are cut, the end is the same; cut short anywhere, it is an error with its place or the end
/// of a message, and never a panic.
#[test]
fn itch_may_be_cut_at_every_byte() {
    let (bytes, _, _) = edge_itch();
    let state = |market: &Market| {
        market
            .stocks()
            .iter()
            .map(|stock| (stock.symbol, price(stock), status(stock)))
            .collect::<Vec<_>>()
    };
    let expected = state(&whole(&mut ItchFile::new(None), &bytes, with_tests()));
    for chunk in [1, 2, 3, 7, 40] {
        let (market, end) = decode(&mut ItchFile::new(None), &bytes, chunk, with_tests());
        assert_eq!((state(&market), end), (expected.clone(), Ok(())), "{chunk}");
    }
    for len in 0..bytes.len() {
        let (_, end) = decode(&mut ItchFile::new(None), &bytes[..len], 64, with_tests());
        if let Err(error) = end {
            assert!(error.offset < len as u64, "{error}");
            assert!(error.why.contains("ends within a message"), "{error}");
        }
    }
}

#[test]
fn damaged_itch_is_an_error_with_its_place_and_what_came_before_is_applied() {
    let read = |name: &str| {
        let bytes = bytes(&committed(name));
        decode(&mut ItchFile::new(None), &bytes, 1 << 16, with_tests())
    };
    let (market, end) = read("edge_20191230_cut.itch50");
    let error = end.unwrap_err();
    assert!(error.to_string().contains("the feed ends within a message"), "{error}");
    assert!(market.counts().records > 90);
    let (_, end) = read("edge_20191230_bad_length.itch50");
    let error = end.unwrap_err().to_string();
    assert!(error.starts_with("at byte ") && error.contains("bytes, and not"), "{error}");
    let (market, end) = read("edge_20191230_unknown_type.itch50");
    assert_eq!((end, market.counts().skipped_for(Cause::UnknownType)), (Ok(()), 1));
}

#[test]
fn simulated_itch_of_three_stocks() {
    let Some(path) = data("itch/ritch_simulated_20101224.itch50.gz") else { return };
    let midnight = midnight_ns("2010-12-24".parse().unwrap());
    let bytes = bytes(&path);
    let market = whole(&mut ItchFile::new(Some(midnight)), &bytes, with_tests());
    assert_eq!(market.counts().records, 12_012);
    // 18 executions, 94 deletes, 3 cancels and 2 replaces of orders that were never added.
    assert_eq!(market.counts().skipped_for(Cause::UnknownOrder), 18 + 94 + 3 + 2);
    let oracle = rows(&path.with_file_name("ritch_simulated_20101224.oracle.csv"));
    compare(&market, &oracle, &ITCH_COLUMNS, midnight);
}

#[test]
fn messages_without_their_lengths_are_an_error() {
    let Some(path) = data("itch/ritch_simulated_20101224.no_lengths.itch50.gz") else { return };
    let (_, end) = decode(&mut ItchFile::new(None), &bytes(&path), 1 << 16, Rules::default());
    let error = end.unwrap_err().to_string();
    assert!(error.starts_with("at byte 0: the lengths before the messages are missing"), "{error}");
}

#[test]
fn a_day_of_real_trades_as_itch() {
    let Some(path) = data("itch/ticks_aig_bac_ibm_20131007.itch50.gz") else { return };
    let midnight = midnight_ns("2013-10-07".parse().unwrap());
    let market = whole(&mut ItchFile::new(Some(midnight)), &bytes(&path), Rules::default());
    let oracle = path.with_file_name("ticks_aig_bac_ibm_20131007.oracle.csv");
    compare(&market, &rows(&oracle), &ITCH_COLUMNS, midnight);
    assert_eq!(market.counts().trades, 137_816);
}

#[test]
fn a_day_of_tops() {
    let Some(path) = data("iex/tops16_20170710.pcapng.gz") else { return };
    let bytes = bytes(&path);
    let oracle = rows(&path.with_file_name("tops16_20170710.oracle.csv"));
    let market = whole(&mut Capture::of_tops(), &bytes, Rules::default());
    let columns = [
        "last_eligible",
        "last_eligible_size",
        "last_eligible_ns",
        "bid",
        "ask",
        "bid_size",
        "ask_size",
        "status",
    ];
    compare(&market, &oracle, &columns, 0);
    assert_eq!(market.counts().records, 57_674);
    let all = Rules { all_trades: true, ..Rules::default() };
    let market = whole(&mut Capture::of_tops(), &bytes, all);
    compare(&market, &oracle, &["last_any", "last_any_size", "last_any_ns", "status"], 0);
}

/// Every capture of other people ends without an error; those of ITCH and TOPS have the messages that their list
/// names.
#[test]
fn captures_of_all_kinds() {
    let Some(list) = data("omi/contents.csv") else { return };
    for row in rows(&list) {
        let path = list.with_file_name(&row["file"]);
        let bytes = bytes(&path);
        let is_itch = row["file"].contains("TotalView.Itch.v5.0");
        let is_tops = row["file"].contains("Tops.IexTp");
        let (market, end) = match is_itch {
            true => decode(&mut Capture::of_itch(None), &bytes, 100, with_tests()),
            false => decode(&mut Capture::of_tops(), &bytes, 100, Rules::default()),
        };
        if is_itch || is_tops {
            end.unwrap_or_else(|error| panic!("{}: {error}", row["file"]));
            let number = |part: &str| part.split_once('=')?.1.parse::<u64>().ok();
            let expected: u64 = row["messages"].split(' ').filter_map(number).sum();
            // Samples of a session need not stand in its order: what comes late is passed over.
            let late = market.counts().skipped_for(Cause::Duplicate);
            assert_eq!(market.counts().records + late, expected, "{}", row["file"]);
        }
    }
}

#[test]
fn rubbish_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..3000 {
        let len = random() as usize % 300;
        let mut bytes: Vec<u8> = (0..len).map(|_| random() as u8).collect();
        let magics: [&[u8]; 4] =
            [b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a", b"DBN\x03", b"\x00\x24A"];
        bytes.splice(0..0, magics[random() as usize % 4].iter().copied());
        let _ = decode(&mut ItchFile::new(None), &bytes, 7, Rules::default());
        let _ = decode(&mut Capture::of_tops(), &bytes, 7, Rules::default());
        let _ = decode(&mut Capture::of_itch(None), &bytes, 7, Rules::default());
    }
}
