//! Catalog files: where the stocks that are listed at start come from.
//!
//! This module owns the formats of files and the order in which they are read. `lines.rs` cuts them
//! into bounded lines, `csv.rs` and `json_lines.rs` read a line as a row (`row.rs`). They know
//! nothing of the catalog.
//!
//! Invariant: a row is listed whole and exactly as written, or it is bad and reported with its
//! file and line. Memory is bounded by the longest line and the number of stocks, whatever the
//! file holds.

pub(crate) mod csv;
mod json_lines;
pub(crate) mod lines;
mod row;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use stockd_model::Symbol;

use self::lines::{Line, Lines};
pub(crate) use self::row::{BadRow, Row, shown};
use crate::bad_rows::BadRows;
use crate::progress;

/// A catalog file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// `None` is standard input.
    path: Option<PathBuf>,
    format: Format,
    gzip: bool,
}

/// How the rows of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    JsonLines,
}

/// The contents of a file.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The stocks to list.
    pub(crate) rows: Vec<Row>,
    pub(crate) bad_rows: BadRows,
}

/// Reads the rows of one format, line by line.
enum Reader {
    Csv(Option<csv::Header>),
    JsonLines,
}

/// A file of at least this size in bytes, compressed or not, gets a progress bar.
const PROGRESS_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// What a file is that begins like this, if it is of a kind that has no lines of text, and what to do with it.
fn foreign(begin: &[u8]) -> Option<&'static str> {
    const KINDS: &[(&[u8], &str)] = &[
        (b"\x1f\x8b", "it is compressed with gzip: add .gz to its name, as in stocks.csv.gz"),
        (b"PK\x03\x04", "it is a spreadsheet or a zip archive: save it as CSV"),
        (b"\xd0\xcf\x11\xe0", "it is a spreadsheet: save it as CSV"),
        (b"PAR1", "it is Parquet: write it as CSV"),
        (b"%PDF", "it is a PDF: save what is in it as CSV"),
        (b"\x28\xb5\x2f\xfd", "it is compressed with zstd: decompress it with zstd -d"),
        (b"BZh", "it is compressed with bzip2: decompress it with bunzip2"),
        (b"\xfd7zXZ", "it is compressed with xz: decompress it with xz -d"),
        (b"\xff\xfe", "it is UTF-16: convert it with iconv -f UTF-16 -t UTF-8"),
        (b"\xfe\xff", "it is UTF-16: convert it with iconv -f UTF-16 -t UTF-8"),
    ];
    KINDS.iter().find(|(magic, _)| begin.starts_with(magic)).map(|(_, what)| *what)
}

impl Source {
    /// The source of this name. Its ending says the format; `-` is CSV from standard input. `None`
    /// when the ending is unknown.
    pub(crate) fn parse(name: &str) -> Option<Source> {
        let (format, gzip) = Format::of(name)?;
        let path = (name != "-").then(|| name.into());
        Some(Source { path, format, gzip })
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
        let (lines, progress) = self.lines().with_context(|| self.cannot_read())?;
        let loaded = self.read_lines(lines);
        progress.finish_and_clear();
        loaded
    }

    fn read_lines(&self, mut lines: Lines<impl BufRead>) -> anyhow::Result<Loaded> {
        let mut reader = match self.format {
            Format::Csv => Reader::Csv(None),
            Format::JsonLines => Reader::JsonLines,
        };
        let mut listed_on: HashMap<Symbol, u64, foldhash::fast::RandomState> = HashMap::default();
        let mut loaded = Loaded::default();
        while let Some((number, line)) = lines.next().with_context(|| self.cannot_read())? {
            let row = match reader.row(line) {
                Ok(Some(row)) => row,
                Ok(None) => continue,
                Err(Wrong::Header(why)) => anyhow::bail!("{self}:{number}: {why}"),
                Err(Wrong::Row(bad)) => {
                    loaded.bad_rows.add(bad.located(self, number));
                    continue;
                }
            };
            let first_line = *listed_on.entry(row.symbol).or_insert(number);
            if first_line != number {
                loaded.bad_rows.add(row.listed_already(first_line).located(self, number));
                continue;
            }
            loaded.rows.push(row);
        }
        if let Reader::Csv(None) = reader {
            anyhow::bail!("{self}:1: {}", csv::NO_HEADER);
        }
        Ok(loaded)
    }

    /// The lines of the source, uncompressed, and the bar that shows how far they were read.
    pub(crate) fn lines(&self) -> io::Result<(Lines<impl BufRead + use<>>, ProgressBar)> {
        let (bytes, progress) = self.open()?;
        let mut bytes = BufReader::with_capacity(64 * 1024, bytes);
        if let Some(what) = foreign(bytes.fill_buf()?) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok((Lines::new(bytes), progress))
    }

    fn cannot_read(&self) -> String {
        format!("cannot read catalog {self}")
    }

    /// The bytes of the source, uncompressed, and the bar that shows how far they were read.
    fn open(&self) -> io::Result<(Box<dyn Read>, ProgressBar)> {
        let Some(path) = &self.path else {
            return Ok((Box::new(io::stdin().lock()), ProgressBar::hidden()));
        };
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let progress = match metadata.len() {
            ..PROGRESS_BYTES_MIN => ProgressBar::hidden(),
            bytes => progress::bar(bytes, "{msg} {bar:40} {bytes}/{total_bytes}")
                .with_message(format!("reading {self}")),
        };
        let file = progress.wrap_read(file);
        Ok(match self.gzip {
            true => (Box::new(MultiGzDecoder::new(file)), progress),
            false => (Box::new(file), progress),
        })
    }
}

impl Format {
    /// The format by the ending of a name, and whether the file is compressed. `-` is CSV.
    pub(crate) fn of(name: &str) -> Option<(Format, bool)> {
        if name == "-" {
            return Some((Format::Csv, false));
        }
        let plain_name = name.strip_suffix(".gz");
        let (_, ending) = plain_name.unwrap_or(name).rsplit_once('.')?;
        let format = match ending {
            "csv" => Format::Csv,
            "jsonl" | "ndjson" => Format::JsonLines,
            _ => return None,
        };
        Some((format, plain_name.is_some()))
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

/// What a bad line spoils: the whole file, or one row.
enum Wrong {
    Header(String),
    Row(BadRow),
}

impl Reader {
    /// The row on this line, or `None` on a header or blank line.
    fn row(&mut self, line: Line<'_>) -> Result<Option<Row>, Wrong> {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong(bytes_max) => {
                let why = format!("the line is longer than {bytes_max} bytes, the limit");
                return Err(match self {
                    Reader::Csv(None) => Wrong::Header(why),
                    _ => Wrong::Row(BadRow { column: None, why }),
                });
            }
        };
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        match self {
            Reader::Csv(Some(header)) => header.row(line).map(Some).map_err(Wrong::Row),
            Reader::Csv(header @ None) => {
                *header = Some(csv::Header::parse(line).map_err(Wrong::Header)?);
                Ok(None)
            }
            Reader::JsonLines => json_lines::row(line).map(Some).map_err(Wrong::Row),
        }
    }
}

#[cfg(test)]
mod tests;
