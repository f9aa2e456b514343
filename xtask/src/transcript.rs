//! What a document shows of a terminal: commands and what they print.
//!
//! In a block fenced as `console`, a line that begins with `$ ` is a command, and what follows up
//! to the next one is its output. `…` stands for any text within a line, and on a line of its own
//! for any lines. A command that shows no output may print anything.
//!
//! A comment on the line before the block says more of it:
//!
//! | comment | meaning |
//! |---|---|
//! | `<!-- not run: why -->` | the block is not run |
//! | `<!-- exits 1 -->` | its last command exits with this code, the others with 0 as usual |
//! | `<!-- keeps running -->` | its last command runs until a later one keeps running, or the end |
//! | `<!-- figures vary -->` | what its last command shows was measured once: any number may stand in place of a number, and any spaces in place of spaces |
//!
//! A command that ends in ` &` keeps running too.

use anyhow::{Context, Result, bail};

use crate::markdown::{self, Line};

/// A command of a document, with the output that is shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The line of the document, from 1.
    pub(crate) line: usize,
    /// What the shell is to run.
    pub(crate) text: String,
    /// The output shown; with none, any will do.
    pub(crate) output: Vec<String>,
    /// How it must end.
    pub(crate) ending: Ending,
    /// Whether each number in the output stands for any number.
    figures_vary: bool,
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With this exit code.
    Exit(i32),
    /// It does not end by itself.
    KeepsRunning,
}

/// What the comment before a block says.
enum Remark {
    NotRun,
    LastEnds(Ending),
    FiguresVary,
}

/// The commands of a document that are to be run, in order.
///
/// # Errors
///
/// When a block is not as this page says.
pub(crate) fn commands(text: &str) -> Result<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    let mut remark = None;
    // Where in `commands` the console block that is open begins.
    let mut block = None;
    for (number, line) in markdown::lines(text) {
        match line {
            Line::Prose(prose) => {
                remark = remark_of(prose).with_context(|| format!("line {number}"))?;
            }
            Line::Opening("console") => block = Some(commands.len()),
            Line::Opening(_) => remark = None,
            Line::Code(code) => {
                let Some(begin) = block else { continue };
                match code.strip_prefix("$ ") {
                    Some(text) => commands.push(command(number, text)),
                    None => match commands[begin..].last_mut() {
                        Some(command) => command.output.push(code.to_owned()),
                        None => {
                            bail!("line {number}: a console block begins with '$ ' and a command")
                        }
                    },
                }
            }
            Line::Closing => match (block.take(), remark.take()) {
                (Some(begin), Some(Remark::NotRun)) => commands.truncate(begin),
                (Some(begin), Some(remark)) => {
                    if let Some(last) = commands[begin..].last_mut() {
                        match remark {
                            Remark::LastEnds(ending) => last.ending = ending,
                            Remark::FiguresVary => last.figures_vary = true,
                            Remark::NotRun => {}
                        }
                    }
                }
                _ => {}
            },
        }
    }
    Ok(commands)
}

fn command(line: usize, text: &str) -> Command {
    let (text, ending) = match text.strip_suffix(" &") {
        Some(text) => (text, Ending::KeepsRunning),
        None => (text, Ending::Exit(0)),
    };
    Command { line, text: text.to_owned(), output: Vec::new(), ending, figures_vary: false }
}

fn remark_of(prose: &str) -> Result<Option<Remark>> {
    let comment =
        prose.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")).map(str::trim);
    Ok(match comment {
        Some("not run") => bail!("say why: <!-- not run: why -->"),
        Some("figures vary") => Some(Remark::FiguresVary),
        Some("keeps running") => Some(Remark::LastEnds(Ending::KeepsRunning)),
        Some(comment) if comment.starts_with("not run:") => Some(Remark::NotRun),
        Some(comment) => match comment.strip_prefix("exits ") {
            Some(code) => Some(Remark::LastEnds(Ending::Exit(code.parse()?))),
            None => None,
        },
        None => None,
    })
}

impl Command {
    /// Whether the printed lines are what is shown.
    pub(crate) fn shows(&self, printed: &[String]) -> bool {
        if !self.figures_vary {
            return matches(&self.output, printed);
        }
        let without =
            |lines: &[String]| lines.iter().map(|line| without_figures(line)).collect::<Vec<_>>();
        matches(&without(&self.output), &without(printed))
    }
}

/// The line with one digit for each number, and one space for each run of spaces.
fn without_figures(line: &str) -> String {
    let mut plain = String::new();
    let mut in_number = false;
    for letter in line.chars() {
        let goes_on = in_number && matches!(letter, '.' | ',');
        let is_figure = letter.is_ascii_digit() || goes_on;
        let repeats = (is_figure && in_number) || (letter == ' ' && plain.ends_with(' '));
        if !repeats {
            plain.push(if is_figure { '0' } else { letter });
        }
        in_number = is_figure;
    }
    plain
}

fn matches(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed.split_first().is_some_and(|(line, others)| {
            line_matches(first.trim_end(), line.trim_end()) && matches(rest, others)
        }),
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        None => shown == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| line_matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn commands_are_read_with_their_output_and_ending() {
        let text = "\
```console
$ stockd serve &
line 127.0.0.1:7878
```
<!-- not run: needs a network -->
```console
$ curl example.org
```
<!-- exits 1 -->
```console
$ true
$ stockd lookup AAPL XYZ
AAPL 172.5
XYZ not found
```
<!-- exits 3 -->

```sh
$ not a console
```
```console
$ nc
```
";
        let found = commands(text).unwrap();
        let summary: Vec<_> = found
            .iter()
            .map(|command| {
                (command.line, command.text.as_str(), command.output.len(), command.ending)
            })
            .collect();
        assert_eq!(
            summary,
            [
                (2, "stockd serve", 1, Ending::KeepsRunning),
                (11, "true", 0, Ending::Exit(0)),
                (12, "stockd lookup AAPL XYZ", 2, Ending::Exit(1)),
                (22, "nc", 0, Ending::Exit(0)),
            ]
        );
    }

    #[test]
    fn a_block_that_is_not_run_says_why() {
        let error = commands("<!-- not run -->\n```console\n$ x\n```\n").unwrap_err();
        assert_eq!(format!("{error:#}"), "line 1: say why: <!-- not run: why -->");
    }

    #[test]
    fn figures_that_vary_are_any_numbers() {
        let text = "<!-- figures vary -->\n```console\n$ x\nAAPL  172.5   9.1 µs, at :7878\n```\n";
        let found = commands(text).unwrap();
        assert!(found[0].shows(&owned(&["AAPL  3   1,209.25 µs, at :40001"])));
        assert!(!found[0].shows(&owned(&["AAPL  3   1,209.25 ms, at :40001"])));
        assert!(!found[0].shows(&owned(&["AAPL  3  µs, at :40001"])));
    }

    #[test]
    fn an_ellipsis_stands_for_what_changes() {
        let printed = owned(&["AAPL 172.5  21.3 µs", "x", "y", "total 2"]);
        assert!(matches(&owned(&["AAPL 172.5 … µs", "…", "total 2"]), &printed));
        assert!(matches(&owned(&["…"]), &printed));
        assert!(!matches(&owned(&["AAPL 172.5 …", "total 2"]), &printed));
        assert!(!matches(&owned(&["…", "total 3"]), &printed));
        assert!(!matches(&owned(&["AAPL"]), &owned(&["AAPL", "IBM"])));
        assert!(!matches(&owned(&["AAPL", "IBM"]), &owned(&["AAPL"])));
    }
}
