//! The command line: which commands there are, and how a run of one ends.
//!
//! Exit codes: 0 fine, 1 the work failed, 2 bad usage. Errors are single lines on standard error
//! that begin with `stockd: `.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

#[cfg(feature = "cluster")]
use crate::cluster;
#[cfg(feature = "demo")]
use crate::demo;
#[cfg(feature = "feed")]
use crate::feed;
#[cfg(feature = "load")]
use crate::load;
use crate::usage_error::UsageError;
use crate::{
    access, certificate, check, config, delist, export, import, lookup, manual, output, ping,
    replay, serve, server_info, set, token, trade, watch,
};

/// A stock lookup server and its client.
///
/// A client sends the name of a stock; the server answers with its price, at once, from memory.
#[derive(Debug, Parser)]
#[command(name = "stockd", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Lookup(lookup::LookupArgs),
    Watch(watch::WatchArgs),
    Set(set::SetArgs),
    Delist(delist::DelistArgs),
    Buy(trade::BuyArgs),
    Sell(trade::SellArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Replay(replay::ReplayArgs),
    #[cfg(feature = "feed")]
    Feed(feed::FeedArgs),
    Check(check::CheckArgs),
    Ping(ping::PingArgs),
    Info(server_info::InfoArgs),
    Access(access::AccessArgs),
    Token(token::TokenArgs),
    Certificate(certificate::CertificateArgs),
    #[cfg(feature = "cluster")]
    Cluster(cluster::ClusterArgs),
    // Its options are many.
    #[cfg(feature = "load")]
    Load(Box<load::LoadArgs>),
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    Config(Box<config::ConfigArgs>),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// Runs the command that the arguments of the process name.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version, asked for or shown for want of a command, are no errors to shorten.
        Err(error) if !error.use_stderr() || is_help(&error) => error.exit(),
        Err(error) => {
            let first = std::env::args_os().nth(1);
            let first = first.map(|word| word.to_string_lossy().into_owned());
            return fail(&UsageError(one_line(&error, first)).into());
        }
    };
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Lookup(args) => lookup::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Set(args) => set::run(&args),
        Command::Delist(args) => delist::run(&args),
        Command::Buy(args) => trade::buy(&args),
        Command::Sell(args) => trade::sell(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Replay(args) => replay::run(&args),
        #[cfg(feature = "feed")]
        Command::Feed(args) => feed::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Ping(args) => ping::run(&args),
        Command::Info(args) => server_info::run(&args),
        Command::Access(args) => access::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Certificate(args) => certificate::run(&args),
        #[cfg(feature = "cluster")]
        Command::Cluster(args) => cluster::run(&args),
        #[cfg(feature = "load")]
        Command::Load(args) => load::run(&args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
    };
    outcome.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    output::problem(format_args!("{error:#}"));
    match error.is::<UsageError>() {
        true => ExitCode::from(2),
        false => ExitCode::FAILURE,
    }
}

fn is_help(error: &clap::Error) -> bool {
    use clap::error::ErrorKind;
    error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// What clap has to say, in one line: the error and its tips, and where the help is.
fn one_line(error: &clap::Error, first: Option<String>) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Where no usage is shown, the command is what came first.
    let of_command = format!("stockd {}", first.unwrap_or_default());
    let (said, usage) = text.split_once("\nUsage: ").unwrap_or((text, &of_command));
    let parts =
        said.split("\n\n").filter(|part| !part.contains("For more information")).map(|part| {
            let words: Vec<&str> = part.split_whitespace().collect();
            words.join(" ")
        });
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let command: Vec<&str> = usage.split_whitespace().take_while(is_name).collect();
    format!("{}; see '{} --help'", parts.join("; "), command.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bad_usage_is_one_line() {
        let why = |args: &[&str]| {
            let first = args.get(1).map(|first| (*first).to_owned());
            one_line(&Cli::try_parse_from(args).unwrap_err(), first)
        };
        assert_eq!(
            why(&["stockd", "set", "AAPL", "--price", "abc"]),
            "invalid value 'abc' for '--price <PRICE>': 'abc' is not a price: write a decimal like 172.5, -37.63 \
             or 1e-5, without $ and thousands separators; see 'stockd set --help'"
        );
        assert_eq!(
            why(&["stockd", "serve", "--lin", "off"]),
            "unexpected argument '--lin' found; tip: a similar argument exists: '--line'; \
             see 'stockd serve --help'"
        );
        assert_eq!(
            why(&["stockd", "completions"]),
            "the following required arguments were not provided: <SHELL>; \
             see 'stockd completions --help'"
        );
        assert_eq!(
            why(&["stockd", "sevre"]),
            "unrecognized subcommand 'sevre'; tip: a similar subcommand exists: 'serve'; \
             see 'stockd --help'"
        );
        let error = why(&["stockd", "completions", "tcsh"]);
        assert!(!error.contains('\n') && error.contains("bash"), "{error}");
    }
}
