//! Foreign text on its way to a terminal, a log or an error message.
//!
//! Symbols, client names, file contents and the words of a peer are chosen by others. This module
//! owns how such text is shown: on one line, without steering the terminal, without characters
//! that hide or reorder their neighbours. It does not know where the text came from or goes to.
//!
//! Invariant: what is written holds no control character and no invisible format character. Text
//! without them is written as it is, and escaping twice is the same as escaping once.

use std::fmt::{self, Write as _};

use crate::invisible::is_format_or_separator;

/// Shows a foreign text on one line, whatever bytes it holds.
///
/// Control characters and invisible format characters become escapes like `\n` and `\u{202e}`,
/// bytes that are no UTF-8 become `\xff`. A backslash stays as it is: the result is for people to
/// read, not for programs to parse.
///
/// ```
/// use stockd_model::escaped;
///
/// assert_eq!(escaped(b"BRK/A").to_string(), "BRK/A");
/// assert_eq!(escaped(b"A\x1b[2J\n\xff").to_string(), r"A\u{1b}[2J\n\xff");
/// assert_eq!(escaped(b"a long answer").at_most(9).to_string(), "a long…");
/// ```
pub fn escaped(text: &(impl AsRef<[u8]> + ?Sized)) -> Escaped<'_> {
    Escaped { text: text.as_ref(), bytes_max: usize::MAX }
}

/// A foreign text that can be shown; made by [`escaped`].
///
/// Width and precision of a format string have no effect.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    text: &'a [u8],
    bytes_max: usize,
}

const ELLIPSIS: char = '…';

impl Escaped<'_> {
    /// Writes at most this many bytes, escapes included, but never less than an ellipsis, which
    /// stands for what is left out. No escape is cut. The work is bounded likewise.
    pub fn at_most(self, bytes: usize) -> Self {
        Escaped { bytes_max: bytes, ..self }
    }

    fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.text.utf8_chunks().flat_map(|chunk| {
            let characters = chunk.valid().chars().map(|character| match is_unsafe(character) {
                true => Piece::Escape(character),
                false => Piece::Plain(character),
            });
            characters.chain(chunk.invalid().iter().copied().map(Piece::Byte))
        })
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lengths = self.pieces().map(Piece::len);
        let is_cut = lengths
            .try_fold(self.bytes_max, |left: usize, length| left.checked_sub(length))
            .is_none();
        let mut left = self.bytes_max;
        if is_cut {
            left = left.saturating_sub(ELLIPSIS.len_utf8());
        }
        for piece in self.pieces() {
            match left.checked_sub(piece.len()) {
                Some(less) => left = less,
                None => break,
            }
            match piece {
                Piece::Plain(character) => f.write_char(character)?,
                Piece::Escape(character) => write!(f, "{}", character.escape_default())?,
                Piece::Byte(byte) => write!(f, "\\x{byte:02x}")?,
            }
        }
        if is_cut { f.write_char(ELLIPSIS) } else { Ok(()) }
    }
}

/// What is written as a whole or not at all.
#[derive(Clone, Copy)]
enum Piece {
    Plain(char),
    Escape(char),
    /// A byte that is no UTF-8.
    Byte(u8),
}

impl Piece {
    /// Bytes that it takes when it is written.
    fn len(self) -> usize {
        match self {
            Piece::Plain(character) => character.len_utf8(),
            Piece::Escape(character) => character.escape_default().len(),
            Piece::Byte(_) => r"\xff".len(),
        }
    }
}

/// Whether a character could steer a terminal, break a line, or be there unseen: controls (Unicode
/// category Cc), what a [symbol](crate::Symbol) cannot have either, and the fillers and selectors that
/// have no shape of their own.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || is_format_or_separator(character)
        || matches!(
            character,
            '\u{34f}' // combining grapheme joiner
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' // Khmer vowels without a shape
            | '\u{180b}'..='\u{180f}' // Mongolian variation selectors
            | '\u{2065}' // not assigned, and not to be shown
            | '\u{e0000}'..='\u{e0fff}' // tags and further variation selectors
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        escaped(text).to_string()
    }

    #[test]
    fn printable_text_is_written_as_it_is() {
        for text in ["", "AAPL", "牛来USDT", r"A\B 'C' \x41", "é", "e\u{301}", "क्षि", "№ 1 – 2"]
        {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn controls_of_both_sets_become_escapes() {
        assert_eq!(shown("A\r\nB\tC\0"), r"A\r\nB\tC\u{0}");
        assert_eq!(shown("\x1b[31m\x7f\u{85}\u{9b}2J"), r"\u{1b}[31m\u{7f}\u{85}\u{9b}2J");
    }

    #[test]
    fn characters_that_hide_or_reorder_text_become_escapes() {
        for hidden in "\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{2028}\u{202e}\u{2060}\u{2066}\
                       \u{2069}\u{feff}\u{fff9}\u{e0041}"
            .chars()
        {
            assert_eq!(shown(&hidden.to_string()), hidden.escape_default().to_string());
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_shown_in_hexadecimal() {
        assert_eq!(escaped(b"A\xff\xe7\x89B\xe7").to_string(), r"A\xff\xe7\x89B\xe7");
    }

    #[test]
    fn an_excerpt_ends_with_an_ellipsis_and_cuts_no_escape() {
        let at_most = |text: &str, bytes| escaped(text).at_most(bytes).to_string();
        assert_eq!(at_most("0123456789", 10), "0123456789");
        assert_eq!(at_most("01234567890", 10), "0123456…");
        assert_eq!(at_most("牛来牛来", 12), "牛来牛来");
        assert_eq!(at_most("牛来牛来", 11), "牛来…");
        assert_eq!(at_most("AB\x1b\x1b", 14), r"AB\u{1b}\u{1b}");
        assert_eq!(at_most("AB\x1b\x1b", 13), r"AB\u{1b}…");
        assert_eq!(at_most("AB", 0), "…");
        assert_eq!(at_most("", 0), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_shown_safely_and_within_the_bound(
            text in proptest::collection::vec(any::<u8>(), 0..60), bytes in 0..80_usize,
        ) {
            let whole = escaped(&text).to_string();
            prop_assert!(!whole.chars().any(is_unsafe));
            prop_assert_eq!(escaped(&whole).to_string(), &*whole);
            let excerpt = escaped(&text).at_most(bytes).to_string();
            prop_assert!(excerpt.len() <= bytes.max(ELLIPSIS.len_utf8()));
            match excerpt.strip_suffix(ELLIPSIS) {
                Some(beginning) => prop_assert!(whole.starts_with(beginning)),
                None => prop_assert_eq!(excerpt, whole),
            }
        }

        #[test]
        fn any_text_is_shown_safely(text in any::<String>()) {
            let whole = shown(&text);
            prop_assert!(!whole.chars().any(is_unsafe));
            if !text.chars().any(is_unsafe) {
                prop_assert_eq!(whole, text);
            }
        }
    }
}
