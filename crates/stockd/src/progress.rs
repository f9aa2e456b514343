//! Progress bars, for work that may take long: on standard error, on a terminal only.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Stocks and lookups that are worth a progress bar, at least: some tenths of a second.
const ITEMS_MIN: u64 = 10_000;

/// A bar of this length in the style of a template of `indicatif`. Dropping it clears it.
pub(crate) fn bar(length: u64, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(length)
        .with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
        .with_finish(ProgressFinish::AndClear)
}

/// The bar of work that is short unless it has many items; hidden where they are few.
pub(crate) fn bar_of_many(items: u64, template: &str) -> ProgressBar {
    match items {
        ..ITEMS_MIN => ProgressBar::hidden(),
        _ => bar(items, template),
    }
}
