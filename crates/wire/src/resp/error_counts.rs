//! How many errors of each code were answered.

use std::cell::Cell;

/// The codes with which errors begin. What begins with none of them counts as the first.
const CODES: [&str; 9] =
    ["ERR", "EXECABORT", "LATE", "MISCONF", "NOAUTH", "NOPERM", "NOPROTO", "OOM", "WRONGPASS"];

/// Counts of errors, each of one code.
#[derive(Clone, Debug, Default)]
pub struct ErrorCounts {
    counts: [Cell<u16>; CODES.len()],
    any: Cell<bool>,
}

/// The codes with which errors begin, in the order of their [counts](ErrorCounts::counts).
pub fn error_codes() -> &'static [&'static str] {
    &CODES
}

impl ErrorCounts {
    /// How many codes there are.
    pub const CODES: usize = CODES.len();

    /// The counts, in the order of [`error_codes`].
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().map(|count| count.get().into())
    }

    #[inline]
    pub(super) fn any(&self) -> bool {
        self.any.get()
    }

    /// Counts the error that is this line. There are far fewer of them between two looks than can be
    /// counted; should there be more, some are not.
    pub(super) fn count(&self, line: &[u8]) {
        let code = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let index = CODES.iter().position(|own| own.as_bytes() == code).unwrap_or(0);
        if let Some(count) = self.counts.get(index) {
            count.set(count.get().saturating_add(1));
        }
        self.any.set(true);
    }
}
