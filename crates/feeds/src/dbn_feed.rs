//! Databento's binary encoding (DBN): what its records mean for the last price of a stock.
//!
//! The bytes are decoded by the crate `dbn`, in versions 1 to 3. Owned here are the mappings from ids to symbols,
//! by day in metadata and in the stream, and what is a last trade, a book, a halt, and nothing: a price of 2⁶³ − 1
//! is undefined.
//!
//! Invariant: an id is the symbol that it stands for when its record was received (`ts_recv`), which may be
//! another day than when it happened.

use std::collections::HashMap;
use std::ops::Range;

use dbn::decode::dbn::fsm::{DbnFsm, ProcessResult};
use dbn::enums::{StatusAction, rtype};
use dbn::symbol_map::TsSymbolMap;
use dbn::v3::RecordHeader;
use dbn::{
    BboMsg, BidAskPair, CbboMsg, Cmbp1Msg, ErrorMsg, FIXED_PRICE_SCALE, MboMsg, Mbp1Msg, Mbp10Msg,
    RecordRef, StatusMsg, SymbolMappingMsg, TradeMsg, UNDEF_PRICE, UNDEF_TIMESTAMP,
    VersionUpgradePolicy,
};
use stockd_model::Price;
use stockd_model::limits::{FEED_IDS_MAX, FEED_IDS_RECENT, FEED_METADATA_BYTES_MAX};

use crate::decode::{Decode, FeedError, Step};
use crate::market::Sides;
use crate::{Cause, Market, StockId, Trade};

/// A stream or file of DBN.
#[derive(Debug)]
pub struct DbnFeed {
    fsm: Option<DbnFsm>,
    /// The first bytes, until they are enough to tell metadata from a fragment.
    start: Vec<u8>,
    /// Bytes that came so far.
    filled: u64,
    ids: Ids,
    wrong: Option<FeedError>,
}

const MAGIC: &[u8] = b"DBN";
const PRICE_PLACES: u8 = 9;
const CENT_PLACES: u8 = 2;
const BILLIONTHS_OF_CENT: i64 = 10_i64.pow((PRICE_PLACES - CENT_PLACES) as u32);
const _: () = assert!(FIXED_PRICE_SCALE == 1_000_000_000);

/// Bytes that the length of a record counts.
const LENGTH_UNIT: usize = 4;
const RECORD_ALIGNMENT: usize = 8;

/// The flag of a record that is a part of a snapshot of the book, and no news.
const SNAPSHOT: u8 = 1 << 5;

/// What ids stand for.
#[derive(Debug)]
struct Ids {
    /// What was found last, each at the place that the lowest bits of its id name.
    recent: Box<[Recent]>,
    by_day: Vec<(u32, Day)>,
    /// Where the days of each id stand.
    first_day: HashMap<u32, Range<usize>, foldhash::fast::RandomState>,
    /// What the stream itself has said, of `live_max` ids at most.
    live: HashMap<u32, Option<StockId>, foldhash::fast::RandomState>,
    live_max: usize,
}

/// An id whose stock was found, and for which time that holds.
#[derive(Clone, Copy, Debug)]
struct Recent {
    id: u32,
    stock: StockId,
    start_ns: u64,
    end_ns: u64,
}

#[derive(Debug)]
struct Day {
    start_ns: u64,
    end_ns: u64,
    symbol: String,
    stock: Option<Option<StockId>>,
}

impl Default for DbnFeed {
    fn default() -> DbnFeed {
        DbnFeed::new()
    }
}

impl DbnFeed {
    /// The beginning of a stream, with metadata or without.
    pub fn new() -> DbnFeed {
        DbnFeed {
            fsm: None,
            start: Vec::new(),
            filled: 0,
            ids: Ids::new(FEED_IDS_MAX),
            wrong: None,
        }
    }

    /// Whether a file that begins like this is DBN with metadata.
    pub fn fits(start: &[u8]) -> bool {
        start.starts_with(MAGIC)
    }

