use std::fmt;

use crate::decimal::DecimalText;
use crate::{Price, Status, Volume};

/// The answer to one lookup. Prints as it is written on the wire: `172.5`, `0` or `-1`. So that no
/// price is taken for another answer, the prices zero and minus one print as `0.0` and `-1.0`; and what
/// may not be read prints as `ERR not permitted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The stock trades at this price.
    Price(Price),
    /// The stock is listed, but halted, without volume left or without a price: nothing can be traded.
    NotTradable,
    /// No such stock is listed, or the name is not a possible symbol.
    NotFound,
    /// The client may not read this stock, listed or not.
    NotPermitted,
}

impl Answer {
    /// The answer for a listed stock of this price, volume and status.
    #[inline]
    pub fn of(price: Option<Price>, volume: Option<Volume>, status: Status) -> Answer {
        match price {
            Some(price)
                if status == Status::Trading && !volume.is_some_and(Volume::is_exhausted) =>
            {
                Answer::Price(price)
            }
            _ => Answer::NotTradable,
        }
    }

    /// The price, of a stock that can be traded.
    pub fn price(self) -> Option<Price> {
        match self {
            Answer::Price(price) => Some(price),
            Answer::NotTradable | Answer::NotFound | Answer::NotPermitted => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Price(price) => {
                f.pad(DecimalText::written(|room| price.write_answer(room)).as_str())
            }
            Answer::NotTradable => f.pad("0"),
            Answer::NotFound => f.pad("-1"),
            Answer::NotPermitted => f.pad("ERR not permitted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_whose_shares_are_not_counted_is_answered_with_its_price() {
        let price = Price::ZERO;
        let answer = |volume, status| Answer::of(Some(price), volume, status);
        assert_eq!(answer(None, Status::Trading), Answer::Price(price));
        assert_eq!(answer(Some(Volume::EXHAUSTED), Status::Trading), Answer::NotTradable);
        assert_eq!(answer(None, Status::Halted), Answer::NotTradable);
        assert_eq!(Answer::of(None, None, Status::Trading), Answer::NotTradable);
    }

    #[test]
    fn answers_print_as_on_the_wire() {
        let price = "172.50".parse().unwrap();
        assert_eq!(Answer::Price(price).to_string(), "172.5");
        assert_eq!(Answer::NotTradable.to_string(), "0");
        assert_eq!(Answer::NotFound.to_string(), "-1");
        assert_eq!(Answer::Price(Price::ZERO).to_string(), "0.0");
        assert_eq!(Answer::Price("-1".parse().unwrap()).to_string(), "-1.0");
        assert_eq!(size_of::<Answer>(), 16);
        assert_eq!(format!("{:>4}", Answer::NotFound), "  -1");
        assert_eq!(Answer::Price(price).price(), Some(price));
        assert_eq!(Answer::NotTradable.price(), None);
    }
}
