use crate::Symbol;

/// Which symbols are meant: `*` stands for any text, `?` for any character, `[a-z]` for one of a
/// set, `[^a-z]` for one outside it; `\` takes the next character as it is. Case matters.
///
/// As in Redis, a character is a byte: `?` takes one byte of a symbol that is not ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<[u8]>,
}

impl Pattern {
    /// Any text is a pattern. A set that is not closed ends with the pattern.
    pub fn new(text: &[u8]) -> Pattern {
        Pattern { text: text.into() }
    }

    /// The pattern as it was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Whether the whole symbol fits. Takes at most as many steps as the lengths of both
    /// multiplied.
    pub fn matches(&self, symbol: &Symbol) -> bool {
        matches(&self.text, symbol.as_bytes())
    }
}

/// Walks both once. At a mismatch the latest `*` takes one byte more; an earlier one never needs
/// to, since whatever it could take the latest can.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern_rest, mut text_rest) = (pattern, text);
    let mut latest_star = None;
    loop {
        if let [b'*', after @ ..] = pattern_rest {
            latest_star = Some((after, text_rest));
            pattern_rest = after;
            continue;
        }
        match (text_rest, pattern_rest) {
            ([], []) => return true,
            ([byte, others @ ..], [_, ..]) => {
                let (fits, after) = first(pattern_rest, *byte);
                if fits {
                    (pattern_rest, text_rest) = (after, others);
                    continue;
                }
            }
            _ => {}
        }
        match latest_star {
            Some((after, [_, others @ ..])) => {
                latest_star = Some((after, others));
                (pattern_rest, text_rest) = (after, others);
            }
            _ => return false,
        }
    }
}

/// Whether the first element of a pattern, which is not `*`, fits a byte; and what follows it.
fn first(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    match pattern {
        [b'?', after @ ..] => (true, after),
        [b'\\', literal, after @ ..] => (*literal == byte, after),
        [b'[', b'^', set @ ..] => {
            let (within, after) = in_set(set, byte);
            (!within, after)
        }
        [b'[', set @ ..] => in_set(set, byte),
        [literal, after @ ..] => (*literal == byte, after),
        [] => (false, pattern),
    }
}

/// Whether a byte is in the set that ends with `]`; and what follows it.
fn in_set(set: &[u8], byte: u8) -> (bool, &[u8]) {
    let mut within = false;
    let mut rest = set;
    loop {
        rest = match rest {
            [] => return (within, rest),
            [b']', after @ ..] => return (within, after),
            [b'\\', literal, after @ ..] => {
                within |= *literal == byte;
                after
            }
            [low, b'-', high, after @ ..] => {
                within |= (*low.min(high)..=*low.max(high)).contains(&byte);
                after
            }
            [literal, after @ ..] => {
                within |= *literal == byte;
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, symbol: &str) -> bool {
        Pattern::new(pattern.as_bytes()).matches(&symbol.parse().unwrap())
    }

    #[test]
    fn patterns_mean_what_they_mean_in_redis() {
        for (pattern, symbol) in [
            ("*", "AAPL"),
            ("AAPL", "AAPL"),
            ("A*", "A"),
            ("*L", "AAPL"),
            ("A*P*", "AAPL"),
            ("A?P?", "AAPL"),
            ("BRK/[AB]", "BRK/B"),
            ("BRK/[^A]", "BRK/B"),
            ("[a-cX-Z]BM", "YBM"),
            ("[c-a]x", "bx"),
            (r"\*", "*"),
            (r"[\]]", "]"),
            ("ABR^D", "ABR^D"),
            ("[AB", "A"),
            ("**A**", "A"),
            ("???牛*", "\u{725b}牛"),
        ] {
            assert!(fits(pattern, symbol), "{pattern} {symbol}");
        }
        for (pattern, symbol) in [
            ("", "A"),
            ("a*", "AAPL"),
            ("A", "AA"),
            ("A?", "A"),
            ("*B", "AAPL"),
            ("BRK/[AB]", "BRK/C"),
            ("BRK/[^A]", "BRK/A"),
            (r"\*", "A"),
            ("[]A", "A"),
        ] {
            assert!(!fits(pattern, symbol), "{pattern} {symbol}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let pattern = "*a".repeat(30_000) + "b";
        assert!(!fits(&pattern, &"a".repeat(30)));
    }

    /// The same by trying everything, for patterns of literals, `*` and `?`.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', after @ ..], _) => (0..=text.len()).any(|taken| naive(after, &text[taken..])),
            ([b'?', after @ ..], [_, rest @ ..]) => naive(after, rest),
            ([literal, after @ ..], [byte, rest @ ..]) => literal == byte && naive(after, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_trying_everything(pattern in "[ab*?]{0,8}", symbol in "[ab]{1,10}") {
            prop_assert_eq!(fits(&pattern, &symbol), naive(pattern.as_bytes(), symbol.as_bytes()));
        }

        #[test]
        fn any_text_is_a_pattern(
            pattern in proptest::collection::vec(any::<u8>(), 0..40), symbol in "[!-~]{1,30}",
        ) {
            let _ = Pattern::new(&pattern).matches(&symbol.parse().unwrap());
        }
    }
}
