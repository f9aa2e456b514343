use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::limits::SYMBOL_BYTES_MAX;

/// The name of a stock: UTF-8, 1 to 30 bytes, no control characters, no white space at either
/// end. Case matters and spaces inside are allowed (`BRK/A`, `ABR^D`, `AAPL  260116C00200000`).
///
/// A symbol is 32 bytes, held in place. Equal symbols have equal [`words`](Symbol::words).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Symbol {
    /// The text, then zeros; the length at [`LEN_AT`]; the last byte is always zero.
    bytes: [u8; 32],
}

/// Where in `bytes` the length stands.
const LEN_AT: usize = SYMBOL_BYTES_MAX;

/// Why a name is not a possible symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// Nothing is left after trimming white space.
    #[error("the symbol is empty")]
    Empty,
    /// The trimmed name is longer than a symbol can be.
    #[error("the symbol is {bytes} bytes long, the limit is {SYMBOL_BYTES_MAX}")]
    TooLong {
        /// Length of the trimmed name in bytes.
        bytes: usize,
    },
    /// The name is not UTF-8.
    #[error("the symbol is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first byte that is not UTF-8.
        at: usize,
    },
    /// The name has a control character.
    #[error("the symbol has a control character, U+{:04X}", u32::from(*.character))]
    Control {
        /// The first control character.
        character: char,
    },
}

impl Symbol {
    /// Reads a symbol from text that may have white space around it.
    ///
    /// # Errors
    ///
    /// [`SymbolError`] when what is left after trimming is not a possible symbol.
    #[inline(always)]
    pub fn parse(name: &[u8]) -> Result<Symbol, SymbolError> {
        let trimmed = name.trim_ascii();
        let printable_ascii = |byte: &u8| matches!(byte, 0x20..=0x7e);
        if (1..=SYMBOL_BYTES_MAX).contains(&trimmed.len()) && trimmed.iter().all(printable_ascii) {
            return Ok(Symbol::from_valid(trimmed));
        }
        Symbol::parse_any(name)
    }

    /// The whole rule, for names that are not plain ASCII or not valid.
    #[cold]
    fn parse_any(name: &[u8]) -> Result<Symbol, SymbolError> {
        let text = std::str::from_utf8(name)
            .map_err(|error| SymbolError::NotUtf8 { at: error.valid_up_to() })?
            .trim();
        if text.is_empty() {
            return Err(SymbolError::Empty);
        }
        if let Some(character) = text.chars().find(|character| character.is_control()) {
            return Err(SymbolError::Control { character });
        }
        if text.len() > SYMBOL_BYTES_MAX {
            return Err(SymbolError::TooLong { bytes: text.len() });
        }
        Ok(Symbol::from_valid(text.as_bytes()))
    }

    #[inline(always)]
    fn from_valid(text: &[u8]) -> Symbol {
        // Word by word, not with one copy of unknown length: that would be a call, and the words
        // would be read back before its odd pieces are written.
        let mut words = [0; 4];
        let (whole, tail) = text.as_chunks::<8>();
        for (word, chunk) in words.iter_mut().zip(whole) {
            *word = u64::from_le_bytes(*chunk);
        }
        let last = tail.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        if let Some(word) = words.get_mut(whole.len()) {
            *word = last;
        }
        words[LEN_AT / 8] |= (text.len() as u64) << (LEN_AT % 8 * 8);
        Symbol::from_words(words.map(u64::to_le))
    }

    /// The symbol as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a symbol is UTF-8 since it was parsed")
    }

    /// The symbol as UTF-8 bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.bytes[LEN_AT])]
    }

    /// The symbol as four words in native byte order: text padded with zeros to 30 bytes, then
    /// its length, then a zero byte. A table may keep a byte of its own in that last one.
    #[inline(always)]
    pub fn words(&self) -> [u64; 4] {
        let (words, _) = self.bytes.as_chunks::<8>();
        [0, 1, 2, 3].map(|i| u64::from_ne_bytes(words[i]))
    }

    /// The symbol whose [`words`](Symbol::words) these are. Words that no symbol has give a
    /// symbol that equals no other, and whose text is not to be asked for: it panics.
    #[inline(always)]
    pub fn from_words(words: [u64; 4]) -> Symbol {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *chunk = word.to_ne_bytes();
        }
        Symbol { bytes }
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;

    fn from_str(name: &str) -> Result<Symbol, SymbolError> {
        Symbol::parse(name.as_bytes())
    }
}

impl Hash for Symbol {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.words() {
            state.write_u64(word);
        }
    }
}

impl Ord for Symbol {
    fn cmp(&self, other: &Symbol) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Symbol {
    fn partial_cmp(&self, other: &Symbol) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbol({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_real_stocks_are_symbols() {
        for name in [
            "A",
            "BRK/A",
            "ABR^D",
            "NA",
            "NAN",
            "TRUE",
            "牛来USDT",
            "^AEX",
            "AAPL  260116C00200000",
        ] {
            assert_eq!(name.parse::<Symbol>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn white_space_around_a_name_is_trimmed() {
        for name in ["AAPL ", "  AAPL", "\tAAPL\r\n", "\u{3000}AAPL\u{a0}", "\u{b}AAPL"] {
            assert_eq!(name.parse::<Symbol>().unwrap().as_str(), "AAPL", "{name:?}");
        }
    }

    #[test]
    fn thirty_bytes_are_a_symbol_and_thirty_one_are_not() {
        let longest = "A".repeat(30);
        assert_eq!(longest.parse::<Symbol>().unwrap().as_str(), longest);
        let error = "A".repeat(31).parse::<Symbol>().unwrap_err();
        assert_eq!(error.to_string(), "the symbol is 31 bytes long, the limit is 30");
        assert_eq!("牛".repeat(11).parse::<Symbol>(), Err(SymbolError::TooLong { bytes: 33 }));
    }

    #[test]
    fn what_cannot_be_a_symbol_says_why() {
        let why = |name: &[u8]| Symbol::parse(name).unwrap_err().to_string();
        assert_eq!(why(b""), "the symbol is empty");
        assert_eq!(why(b" \r\n"), "the symbol is empty");
        assert_eq!(why(b"AA\xffPL"), "the symbol is not UTF-8 at byte 2");
        assert_eq!(why(b"AA\x07PL"), "the symbol has a control character, U+0007");
        assert_eq!(why("A\u{85}B".as_bytes()), "the symbol has a control character, U+0085");
        assert_eq!(why(b"A\0"), "the symbol has a control character, U+0000");
    }

    proptest! {
        /// The fast path for ASCII and the whole rule agree on everything.
        #[test]
        fn fast_path_agrees_with_the_rule(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(Symbol::parse(&name), Symbol::parse_any(&name));
        }

        #[test]
        fn fast_path_agrees_with_the_rule_on_text(name in "[ -~\t\u{a0}牛]{0,34}") {
            prop_assert_eq!(Symbol::parse(name.as_bytes()), Symbol::parse_any(name.as_bytes()));
        }

        #[test]
        fn words_and_back_is_the_identity(name in "[!-~]{1,30}") {
            let symbol: Symbol = name.parse().unwrap();
            prop_assert_eq!(Symbol::from_words(symbol.words()), symbol);
            prop_assert_eq!(symbol.as_str(), name);
        }

        #[test]
        fn order_is_the_order_of_the_text(a in "[!-~]{1,9}", b in "[!-~]{1,9}") {
            let order = a.parse::<Symbol>().unwrap().cmp(&b.parse().unwrap());
            prop_assert_eq!(order, a.as_bytes().cmp(b.as_bytes()));
        }
    }
}
