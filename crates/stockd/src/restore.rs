//! `stockd import --exact`: a data directory that holds what another held, versions and times included.
//!
//! It writes the directory itself, while no server has it. So nothing on the network can set versions or
//! times: who may do this is who may write the directory.
//!
//! Invariant: nothing is written before the whole file is read and every stock is compared with what the
//! directory holds; no version of a stock goes back.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use stockd_client::{Fields, Quote, QuoteFeed, Symbol};
use stockd_model::limits::VERSION_MAX;
use stockd_model::{FeedName, Field, parse_time};
use stockd_store::{DataDir, Store, Write};

use crate::bad_rows::BadRows;
use crate::catalog_file::lines::{Line, Lines, too_long};
use crate::catalog_file::{BadRow, Input, Source};
use crate::output;
use crate::progress;

/// Stocks of one commit.
const BATCH: usize = 16 * 1024;

/// A line of the file: what `SNAPSHOT` says of a stock.
#[derive(Deserialize)]
struct Exact<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    volume: Option<Cow<'a, str>>,
    #[serde(borrow)]
    bid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ask: Option<Cow<'a, str>>,
    #[serde(borrow)]
    bid_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ask_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    version: u64,
    #[serde(borrow)]
    updated: Cow<'a, str>,
    #[serde(borrow)]
    feed: Option<Cow<'a, str>>,
    #[serde(borrow)]
    on_stale: Option<Cow<'a, str>>,
}

/// Restores the stocks of a file into a data directory, which is made if it is not there. Prints how many.
pub(crate) fn run(source: &Source, directory: &Path) -> anyhow::Result<()> {
    let quotes = read(source)?;
    let mut data = DataDir::open_or_create_all(directory, true)?;
    let floor = check(&data, &quotes, directory)?;
    let floor = quotes.iter().map(|quote| quote.version).fold(floor, u64::max);
    let progress = progress::bar_of_many(
        quotes.len() as u64,
        "{bar:40} {human_pos} of {human_len} stocks, {eta} left",
    );
    for batch in quotes.chunks(BATCH) {
        let writes: Vec<Write> = batch.iter().copied().map(Write::Put).collect();
        data.commit(&writes, floor)?;
        progress.inc(batch.len() as u64);
    }
    drop((progress, data));
    let stocks = if quotes.len() == 1 { "stock" } else { "stocks" };
    output::line(format_args!("{} {stocks} restored", quotes.len()))
}

/// Every quote of the file, each stock once.
fn read(source: &Source) -> anyhow::Result<Vec<Quote>> {
    let cannot_read = || format!("cannot read {source}");
    let Input { text, progress, .. } = source.open().with_context(cannot_read)?;
    let mut lines = Lines::new(text);
    let (mut quotes, mut bad_rows) = (Vec::new(), BadRows::default());
    let mut seen: HashMap<Symbol, u64, foldhash::fast::RandomState> = HashMap::default();
    while let Some((number, line)) = lines.next().with_context(cannot_read)? {
        let read = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => quote(line),
            Line::TooLong(max) => Err(too_long(max)),
        };
        let unique = read.and_then(|quote| match seen.insert(quote.symbol, number) {
            None => Ok(quote),
            Some(first) => Err(format!("'{}' stands in line {first} already", quote.symbol)),
        });
        match unique {
            Ok(quote) => quotes.push(quote),
            Err(why) => bad_rows.add(BadRow { column: None, why }.located(source, number)),
        }
    }
    progress.finish_and_clear();
    bad_rows.report(false, "nothing is restored")?;
    Ok(quotes)
}

fn quote(line: &[u8]) -> Result<Quote, String> {
    let exact: Exact<'_> = serde_json::from_slice(line).map_err(|error| {
        format!("no quote of 'stockd export --exact': {}", error.to_string().replace('\n', " "))
    })?;
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let symbol: Symbol = exact.symbol.parse().map_err(|error| text(&error))?;
    let mut fields = Fields::default();
    for (field, given) in [
        (Field::Price, &exact.price),
        (Field::Volume, &exact.volume),
        (Field::Bid, &exact.bid),
        (Field::Ask, &exact.ask),
        (Field::BidSize, &exact.bid_size),
        (Field::AskSize, &exact.ask_size),
        (Field::Time, &exact.time),
        (Field::Status, &Some(exact.status)),
    ] {
        if let Some(given) = given {
            fields.set(field, given.as_bytes()).map_err(|error| text(&error))?;
        }
    }
    if !(1..=VERSION_MAX).contains(&exact.version) {
        return Err(format!("version {} is not from 1 to {VERSION_MAX}", exact.version));
    }
    let feed = exact.feed.map(|name| FeedName::new(&name)).transpose().map_err(|it| text(&it))?;
    Ok(Quote {
        version: exact.version,
        updated_ns: parse_time(exact.updated.as_bytes()).map_err(|error| text(&error))?,
        feed: feed.map(|name| QuoteFeed {
            halts_when_stale: exact.on_stale.as_deref() == Some("halt"),
            ..QuoteFeed::of(name)
        }),
        ..fields.outcome(&Quote::new(symbol))
    })
}

/// Compares with what the directory holds. Returns its version floor.
fn check(data: &DataDir, quotes: &[Quote], directory: &Path) -> anyhow::Result<u64> {
    let in_file: HashMap<&Symbol, &Quote, foldhash::fast::RandomState> =
        quotes.iter().map(|quote| (&quote.symbol, quote)).collect();
    let (mut newer, mut first) = (0_u64, None);
    let floor = data.load(|held| {
        let is_older = |quote: &&&Quote| {
            quote.version < held.version
                || (quote.version == held.version && quote.kept() != held.kept())
        };
        if let Some(quote) = in_file.get(&held.symbol).filter(is_older) {
            newer += 1;
            first.get_or_insert((held.symbol, held.version, quote.version));
        }
        ControlFlow::Continue(())
    })?;
    if let Some((symbol, held, in_file)) = first {
        bail!(
            "{} has newer versions of {newer} stocks than the file: '{symbol}' is at {held}, and {in_file} in the file; restore into a new directory",
            directory.display()
        );
    }
    Ok(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_quote_with_everything_or_says_why_not() {
        let line = r#"{"symbol":"A","price":"1.5","volume":"3","bid":"1","status":"halted","time":"2026-09-21T14:13:20.123456789Z","version":7,"updated":"2026-09-21T14:13:20.123500001Z","feed":"f","feed_state":"live","on_stale":"halt"}"#;
        let read = quote(line.as_bytes()).unwrap();
        let mut again = Vec::new();
        stockd_model::quote_json::encode_kept(&read, &mut again);
        assert_eq!(String::from_utf8(again).unwrap(), line.replace("\"live\"", "\"stale\""));
        let why = |from: &str, to: &str| quote(line.replace(from, to).as_bytes()).unwrap_err();
        assert!(why("\"version\":7,", "").contains("missing field `version`"));
        assert!(why(":7,", ":0,").contains("version 0 is not from 1"));
        assert!(why("\"1.5\"", "\"$1\"").contains("'$1' is not a price"));
        assert!(why("\"f\"", "\"f f\"").contains("is not a name of a feed"));
        assert!(why("\"halted\"", "\"stopped\"").contains("'stopped' is not a status"));
        assert!(why("{\"symbol\"", "").starts_with("no quote of 'stockd export --exact'"));
    }
}
