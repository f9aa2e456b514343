//! The commands that read and write quotes on a running server, as they are run from a shell.

mod files;
mod operating;
mod server;
mod trading;
mod unix;
mod watching;
