//! Lists of names to look up: one a line, or the symbols of a catalog file of any dialect.
//!
//! Owns the format of such a list. Does not check that names are possible symbols: many lists are
//! there to ask for other names.
//!
//! Invariant: names come in the order of the list, at least one and at most [`STOCKS_MAX`].

use std::io::BufRead;

use anyhow::{Context, anyhow, ensure};
use stockd_model::limits::STOCKS_MAX;

use crate::catalog_file::csv::Record;
use crate::catalog_file::lines::{Line, Lines};
use crate::catalog_file::table::{FOOTER, KnownColumns, delimiter_of};
use crate::catalog_file::{Form, Format, Input, Source, delimiter_line, seen_format};

/// Reads a list, `-` being standard input, and hands on each name.
///
/// Blank lines and lines that begin with `#` are skipped. If the first line is the header of a table
/// with a column of symbols, the names are those of that column; JSON is read as a catalog file is.
///
/// # Errors
///
/// When the list cannot be read, is not UTF-8, has a line or a number of names beyond its limit, or
/// has no names at all.
pub(crate) fn read(file: &str, form: &Form, mut each: impl FnMut(&str)) -> anyhow::Result<()> {
    let source = Source::new(file, form.clone());
    let Input { text, sample, progress } =
        source.open().with_context(|| format!("cannot read {source}"))?;
    let name = source.to_string();
    let format = form.format.unwrap_or_else(|| seen_format(&sample));
    let read = match format {
        Format::Csv => parse(text, &name, form, each),
        Format::Json | Format::JsonLines => {
            let loaded = source.read_opened(Input { text, sample, progress: progress.clone() })?;
            loaded.bad_rows.report(false, "nothing is looked up")?;
            ensure!(!loaded.rows.is_empty(), "{name} has no names; write one a line");
            loaded.rows.iter().for_each(|row| each(row.symbol.as_str()));
            Ok(())
        }
    };
    progress.finish_and_clear();
    read
}

/// The column of symbols of a table.
struct Column {
    record: Record,
    symbol: usize,
}

impl Column {
    /// The column that this line names, if it is the header of a table of several columns.
    fn of(line: &[u8], form: &Form) -> Result<Option<Column>, String> {
        let mut record = Record::new(form.delimiter.unwrap_or_else(|| delimiter_of(line)));
        if record.read(line).is_err() || record.len() < 2 {
            return Ok(None);
        }
        let symbol = KnownColumns::of(&record, form)?.symbol;
        Ok(symbol.map(|symbol| Column { record, symbol }))
    }
}

/// Reads a list. Errors name `source` and the line.
fn parse(
    list: impl BufRead,
    source: &str,
    form: &Form,
    mut each: impl FnMut(&str),
) -> anyhow::Result<()> {
    let mut lines = Lines::new(list);
    let mut form = form.clone();
    let mut table: Option<Column> = None;
    let (mut names, mut is_first) = (0, true);
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
        if std::mem::take(&mut is_first) {
            if let Some(delimiter) = delimiter_line(line) {
                form.delimiter = form.delimiter.or(Some(delimiter));
                is_first = true;
                continue;
            }
            table = Column::of(line, &form).map_err(|why| anyhow!("{source}:{number}: {why}"))?;
            if table.is_some() {
                continue;
            }
        }
        let name = match &mut table {
            None if text.trim_start().starts_with('#') => continue,
            None => text.trim(),
            Some(_) if line.starts_with(FOOTER) => continue,
            Some(Column { record, symbol }) => {
                let read = record.read(line);
                read.map_err(|bad| anyhow!("{source}:{number}: {}", bad.why))?;
                // Cut out of UTF-8 at delimiters and quotes.
                std::str::from_utf8(record.field(*symbol)).unwrap_or_default().trim()
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
        match parse(bytes, "names.txt", &Form::default(), |name| names.push(name.to_owned())) {
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
    fn the_names_of_any_table_are_its_column_of_symbols() {
        for table in [
            "Name,Ticker,Last Sale\nApple,AAPL,$1\nIBM Corp,IBM,$2\n",
            "sep=;\nName;Symbol;Last\nApple;AAPL;1,5\nx;IBM;2\n",
            "Nasdaq Traded|Symbol|Security Name|Test Issue\nY|AAPL|Apple|N\nY|IBM|x|N\nFile Creation Time: 0101||||\n",
            "Name\tSymbol\nApple\tAAPL\nx\tIBM\n",
        ] {
            assert_eq!(list(table.as_bytes()).unwrap(), ["AAPL", "IBM"], "{table}");
        }
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
