//! `stockd token new`: a token for a user of an access file.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use stockd_access::{AccessFile, Token};

use crate::output;

/// Make tokens for users of an access file.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TokenCommand {
    New(NewArgs),
}

/// Make a token, and print it once.
///
/// The token goes to standard output alone, so that it can be kept in a file for --token-file; the lines
/// for the access file, which has a hash of it, go to standard error. A user has two tokens at most: to
/// exchange one, add the new one behind it, give it to the clients, then take the old one out.
#[derive(Debug, clap::Args)]
struct NewArgs {
    /// The user whose token it is.
    #[arg(value_name = "USER")]
    user: String,
}

/// Makes a token.
pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let TokenCommand::New(NewArgs { user }) = &args.command;
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("the system has no random numbers")?;
    let token = Token::new(random);
    let lines = format!("[[user]]\nname = {user:?}\ntokens = [\"{}\"]\n", token.hash());
    // A name that no access file takes gets no token.
    AccessFile::parse(&lines).map_err(|error| anyhow::anyhow!("user '{user}': {}", error.why))?;
    output::line(format_args!("{}", token.as_str()))?;
    let mut stderr = io::stderr().lock();
    writeln!(
        stderr,
        "# In the access file, with what the user may do (read, write, trade, rights):"
    )?;
    stderr.write_all(lines.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
