//! What a write depends on: the ETag of a quote, and conditions that name one.
//!
//! Invariant: an ETag names one state of one stock, across restarts too, since it has the epoch of the server.

use std::fmt;
use std::str::FromStr;

use stockd_model::Quote;

/// The mark of a quote as it was read: `"8f3a5c0de1f20011.17"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ETag {
    /// Versions compare within it: it is that of the data directory, or of a start of a server in memory.
    pub epoch: u64,
    /// Counts the changes of the stock.
    pub version: u64,
}

/// A quote, and what a later write can depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The quote.
    pub quote: Quote,
    /// Its mark.
    pub etag: ETag,
}

/// What must hold of a stock for a write to take effect. The server decides it together with the write.
///
/// A version alone would name a state of every server that the stock was ever on: the mark has its epoch, too.
///
/// ```no_run
/// # async fn halve(client: stockd_client::http::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use stockd_client::Fields;
/// use stockd_client::http::Condition;
///
/// let read = client.quote("AAPL").await?.ok_or("not listed")?;
/// let fields = Fields { price: "86.25".parse()?, ..Fields::default() };
/// // Refused with Problem::VersionDiffers if somebody was faster.
/// client.update(read.quote.symbol, fields, Condition::Unchanged(read.etag)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// The stock is listed.
    Listed,
    /// The stock is not listed.
    Unlisted,
    /// The stock is as it was when it had this mark.
    Unchanged(ETag),
}

/// Why a text is no ETag of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no ETag of a quote, such as \"8f3a5c0de1f20011.17\"")]
pub struct ETagError;

impl Condition {
    /// The header that says it, and its value.
    pub(super) fn header(self) -> Option<(&'static str, String)> {
        match self {
            Condition::Always => None,
            Condition::Listed => Some(("if-match", "*".to_owned())),
            Condition::Unlisted => Some(("if-none-match", "*".to_owned())),
            Condition::Unchanged(etag) => Some(("if-match", etag.to_string())),
        }
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{:016x}.{}\"", self.epoch, self.version)
    }
}

impl FromStr for ETag {
    type Err = ETagError;

    /// Reads an ETag. That of a quote from a feed has another number behind, which no write compares.
    fn from_str(text: &str) -> Result<ETag, ETagError> {
        let inner = text.strip_prefix('"').and_then(|it| it.strip_suffix('"')).ok_or(ETagError)?;
        let mut parts = inner.split('.');
        let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let epoch = parts.next().filter(|it| it.len() == 16).filter(is_number).ok_or(ETagError)?;
        let version = parts.next().filter(is_number).ok_or(ETagError)?;
        if !parts.next().is_none_or(|changes| is_number(&changes)) || parts.next().is_some() {
            return Err(ETagError);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| ETagError)?;
        Ok(ETag { epoch, version: version.parse().map_err(|_| ETagError)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_read_back_and_nothing_else_is_one() {
        let etag = ETag { epoch: 0xabc, version: 17 };
        assert_eq!(etag.to_string(), "\"0000000000000abc.17\"");
        assert_eq!("\"0000000000000abc.17\"".parse(), Ok(etag));
        assert_eq!("\"0000000000000abc.17.3\"".parse(), Ok(etag), "of a quote from a feed");
        for text in [
            "",
            "17",
            "\"\"",
            "\"abc.17\"",
            "\"0000000000000abc\"",
            "\"0000000000000abc.\"",
            "\"0000000000000abc.+1\"",
            "\"0000000000000abc.1.2.3\"",
            "\"0000000000000abc.1.x\"",
            "\"00000000000000zz.1\"",
            "W/\"0000000000000abc.1\"",
        ] {
            assert_eq!(text.parse::<ETag>(), Err(ETagError), "{text}");
        }
    }
}
