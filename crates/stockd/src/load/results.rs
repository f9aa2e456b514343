//! Where the results of `stockd load` go, the terminal and files, and the options that say so.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use stockd_load::report::{self, Assertion, Document};
use stockd_model::escaped;
use unicode_width::UnicodeWidthStr;

#[cfg(feature = "plots")]
use super::plot;
use crate::output;

/// Letters of a line, at most, where a note is broken into several.
const WIDTH: usize = 100;

/// What becomes of the results.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// Exit with 1 unless this holds of every load, as in 'p99<5ms', 'rate>=20000' or 'errors<=0'; of rate, errors,
    /// mean, p50, p90, p99, p99.9, p99.99, max. May be given several times.
    #[arg(long = "assert", value_name = "BOUND", help_heading = "Report")]
    assertions: Vec<Assertion>,

    /// Write everything that was measured as JSON; '-' prints it instead of the table.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,

    /// Write the percentiles of the last run for HdrHistogram's plotters (.hgrm).
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    hdr: Option<PathBuf>,

    /// Write table, charts and runs as one page of HTML that needs nothing else.
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,

    /// Draw the percentiles, and a sweep's latency and throughput, into this directory: SVG and
    /// PNG, light and dark.
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    plot: Option<PathBuf>,
}

impl ReportArgs {
    /// Prints and writes everything that was asked for.
    pub(super) fn write(&self, document: &Document) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(document)?;
        match &self.json {
            Some(file) if file == Path::new("-") => output::all(format!("{json}\n").as_bytes())?,
            json_file => {
                output::lines(&report::table(document))?;
                if let Some(file) = json_file {
                    write(file, &format!("{json}\n"))?;
                }
            }
        }
        report::notes(document).iter().for_each(|note| say(note));
        if let (Some(file), Some(run)) = (&self.hdr, document.repetitions().last()) {
            write(file, &report::percentile_file(run))?;
        }
        #[cfg(feature = "plots")]
        self.draw(document)?;
        Ok(())
    }

    #[cfg(feature = "plots")]
    fn draw(&self, document: &Document) -> anyhow::Result<()> {
        if let Some(directory) = &self.plot {
            let plots = plot::draw(std::slice::from_ref(document), directory)?;
            eprintln!("{} plots are in {}", plots.len(), directory.display());
        }
        if let Some(file) = &self.html {
            let page =
                report::html(document).map_err(|why| anyhow::anyhow!("cannot draw: {why}"))?;
            write(file, &page)?;
        }
        Ok(())
    }

    /// Whether all assertions hold; says which do not.
    pub(super) fn holds(&self, document: &Document) -> bool {
        let failures: Vec<String> =
            self.assertions.iter().flat_map(|assertion| assertion.failures(document)).collect();
        failures.iter().for_each(|failure| output::problem(format_args!("{failure}")));
        failures.is_empty()
    }
}

/// Says something of the runs on standard error.
pub(super) fn say(note: &str) {
    for line in broken(&escaped(note).to_string(), WIDTH) {
        eprintln!("{line}");
    }
}

/// The lines of a text that is broken between words; those after the first stand a little to the right. A
/// word that is too long stands alone.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_broken_between_words() {
        let text = "a thread of theirs waited for 3 % of the time";
        assert_eq!(broken(text, 100), [text]);
        assert_eq!(broken(text, 20), ["a thread of theirs", "  waited for 3 % of", "  the time"]);
        assert_eq!(broken("toolong for it", 3), ["toolong", "  for", "  it"]);
    }
}
