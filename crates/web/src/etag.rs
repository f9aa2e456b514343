//! ETags of quotes, and conditions of requests that name them (RFC 9110, section 13).
//!
//! It owns the form `"<epoch>.<version>"`, and `"<epoch>.<version>.<changes>"` of a quote that comes from a feed: what it
//! says changes with the state of that. A write compares versions alone. Invariant: an ETag of another epoch is that of no quote here.

use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use stockd_model::{Condition, Problem, Quote, Refusal};

use crate::refused::Refused;

/// Room for an ETag: 16 digits, two numbers of at most 20 and 10, and four signs.
const TAG_BYTES: usize = 50;

/// The ETag of a quote.
fn of(epoch: u64, quote: &Quote) -> String {
    // Written by hand, since every quote has one, and formatting takes as long as the rest of an answer's head.
    let mut tag = String::with_capacity(TAG_BYTES);
    let digit = |at: u32| char::from_digit((epoch >> (4 * at)) as u32 & 0xf, 16);
    let mut number = itoa::Buffer::new();
    tag.push('"');
    tag.extend((0..16).rev().filter_map(digit));
    tag.push('.');
    tag.push_str(number.format(quote.version));
    if let Some(feed) = quote.feed {
        tag.push('.');
        tag.push_str(number.format(feed.changes));
    }
    tag.push('"');
    tag
}

/// The ETag of a quote as the value of its header.
pub(crate) fn value(epoch: u64, quote: &Quote) -> HeaderValue {
    HeaderValue::try_from(of(epoch, quote)).expect("it has digits, points and quotation marks")
}

/// The condition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteCondition {
    /// This.
    Of(Condition),
    /// It names ETags, and none of them is that of the stock.
    NoTag,
}

impl WriteCondition {
    /// What the engine is to check.
    pub(crate) fn for_engine(self) -> Condition {
        match self {
            WriteCondition::Of(condition) => condition,
            // It holds of no stock: versions begin at 1.
            WriteCondition::NoTag => Condition::Version(0),
        }
    }

    /// The answer to a write that the engine has refused. Where no version was named, none is said to have been expected.
    pub(crate) fn refused(self, refusal: &Refusal) -> Refused {
        match (self, refusal) {
            (WriteCondition::NoTag, Refusal::VersionDiffers { symbol, version, .. }) => {
                let detail = format!(
                    "stock '{symbol}' is at version {version}, and If-Match does not name its ETag; read it again"
                );
                let refused = Refused::new(Problem::VersionDiffers, detail);
                refused.with("symbol", symbol.as_str()).with("version", *version)
            }
            (_, refusal) => refusal.into(),
        }
    }
}

/// What a header of a condition names.
enum Named {
    /// Whatever is there.
    Any,
    /// These versions; `None` for an ETag that no quote of this epoch has.
    Versions(Vec<Option<Tag>>),
}

/// A version, and how often the state of its feed has changed, if it has one.
type Tag = (u64, Option<u32>);

/// Whether a client that reads has this very quote already.
pub(crate) fn is_known(headers: &HeaderMap, epoch: u64, quote: &Quote) -> Result<bool, Refused> {
    Ok(match named(headers, &IF_NONE_MATCH, epoch)? {
        None => false,
        Some(Named::Any) => true,
        Some(Named::Versions(versions)) => {
            versions.contains(&Some((quote.version, quote.feed.map(|feed| feed.changes))))
        }
    })
}

/// The condition of a write. `current` is asked for the version that the stock has now.
pub(crate) fn condition(
    headers: &HeaderMap,
    epoch: u64,
    current: impl FnOnce() -> Option<u64>,
) -> Result<WriteCondition, Refused> {
    let unlisted = named(headers, &IF_NONE_MATCH, epoch)?;
    let condition = match (named(headers, &IF_MATCH, epoch)?, unlisted) {
        (None, None) => Condition::Always,
        (None, Some(Named::Any)) => Condition::Unlisted,
        (Some(Named::Any), None) => Condition::Listed,
        (Some(Named::Versions(versions)), None) => match versions[..] {
            [Some((version, _))] => Condition::Version(version),
            // Of several the one that holds, which the engine looks at again.
            _ => {
                let is_named = |now: &u64| versions.iter().flatten().any(|(named, _)| named == now);
                match current().filter(is_named) {
                    Some(now) => Condition::Version(now),
                    None => return Ok(WriteCondition::NoTag),
                }
            }
        },
        (Some(_), Some(_)) => {
            let detail = "a write takes If-Match or If-None-Match, not both";
            return Err(Refused::new(Problem::InvalidCondition, detail));
        }
        (None, Some(Named::Versions(_))) => {
            let detail = "If-None-Match of a write takes *: the stock is to be not listed";
            return Err(Refused::new(Problem::InvalidCondition, detail));
        }
    };
    Ok(WriteCondition::Of(condition))
}

