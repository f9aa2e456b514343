use crate::Symbol;

/// Which symbols are meant: `*` stands for any text, `?` for any byte, `[a-z]` for one of a set,
/// `[^a-z]` for one outside it; `\` takes the next byte as it is. Case matters.
///
/// As in Redis, a pattern is matched byte by byte against the whole symbol, so `?` is one byte and a
/// character beyond ASCII is several. An unclosed `[` reaches to the end of the pattern; `[]`
/// matches nothing; a `\` at the end is itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Box<[u8]>);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(pattern: &[u8]) -> Pattern {
        Pattern(pattern.into())
    }

    /// The pattern as it was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the whole symbol fits.
    pub fn matches(&self, symbol: &Symbol) -> bool {
        Pattern::fits(&self.0, symbol.as_bytes())
    }

    /// The text with which every symbol that fits must begin: all that comes before the first
    /// `*`, `?` or `[`, with its escapes resolved. Empty where the pattern begins with one of those.
    pub fn literal_prefix(&self) -> Vec<u8> {
        self.split_literal().0
    }

    /// Whether every symbol that begins with the [literal prefix](Pattern::literal_prefix) fits:
    /// nothing but `*` follows it.
    pub fn is_open(&self) -> bool {
        let (_, rest) = self.split_literal();
        !rest.is_empty() && rest.iter().all(|byte| *byte == b'*')
    }

    /// The literal prefix, and the pattern behind it as it is written.
    fn split_literal(&self) -> (Vec<u8>, &[u8]) {
        let (mut prefix, mut rest) = (Vec::new(), self.as_bytes());
        while let Some((Step::Byte(byte), after)) = step(rest) {
            prefix.push(byte);
            rest = after;
        }
        (prefix, rest)
    }

    /// Whether the whole text fits a pattern that is written so.
    ///
    /// Takes at most the text's bytes times the pattern's bytes of work, whatever the pattern,
    /// since only the last `*` is ever tried again: what an earlier one could still gain, the
    /// last one can take over.
    pub fn fits(pattern: &[u8], text: &[u8]) -> bool {
        let (mut pattern, mut text) = (pattern, text);
        // What follows the last `*`, and the text that it has not swallowed yet.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match (step(pattern), text) {
                (None, []) => return true,
                (Some((Step::Any, after)), _) => {
                    pattern = after;
                    retry = Some((after, text));
                    continue;
                }
                (Some((one, after)), [byte, rest @ ..]) if one.admits(*byte) => {
                    (pattern, text) = (after, rest);
                    continue;
                }
                _ => {}
            }
            let Some((after_star, [_, rest @ ..])) = retry else { return false };
            (pattern, text) = (after_star, rest);
            retry = Some((after_star, rest));
        }
    }
}

/// What one step of a pattern stands for.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// `*`: any bytes, none too.
    Any,
    /// `?`: any one byte.
    One,
    /// A byte that is itself.
    Byte(u8),
    /// `[…]`: one byte that is, or is not, described between the brackets.
    Class { described: &'a [u8], negated: bool },
}

/// The first step of a pattern and what follows it.
fn step(pattern: &[u8]) -> Option<(Step<'_>, &[u8])> {
    Some(match pattern {
        [] => return None,
        [b'*', rest @ ..] => (Step::Any, rest),
        [b'?', rest @ ..] => (Step::One, rest),
        [b'\\', byte, rest @ ..] => (Step::Byte(*byte), rest),
        [b'[', b'^', rest @ ..] => class(rest, true),
        [b'[', rest @ ..] => class(rest, false),
        [byte, rest @ ..] => (Step::Byte(*byte), rest),
    })
}

/// The class that begins behind its bracket and its `^`.
fn class(pattern: &[u8], negated: bool) -> (Step<'_>, &[u8]) {
    let mut rest = pattern;
    while let Some((_, after)) = described(rest) {
        rest = after;
    }
    let (described, end) = pattern.split_at(pattern.len() - rest.len());
    (Step::Class { described, negated }, end.get(1..).unwrap_or_default())
}

/// The first range of bytes that a class describes, unless the class ends here.
fn described(class: &[u8]) -> Option<(std::ops::RangeInclusive<u8>, &[u8])> {
    match *class {
        [] | [b']', ..] => None,
        [b'\\', byte, ref rest @ ..] => Some((byte..=byte, rest)),
        [from, b'-', to, ref rest @ ..] => Some((from.min(to)..=from.max(to), rest)),
        [byte, ref rest @ ..] => Some((byte..=byte, rest)),
    }
}

