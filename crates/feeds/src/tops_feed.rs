//! What the messages of TOPS mean for the last price of a stock.
//!
//! A trade of extended hours or of an odd lot does not set the last price, as the specification says (*Last
//! Sale Eligible*), unless all trades shall.

use std::collections::HashMap;

use stockd_model::Price;
use stockd_model::limits::STOCKS_MAX;

use crate::market::Sides;
use crate::tops::{self, EXTENDED_HOURS, Message, ODD_LOT};
use crate::{Cause, Market, StockId, Trade};

/// A feed of TOPS.
#[derive(Debug, Default)]
pub struct TopsFeed {
    /// Stocks by their names as they stand in messages; at most [`STOCKS_MAX`].
    stocks: HashMap<[u8; 8], StockId, foldhash::fast::RandomState>,
}

const PRICE_PLACES: u8 = 4;

impl TopsFeed {
    /// Applies a message. Returns when it happened, if it says so; `Err` when it is shorter than its type says.
    pub(crate) fn apply(&mut self, bytes: &[u8], market: &mut Market) -> Result<Option<u64>, ()> {
        market.count_record();
        match tops::parse(bytes).ok_or(())? {
            Message::Quote { time_ns, symbol, bid_size, bid, ask, ask_size } => {
                if let Some(id) = self.stock(symbol, market) {
                    let side =
                        |price: i64| if price > 0 { Price::new(price, PRICE_PLACES) } else { None };
                    let (bid_size, ask_size) = (bid_size.into(), ask_size.into());
                    let sides = Sides { bid: side(bid), ask: side(ask), bid_size, ask_size };
                    market.quote(id, sides, time_ns, None);
                }
                Ok(Some(time_ns))
            }
            Message::Trade { flags, time_ns, symbol, size, price, id: trade } => {
                if let Some(id) = self.stock(symbol, market) {
                    let is_last =
                        flags & (EXTENDED_HOURS | ODD_LOT) == 0 || market.rules().all_trades;
                    let name = || String::from_utf8_lossy(&symbol).trim().to_owned();
                    match Price::new(price, PRICE_PLACES) {
                        None => market.skip(Cause::BadPrice, name),
                        Some(_) if !is_last => market.skip(Cause::Ineligible, name),
                        Some(price) => {
                            let trade = Trade { price, size: size.into(), time_ns, id: trade };
                            market.trade(id, trade, None);
                        }
                    }
                }
                Ok(Some(time_ns))
            }
            Message::Break { time_ns, symbol, id: trade } => {
                if let Some(id) = self.stock(symbol, market) {
                    market.correct(id, trade, None, time_ns);
                }
                Ok(Some(time_ns))
            }
            Message::Status { time_ns, symbol, status } => {
                if let Some(id) = self.stock(symbol, market) {
                    match status {
                        b'H' | b'P' | b'O' => market.halt(id, true, time_ns),
                        b'T' => market.halt(id, false, time_ns),
                        _ => {}
                    }
                }
                Ok(Some(time_ns))
            }
            Message::Operational { time_ns, symbol, status } => {
                if let Some(id) = self.stock(symbol, market) {
                    market.halt_market(id, status == b'O', time_ns);
                }
                Ok(Some(time_ns))
            }
            Message::Other { .. } => Ok(None),
        }
    }

    fn stock(&mut self, symbol: [u8; 8], market: &mut Market) -> Option<StockId> {
        if let Some(id) = self.stocks.get(&symbol) {
            return Some(*id);
        }
        let id = market.stock(&symbol)?;
        // Names that differ in their spaces are of one stock, so there may be more of them.
        if self.stocks.len() < STOCKS_MAX {
            self.stocks.insert(symbol, id);
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;

    #[test]
    fn every_message_without_a_possible_symbol_is_counted() {
        let (mut feed, mut market) = (TopsFeed::default(), Market::new(Rules::default()));
        let mut status = |symbol: &[u8; 8]| {
            let message = [b"HH".as_slice(), &[0; 8], symbol, &[0; 4]].concat();
            feed.apply(&message, &mut market).unwrap();
            (market.stocks().len(), market.counts().skipped_for(Cause::BadSymbol))
        };
        assert_eq!(status(b"        "), (0, 1));
        assert_eq!(status(b"        "), (0, 2));
        assert_eq!(status(b"A       "), (1, 2));
        assert_eq!(status(b" A      "), (1, 2));
    }
}
