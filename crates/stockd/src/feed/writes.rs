//! What a stock of a feed is written as.
//!
//! Invariant: only what the feed knows is written. A feed never writes a volume.

use stockd_client::{Edit, Fields, Price, Write};
use stockd_feeds::Stock;

/// What the price of a stock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PriceOf {
    Last,
    Mid,
    Bid,
    Ask,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Writes {
    pub(super) price: PriceOf,
    /// Places that prices are rounded to.
    pub(super) decimals: Option<u8>,
}

impl Writes {
    /// The write that makes a stock what the feed knows; `None` where that is nothing yet.
    pub(super) fn of(self, stock: &Stock) -> Option<Write> {
        let rounded = |price: Option<Price>| price.map(|price| self.rounded(price));
        let mut fields = Fields { price: self.price_of(stock), ..Fields::default() };
        if stock.has_quotes {
            fields.bid = rounded(stock.bid).into();
            fields.ask = rounded(stock.ask).into();
            fields.bid_size = stock.bid_size.into();
            fields.ask_size = stock.ask_size.into();
        }
        if stock.has_status {
            fields.status = Some(stock.status());
        }
        if stock.time_ns > 0 {
            fields.time_ns = Edit::Set(stock.time_ns);
        }
        // What takes fields away is for a stock that was written before.
        (fields.can_list() || stock.was_taken).then_some(Write::Set(stock.symbol, fields))
    }

    fn price_of(self, stock: &Stock) -> Edit<Price> {
        let price = match self.price {
            PriceOf::Last if stock.has_traded => stock.last().map(|trade| trade.price),
            PriceOf::Bid if stock.has_quotes => stock.bid,
            PriceOf::Ask if stock.has_quotes => stock.ask,
            PriceOf::Mid if stock.has_quotes => {
                stock.bid.zip(stock.ask).and_then(|(bid, ask)| middle(bid, ask))
            }
            _ => return Edit::Keep,
        };
        price.map(|price| self.rounded(price)).into()
    }

    /// The price with the places that it may have, half to even.
    fn rounded(self, price: Price) -> Price {
        let Some(cut) = self.decimals.and_then(|decimals| price.places().checked_sub(decimals))
        else {
            return price;
        };
        let divisor = 10_i128.pow(cut.into());
        let coefficient = i128::from(price.coefficient());
        let (quotient, rest) = (coefficient.div_euclid(divisor), coefficient.rem_euclid(divisor));
        let is_up = 2 * rest > divisor || (2 * rest == divisor && quotient % 2 != 0);
        let rounded = i64::try_from(quotient + i128::from(is_up)).ok();
        let places = price.places() - cut;
        rounded.and_then(|rounded| Price::new(rounded, places)).unwrap_or(price)
    }
}

/// What lies between two prices, exactly; `None` where that cannot be kept.
fn middle(bid: Price, ask: Price) -> Option<Price> {
    let sum = bid.checked_add(ask)?;
    if sum.coefficient() % 2 == 0 {
        return Price::new(sum.coefficient() / 2, sum.places());
    }
    Price::new(sum.coefficient().checked_mul(5)?, sum.places().checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn the_middle_is_exact() {
        for (bid, ask, mid) in [
            ("1", "2", "1.5"),
            ("172.49", "172.51", "172.5"),
            ("-1", "1", "0"),
            ("0.01", "0.02", "0.015"),
        ] {
            assert_eq!(middle(price(bid), price(ask)), Some(price(mid)), "{bid} {ask}");
        }
        assert_eq!(middle(Price::MAX, Price::MAX), None);
    }

    #[test]
    fn prices_are_rounded_half_to_even() {
        let writes = Writes { price: PriceOf::Last, decimals: Some(2) };
        for (exact, rounded) in [
            ("1.005", "1"),
            ("1.015", "1.02"),
            ("1.0151", "1.02"),
            ("1.025", "1.02"),
            ("-1.005", "-1"),
            ("-1.015", "-1.02"),
            ("-37.639", "-37.64"),
            ("5", "5"),
            ("1.5", "1.5"),
            ("0.004", "0"),
        ] {
            assert_eq!(writes.rounded(price(exact)), price(rounded), "{exact}");
        }
        let exact = Writes { decimals: None, ..writes };
        assert_eq!(exact.rounded(price("1.005")), price("1.005"));
    }
}
