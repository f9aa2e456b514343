//! `stockd serve` as a process: what it prints, answers, survives and how it ends.

mod access;
mod log;
mod lookups;
mod process;
mod real_data;
mod resources;
mod shutdown;
mod startup;
mod unix;
