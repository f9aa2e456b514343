//! The arguments of a command that has come whole, read from where it lies.

use super::part;

/// The arguments of one command, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Arguments<'a> {
    /// Whole parts, one after the other, and nothing behind them.
    parts: &'a [u8],
    left: usize,
}

impl<'a> Arguments<'a> {
    /// `parts` holds exactly as many whole parts.
    pub(super) fn new(parts: &'a [u8], left: usize) -> Arguments<'a> {
        Arguments { parts, left }
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (argument, taken) = part::part(self.parts).ok().flatten()?;
        self.parts = self.parts.get(taken..).unwrap_or_default();
        self.left = self.left.saturating_sub(1);
        Some(argument)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Arguments<'_> {}

impl std::fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.map(|argument| argument.escape_ascii().to_string())).finish()
    }
}