    fn process(&mut self, market: &mut Market) -> Result<Step, FeedError> {
        let Some(fsm) = &mut self.fsm else {
            return Ok(Step::NeedsMore);
        };
        let offset = self.filled - fsm.data().len() as u64;
        check(fsm).map_err(|why| match offset {
            0 => FeedError::new(offset, format!("it is no DBN: it begins with {why}")),
            _ => FeedError::new(offset, why),
        })?;
        match fsm.process() {
            ProcessResult::ReadMore(_) => Ok(Step::NeedsMore),
            ProcessResult::Metadata(metadata) => {
                let map = TsSymbolMap::from_metadata(&metadata);
                self.ids.learn(&map.map_err(|error| FeedError::new(offset, error.to_string()))?);
                Ok(Step::Took(None))
            }
            ProcessResult::Record(()) => {
                market.count_record();
                let Some(record) = fsm.last_record() else {
                    return Ok(Step::Took(None));
                };
                let kind = record.header().rtype;
                let received_ns = apply(record, &mut self.ids, market).unwrap_or_else(|| {
                    market.skip(Cause::TooShort, || format!("a record of type {kind:#04x}"));
                    None
                });
                Ok(Step::Took(received_ns))
            }
            ProcessResult::Err(error) => Err(FeedError::new(offset, error.to_string())),
        }
    }
}

impl Decode for DbnFeed {
    fn fill(&mut self, bytes: &[u8]) {
        self.filled += bytes.len() as u64;
        match &mut self.fsm {
            Some(fsm) => fsm.write_all(bytes),
            None => {
                self.start.extend_from_slice(bytes);
                if self.start.len() < MAGIC.len() {
                    return;
                }
                let is_fragment = !DbnFeed::fits(&self.start);
                let policy = VersionUpgradePolicy::UpgradeToV3;
                let builder = DbnFsm::builder().upgrade_policy(policy).skip_metadata(is_fragment);
                match builder.build() {
                    Ok(mut fsm) => {
                        fsm.write_all(&std::mem::take(&mut self.start));
                        self.fsm = Some(fsm);
                    }
                    Err(error) => self.wrong = Some(FeedError::new(0, error.to_string())),
                }
            }
        }
    }

    fn step(&mut self, market: &mut Market) -> Result<Step, FeedError> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        let step = self.process(market);
        if let Err(wrong) = &step {
            self.wrong = Some(wrong.clone());
        }
        step
    }

    fn end(&mut self) -> Result<(), FeedError> {
        match &self.fsm {
            Some(fsm) if fsm.has_decoded_metadata() => match fsm.data().len() {
                0 => Ok(()),
                left => Err(FeedError::cut(self.filled - left as u64, left)),
            },
            _ if self.filled == 0 => Ok(()),
            _ => Err(FeedError::new(0, "the feed ends within its metadata")),
        }
    }
}

impl Ids {
    fn new(live_max: usize) -> Ids {
        let none = Recent { id: 0, stock: StockId::default(), start_ns: 0, end_ns: 0 };
        let recent = vec![none; FEED_IDS_RECENT].into_boxed_slice();
        let (by_day, first_day, live) = (Vec::new(), HashMap::default(), HashMap::default());
        Ids { recent, by_day, first_day, live, live_max }
    }

    /// Takes the mappings of metadata.
    fn learn(&mut self, map: &TsSymbolMap) {
        for (id, intervals) in map.inner() {
            let begin = self.by_day.len();
            for interval in intervals.intervals() {
                let day = Day {
                    start_ns: interval.start_ts,
                    end_ns: interval.end_ts,
                    symbol: interval.symbol.clone(),
                    stock: None,
                };
                self.by_day.push((*id, day));
            }
            self.first_day.insert(*id, begin..self.by_day.len());
        }
    }

    /// Takes a mapping of the stream.
    fn map(&mut self, id: u32, stock: Option<StockId>, market: &mut Market) {
        if self.live.len() >= self.live_max && !self.live.contains_key(&id) {
            return market.skip(Cause::TooManyIds, || format!("id {id}"));
        }
        self.live.insert(id, stock);
        // What it stood for before holds at no time any more.
        self.remember(id, StockId::default(), 0..0);
    }

