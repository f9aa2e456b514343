//! Catalog files: where the stocks that are listed at start come from.
//!
//! This module owns the order in which files are read: `input.rs` makes text of them, `lines.rs` and
//! `documents.rs` cut it into bounded pieces, `table.rs` and `json.rs` read a piece as a row (`row.rs`), and `rows.rs` keeps
//! them and finds what is listed twice.
//! `form.rs` has what a user may say of a file. They know nothing of the catalog.
//!
//! Invariant: a row is listed whole and exactly as written, or it is bad and reported with its
//! file and line. Memory is bounded by the longest line and the number of stocks, whatever the
//! file holds.

pub(crate) mod csv;
mod documents;
mod form;
mod input;
mod json;
pub(crate) mod lines;
mod names;
mod number;
mod row;
mod rows;
pub(crate) mod table;
mod wide;

use std::fmt;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use stockd_model::limits::{
    CATALOG_LINE_BYTES_MAX, CATALOG_ROWS_EXPECTED_MAX, CATALOG_SAMPLE_BYTES,
};

use self::documents::Documents;
pub(crate) use self::form::{Columns, Form, Format};
pub(crate) use self::input::Input;
use self::lines::{Line, Lines, too_long};
pub(crate) use self::row::{BadRow, Row, RowTexts, parse_symbol, shown};
pub(crate) use self::rows::Rows;
use crate::bad_rows::BadRows;

/// A catalog file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// `None` is standard input.
    path: Option<PathBuf>,
    form: Form,
}

/// The contents of a file.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The stocks to list.
    pub(crate) rows: Rows,
    pub(crate) bad_rows: BadRows,
}

impl Source {
    /// The source of this name, `-` being standard input.
    pub(crate) fn new(name: &str, form: Form) -> Source {
        Source { path: (name != "-").then(|| name.into()), form }
    }

    /// The same source, of which this is said.
    pub(crate) fn with_form(self, form: Form) -> Source {
        Source { form, ..self }
    }

    /// The file; `None` is standard input.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What is said of the file.
    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    /// Opens it as text.
    pub(crate) fn open(&self) -> io::Result<Input> {
        Input::open(self.path(), self.form.encoding)
    }

    /// When the file was last changed; `None` of standard input, and where the system does not say.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        self.path.as_ref()?.metadata().ok()?.modified().ok()
    }

    /// Reads every stock of the source, each once. Bad rows are counted, and the first are kept.
    ///
    /// # Errors
    ///
    /// When the source cannot be read or has no usable header.
    pub(crate) fn read(&self) -> anyhow::Result<Loaded> {
        let input = self.open().with_context(|| self.cannot_read())?;
        self.read_opened(input)
    }

    /// The same of a source that was [opened](Source::open).
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn read_opened(
        &self,
        Input { text, sample, progress }: Input,
    ) -> anyhow::Result<Loaded> {
        let room = Loaded::with_room(self.rows_expected(&sample));
        let loaded = match self.format(&sample) {
            Format::Csv if wide::is_wide(&sample) => self.read_wide(Lines::new(text)),
            Format::Csv => self.read_csv(Lines::new(text), &sample, room),
            Format::JsonLines => self.read_json_lines(Lines::new(text), room),
            Format::Json => self.read_json(Documents::new(text)),
        };
        progress.finish_and_clear();
        loaded
    }

    /// The format: what was said, or what the first bytes show, or what the ending says.
    fn format(&self, sample: &[u8]) -> Format {
        let seen = seen_format(sample);
        let ending = self.path.as_ref().and_then(|path| Format::of(&path.to_string_lossy()));
        match (self.form.format, ending) {
            (Some(format), _) => format,
            // A file of lines may turn out to be an array.
            (None, Some(Format::JsonLines)) if seen == Format::Json => Format::Json,
            (None, Some(ending)) => ending,
            (None, None) => seen,
        }
    }

    /// About how many rows the file has, by its size and its first lines: none where these are not known, and too few
    /// where it is compressed.
    fn rows_expected(&self, sample: &[u8]) -> usize {
        let size =
            self.path.as_ref().and_then(|path| path.metadata().ok()).map_or(0, |it| it.len());
        let lines = memchr::memchr_iter(b'\n', sample).count() as u64;
        let rows = size.saturating_mul(lines) / (sample.len() as u64).max(1);
        usize::try_from(rows).unwrap_or(usize::MAX).min(CATALOG_ROWS_EXPECTED_MAX)
    }

    fn read_csv(
        &self,
        mut lines: Lines<impl BufRead>,
        sample: &[u8],
        mut loaded: Loaded,
    ) -> anyhow::Result<Loaded> {
        let mut header: Option<table::Header> = None;
        let mut form = self.form.clone();
        while let Some((number, line)) = lines.next().with_context(|| self.cannot_read())? {
            let line = match (line, &header) {
                (Line::Whole(line), _) => line,
                (Line::TooLong(max), None) => anyhow::bail!("{self}:{number}: {}", too_long(max)),
                (Line::TooLong(max), Some(_)) => {
                    loaded.add_bad(self, number, &BadRow { column: None, why: too_long(max) });
                    continue;
                }
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match &mut header {
                Some(header) => match header.row(line) {
                    Ok(None) => {}
                    row => loaded.add(self, number, row.transpose()),
                },
                None => match delimiter_line(line) {
                    Some(delimiter) => form.delimiter = form.delimiter.or(Some(delimiter)),
                    None => {
                        let parsed = table::Header::parse(line, &form, behind(sample, number));
                        header =
                            Some(parsed.map_err(|why| anyhow::anyhow!("{self}:{number}: {why}"))?);
                    }
                },
            }
        }
        anyhow::ensure!(header.is_some(), "{self}:1: {}", table::NO_HEADER);
        Ok(loaded)
    }

    fn read_wide(&self, mut lines: Lines<impl BufRead>) -> anyhow::Result<Loaded> {
        let mut next_header = || -> anyhow::Result<Vec<u8>> {
            match lines.next().with_context(|| self.cannot_read())? {
                Some((_, Line::Whole(line))) => Ok(line.to_vec()),
                _ => anyhow::bail!("{self}:1: {}", too_long(CATALOG_LINE_BYTES_MAX)),
            }
        };
        let (prices, tickers) = (next_header()?, next_header()?);
        let closes = wide::Closes::parse(&prices, &tickers);
        let mut closes = closes.map_err(|why| anyhow::anyhow!("{self}:1: {why}"))?;
        let mut loaded = Loaded::default();
        while let Some((number, line)) = lines.next().with_context(|| self.cannot_read())? {
            if let Err(bad) = closes.take(number, line) {
                loaded.add_bad(self, number, &bad);
            }
        }
        closes.rows().for_each(|(number, row)| loaded.add(self, number, Some(row)));
        Ok(loaded)
    }

    fn read_json_lines(
        &self,
        mut lines: Lines<impl BufRead>,
        mut loaded: Loaded,
    ) -> anyhow::Result<Loaded> {
        while let Some((number, line)) = lines.next().with_context(|| self.cannot_read())? {
            let row = match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => json::row(line, None, &self.form.columns),
                Line::TooLong(max) => Err(BadRow { column: None, why: too_long(max) }),
            };
            loaded.add(self, number, Some(row));
        }
        Ok(loaded)
    }

    fn read_json(&self, mut documents: Documents<impl BufRead>) -> anyhow::Result<Loaded> {
        let mut loaded = Loaded::default();
        while let Some(piece) = documents.next().with_context(|| self.cannot_read())? {
            let name: Option<String> =
                piece.key.map(|key| serde_json::from_slice(key).unwrap_or_default());
            let row = match piece.value {
                Some(value) => json::row(value, name.as_deref(), &self.form.columns),
                None => {
                    let max = CATALOG_LINE_BYTES_MAX;
                    let why = format!("the object is longer than {max} bytes, the limit");
                    Err(BadRow { column: None, why })
                }
            };
            loaded.add(self, piece.line, Some(row));
        }
        Ok(loaded)
    }

    fn cannot_read(&self) -> String {
        format!("cannot read catalog {self}")
    }
}

