//! What `cargo xtask chaos` is asked for.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::rude::KINDS;
use super::scene::Rude;

/// Everything that can be asked for.
pub(super) struct Options {
    /// How long the run is, or with `--measure` each row of it.
    pub(super) time: Option<Duration>,
    pub(super) seed: u64,
    pub(super) stocks: Option<usize>,
    /// `None` for one and two in turns.
    pub(super) workers: Option<usize>,
    pub(super) kinds: Vec<&'static dyn Rude>,
    /// Whether kinds were chosen by name.
    pub(super) is_selected: bool,
    /// `None` for the binary of the workspace: as it is packaged to measure, else as tests run it.
    pub(super) binary: Option<PathBuf>,
    /// The bound on the server's memory.
    pub(super) memory_bytes: Option<u64>,
    pub(super) measures: bool,
    pub(super) is_quick: bool,
    pub(super) is_crowd: bool,
}

/// The options, shown after a mistyped one.
const USAGE: &str = "--seconds N, --seed S, --stocks N, --workers N, --only KIND,…, --memory MIB, \
                     --binary PATH, --crowd, --measure and --quick";

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options {
            time: None,
            seed: seed_of_now(),
            stocks: None,
            workers: None,
            kinds: KINDS.to_vec(),
            is_selected: false,
            binary: None,
            memory_bytes: None,
            measures: false,
            is_quick: false,
            is_crowd: false,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--measure" => options.measures = true,
                "--quick" => options.is_quick = true,
                "--crowd" => options.is_crowd = true,
                _ => {
                    let value = arguments.next().map(String::as_str);
                    options.set(name, value)?;
                }
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let text = || value.with_context(|| format!("{name} needs a value"));
        let number = || -> Result<u64> {
            let text = text()?;
            text.parse().with_context(|| format!("{name} needs a number, not '{text}'"))
        };
        match name {
            "--seconds" => self.time = Some(Duration::from_secs(number()?.max(1))),
            "--seed" => self.seed = number()?,
            "--stocks" => self.stocks = Some(number()?.clamp(1000, 9_999_999) as usize),
            "--workers" => self.workers = Some(number()?.clamp(1, 64) as usize),
            "--memory" => self.memory_bytes = Some(number()?.max(1) << 20),
            "--binary" => self.binary = Some(PathBuf::from(text()?)),
            "--only" => {
                self.kinds = text()?.split(',').map(kind).collect::<Result<_>>()?;
                self.is_selected = true;
            }
            _ => bail!("chaos knows no option {name}; it takes {USAGE}"),
        }
        Ok(())
    }
}

/// A different run each time; it is printed, so that it can be had again.
fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 % 1_000_000
}

fn kind(name: &str) -> Result<&'static dyn Rude> {
    KINDS.iter().copied().find(|kind| kind.name() == name).with_context(|| {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
        format!("no kind of rude client is called '{name}'; there are: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn kinds_are_chosen_by_name_and_mistakes_are_named() {
        let options = parse(&["--only", "keys,noise", "--seed", "7", "--quick"]).unwrap();
        let names: Vec<&str> = options.kinds.iter().map(|kind| kind.name()).collect();
        assert_eq!((names, options.seed, options.is_quick), (vec!["keys", "noise"], 7, true));
        let said = |arguments: &[&str]| parse(arguments).err().unwrap().to_string();
        assert!(said(&["--only", "kind"]).contains("'kind'; there are: keys, docs"));
        assert!(said(&["--secs", "5"]).contains("knows no option --secs"));
        assert!(said(&["--seed"]).contains("needs a value"));
    }

    #[test]
    fn no_two_kinds_have_the_same_name() {
        let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]));
    }
}