fn named(headers: &HeaderMap, name: &HeaderName, epoch: u64) -> Result<Option<Named>, Refused> {
    let mut texts = Vec::new();
    for value in headers.get_all(name) {
        texts.push(value.to_str().map_err(|_| no_tags(name))?);
    }
    match texts[..] {
        [] => return Ok(None),
        [text] if text.trim() == "*" => return Ok(Some(Named::Any)),
        _ => {}
    }
    let mut versions = Vec::new();
    for text in texts {
        // No ETag of ours has a comma, and one of others is none of ours however it is cut.
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let weak = tag.strip_prefix("W/").unwrap_or(tag);
            let inner = weak.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            versions.push(version(inner.ok_or_else(|| no_tags(name))?, epoch));
        }
    }
    if versions.is_empty() {
        return Err(no_tags(name));
    }
    Ok(Some(Named::Versions(versions)))
}

/// The version of an ETag of this epoch.
fn version(tag: &str, epoch: u64) -> Option<Tag> {
    let (of, version) = tag.split_once('.')?;
    let is_of_epoch = of.len() == 16 && u64::from_str_radix(of, 16) == Ok(epoch);
    let (version, changes) = match version.split_once('.') {
        Some((version, changes)) => (version, Some(changes)),
        None => (version, None),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_of_epoch || !is_number(version) || !changes.is_none_or(is_number) {
        return None;
    }
    Some((version.parse().ok()?, changes.map(str::parse).transpose().ok()?))
}

fn no_tags(name: &HeaderName) -> Refused {
    let detail = format!("{name} is no ETag such as \"8f3a5c0de1f20011.17\", and not *");
    Refused::new(Problem::InvalidCondition, detail)
}

#[cfg(test)]
mod tests {
    use stockd_model::{FeedState, QuoteFeed};

    use super::*;

    const EPOCH: u64 = 0x8f3a_5c0d_e1f2_0011;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn write(pairs: &[(HeaderName, &str)]) -> Result<WriteCondition, Problem> {
        condition(&headers(pairs), EPOCH, || Some(5)).map_err(|refused| refused.problem)
    }

    fn of_model(condition: Condition) -> Result<WriteCondition, Problem> {
        Ok(WriteCondition::Of(condition))
    }

    #[test]
    fn a_write_has_at_most_one_condition() {
        let tag = |version: u64| format!("\"{EPOCH:016x}.{version}\"");
        assert_eq!(write(&[]), of_model(Condition::Always));
        assert_eq!(write(&[(IF_MATCH, "*")]), of_model(Condition::Listed));
        assert_eq!(write(&[(IF_NONE_MATCH, "*")]), of_model(Condition::Unlisted));
        assert_eq!(write(&[(IF_MATCH, &tag(17))]), of_model(Condition::Version(17)));
        let several = format!("{}, {}", tag(4), tag(5));
        assert_eq!(write(&[(IF_MATCH, &several)]), of_model(Condition::Version(5)));
        assert_eq!(write(&[(IF_MATCH, "\"other\"")]), Ok(WriteCondition::NoTag));
        assert_eq!(write(&[(IF_MATCH, "\"0000000000000000.5\"")]), Ok(WriteCondition::NoTag));
        for wrong in ["5", "", "\"", ",", "W/5"] {
            assert_eq!(write(&[(IF_MATCH, wrong)]), Err(Problem::InvalidCondition), "{wrong}");
        }
        assert_eq!(write(&[(IF_NONE_MATCH, &tag(5))]), Err(Problem::InvalidCondition));
        let both = [(IF_MATCH, "*"), (IF_NONE_MATCH, "*")];
        assert_eq!(write(&both), Err(Problem::InvalidCondition));
    }

    #[test]
    fn a_reader_knows_a_quote_by_its_etag_alone() {
        let quote = Quote { version: 17, ..Quote::new("AAPL".parse().unwrap()) };
        let known = |text: &str| is_known(&headers(&[(IF_NONE_MATCH, text)]), EPOCH, &quote);
        assert!(known(&of(EPOCH, &quote)).unwrap());
        assert!(known(&format!("\"x\", W/{}", of(EPOCH, &quote))).unwrap());
        assert!(known("*").unwrap());
        assert!(!known(&of(EPOCH + 1, &quote)).unwrap());
        assert!(!known(&of(EPOCH, &Quote { version: 18, ..quote })).unwrap());
        assert!(!is_known(&HeaderMap::new(), EPOCH, &quote).unwrap());

        let feed = QuoteFeed { changes: 3, ..QuoteFeed::told("etag", FeedState::Live) };
        let fed = |feed| Quote { feed: Some(feed), ..quote };
        let tag = of(EPOCH, &fed(feed));
        assert_eq!(tag, format!("\"{EPOCH:016x}.17.3\""));
        let known = |quote: &Quote| is_known(&headers(&[(IF_NONE_MATCH, &tag)]), EPOCH, quote);
        assert!(known(&fed(feed)).unwrap());
        assert!(!known(&quote).unwrap());
        assert!(!known(&fed(QuoteFeed { changes: 4, ..feed })).unwrap(), "its state is another");
        assert_eq!(write(&[(IF_MATCH, &tag)]), of_model(Condition::Version(17)));
    }
}
