//! Patterns in commands: bounded, and read from where they lie. [`Pattern`] says what they match.

use stockd_model::Pattern;
use stockd_model::limits::PATTERN_BYTES_MAX;

use super::command_error::CommandError;

/// A pattern of at most [`PATTERN_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glob<'a>(&'a [u8]);

impl<'a> Glob<'a> {
    /// The pattern that is written so. Every text is a pattern.
    ///
    /// # Errors
    ///
    /// [`CommandError::PatternTooLong`] above [`PATTERN_BYTES_MAX`] bytes.
    pub fn new(pattern: &'a [u8]) -> Result<Glob<'a>, CommandError<'a>> {
        match pattern.len() {
            0..=PATTERN_BYTES_MAX => Ok(Glob(pattern)),
            bytes => Err(CommandError::PatternTooLong { bytes }),
        }
    }

    /// The pattern as it is written.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        Pattern::fits(self.0, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_the_limit_is_taken_and_a_longer_one_refused() {
        assert!(Glob::new(&[b'*'; PATTERN_BYTES_MAX]).is_ok_and(|pattern| pattern.matches(b"A")));
        let error = Glob::new(&[b'*'; PATTERN_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(error.to_string(), "ERR the pattern is 257 bytes long, the limit is 256");
    }
}
