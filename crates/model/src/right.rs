use std::fmt;

/// What a client may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// See the quote of a stock, now or as it changes, and whether it is listed.
    Read,
    /// List a stock, set its fields, halt it, delist it.
    Write,
    /// Take shares of a stock, or give them back.
    Trade,
    /// See and end the connections of others, and read a snapshot of all stocks.
    Admin,
    /// See what the server counts.
    Metrics,
}

/// Some rights.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Right {
    /// All rights.
    pub const ALL: [Right; 5] =
        [Right::Read, Right::Write, Right::Trade, Right::Admin, Right::Metrics];

    /// Its name, as it is written in settings and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Write => "write",
            Right::Trade => "trade",
            Right::Admin => "admin",
            Right::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Rights {
    /// Every right.
    pub const ALL: Rights = Rights((1 << Right::ALL.len()) - 1);

    /// None.
    pub const NONE: Rights = Rights(0);

    /// Whether a right is among them.
    #[inline]
    pub const fn has(self, right: Right) -> bool {
        self.0 & 1 << right as u8 != 0
    }

    /// These and another one.
    #[must_use]
    pub const fn with(self, right: Right) -> Rights {
        Rights(self.0 | 1 << right as u8)
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Rights {
        rights.into_iter().fold(Rights::NONE, Rights::with)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Right::ALL.iter().filter(|right| self.has(**right))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_hold_what_was_put_into_them() {
        for right in Right::ALL {
            assert!(Rights::ALL.has(right) && !Rights::NONE.has(right));
            let one = Rights::NONE.with(right);
            assert!(Right::ALL.iter().all(|other| one.has(*other) == (*other == right)));
        }
        assert_eq!(Right::ALL.into_iter().collect::<Rights>(), Rights::ALL);
        assert_eq!(format!("{:?}", Rights::NONE.with(Right::Trade)), "{Trade}");
    }
}