impl Loaded {
    /// Nothing yet, with room for finding this number of rows.
    fn with_room(rows: usize) -> Loaded {
        let mut loaded = Loaded::default();
        loaded.rows.reserve(rows);
        loaded
    }

    fn add(&mut self, source: &Source, line: u64, row: Option<Result<Row, BadRow>>) {
        let row = match row {
            None => return,
            Some(Err(bad)) => return self.add_bad(source, line, &bad),
            Some(Ok(row)) => row,
        };
        if let Err(first) = self.rows.push(&row, line) {
            self.add_bad(source, line, &row.listed_already(first));
        }
    }

    fn add_bad(&mut self, source: &Source, line: u64, bad: &BadRow) {
        self.bad_rows.add(bad.located(source, line));
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => path.display().fmt(f),
            None => f.write_str("standard input"),
        }
    }
}

/// The delimiter that a first line such as `sep=;` names, which spreadsheets write.
pub(crate) fn delimiter_line(line: &[u8]) -> Option<u8> {
    match line.strip_suffix(b"\r").unwrap_or(line) {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => Some(*delimiter),
        _ => None,
    }
}

/// The sample behind the line of this number; its last line may be cut and is left out.
pub(crate) fn behind(sample: &[u8], number: u64) -> &[u8] {
    let mut newlines = memchr::memchr_iter(b'\n', sample).skip(number.saturating_sub(1) as usize);
    let begin = newlines.next().map_or(sample.len(), |at| at + 1);
    let rows = sample.get(begin..).unwrap_or_default();
    let is_all = sample.len() < CATALOG_SAMPLE_BYTES;
    let end = if is_all { rows.len() } else { memchr::memrchr(b'\n', rows).unwrap_or(0) };
    rows.get(..end).unwrap_or_default()
}

/// What the first bytes of a file show of its format.
pub(crate) fn seen_format(sample: &[u8]) -> Format {
    let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample).trim_ascii_start();
    match text.first() {
        Some(b'[') => Format::Json,
        Some(b'{') => {
            let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
            let value =
                line.splitn(2, |byte| *byte == b':').nth(1).unwrap_or_default().trim_ascii_start();
            let holds_stocks = matches!(value.first(), Some(b'{' | b'['));
            // The last line of the sample may be cut.
            let is_whole = line.ends_with(b"}") || line.len() == text.trim_ascii_end().len();
            if is_whole && !holds_stocks { Format::JsonLines } else { Format::Json }
        }
        _ => Format::Csv,
    }
}

#[cfg(test)]
mod tests;
