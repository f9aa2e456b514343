use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::invisible::is_format_or_separator;
use crate::limits::SYMBOL_BYTES_MAX;

/// The name of a stock: UTF-8, 1 to 48 bytes, no white space at either end, no characters that
/// control, hide or reorder what is around them. Case matters and spaces inside are allowed (`BRK/A`,
/// `ABR^D`, `AAPL  260116C00200000`).
///
/// A symbol is 48 bytes, held in place. Equal symbols have equal [`words`](Symbol::words).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Symbol {
    /// The text, then zeros. No text has a zero in it.
    bytes: [u8; SYMBOL_BYTES_MAX],
}

/// Words of a symbol.
pub const SYMBOL_WORDS: usize = SYMBOL_BYTES_MAX / 8;

/// Why a name is not a possible symbol.
///
/// Its tag is as large as a word, so that a result of this or a symbol is held in registers by words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u64)]
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
    /// The name has a format character, as the zero-width ones and those that change the direction
    /// of text, or a line or paragraph separator.
    #[error("the symbol has an invisible character, U+{:04X}", u32::from(*.character))]
    Invisible {
        /// The first such character.
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
        Symbol::parse_front(name, name.len())
    }

    /// Reads a symbol from the first `bytes` bytes of an input, or from all of a shorter one. As [`parse`](Symbol::parse) of
    /// those alone, but quicker where others follow: a short name is then one load.
    ///
    /// # Errors
    ///
    /// As [`parse`](Symbol::parse).
    #[inline(always)]
    pub fn parse_front(input: &[u8], bytes: usize) -> Result<Symbol, SymbolError> {
        match plain(input, bytes) {
            Some(symbol) => Ok(symbol),
            None => Symbol::parse_any(input.get(..bytes).unwrap_or(input)),
        }
    }

    /// Reads the symbol with which an input begins, up to a white space or whatever else is not
    /// printable ASCII, and tells how many bytes it has. `None` does not mean that there is none: at most
    /// seven bytes are looked at, and what ends them, which is one load.
    #[inline(always)]
    pub fn parse_short(input: &[u8]) -> Option<(Symbol, usize)> {
        let word = front_word(input);
        let ends = outside(b'!', word);
        let bytes = ends.trailing_zeros() as usize / 8;
        let used = (ends ^ ends.wrapping_sub(1)) >> 8;
        matches!(bytes, 1..=7).then(|| (Symbol::from_first_word(word & used), bytes))
    }

    #[inline(always)]
    fn from_first_word(word: u64) -> Symbol {
        Symbol::from_words([word, 0, 0, 0, 0, 0])
    }

    /// The whole rule, for names that are not plain ASCII, are padded or are not valid.
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
        if let Some(character) = text.chars().find(|&character| is_format_or_separator(character)) {
            return Err(SymbolError::Invisible { character });
        }
        if text.len() > SYMBOL_BYTES_MAX {
            return Err(SymbolError::TooLong { bytes: text.len() });
        }
        Ok(Symbol::from_valid(text.as_bytes()))
    }

    fn from_valid(text: &[u8]) -> Symbol {
        let mut bytes = [0; SYMBOL_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Symbol { bytes }
    }

    /// The symbol as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a symbol is UTF-8 since it was parsed")
    }

    /// The symbol as UTF-8 bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        let words = self.words();
        let mut last = SYMBOL_WORDS - 1;
        while last > 0 && words[last] == 0 {
            last -= 1;
        }
        &self.bytes[..8 * (last + 1) - words[last].leading_zeros() as usize / 8]
    }

    /// The symbol as words, its first byte the lowest of the first word, padded with zeros.
    #[inline(always)]
    pub fn words(&self) -> [u64; SYMBOL_WORDS] {
        let (words, _) = self.bytes.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        [word(0), word(1), word(2), word(3), word(4), word(5)]
    }

    /// The symbol whose [`words`](Symbol::words) these are. Words that no symbol has give a
    /// symbol that equals no other, and whose text is not to be asked for: it panics.
    #[inline(always)]
    pub fn from_words(words: [u64; SYMBOL_WORDS]) -> Symbol {
        let mut bytes = [0; SYMBOL_BYTES_MAX];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
        Symbol { bytes }
    }
}