    fn remember(&mut self, id: u32, stock: StockId, time_ns: Range<u64>) {
        if let Some(place) = self.recent.get_mut(id as usize % FEED_IDS_RECENT) {
            *place = Recent { id, stock, start_ns: time_ns.start, end_ns: time_ns.end };
        }
    }

    /// The stock of an id at this time. Where there is none that is counted.
    #[inline]
    fn stock(&mut self, id: u32, received_ns: u64, market: &mut Market) -> Option<StockId> {
        match self.recent.get(id as usize % FEED_IDS_RECENT) {
            Some(recent)
                if recent.id == id && (recent.start_ns..recent.end_ns).contains(&received_ns) =>
            {
                Some(recent.stock)
            }
            _ => self.find(id, received_ns, market),
        }
    }

    fn find(&mut self, id: u32, received_ns: u64, market: &mut Market) -> Option<StockId> {
        if let Some(&live) = self.live.get(&id) {
            if live.is_none() {
                market.skip(Cause::BadSymbol, || format!("id {id}"));
            }
            if let Some(stock) = live {
                self.remember(id, stock, 0..u64::MAX);
            }
            return live;
        }
        let days = self.first_day.get(&id).cloned().unwrap_or_default();
        let is_then =
            |(_, day): &&mut (u32, Day)| (day.start_ns..day.end_ns).contains(&received_ns);
        let days = self.by_day.get_mut(days).unwrap_or_default();
        let Some((_, day)) = days.iter_mut().find(is_then) else {
            market.skip(Cause::NoSymbol, || format!("id {id}"));
            return None;
        };
        let known = day.stock;
        let stock = known.unwrap_or_else(|| market.stock(day.symbol.as_bytes()));
        if known == Some(None) {
            market.skip(Cause::BadSymbol, || format!("id {id}"));
        }
        day.stock = Some(stock);
        let time_ns = day.start_ns..day.end_ns;
        stock.inspect(|&stock| self.remember(id, stock, time_ns))
    }
}

/// Checks what the crate takes for granted of its bytes: that metadata is of a size to wait for, and that records
/// begin at multiples of 8 bytes.
fn check(fsm: &DbnFsm) -> Result<(), String> {
    let bytes = fsm.data();
    if !fsm.has_decoded_metadata() {
        // Behind the magic and the version.
        let len = crate::read::le32(bytes, 4).map_or(0, |len| len as usize);
        let is_prelude = bytes.starts_with(MAGIC);
        if is_prelude && len > FEED_METADATA_BYTES_MAX {
            return Err(format!("metadata of {len} bytes"));
        }
        return Ok(());
    }
    let Some(words) = bytes.first() else { return Ok(()) };
    let len = usize::from(*words) * LENGTH_UNIT;
    if len < size_of::<RecordHeader>() || !len.is_multiple_of(RECORD_ALIGNMENT) {
        return Err(format!("a record of {len} bytes"));
    }
    if bytes.as_ptr().align_offset(RECORD_ALIGNMENT) != 0 {
        return Err("a record that does not begin at a multiple of 8 bytes".to_owned());
    }
    Ok(())
}

