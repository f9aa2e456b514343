//! Characters that are not shown, but change how what is around them is shown.
//!
//! This module owns which these are, by Unicode's general categories. It knows no text.
//!
//! Invariant: the table is that of the category Cf of Unicode 16.0, as it stands in
//! `DerivedGeneralCategory.txt` of the Unicode Character Database; a test compares it.

/// Whether a character is a format character (category Cf: zero-width characters, marks that change
/// the direction of text, tags…), or a line or paragraph separator (Zl, Zp).
pub(crate) fn is_format_or_separator(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_unicode() {
        let class = regex_syntax::parse(r"[\p{Cf}\p{Zl}\p{Zp}]").unwrap();
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) =
            class.kind()
        else {
            panic!("{class:?}")
        };
        for character in '\0'..=char::MAX {
            let is_in = class.iter().any(|it| (it.start()..=it.end()).contains(&character));
            assert_eq!(is_format_or_separator(character), is_in, "U+{:04X}", u32::from(character));
        }
    }
}