/// The symbol in the first `bytes` bytes of the input, if they are printable ASCII without white
/// space around it and no longer than 32 bytes, as nearly every name is. Word by word and without a
/// loop: this is a good part of the work of a lookup.
#[inline(always)]
fn plain(input: &[u8], bytes: usize) -> Option<Symbol> {
    // The last word of the name has as many bits less.
    let unused = (bytes.wrapping_neg() % 8 * 8) as u32;
    let used = u64::MAX >> unused;
    let first = front_word(input);
    if let 1..=8 = bytes {
        // Without spaces, for there is no room for the names that have any inside.
        let plain = are_within(b'!', first, used);
        return plain.then(|| Symbol::from_first_word(first & used));
    }
    let word = |at: usize| input.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word));
    let last = u64::from_le_bytes(*input.get(..bytes)?.last_chunk()?) >> unused;
    let ([second, third, fourth], plain) = match bytes {
        9..=16 => ([last, 0, 0], true),
        17..=24 => {
            let second = word(8)?;
            ([second, last, 0], are_within(b' ', second, u64::MAX))
        }
        25..=32 => {
            let (second, third) = (word(8)?, word(16)?);
            let plain = are_within(b' ', second, u64::MAX) && are_within(b' ', third, u64::MAX);
            ([second, third, last], plain)
        }
        _ => return None,
    };
    let padded = first as u8 == b' ' || (last << unused >> 56) as u8 == b' ';
    let plain =
        plain && are_within(b' ', first, u64::MAX) && are_within(b' ', last, used) && !padded;
    plain.then(|| Symbol::from_words([first, second, third, fourth, 0, 0]))
}

/// A word of eight times this byte.
const fn each_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Whether all bytes of the word, or those of its lowest that are used, are ASCII from this
/// printable character to `~`.
#[inline(always)]
fn are_within(lowest: u8, word: u64, used: u64) -> bool {
    outside(lowest, word) & used == 0
}

/// The high bit of each byte that is not ASCII from this printable character to `~`; behind the
/// first such byte that is not ASCII, perhaps of others too.
#[inline(always)]
fn outside(lowest: u8, word: u64) -> u64 {
    // Each sum sets the high bit of the bytes from the lowest on, or from delete on. What is carried
    // into the next byte comes from one that is not ASCII, and has its high bit set already.
    let from_lowest = word.wrapping_add(each_byte(0x80 - lowest));
    let from_delete = word.wrapping_add(each_byte(1));
    (word | !from_lowest | from_delete) & each_byte(0x80)
}

/// The first eight bytes, the first of them lowest; zeros where there are fewer.
#[inline(always)]
fn front_word(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk() {
        u64::from_le_bytes(*word)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        u64::from(first) | u64::from(last) << (8 * (bytes.len() - 4))
    } else {
        bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
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
        // No text has a zero in it, so a text that ends is before one that goes on.
        self.bytes.cmp(&other.bytes)
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
    fn forty_eight_bytes_are_a_symbol_and_forty_nine_are_not() {
        let longest = "A".repeat(48);
        assert_eq!(longest.parse::<Symbol>().unwrap().as_str(), longest);
        let error = "A".repeat(49).parse::<Symbol>().unwrap_err();
        assert_eq!(error.to_string(), "the symbol is 49 bytes long, the limit is 48");
        assert_eq!("牛".repeat(17).parse::<Symbol>(), Err(SymbolError::TooLong { bytes: 51 }));
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
        for hidden in ['\u{200b}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{ad}', '\u{feff}'] {
            let name = format!("AA{hidden}PL");
            let code = u32::from(hidden);
            let words = format!("the symbol has an invisible character, U+{code:04X}");
            assert_eq!(why(name.as_bytes()), words);
        }
    }

    /// Any one byte in any place of a name of any length, whatever comes behind the name.
    #[test]
    fn fast_path_agrees_with_the_rule_on_every_byte() {
        for bytes in 1..=SYMBOL_BYTES_MAX + 1 {
            for (at, odd) in (0..bytes).flat_map(|at| (0..=u8::MAX).map(move |odd| (at, odd))) {
                let mut input = [b'A'; SYMBOL_BYTES_MAX + 2];
                input[at] = odd;
                input[bytes..].fill(!odd);
                let whole_rule = Symbol::parse_any(&input[..bytes]);
                assert_eq!(Symbol::parse(&input[..bytes]), whole_rule, "{odd} at {at} of {bytes}");
                assert_eq!(Symbol::parse_front(&input, bytes), whole_rule);
            }
        }
    }

    proptest! {
        /// The fast path for ASCII and the whole rule agree on everything.
        #[test]
        fn fast_path_agrees_with_the_rule(name in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(Symbol::parse(&name), Symbol::parse_any(&name));
        }

        #[test]
        fn fast_path_agrees_with_the_rule_on_text(name in "[ -~\t\u{a0}\u{200b}牛]{0,34}") {
            prop_assert_eq!(Symbol::parse(name.as_bytes()), Symbol::parse_any(name.as_bytes()));
        }

        #[test]
        fn a_short_symbol_ends_at_the_first_byte_that_is_not_printable(
            name in "[!-~]{0,9}", behind in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let input = [name.as_bytes(), &behind].concat();
            let bytes = input.iter().take_while(|byte| byte.is_ascii_graphic()).count();
            let short = Symbol::parse(&input[..bytes]).ok().filter(|_| bytes < 8);
            prop_assert_eq!(Symbol::parse_short(&input), short.map(|symbol| (symbol, bytes)));
        }

        #[test]
        fn words_and_back_is_the_identity(name in "[!-~]{1,48}") {
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
