//! What `cargo xtask cluster` is asked for.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

/// Everything that can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) what: What,
    /// `None` for the binary of the workspace.
    pub(super) binary: Option<PathBuf>,
}

/// What is done with three servers and three nodes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// They run until they are interrupted.
    Try,
    /// Each is written through and read from, once.
    Quick,
    /// Things go wrong between them.
    Faults(Faults),
    /// How fast they are. Stocks of a node that comes new.
    Measure {
        /// Listed before anything is measured.
        stocks: usize,
    },
    /// How fast writes are alone, to compare two binaries by turns.
    Rates,
}

/// Runs of faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Faults {
    pub(super) runs: u64,
    /// That of the first run; each further one has the next.
    pub(super) seed: u64,
    /// How long things go wrong in a run.
    pub(super) time: Duration,
    /// Whether the record of the runs is kept with the documents.
    pub(super) is_recorded: bool,
}

/// A run takes less than a minute, with what is looked at afterwards.
const FAULT_TIME: Duration = Duration::from_secs(30);

/// Stocks of a measurement.
const STOCKS: usize = 1_000_000;

const USAGE: &str = "--quick; --faults with --runs N, --seed S, --seconds N, --record; --measure with --stocks N; --rates; and --binary PATH";

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options { what: What::Try, binary: None };
        let mut faults =
            Faults { runs: 1, seed: seed_of_now(), time: FAULT_TIME, is_recorded: false };
        let mut measured = STOCKS;
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(name) = arguments.next() {
            let mut text = || arguments.next().with_context(|| format!("{name} needs a value"));
            let mut number = || -> Result<u64> {
                let text = text()?;
                text.parse().with_context(|| format!("{name} needs a number, not '{text}'"))
            };
            match name {
                "--quick" => options.what = What::Quick,
                "--faults" => options.what = What::Faults(faults),
                "--measure" => options.what = What::Measure { stocks: measured },
                "--rates" => options.what = What::Rates,
                "--runs" => faults.runs = number()?.max(1),
                "--seed" => faults.seed = number()?,
                "--seconds" => faults.time = Duration::from_secs(number()?.clamp(1, 3600)),
                "--record" => faults.is_recorded = true,
                "--stocks" => measured = number()?.clamp(1, 5_000_000) as usize,
                "--binary" => options.binary = Some(PathBuf::from(text()?)),
                _ => bail!("cluster knows no option {name}; it takes {USAGE}"),
            }
        }
        // Whatever the order.
        match &mut options.what {
            What::Faults(it) => *it = faults,
            What::Measure { stocks } => *stocks = measured,
            What::Try | What::Quick | What::Rates => {}
        }
        Ok(options)
    }
}

/// Another one each time; it is printed.
fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 % 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_in_any_order_and_mistakes_are_named() {
        let options = parse(&["--runs", "50", "--seed", "7", "--faults", "--record"]).unwrap();
        let What::Faults(faults) = options.what else { panic!("{options:?}") };
        assert_eq!((faults.runs, faults.seed, faults.is_recorded), (50, 7, true));
        assert_eq!(parse(&[]).unwrap().what, What::Try);
        let said = |arguments: &[&str]| parse(arguments).unwrap_err().to_string();
        assert!(said(&["--fault"]).contains("knows no option --fault"));
        assert!(said(&["--seed"]).contains("needs a value"));
        assert!(said(&["--runs", "x"]).contains("not 'x'"));
    }
}
