//! `stockd access check`: what an access file means.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use stockd_access::{ANONYMOUS, Access, AccessFile, User};
use stockd_model::{Right, Symbol};

use crate::access_file;
use crate::output;

/// Look into access files.
#[derive(Debug, clap::Args)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AccessCommand {
    Check(CheckArgs),
}

/// Check an access file, and say what it means.
///
/// Prints a line for each user, or for each question 'feed may write US.AAPL'. Exits with 1 if there is a
/// mistake in the file, others may write it, or the answer to a question is no.
#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// The access file.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The user who is asked about [default: anonymous, who shows nothing].
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Whether the user may read this stock.
    #[arg(long, value_name = "SYMBOL")]
    read: Vec<Symbol>,

    /// Whether the user may list, set, halt and delist this stock.
    #[arg(long, value_name = "SYMBOL")]
    write: Vec<Symbol>,

    /// Whether the user may take shares of this stock and give them back.
    #[arg(long, value_name = "SYMBOL")]
    trade: Vec<Symbol>,
}

/// Checks a file, and answers questions about it.
pub(crate) fn run(args: &AccessArgs) -> anyhow::Result<ExitCode> {
    let AccessCommand::Check(args) = &args.command;
    let file = access_file::read(&args.file)?;
    let questions =
        [(Right::Read, &args.read), (Right::Write, &args.write), (Right::Trade, &args.trade)];
    if questions.iter().all(|(_, symbols)| symbols.is_empty()) {
        return describe(&file, args.user.as_deref());
    }
    let name = args.user.as_deref().unwrap_or(ANONYMOUS);
    let access = match file.user(name) {
        Some(user) => Access::User(user.clone()),
        None if args.user.is_none() => Access::nothing(),
        None => anyhow::bail!("there is no user '{name}' in {}", args.file.display()),
    };
    let mut exit_code = ExitCode::SUCCESS;
    for (right, symbols) in questions {
        for symbol in symbols {
            let may = access.may(right, symbol);
            let verb = if may { "may" } else { "may not" };
            output::line(format_args!("{name} {verb} {right} {symbol}"))?;
            if !may {
                exit_code = ExitCode::FAILURE;
            }
        }
    }
    Ok(exit_code)
}

/// Says what users may do: this one, or all.
fn describe(file: &AccessFile, user: Option<&str>) -> anyhow::Result<ExitCode> {
    let users = match user {
        Some(name) => {
            vec![&**file.user(name).with_context(|| format!("there is no user '{name}'"))?]
        }
        None => file.users(),
    };
    for user in &users {
        output::line(format_args!("{}", line(user)))?;
    }
    if file.user(ANONYMOUS).is_none() && user.is_none() {
        output::line(format_args!("who shows nothing may do nothing"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A user and what it may do: `desk: read US.*; trade US.*`.
fn line(user: &User) -> String {
    let granted = Right::ALL.into_iter().filter(|right| user.rights().has(*right));
    let parts = granted.map(|right| match user.grants(right) {
        Some(grants) => format!("{right} {grants}"),
        None => right.to_string(),
    });
    let parts: Vec<String> = parts.collect();
    let may = if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") };
    format!("{}: {may}", user.name())
}
