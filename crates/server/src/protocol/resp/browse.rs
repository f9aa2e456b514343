//! The commands that look through the catalog: `KEYS`, `SCAN`, `SNAPSHOT`.

use stockd_engine::Snapshot;
use stockd_model::Symbol;
use stockd_model::limits::{KEYS_MAX, SCAN_COUNT_MAX, SNAPSHOT_PAGE_ROWS, SNAPSHOTS_MAX};
use stockd_wire::resp::{Encoder, Glob, Scan};

use crate::turn::Turn;

/// Sends the next page of the snapshot, and forgets it after the last. Begins one first unless the
/// `next` page of one is asked for.
pub(super) fn snapshot(
    next: bool,
    snapshot: &mut Option<Box<Snapshot>>,
    encoder: &Encoder,
    turn: &mut Turn<'_>,
) {
    if !next {
        *snapshot = None;
        *snapshot = turn.executor.engine().snapshot(turn.access, turn.now).map(Box::new);
    }
    let out = &mut *turn.replies.out;
    let Some(reading) = snapshot else {
        let refusal = match next {
            true => format_args!("ERR no snapshot is being read; begin one with SNAPSHOT"),
            false => format_args!(
                "ERR {SNAPSHOTS_MAX} snapshots are being read, the limit; try again when one has ended or is not read any more"
            ),
        };
        return encoder.error(&refusal, out);
    };
    match reading.page(SNAPSHOT_PAGE_ROWS, turn.now) {
        Ok(Some(quotes)) => encoder.quotes(&quotes, out),
        Ok(None) => {
            *snapshot = None;
            encoder.nil(out);
        }
        Err(ended) => {
            *snapshot = None;
            encoder.error(&format_args!("ERR {ended}"), out);
        }
    }
}

/// Sends a page of symbols, and where to go on.
pub(super) fn scan(scan: Scan<'_>, encoder: &Encoder, turn: &mut Turn<'_>) {
    let page = turn.executor.engine().browse(turn.access, scan.from, scan.rows);
    let symbols = page.quotes.iter().map(|quote| quote.symbol);
    let admitted: Vec<_> = symbols.filter(|symbol| scan.admits(symbol)).collect();
    encoder.scan(page.next, &admitted, turn.replies.out);
}

/// Sends every symbol that matches, unless they are more than may be listed at once.
pub(super) fn keys(pattern: Glob<'_>, encoder: &Encoder, turn: &mut Turn<'_>) {
    let mut found: Vec<Symbol> = Vec::new();
    let mut from = Some(0);
    while let Some(place) = from {
        let page = turn.executor.engine().browse(turn.access, place, SCAN_COUNT_MAX);
        let symbols = page.quotes.iter().map(|quote| quote.symbol);
        found.extend(symbols.filter(|symbol| pattern.matches(symbol.as_bytes())));
        if found.len() > KEYS_MAX {
            let refusal = format_args!(
                "ERR KEYS would list more than {KEYS_MAX} stocks, the limit; use SCAN"
            );
            return encoder.error(&refusal, turn.replies.out);
        }
        from = page.next;
    }
    encoder.symbols(&found, turn.replies.out);
}
