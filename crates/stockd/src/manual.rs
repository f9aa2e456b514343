//! Default settings, completions for shells, and man pages.
//!
//! All of them are generated from the table of settings and the definition of the commands.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::manual_sections;
use crate::output;

/// Print the completions of a shell, for it to read at start.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Print the manual in roff, every command on a page of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write the pages into this directory as stockd.1, stockd-serve.1 and so on.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the completions of one shell.
pub(crate) fn completions(
    args: &CompletionsArgs,
    mut command: clap::Command,
) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "stockd", &mut script);
    output::all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the man pages of all commands, or writes them into a directory.
pub(crate) fn man(args: &ManArgs, command: clap::Command) -> anyhow::Result<ExitCode> {
    let pages = man_pages(command).context("cannot make the man pages")?;
    let Some(dir) = &args.dir else {
        let pages: Vec<Vec<u8>> = pages.into_iter().map(|(_, page)| page).collect();
        output::all(&pages.concat())?;
        return Ok(ExitCode::SUCCESS);
    };
    let cannot_write = || format!("cannot write man pages into {}", dir.display());
    fs::create_dir_all(dir).with_context(cannot_write)?;
    for (name, page) in pages {
        fs::write(dir.join(name), page).with_context(cannot_write)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The page of each command, with its file name; that of `stockd` itself first.
fn man_pages(command: clap::Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    // Building gives the subcommands their full names, `stockd-serve`.
    command.build();
    let source = format!("stockd {}", command.get_version().unwrap_or_default());
    let nested = command.get_subcommands().flat_map(clap::Command::get_subcommands);
    let commands = std::iter::once(&command).chain(command.get_subcommands()).chain(nested);
    let page = |command: &clap::Command| {
        let man = Man::new(command.clone()).source(source.clone());
        let mut page = Vec::new();
        man.render(&mut page)?;
        page.extend(manual_sections::of(command.get_display_name().unwrap_or("stockd")).bytes());
        Ok((man.get_filename(), page))
    };
    commands.map(page).collect()
}