impl Step<'_> {
    fn admits(self, byte: u8) -> bool {
        match self {
            Step::Any | Step::One => true,
            Step::Byte(own) => own == byte,
            Step::Class { described: mut class, negated } => {
                let mut found = false;
                while let Some((range, after)) = described(class) {
                    found |= range.contains(&byte);
                    class = after;
                }
                found != negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::fits(pattern.as_bytes(), text.as_bytes())
    }

    /// Tries every way in which `*` could match: hopeless on long patterns, and obviously right.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            (_, []) => false,
            ([b'?', rest @ ..], [_, text @ ..]) => naive(rest, text),
            ([b'[', class @ ..], [byte, text @ ..]) => {
                let (negated, mut class) = match class {
                    [b'^', class @ ..] => (true, class),
                    class => (false, class),
                };
                let mut found = false;
                let rest = loop {
                    class = match class {
                        [] => break class,
                        [b'\\', escaped, rest @ ..] => {
                            found |= escaped == byte;
                            rest
                        }
                        [b']', rest @ ..] => break rest,
                        [from, b'-', to, rest @ ..] => {
                            found |= (from <= byte && byte <= to) || (to <= byte && byte <= from);
                            rest
                        }
                        [listed, rest @ ..] => {
                            found |= listed == byte;
                            rest
                        }
                    };
                };
                found != negated && naive(rest, text)
            }
            ([b'\\', escaped, rest @ ..], [byte, text @ ..]) => {
                escaped == byte && naive(rest, text)
            }
            ([own, rest @ ..], [byte, text @ ..]) => own == byte && naive(rest, text),
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_in_redis() {
        for (pattern, text, expected) in [
            ("*", "AAPL", true),
            ("*", "", true),
            ("", "", true),
            ("", "A", false),
            ("A*", "AAPL", true),
            ("a*", "AAPL", false),
            ("*PL", "AAPL", true),
            ("A*P*L", "AAPL", true),
            ("BRK/?", "BRK/A", true),
            ("BRK/?", "BRK/", false),
            ("[A-C]*", "BRK/A", true),
            ("[C-A]*", "BRK/A", true),
            ("[^A-C]*", "BRK/A", false),
            ("[AB]RK", "BRK", true),
            ("[]RK", "BRK", false),
            ("[^]RK", "BRK", true),
            ("[B", "B", true),
            ("[\\]]", "]", true),
            ("[A-]", "B", true),
            ("ABR^D", "ABR^D", true),
            ("\\*", "*", true),
            ("\\*", "A", false),
            ("A\\", "A\\", true),
            ("???来USDT", "牛来USDT", true),
            ("?来USDT", "牛来USDT", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_that_would_explode_is_matched_at_once() {
        let pattern = "*A".repeat(10_000);
        assert!(!matches(&pattern, &"A".repeat(30)));
        assert!(matches(&"*A".repeat(30), &"A".repeat(30)));
    }

    #[test]
    fn the_literal_prefix_ends_at_the_first_wildcard() {
        for (pattern, prefix, open) in [
            ("BRK*", "BRK", true),
            ("BRK**", "BRK", true),
            ("*", "", true),
            ("BRK*A", "BRK", false),
            ("BRK/?", "BRK/", false),
            ("[AB]*", "", false),
            ("AAPL", "AAPL", false),
            ("A\\*B*", "A*B", true),
            ("A\\", "A\\", false),
            ("", "", false),
        ] {
            let pattern = Pattern::new(pattern.as_bytes());
            assert_eq!(pattern.literal_prefix(), prefix.as_bytes(), "{pattern:?}");
            assert_eq!(pattern.is_open(), open, "{pattern:?}");
        }
    }

    proptest! {
        #[test]
        fn what_fits_begins_with_the_literal_prefix(
            pattern in r"[AB]{0,3}[AB*?\[\]^\\-]{0,4}", text in "[AB]{1,6}",
        ) {
            let pattern = Pattern::new(pattern.as_bytes());
            let begins = text.as_bytes().starts_with(&pattern.literal_prefix());
            let fits = Pattern::fits(pattern.as_bytes(), text.as_bytes());
            prop_assert!(begins || !fits);
            prop_assert!(fits || !(begins && pattern.is_open()));
        }

        #[test]
        fn agrees_with_trying_everything(
            pattern in r"[ABC*?\[\]^\\-]{0,10}", text in r"[ABC*\[\]^\\-]{0,8}",
        ) {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn agrees_with_trying_everything_where_stars_abound(
            pattern in "[AB*?]{0,12}", text in "[AB]{0,12}",
        ) {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn every_symbol_matches_itself_escaped(text in "[ -~]{1,30}") {
            let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert!(matches(&escaped, &text));
        }
    }
}
