//! Stocks that are granted: symbols, and prefixes of symbols.
//!
//! Most lists have one entry, and it is short. That is one comparison of a word. All others are two
//! sorted lists, of prefixes of which none begins with another and of symbols that none of them covers;
//! a search in each finds what covers a symbol, if anything does.
//!
//! Invariant: a symbol is covered if and only if it is in the list as it was written, or begins with a
//! prefix of it.

use std::fmt;

use stockd_model::limits::SYMBOL_BYTES_MAX;
use stockd_model::{Symbol, SymbolError};

/// A list of stocks that are granted.
#[derive(Clone, PartialEq, Eq)]
pub struct Grants {
    /// A symbol whose first word has these bits where the mask has ones is covered.
    mask: u64,
    bits: u64,
    prefixes: Box<[Box<[u8]>]>,
    symbols: Box<[Symbol]>,
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    Symbol(Symbol),
    /// All symbols that begin so; empty for all.
    Prefix(Box<[u8]>),
}

/// Why a text grants nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("one * may stand at the end of a grant and nowhere else; write the prefix, then *")]
    Star,
    #[error("{0}; write a symbol such as BRK/A, or a prefix and * such as US.*")]
    Symbol(SymbolError),
    #[error("no symbol begins with white space; write the prefix without it")]
    LeadingSpace,
}

/// The comparison that covers nothing: no bit of nothing is one.
const COVERS_NOTHING: (u64, u64) = (0, 1);

impl Grant {
    pub(crate) fn parse(text: &str) -> Result<Grant, GrantError> {
        let Some(prefix) = text.strip_suffix('*') else {
            return match text.contains('*') {
                true => Err(GrantError::Star),
                false => text.parse().map(Grant::Symbol).map_err(GrantError::Symbol),
            };
        };
        if prefix.contains('*') {
            return Err(GrantError::Star);
        }
        if prefix.starts_with(char::is_whitespace) {
            return Err(GrantError::LeadingSpace);
        }
        // With a letter behind it the prefix is a symbol, unless it is as long as one.
        let probe =
            if prefix.len() == SYMBOL_BYTES_MAX { prefix.into() } else { format!("{prefix}A") };
        probe.parse::<Symbol>().map_err(GrantError::Symbol)?;
        Ok(Grant::Prefix(prefix.as_bytes().into()))
    }
}

impl Grants {
    /// All stocks.
    pub fn all() -> Grants {
        Grants::new([Grant::Prefix(Box::default())])
    }

    pub(crate) fn new(grants: impl IntoIterator<Item = Grant>) -> Grants {
        let (mut prefixes, mut symbols) = (Vec::new(), Vec::new());
        for grant in grants {
            match grant {
                Grant::Symbol(symbol) => symbols.push(symbol),
                Grant::Prefix(prefix) => prefixes.push(prefix),
            }
        }
        // In this order a prefix comes right before all that begin with it.
        prefixes.sort_unstable();
        prefixes.dedup_by(|later, before| later.starts_with(before));
        symbols.sort_unstable();
        symbols.dedup();
        symbols.retain(|symbol| !covers(&prefixes, symbol));
        let (mask, bits) = match &*prefixes {
            [prefix] if prefix.len() <= 8 => first_bits(prefix),
            _ => COVERS_NOTHING,
        };
        Grants { mask, bits, prefixes: prefixes.into(), symbols: symbols.into() }
    }

    /// Whether a symbol is covered.
    #[inline(always)]
    pub fn cover(&self, symbol: &Symbol) -> bool {
        self.cover_at_a_glance(symbol) || self.cover_in_lists(symbol)
    }

    /// Whether a symbol is seen to be covered by its first word.
    #[inline(always)]
    pub(crate) fn cover_at_a_glance(&self, symbol: &Symbol) -> bool {
        let [first, ..] = symbol.words();
        first & self.mask == self.bits
    }

    #[inline(never)]
    fn cover_in_lists(&self, symbol: &Symbol) -> bool {
        covers(&self.prefixes, symbol) || self.symbols.binary_search(symbol).is_ok()
    }

    /// Whether all symbols are covered.
    #[inline(always)]
    pub fn are_all(&self) -> bool {
        self.mask == 0 && self.bits == 0
    }

