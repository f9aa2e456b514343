//! `stockd check`: verifies a data directory that no server uses.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::output;

#[cfg(feature = "web")]
mod orders {
    use std::path::Path;

    use anyhow::Context;
    use stockd_model::Quote;
    use stockd_web::OrdersCheck;

    use crate::output;

    /// The orders beside the quotes, which the service plane keeps.
    #[derive(Debug)]
    pub(super) struct Orders(OrdersCheck);

    impl Orders {
        pub(super) fn new() -> Orders {
            Orders(OrdersCheck::default())
        }

        pub(super) fn note(&mut self, quote: &Quote) {
            self.0.note(quote);
        }

        /// Says what there is of them, if anything. Returns whether all of it is whole.
        pub(super) fn check(self, directory: &Path, epoch: u64) -> anyhow::Result<bool> {
            let report = self.0.read(directory, epoch).context("cannot read the file of orders")?;
            if let Some(report) = &report {
                output::lines(&report.to_string())?;
            }
            Ok(report.is_none_or(|report| report.damaged == 0))
        }
    }
}

/// A build without the service plane knows no orders.
#[cfg(not(feature = "web"))]
mod orders {
    use std::path::Path;

    use stockd_model::Quote;

    #[derive(Debug)]
    pub(super) struct Orders;

    impl Orders {
        pub(super) fn new() -> Orders {
            Orders
        }

        pub(super) fn note(&mut self, _: &Quote) {}

        pub(super) fn check(self, _: &Path, _: u64) -> anyhow::Result<bool> {
            Ok(true)
        }
    }
}

/// Verify the data directory of a server that is not running.
///
/// Reads all of it, every checksum and every record, and changes nothing. Prints what was found;
/// exits with 1 if any of it is damaged.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The data directory.
    dir: PathBuf,
}

/// Checks, and says what was found.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut orders = orders::Orders::new();
    let report = stockd_store::check_each(&args.dir, |quote| orders.note(quote))?;
    output::lines(&report.to_string())?;
    let are_whole = orders.check(&args.dir, report.epoch)?;
    Ok(match report.is_whole() && are_whole {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