/// Applies one record. Returns when it was received; `None` for one that is too short for its type.
fn apply(record: RecordRef<'_>, ids: &mut Ids, market: &mut Market) -> Option<Option<u64>> {
    let received_ns =
        match record.header().rtype {
            rtype::MBP_0 => {
                let trade = record.try_get::<TradeMsg>().ok()?;
                let print = Print::of(trade.price, trade.size, trade.hd.ts_event, trade.ts_recv);
                // All records of this schema are trades.
                print.apply(&trade.hd, None, ids, market)
            }
            rtype::MBP_1 => {
                let book = record.try_get::<Mbp1Msg>().ok()?;
                let print = Print::of(book.price, book.size, book.hd.ts_event, book.ts_recv);
                let print = print.if_trade(book.action);
                print.apply(&book.hd, book.levels.first().map(sides), ids, market)
            }
            rtype::MBP_10 => {
                let book = record.try_get::<Mbp10Msg>().ok()?;
                let print = Print::of(book.price, book.size, book.hd.ts_event, book.ts_recv);
                let print = print.if_trade(book.action);
                print.apply(&book.hd, book.levels.first().map(sides), ids, market)
            }
            rtype::BBO_1S | rtype::BBO_1M => {
                let bbo = record.try_get::<BboMsg>().ok()?;
                let print = Print::of(bbo.price, bbo.size, bbo.hd.ts_event, bbo.ts_recv);
                print.apply(&bbo.hd, bbo.levels.first().map(sides), ids, market)
            }
            rtype::CMBP_1 | rtype::TCBBO => {
                let book = record.try_get::<Cmbp1Msg>().ok()?;
                let print = Print::of(book.price, book.size, book.hd.ts_event, book.ts_recv);
                let print = print.if_trade(book.action);
                let level = book.levels.first().map(|level| {
                    consolidated(level.bid_px, level.ask_px, level.bid_sz, level.ask_sz)
                });
                print.apply(&book.hd, level, ids, market)
            }
            rtype::CBBO_1S | rtype::CBBO_1M => {
                let bbo = record.try_get::<CbboMsg>().ok()?;
                let print = Print::of(bbo.price, bbo.size, bbo.hd.ts_event, bbo.ts_recv);
                let level = bbo.levels.first().map(|level| {
                    consolidated(level.bid_px, level.ask_px, level.bid_sz, level.ask_sz)
                });
                print.apply(&bbo.hd, level, ids, market)
            }
            rtype::MBO => {
                let order = record.try_get::<MboMsg>().ok()?;
                let is_snapshot = order.flags.raw() & SNAPSHOT != 0;
                let print = Print::of(order.price, order.size, order.hd.ts_event, order.ts_recv);
                let print = print.if_trade(order.action);
                match print.kind {
                    PrintKind::None => Some(print.received_ns),
                    _ if is_snapshot => Some(print.received_ns),
                    _ => print.apply(&order.hd, None, ids, market),
                }
            }
            rtype::STATUS => {
                let status = record.try_get::<StatusMsg>().ok()?;
                let halted = is_halted(status, market.rules().closed_is_halted);
                let received_ns = received(status.ts_recv, status.hd.ts_event);
                let id = ids.stock(status.hd.instrument_id, received_ns, market);
                if let (Some(halted), Some(id)) = (halted, id) {
                    market.halt(id, halted, defined(status.hd.ts_event));
                }
                Some(received_ns)
            }
            rtype::SYMBOL_MAPPING => {
                let mapping = record.try_get::<SymbolMappingMsg>().ok()?;
                let symbol = mapping.stype_out_symbol().unwrap_or_default();
                let stock = market.quiet_stock(symbol.as_bytes());
                ids.map(mapping.hd.instrument_id, stock, market);
                None
            }
            rtype::ERROR => {
                let _ = record.try_get::<ErrorMsg>();
                market.gap(0);
                None
            }
            _ => None,
        };
    Some(received_ns)
}

/// The price of a record, and what it is.
struct Print {
    kind: PrintKind,
    size: u32,
    time_ns: u64,
    received_ns: u64,
}

enum PrintKind {
    None,
    Undefined,
    Trade(i64),
}

impl Print {
    fn of(price: i64, size: u32, time_ns: u64, received_ns: u64) -> Print {
        let kind =
            if price == UNDEF_PRICE { PrintKind::Undefined } else { PrintKind::Trade(price) };
        let received_ns = received(received_ns, time_ns);
        Print { kind, size, time_ns: defined(time_ns), received_ns }
    }

    /// No trade, unless the action of the record is one.
    #[allow(clippy::cast_sign_loss, reason = "the action is an ASCII character")]
    fn if_trade(self, action: std::ffi::c_char) -> Print {
        match action as u8 {
            b'T' => self,
            _ => Print { kind: PrintKind::None, ..self },
        }
    }

