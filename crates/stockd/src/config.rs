//! `stockd config`: the settings file, whether one is right, and which settings hold.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::output;
use crate::settings::{self, SettingFlags, Settings};
use crate::usage_error::UsageError;

/// Print the settings file with every default, explained and commented out.
///
/// With --check FILE it says whether that file is right, and names every line that is not. With
/// --effective it prints the settings that `stockd serve` would run with, and where each comes from; it
/// takes the same flags, file and environment.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Check this file of settings; exits with 2 if a line is not right.
    #[arg(long, value_name = "FILE", conflicts_with = "effective")]
    check: Option<PathBuf>,

    /// Print every setting that holds, with where it comes from.
    #[arg(long)]
    effective: bool,

    #[command(flatten)]
    flags: SettingFlags,
}

/// Prints what was asked for.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.check {
        return match settings::check_file(path)? {
            (count, wrong) if wrong.is_empty() => {
                let settings = if count == 1 { "setting" } else { "settings" };
                output::line(format_args!("{} is right: {count} {settings}", path.display()))?;
                Ok(ExitCode::SUCCESS)
            }
            (_, wrong) => {
                for error in &wrong {
                    output::problem(format_args!("{error}"));
                }
                Ok(ExitCode::from(2))
            }
        };
    }
    if args.effective {
        let effective = Settings::effective(&args.flags, std::env::vars_os())?;
        let width = effective.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
        for (line, origin) in effective {
            output::line(format_args!("{line:<width$}  # {origin}"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.flags.are_given() {
        let why = "settings are given, but not what to do with them; add --effective";
        return Err(UsageError(why.to_owned()).into());
    }
    output::all(settings::default_file().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
