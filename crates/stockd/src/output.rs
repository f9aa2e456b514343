//! What commands print on standard output and standard error.
//!
//! Invariant: a line stays one line and does not steer the terminal, whatever foreign text is in it:
//! names, replies of servers, contents of files. A reader that has seen enough and left, as `head`
//! does, is no error.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use stockd_model::escaped;

/// Prints one line.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn line(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    all(format!("{}\n", escaped(&text.to_string())).as_bytes())
}

/// Prints a text of several lines.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn lines(text: &str) -> anyhow::Result<()> {
    text.lines().try_for_each(|text| line(format_args!("{text}")))
}

/// Prints bytes as they are.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn all(bytes: &[u8]) -> anyhow::Result<()> {
    match io::stdout().write_all(bytes).context("cannot write to standard output") {
        Err(error) if !reader_left(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Says on standard error what went wrong. Where that cannot be written either, the exit code tells.
pub(crate) fn problem(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "stockd: {}", escaped(&without_numbers(&text.to_string())));
}

/// An error without the numbers that the system gives its errors, since their words stand there too.
pub(crate) fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                kept.push_str(rest);
            }
            _ => kept.extend([" (os error ", part]),
        }
    }
    kept
}

/// How a command ends that failed, perhaps because the reader of its output left.
pub(crate) fn end(error: anyhow::Error) -> anyhow::Result<ExitCode> {
    match reader_left(&error) {
        true => Ok(ExitCode::SUCCESS),
        false => Err(error),
    }
}

fn reader_left(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_errors_are_left_out() {
        for (text, kept) in [
            ("cannot read x: No such file (os error 2)", "cannot read x: No such file"),
            ("a (os error 2): b (os error 2); c", "a: b; c"),
            ("a (os error x) b", "a (os error x) b"),
            ("a (os error 2", "a (os error 2"),
        ] {
            assert_eq!(without_numbers(text), kept);
        }
    }
}
