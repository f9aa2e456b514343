//! What the messages of ITCH mean for the last price of a stock.
//!
//! Owns the stocks by their locate codes and the orders of the day: an execution names its order alone, so the
//! price of each order must be kept. Sections 4.2.2 and 4.6 to 4.8 of the specification.
//!
//! Invariant: an order is kept as long as shares of it are left; at most [`FEED_ORDERS_MAX`] of them.

use std::collections::HashMap;

use stockd_model::Price;
use stockd_model::limits::FEED_ORDERS_MAX;

use crate::itch::{self, Body, Message};
use crate::{Cause, Market, StockId, Trade};

/// The day of a feed of ITCH.
#[derive(Debug)]
pub struct ItchFeed {
    /// When the day began: Unix time in nanoseconds; `None` where the day is not known.
    midnight_ns: Option<u64>,
    /// What each locate code stands for.
    stocks: Vec<Listed>,
    orders: HashMap<u64, Order, foldhash::fast::RandomState>,
}

/// What a locate code stands for.
#[derive(Clone, Copy, Debug)]
enum Listed {
    /// Nothing that was said: the feed was joined late.
    Nothing,
    /// A stock that is left out, which was counted when it was listed.
    LeftOut,
    Stock(StockId),
}

#[derive(Clone, Copy, Debug)]
struct Order {
    shares: u32,
    price: u32,
}

const PRICE_PLACES: u8 = 4;

impl ItchFeed {
    /// The beginning of a day.
    pub fn new(midnight_ns: Option<u64>) -> ItchFeed {
        ItchFeed { midnight_ns, stocks: Vec::new(), orders: HashMap::default() }
    }

    /// Applies a message. Returns when it happened; `None` where the day is not known. A message whose length is
    /// not that of its type is `Err`.
    pub(crate) fn apply(&mut self, bytes: &[u8], market: &mut Market) -> Result<Option<u64>, u8> {
        let kind = bytes.first().copied().unwrap_or_default();
        market.count_record();
        if itch::message_bytes(kind).is_none() {
            market.skip(Cause::UnknownType, || format!("a message of type {:?}", char::from(kind)));
            return Ok(None);
        }
        let message = itch::parse(bytes).ok_or(kind)?;
        let time_ns = self.midnight_ns.map(|midnight| midnight + message.time_ns);
        self.apply_message(&message, time_ns.unwrap_or(0), market);
        Ok(time_ns)
    }

    fn apply_message(&mut self, message: &Message, time_ns: u64, market: &mut Market) {
        let &Message { locate, body, .. } = message;
        match body {
            Body::Directory { stock, authenticity } => {
                self.list(locate, &stock, authenticity, market);
            }
            Body::Action { state, .. } => {
                if let Some(id) = self.stock(locate, market) {
                    match state {
                        b'H' | b'P' | b'Q' => market.halt(id, true, time_ns),
                        b'T' => market.halt(id, false, time_ns),
                        _ => {}
                    }
                }
            }
            Body::Operational { market: b'Q', action, .. } => {
                if let Some(id) = self.stock(locate, market) {
                    market.halt_market(id, action == b'H', time_ns);
                }
            }
            Body::Trade { shares, price, match_number, .. } => {
                let trade = Print { shares: shares.into(), price, match_number };
                self.print(locate, trade, time_ns, market);
            }
            Body::Cross { shares, price, match_number, .. } if shares > 0 => {
                self.print(locate, Print { shares, price, match_number }, time_ns, market);
            }
            Body::Broken { match_number } => {
                if let Some(id) = self.stock(locate, market) {
                    market.correct(id, match_number, None, time_ns);
                }
            }
            Body::Executed { order, shares, match_number } => {
                if let Some(price) = self.execute(order, shares, market) {
                    let print = Print { shares: shares.into(), price, match_number };
                    self.print(locate, print, time_ns, market);
                }
            }
            Body::ExecutedAt { order, shares, match_number, is_printable, price } => {
                let known = self.execute(order, shares, market);
                if known.is_some() && is_printable {
                    let print = Print { shares: shares.into(), price, match_number };
                    self.print(locate, print, time_ns, market);
                }
            }
            Body::Add { order, shares, price, .. } => {
                self.add(order, Order { shares, price }, market);
            }
            Body::Cancel { order, shares } => {
                let _ = self.execute(order, shares, market);
            }
            Body::Delete { order } => {
                if self.orders.remove(&order).is_none() {
                    unknown(order, market);
                }
            }
            Body::Replace { order, new_order, shares, price } => {
                if self.orders.remove(&order).is_none() {
                    unknown(order, market);
                }
                self.add(new_order, Order { shares, price }, market);
            }
            Body::Cross { .. }
            | Body::Operational { .. }
            | Body::System { .. }
            | Body::Other { .. } => {}
        }
    }

