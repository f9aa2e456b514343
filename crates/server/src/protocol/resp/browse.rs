//! The commands that look through the catalog: `KEYS`, `SCAN`, `SNAPSHOT`.

use stockd_engine::{Engine, Snapshot};
use stockd_model::Symbol;
use stockd_model::limits::{KEYS_MAX, SNAPSHOT_PAGE_ROWS, SNAPSHOTS_MAX};
use stockd_wire::resp::{Encoder, Glob, Scan};

/// Sends the next page of the snapshot, and forgets it after the last. Begins one first unless the
/// `next` page of one is asked for.
pub(super) fn snapshot(
    next: bool,
    snapshot: &mut Option<Box<Snapshot>>,
    encoder: &Encoder,
    engine: &Engine,
    out: &mut Vec<u8>,
) {
    if !next {
        *snapshot = None;
        *snapshot = engine.snapshot().map(Box::new);
    }
    let Some(reading) = snapshot else {
        let refusal = match next {
            true => format_args!("ERR no snapshot is being read; begin one with SNAPSHOT"),
            false => format_args!(
                "ERR {SNAPSHOTS_MAX} snapshots are being read, the limit; try again when one has ended"
            ),
        };
        return encoder.error(&refusal, out);
    };
    match reading.page(SNAPSHOT_PAGE_ROWS) {
        Some(quotes) => encoder.quotes(&quotes, out),
        None => {
            *snapshot = None;
            encoder.nil(out);
        }
    }
}

/// Sends a page of symbols, and where to go on.
pub(super) fn scan(scan: Scan<'_>, encoder: &Encoder, engine: &Engine, out: &mut Vec<u8>) {
    let page = engine.catalog().page(scan.from, scan.rows);
    let symbols = page.quotes.iter().map(|quote| quote.symbol);
    let admitted: Vec<_> = symbols.filter(|symbol| scan.admits(symbol)).collect();
    encoder.scan(page.next, &admitted, out);
}

/// Sends every symbol that matches, unless they are more than may be listed at once.
pub(super) fn keys(pattern: Glob<'_>, encoder: &Encoder, engine: &Engine, out: &mut Vec<u8>) {
    let symbols = engine.catalog().iter().map(|quote| quote.symbol);
    let matching = symbols.filter(|symbol| pattern.matches(symbol.as_bytes()));
    let found: Vec<Symbol> = matching.take(KEYS_MAX + 1).collect();
    if found.len() > KEYS_MAX {
        let refusal =
            format_args!("ERR KEYS would list more than {KEYS_MAX} stocks, the limit; use SCAN");
        return encoder.error(&refusal, out);
    }
    encoder.symbols(&found, out);
}
