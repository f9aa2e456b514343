//! The command line of stockd: one binary, one file for each command.

#![forbid(unsafe_code)]

mod catalog_file;
mod cli;
mod demo;
mod lookup;
mod manual;
mod report;
mod serve;
mod settings;

fn main() -> std::process::ExitCode {
    cli::run()
}