    fn list(&mut self, locate: u16, stock: &[u8; 8], authenticity: u8, market: &mut Market) {
        let at = usize::from(locate);
        if self.stocks.len() <= at {
            self.stocks.resize(at + 1, Listed::Nothing);
        }
        let is_test = authenticity == b'T' && !market.rules().test_symbols;
        let id = if is_test {
            market.skip(Cause::TestSymbol, || String::from_utf8_lossy(stock).trim().to_owned());
            None
        } else {
            market.stock(stock)
        };
        if let Some(slot) = self.stocks.get_mut(at) {
            *slot = id.map_or(Listed::LeftOut, Listed::Stock);
        }
        // A stock counts as halted until the spin of actions before the opening says otherwise.
        if let Some(id) = id {
            market.halt(id, true, 0);
        }
    }

    /// The stock of a locate code.
    fn stock(&self, locate: u16, market: &mut Market) -> Option<StockId> {
        match self.stocks.get(usize::from(locate)) {
            Some(Listed::Stock(id)) => Some(*id),
            Some(Listed::LeftOut) => None,
            Some(Listed::Nothing) | None => {
                market.skip(Cause::NoSymbol, || format!("locate code {locate}"));
                None
            }
        }
    }

    fn add(&mut self, number: u64, order: Order, market: &mut Market) {
        if self.orders.len() >= FEED_ORDERS_MAX {
            return market.skip(Cause::TooManyOrders, || format!("order {number}"));
        }
        self.orders.insert(number, order);
        market.note_orders(self.orders.len());
    }

    /// Takes shares from an order. Returns its price, if it is known.
    fn execute(&mut self, number: u64, shares: u32, market: &mut Market) -> Option<u32> {
        let Some(order) = self.orders.get_mut(&number) else {
            unknown(number, market);
            return None;
        };
        let price = order.price;
        order.shares = order.shares.saturating_sub(shares);
        if order.shares == 0 {
            self.orders.remove(&number);
        }
        Some(price)
    }

    fn print(&self, locate: u16, print: Print, time_ns: u64, market: &mut Market) {
        let Some(id) = self.stock(locate, market) else { return };
        let Some(price) = Price::new(print.price.into(), PRICE_PLACES) else { return };
        let trade = Trade { price, size: print.shares, time_ns, id: print.match_number };
        market.trade(id, trade, None);
    }
}

#[derive(Clone, Copy)]
struct Print {
    shares: u64,
    price: u32,
    match_number: u64,
}

fn unknown(order: u64, market: &mut Market) {
    market.skip(Cause::UnknownOrder, || format!("order {order}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;

    /// A message of this type, for a locate code, with bytes at some places.
    fn message(kind: u8, locate: u16, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; itch::message_bytes(kind).unwrap()];
        bytes[0] = kind;
        bytes[1..3].copy_from_slice(&locate.to_be_bytes());
        for (at, part) in parts {
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        bytes
    }

    #[test]
    fn what_concerns_a_stock_that_was_not_listed_is_counted() {
        let (mut feed, mut market) = (ItchFeed::new(None), Market::new(Rules::default()));
        let name: (usize, &[u8]) = (11, b"AAPL    ");
        let list = |locate, authenticity: &[u8]| message(b'R', locate, &[name, (29, authenticity)]);
        let halt = |locate| message(b'H', locate, &[(19, b"H")]);
        // Below the code that was listed, and above it.
        for message in [list(5, b"P"), halt(5), halt(3), halt(9)] {
            feed.apply(&message, &mut market).unwrap();
        }
        assert_eq!(market.counts().skipped_for(Cause::NoSymbol), 2);
        // One that is left out has said so.
        for message in [list(3, b"T"), halt(3)] {
            feed.apply(&message, &mut market).unwrap();
        }
        assert_eq!(market.counts().skipped_for(Cause::NoSymbol), 2);
        assert_eq!(market.counts().skipped_for(Cause::TestSymbol), 1);
    }
}
