//! Lists of names to look up: one a line, or the `symbol` column of CSV.
//!
//! Owns the format of such a list. Does not check that names are possible symbols: many lists are
//! there to ask for other names.
//!
//! Invariant: names come in the order of the list, at least one and at most [`STOCKS_MAX`].

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use stockd_model::limits::STOCKS_MAX;

use crate::catalog_file::csv::Record;
use crate::catalog_file::lines::{Line, Lines};

/// Reads a list, `-` being standard input, and hands on each name.
///
/// Blank lines and lines that begin with `#` are skipped. If the first line begins with `symbol,`,
/// the list is CSV, and its names are the first column.
///
/// # Errors
///
/// When the list cannot be read, is not UTF-8, has a line or a number of names beyond its limit, or
/// has no names at all.
pub(crate) fn read(path: &Path, each: impl FnMut(&str)) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return parse(io::stdin().lock(), "standard input", each);
    }
    let source = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read {source}"))?;
    parse(BufReader::new(file), &source, each)
}

/// Reads a list. Errors name `source` and the line.
fn parse(list: impl BufRead, source: &str, mut each: impl FnMut(&str)) -> anyhow::Result<()> {
    let mut lines = Lines::new(list);
    let mut csv: Option<Record> = None;
    let mut names = 0;
    while let Some((number, line)) =
        lines.next().with_context(|| format!("cannot read {source}"))?
    {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong(max) => anyhow::bail!(
                "{source}:{number}: the line is longer than {max} bytes, the limit; write one name a line"
            ),
        };
        let text = std::str::from_utf8(line).map_err(|error| {
            let at = error.valid_up_to();
            anyhow!("{source}:{number}: not UTF-8 at byte {at}; save the list as UTF-8")
        })?;
        let name = match &mut csv {
            None if number == 1 && text.starts_with("symbol,") => {
                csv = Some(Record::new(b','));
                continue;
            }
            None if text.trim_start().starts_with('#') => continue,
            None => text.trim(),
            Some(record) => {
                let read = record.read(line);
                read.map_err(|bad| anyhow!("{source}:{number}: {}", bad.why))?;
                // Cut out of UTF-8 at commas and quotes.
                std::str::from_utf8(record.field(0)).unwrap_or_default().trim()
            }
        };
        if name.is_empty() {
            continue;
        }
        names += 1;
        ensure!(
            names <= STOCKS_MAX,
            "{source}:{number}: more than {STOCKS_MAX} names, the limit; split the list"
        );
        each(name);
    }
    ensure!(names > 0, "{source} has no names; write one a line");
    Ok(())
}

#[cfg(test)]
mod tests {
    use stockd_model::limits::CATALOG_LINE_BYTES_MAX;

    use super::*;

    fn list(bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        match parse(bytes, "names.txt", |name| names.push(name.to_owned())) {
            Ok(()) => Ok(names),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn a_list_is_names_between_blank_lines_and_comments() {
        let names = list("\u{feff}AAPL\n\n # more\r\n BRK/A \r\n#\n牛来USDT\nNA\nA,B".as_bytes());
        assert_eq!(names.unwrap(), ["AAPL", "BRK/A", "牛来USDT", "NA", "A,B"]);
    }

    #[test]
    fn the_names_of_csv_are_its_first_column() {
        let csv = b"symbol,price\nAAPL,1\r\n\"Big, \"\"Dear\"\"\",2\n\n#X,3\n";
        assert_eq!(list(csv).unwrap(), ["AAPL", "Big, \"Dear\"", "#X"]);
        let why = list(b"symbol,price\n\"AAPL,1\n").unwrap_err();
        assert_eq!(why, "names.txt:2: a quoted field is not closed on its line");
    }

    #[test]
    fn a_bad_list_is_named_with_its_line() {
        let why = |bytes: &[u8]| list(bytes).unwrap_err();
        assert_eq!(
            why(b"AAPL\nAA\xffPL\n"),
            "names.txt:2: not UTF-8 at byte 2; save the list as UTF-8"
        );
        assert_eq!(why(b"# nothing\n\n"), "names.txt has no names; write one a line");
        assert_eq!(why(b""), "names.txt has no names; write one a line");
        let longest = [&b"A".repeat(CATALOG_LINE_BYTES_MAX)[..], b"\nB\n"].concat();
        assert_eq!(list(&longest).unwrap().len(), 2);
        let too_long = [&b"A"[..], &longest].concat();
        assert_eq!(
            why(&too_long),
            "names.txt:1: the line is longer than 65536 bytes, the limit; write one name a line"
        );
    }
}
