//! The commands that look at the catalog at once: `SNAPSHOT`, whose page has fewer rows where the turn
//! has little work left, and `MEMORY USAGE`. Those that walk over it are in [`walk`](super::walk).

use stockd_engine::Snapshot;
use stockd_model::limits::{PAGE_WORK_MIN, SNAPSHOT_PAGE_ROWS, SNAPSHOTS_MAX};
use stockd_model::{Request, Symbol, SymbolError};
use stockd_wire::resp::Encoder;

use crate::turn::Turn;

/// Sends the next page of the snapshot, and forgets it after the last. Begins one first unless the
/// `next` page of one is asked for.
pub(super) fn snapshot(
    next: bool,
    snapshot: &mut Option<Box<Snapshot>>,
    encoder: &Encoder,
    turn: &mut Turn<'_>,
) {
    /// A quote is read and encoded, with its name, numbers and time.
    const ROW_COST: usize = 4;
    if !next {
        *snapshot = None;
        if let Err(full) = turn.check_memory() {
            return encoder.error(&full, turn.replies.out);
        }
        *snapshot = turn.executor.engine().snapshot(turn.identity.access(), turn.now).map(Box::new);
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
    let rows = rows_within(turn.work.left(), ROW_COST, SNAPSHOT_PAGE_ROWS);
    turn.work.spend(rows * ROW_COST);
    match reading.page(rows, turn.now) {
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

/// Says what a stock takes of the catalog's memory: as much as any other, empty rows included.
pub(super) fn memory_usage(
    symbol: &Result<Symbol, SymbolError>,
    encoder: &Encoder,
    turn: &mut Turn<'_>,
) {
    /// About what a stock takes. To those who may not read all of them it is not said how many there are.
    const STOCK_BYTES: usize = 140;
    let (engine, access) = (turn.executor.engine(), turn.identity.access());
    if let Ok(symbol) = symbol
        && let Err(refusal) = access.check(&Request::Lookup(Ok(*symbol)))
    {
        turn.cells.count_refusal(&refusal);
        return encoder.refusal(&refusal, turn.replies.out);
    }
    let is_listed = |symbol| engine.quote(access, symbol).is_some();
    match symbol.as_ref().is_ok_and(is_listed) {
        true => {
            let Some(stocks) = engine.count(access) else {
                return encoder.integer(STOCK_BYTES as u64, turn.replies.out);
            };
            let stocks = stocks.max(1);
            encoder.integer((engine.memory_bytes() / stocks) as u64, turn.replies.out);
        }
        false => encoder.nil(turn.replies.out),
    }
}

/// As many of the rows as the work that is left is for, or a few where it is nearly spent.
fn rows_within(work: usize, row_cost: usize, rows: usize) -> usize {
    rows.min((work.max(PAGE_WORK_MIN) / row_cost).max(1))
}
