//! Lines on standard output, for commands that print few of them.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Prints one line. A reader that has seen enough and gone is no error.
///
/// # Errors
///
/// When standard output cannot be written for any other reason.
pub(crate) fn line(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
