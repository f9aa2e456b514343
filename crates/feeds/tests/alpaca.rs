//! Alpaca's stream, against what an independent reader made of a session.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stockd_feeds::{AlpacaFeed, Cause, Decode, FeedError, Market, Rules, Step};

const SESSION: &str = include_str!("data/alpaca_session.txt");
const ORACLE: &str = include_str!("data/alpaca_session.oracle.csv");

/// What the server has said, one message a line.
fn messages() -> String {
    let from_server = SESSION.lines().filter_map(|line| line.strip_prefix("< "));
    from_server.map(|message| format!("{message}\n")).collect()
}

fn decode(bytes: &[u8], chunk: usize, rules: Rules) -> (Market, Result<(), FeedError>) {
    let (mut market, mut feed) = (Market::new(rules), AlpacaFeed::new());
    for chunk in bytes.chunks(chunk) {
        feed.fill(chunk);
        loop {
            match feed.step(&mut market) {
                Ok(Step::NeedsMore) => break,
                Ok(Step::Took(_)) => {}
                Err(error) => return (market, Err(error)),
            }
        }
    }
    (market, feed.end())
}

/// Price and status of every stock.
fn stocks(market: &Market) -> BTreeMap<String, (String, String)> {
    let shown = market.stocks().iter().map(|stock| {
        let price = stock.last().map_or(String::new(), |trade| trade.price.to_string());
        (stock.symbol.to_string(), (price, stock.status().to_string()))
    });
    shown.collect()
}

fn oracle(column: usize) -> BTreeMap<String, (String, String)> {
    let rows = ORACLE.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| (row[0].to_owned(), (row[column].to_owned(), row[3].to_owned()))).collect()
}

#[test]
fn a_session_ends_as_the_oracle_says_however_it_is_cut() {
    let messages = messages();
    for chunk in [1, 2, 3, 7, 100, messages.len()] {
        for (all_trades, column) in [(false, 1), (true, 2)] {
            let rules = Rules { all_trades, ..Rules::default() };
            let (market, ended) = decode(messages.as_bytes(), chunk, rules);
            assert_eq!(ended, Ok(()));
            assert_eq!(stocks(&market), oracle(column));
            let counts = market.counts();
            assert_eq!(counts.gaps, 1, "an error event is one");
            assert_eq!(counts.skipped_for(Cause::UnknownType), 1);
            assert_eq!(counts.skipped_for(Cause::Older), 1);
            assert_eq!(counts.skipped_for(Cause::Ineligible), if all_trades { 0 } else { 2 });
        }
    }
}

#[test]
fn a_bid_and_an_ask_have_their_sizes_and_a_side_of_0_is_none() {
    let line = br#"[{"T":"q","S":"A","bp":1.5,"bs":3,"ap":0,"as":0,"t":"2021-02-22T15:51:44Z"}]
"#;
    let (market, ended) = decode(line, 1000, Rules::default());
    assert_eq!(ended, Ok(()));
    let stock = &market.stocks()[0];
    assert_eq!((stock.bid, stock.ask), ("1.5".parse().ok(), None));
    assert_eq!((stock.bid_size, stock.ask_size), ("3".parse().ok(), None));
}

#[test]
fn a_bad_event_takes_no_other_with_it_and_a_bad_message_ends_the_feed() {
    let good = r#"{"T":"t","i":1,"S":"A","p":5,"s":1,"t":"2021-02-22T15:51:44Z"}"#;
    for bad in [
        "1",
        "{}",
        r#"{"T":"t"}"#,
        r#"{"T":"t","i":1,"S":"A","p":"5","t":"2021-02-22T15:51:44Z"}"#,
        r#"{"T":"t","i":1,"S":"A","p":5,"t":"yesterday"}"#,
        r#"{"T":"t","i":-1,"S":"A","p":5,"t":"2021-02-22T15:51:44Z"}"#,
        r#"{"T":"c","S":"A","t":"2021-02-22T15:51:44Z"}"#,
        r#"{"T":"x","S":"A","t":"2021-02-22T15:51:44Z"}"#,
        r#"{"T":"s","S":"A","t":"2021-02-22T15:51:44Z"}"#,
    ] {
        let (market, ended) = decode(format!("[{bad},{good}]\n").as_bytes(), 9, Rules::default());
        assert_eq!(ended, Ok(()), "{bad}");
        assert_eq!(market.counts().skipped_for(Cause::Malformed), 1, "{bad}");
        assert_eq!(stocks(&market)["A"].0, "5", "{bad}");
    }
    for (bad, offset) in [("{}\n", 0), ("[\n", 0), ("[]\nx\n", 3), ("[]\n[{}", 3)] {
        let (_, ended) = decode(bad.as_bytes(), 2, Rules::default());
        assert_eq!(ended.unwrap_err().offset, offset, "{bad}");
    }
}

proptest! {
    #[test]
    fn rubbish_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0usize..2000,
    ) {
        let mut messages = messages().into_bytes();
        let at = at % messages.len();
        messages.splice(at..at + bytes.len().min(messages.len() - at), bytes);
        let _ = decode(&messages, 50, Rules::default());
    }
}
