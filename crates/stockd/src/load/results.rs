//! Where the results of `stockd load` go: the terminal and files.

use std::fs;
use std::path::Path;

use anyhow::Context;
use stockd_load::report::{self, Document};
use stockd_model::escaped;
use unicode_width::UnicodeWidthStr;

use super::ReportArgs;
#[cfg(feature = "plots")]
use super::plot;
use crate::output;

/// Letters of a line, at most, where a note is broken into several.
const WIDTH: usize = 100;

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
