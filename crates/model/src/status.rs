use std::fmt;
use std::str::FromStr;

use crate::escaped;
use crate::limits::EXCERPT_BYTES_MAX;

/// Whether a stock can be traded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Open for trading while volume is left.
    #[default]
    Trading,
    /// Suspended: lookups answer 0, trades are refused, prices may still change.
    Halted,
}

/// A text names no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a status: write trading or halted")]
pub struct StatusError {
    /// The text, escaped and shortened.
    text: String,
}

impl Status {
    /// The status as it is written everywhere: `trading` or `halted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Trading => "trading",
            Status::Halted => "halted",
        }
    }
}

impl FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Status, StatusError> {
        match text {
            "trading" => Ok(Status::Trading),
            "halted" => Ok(Status::Halted),
            _ => Err(StatusError { text: escaped(text).at_most(EXCERPT_BYTES_MAX).to_string() }),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn print_then_parse_is_the_identity() {
        for status in [Status::Trading, Status::Halted] {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        let error = "open".parse::<Status>().unwrap_err();
        assert_eq!(error.to_string(), "'open' is not a status: write trading or halted");
    }
}