    /// Whether no symbol is covered.
    pub fn are_none(&self) -> bool {
        self.prefixes.is_empty() && self.symbols.is_empty()
    }
}

/// Whether a symbol begins with one of these, which are sorted, and of which none begins with another.
fn covers(prefixes: &[Box<[u8]>], symbol: &Symbol) -> bool {
    let text = symbol.as_bytes();
    let behind = prefixes.partition_point(|prefix| **prefix <= *text);
    // What lies between a prefix of the text and the text begins with that prefix as well.
    behind.checked_sub(1).and_then(|at| prefixes.get(at)).is_some_and(|it| text.starts_with(it))
}

/// The bits of the first word of all symbols that begin so, and which bits these are.
fn first_bits(prefix: &[u8]) -> (u64, u64) {
    let word = |byte: &dyn Fn(usize) -> u8| u64::from_le_bytes(std::array::from_fn(byte));
    let mask = word(&|at| if at < prefix.len() { 0xff } else { 0 });
    (mask, word(&|at| prefix.get(at).copied().unwrap_or(0)))
}

impl Default for Grants {
    /// No stock.
    fn default() -> Grants {
        Grants::new([])
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Grants {
    /// The list without what others in it cover.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefixes = self.prefixes.iter().map(|it| format!("{}*", String::from_utf8_lossy(it)));
        let all = prefixes.chain(self.symbols.iter().map(Symbol::to_string));
        for (index, grant) in all.enumerate() {
            write!(f, "{}{grant}", if index > 0 { ", " } else { "" })?;
        }
        if self.are_none() { f.write_str("nothing") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grants(texts: &[&str]) -> Grants {
        Grants::new(texts.iter().map(|text| Grant::parse(text).unwrap()))
    }

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_is_a_symbol_or_a_prefix() {
        let some = grants(&["US.*", "BRK/A", "US.X", "US.AA*"]);
        assert_eq!(some.to_string(), "US.*, BRK/A");
        for (name, covered) in
            [("US.AAPL", true), ("US.", true), ("US", false), ("BRK/A", true), ("BRK/AB", false)]
        {
            assert_eq!(some.cover(&symbol(name)), covered, "{name}");
        }
        assert!(grants(&["*"]).are_all() && Grants::all().cover(&symbol("X")));
        assert!(Grants::default().are_none() && !Grants::default().cover(&symbol("X")));
        assert_eq!(Grants::default().to_string(), "nothing");
        assert!(grants(&["AAPL  26*"]).cover(&symbol("AAPL  260116C00200000")));
    }

    #[test]
    fn what_grants_nothing_says_why() {
        let why = |text: &str| Grant::parse(text).unwrap_err().to_string();
        for text in ["A*B", "**", "*A", "A*B*"] {
            assert!(why(text).starts_with("one * may stand at the end"), "{text}");
        }
        assert!(why("").starts_with("the symbol is empty; write a symbol such as"));
        assert!(why(" US*").starts_with("no symbol begins with white space"));
        assert!(why(&format!("{}*", "A".repeat(49))).contains("the limit is 48"));
        assert!(Grant::parse(&format!("{}*", "A".repeat(48))).is_ok());
        assert!(why("A\u{200b}*").contains("invisible"));
    }

    proptest! {
        /// However many grants there are, and however they lie in each other, they cover what a look at
        /// each of them says.
        #[test]
        fn lists_cover_what_a_look_at_each_entry_says(
            texts in proptest::collection::vec("[AB.]{0,10}\\*|[AB.]{1,10}", 0..20),
            names in proptest::collection::vec("[AB.]{1,12}", 1..40),
        ) {
            let list = Grants::new(texts.iter().map(|text| Grant::parse(text).unwrap()));
            for name in names {
                let expected = texts.iter().any(|text| match text.strip_suffix('*') {
                    Some(prefix) => name.starts_with(prefix),
                    None => name == *text,
                });
                prop_assert_eq!(list.cover(&symbol(&name)), expected, "{:?} {}", texts, name);
            }
            let all = texts.iter().any(|text| text == "*");
            prop_assert_eq!(list.are_all(), all);
            prop_assert_eq!(list.are_none(), texts.is_empty());
        }
    }
}