    fn apply(
        self,
        header: &RecordHeader,
        sides: Option<Sides>,
        ids: &mut Ids,
        market: &mut Market,
    ) -> Option<u64> {
        let Print { kind, size, time_ns, received_ns } = self;
        let id = header.instrument_id;
        let Some(stock) = ids.stock(id, received_ns, market) else {
            return Some(received_ns);
        };
        if let Some(sides) = sides {
            let time_ns = if time_ns == 0 { received_ns } else { time_ns };
            market.quote(stock, sides, time_ns, Some((header.rtype, received_ns)));
        }
        match kind {
            PrintKind::None => {}
            PrintKind::Undefined => market.skip(Cause::UndefinedPrice, || format!("id {id}")),
            PrintKind::Trade(price) => match price_of(price) {
                Some(price) => {
                    let trade = Trade { price, size: size.into(), time_ns, id: 0 };
                    market.final_trade(stock, trade, received_ns);
                }
                None => market.skip(Cause::BadPrice, || format!("id {id}")),
            },
        }
        Some(received_ns)
    }
}

/// Whether a status halts its stock, or lets it trade; `None` where it says nothing of that.
fn is_halted(status: &StatusMsg, closed_is_halted: bool) -> Option<bool> {
    match status.action().ok()? {
        StatusAction::Trading => Some(false),
        StatusAction::Halt
        | StatusAction::Pause
        | StatusAction::Suspend
        | StatusAction::NotAvailableForTrading => Some(true),
        StatusAction::Close | StatusAction::PostClose if closed_is_halted => Some(true),
        _ => None,
    }
}

fn sides(level: &BidAskPair) -> Sides {
    consolidated(level.bid_px, level.ask_px, level.bid_sz, level.ask_sz)
}

fn consolidated(bid: i64, ask: i64, bid_size: u32, ask_size: u32) -> Sides {
    let price = |price: i64| if price == UNDEF_PRICE { None } else { price_of(price) };
    Sides { bid: price(bid), ask: price(ask), bid_size: bid_size.into(), ask_size: ask_size.into() }
}

/// The price of a number of billionths. Nearly all are whole cents, and need no search for their last digit.
fn price_of(billionths: i64) -> Option<Price> {
    match billionths % BILLIONTHS_OF_CENT {
        0 => Price::new(billionths / BILLIONTHS_OF_CENT, CENT_PLACES),
        _ => Price::new(billionths, PRICE_PLACES),
    }
}

/// When a record was received, or happened where that is undefined: all that comes later would be older than undefined.
fn received(received_ns: u64, happened_ns: u64) -> u64 {
    if received_ns == UNDEF_TIMESTAMP { defined(happened_ns) } else { received_ns }
}

fn defined(time_ns: u64) -> u64 {
    if time_ns == UNDEF_TIMESTAMP { 0 } else { time_ns }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;

    #[test]
    fn a_record_without_a_time_of_receipt_does_not_make_later_ones_old() {
        let (mut ids, mut market) = (Ids::new(1), Market::new(Rules::default()));
        let stock = market.stock(b"A").unwrap();
        ids.map(1, Some(stock), &mut market);
        let trade = |price, happened_ns, ts_recv| TradeMsg {
            hd: RecordHeader::new::<TradeMsg>(rtype::MBP_0, 1, 1, happened_ns),
            price: price * FIXED_PRICE_SCALE,
            ts_recv,
            ..TradeMsg::default()
        };
        for trade in [trade(1, 10, UNDEF_TIMESTAMP), trade(2, 11, 12), trade(3, 10, 11)] {
            apply(RecordRef::from(&trade), &mut ids, &mut market).unwrap();
        }
        let last = market.stocks()[0].last().unwrap();
        assert_eq!(last.price.to_string(), "2");
        assert_eq!(market.counts().skipped_for(Cause::Older), 1);
    }

    #[test]
    fn ids_beyond_the_limit_are_counted_and_stand_for_nothing() {
        let (mut ids, mut market) = (Ids::new(8), Market::new(Rules::default()));
        let stock = market.stock(b"A");
        (0..=8).for_each(|id| ids.map(id, stock, &mut market));
        assert_eq!(market.counts().skipped_for(Cause::TooManyIds), 1);
        assert_eq!(ids.stock(7, 1, &mut market), stock);
        assert_eq!(ids.stock(8, 1, &mut market), None);
        // One that is known may change what it stands for.
        ids.map(7, None, &mut market);
        assert_eq!(ids.stock(7, 1, &mut market), None);
        assert_eq!(market.counts().skipped_for(Cause::TooManyIds), 1);
    }
}
