//! What columns and keys are called: which name stands for which field.
//!
//! Owns the names that stockd and vendors use. Knows nothing of how a format writes them.
//!
//! Invariant: what a user has named with `--columns` goes before all else. A `volume` is what is left to
//! trade only beside a `price`; vendors' `Volume` is what was traded, and is not taken for it.

use stockd_model::Field;

/// Names of the symbol, in the order in which they are looked for.
pub(crate) const SYMBOL: &[&str] = &["symbol", "ticker", "act symbol", "tckrsymb"];

/// Names of the price, in the order in which they are looked for. The first is ours.
pub(crate) const PRICE: &[&str] =
    &["price", "last sale", "last price", "last", "close", "close price", "lastpric", "clspric"];

/// The names of a field, in the order in which they are looked for.
pub(crate) fn of(field: Field) -> &'static [&'static str] {
    match field {
        Field::Symbol => SYMBOL,
        Field::Price => PRICE,
        Field::Volume => &["volume"],
        Field::Bid => &["bid"],
        Field::Ask => &["ask"],
        Field::BidSize => &["bid_size"],
        Field::AskSize => &["ask_size"],
        Field::Status => &["status"],
        Field::Time => &["time"],
        Field::Version | Field::Updated | Field::Feed | Field::FeedState => &[],
    }
}

/// Whether two names are the same but for case, spaces, dashes and underscores.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    let letters = |name| {
        let is_letter = |byte: &u8| !matches!(byte, b' ' | b'_' | b'-' | b'\t');
        <[u8]>::iter(name).copied().filter(is_letter).map(|byte| byte.to_ascii_lowercase())
    };
    letters(one).eq(letters(other))
}
