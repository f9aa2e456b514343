//! Makes the data of `stockd demo` from the file that its provenance names.
//!
//! Prices are copied as text and never pass through a float.

use std::fs::File;
use std::io::BufWriter;

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};

use crate::workspace::Workspace;

/// Where the demo reads its data from.
const DEMO_DATA: &str = "crates/stockd/data/daily_bars.csv.gz";

/// The columns that the demo keeps: their names in the source and in the demo.
const COLUMNS: [(&str, &str); 4] =
    [("Date", "date"), ("Ticker", "symbol"), ("Close", "close"), ("Volume", "volume")];

/// Keeps date, symbol, close and volume of every bar, sorted by date, then symbol.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let [path] = arguments else { bail!("usage: cargo xtask demo-data FILE") };
    let source = File::open(path).with_context(|| format!("cannot read {path}"))?;
    let mut reader = csv::Reader::from_reader(MultiGzDecoder::new(source));
    let header = reader.headers().context("no CSV header")?.clone();
    let mut positions = [0; COLUMNS.len()];
    for (position, (column, _)) in positions.iter_mut().zip(COLUMNS) {
        *position = header
            .iter()
            .position(|found| found == column)
            .with_context(|| format!("{path} has no column {column}"))?;
    }
    let mut bars = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| path.to_owned())?;
        bars.push(positions.map(|position| record[position].to_owned()));
    }
    // ISO dates sort as text.
    bars.sort();

    let made = File::create(workspace.absolute(DEMO_DATA)).context(DEMO_DATA)?;
    // No name and no time in the header: the same source makes the same bytes.
    let packed = GzBuilder::new().write(BufWriter::new(made), Compression::best());
    let mut writer = csv::Writer::from_writer(packed);
    writer.write_record(COLUMNS.map(|(_, name)| name))?;
    for bar in &bars {
        writer.write_record(bar)?;
    }
    let packed = writer.into_inner().map_err(|error| error.into_error())?;
    packed.finish()?.into_inner().map_err(|error| error.into_error())?;
    println!("{DEMO_DATA}: {} bars", bars.len());
    Ok(())
}
