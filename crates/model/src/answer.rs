use std::fmt;

use crate::{Price, Status, Volume};

/// The answer to one lookup. Prints as it is written on the wire: `172.5`, `0` or `-1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The stock trades at this price.
    Price(Price),
    /// The stock is listed, but halted or without volume left: nothing can be traded.
    NotTradable,
    /// No such stock is listed, or the name is not a possible symbol.
    NotFound,
}

impl Answer {
    /// The answer for a listed stock of this price, volume and status.
    #[inline]
    pub fn of(price: Price, volume: Volume, status: Status) -> Answer {
        if volume.is_exhausted() || status == Status::Halted {
            Answer::NotTradable
        } else {
            Answer::Price(price)
        }
    }

    /// The price, of a stock that can be traded.
    pub fn price(self) -> Option<Price> {
        match self {
            Answer::Price(price) => Some(price),
            Answer::NotTradable | Answer::NotFound => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Price(price) => price.fmt(f),
            Answer::NotTradable => f.pad("0"),
            Answer::NotFound => f.pad("-1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_print_as_on_the_wire() {
        let price = "172.50".parse().unwrap();
        assert_eq!(Answer::Price(price).to_string(), "172.5");
        assert_eq!(Answer::NotTradable.to_string(), "0");
        assert_eq!(Answer::NotFound.to_string(), "-1");
        assert_eq!(format!("{:>4}", Answer::NotFound), "  -1");
        assert_eq!(Answer::Price(price).price(), Some(price));
        assert_eq!(Answer::NotTradable.price(), None);
    }
}
