//! The command line of stockd: one binary, one file for each command.

#![forbid(unsafe_code)]

mod access;
mod access_file;
mod bad_rows;
mod batches;
mod catalog_file;
mod certificate;
mod certificates;
mod check;
mod cli;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "cluster")]
mod cluster_node;
mod compression;
mod config;
mod data_dir;
mod delist;
#[cfg(feature = "demo")]
mod demo;
mod export;
mod exposure;
#[cfg(feature = "feed")]
mod feed;
mod import;
mod interruption;
#[cfg(feature = "load")]
mod load;
mod log;
mod lookup;
mod manual;
mod manual_sections;
mod name_list;
mod output;
mod ping;
mod progress;
mod quote_server;
mod replay;
mod report;
mod restore;
mod serve;
mod server_info;
mod set;
mod settings;
mod speed;
mod stoppable_file;
mod tls_flags;
mod token;
mod token_flags;
mod trade;
mod usage_error;
mod watch;
mod web;
mod write_tally;

/// It gives memory back to the system when those have left who used it: docs/decisions/018-allocator.md.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
