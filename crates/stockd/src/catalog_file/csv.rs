//! CSV: the fields of a line, quoted as spreadsheets do.
//!
//! A record never spans lines, which RFC 4180 would allow: so a stray quote spoils one row, and not
//! the rest of the file.

use std::ops::Range;

use super::names;
use super::row::BadRow;

/// The fields of one line, unquoted. Its buffers are reused for the next line.
#[derive(Debug)]
pub(crate) struct Record {
    delimiter: u8,
    /// The line, or its fields one behind the other where it has quotes.
    text: Vec<u8>,
    /// Where each field lies in `text`.
    fields: Vec<Range<usize>>,
}

impl Record {
    /// No fields yet. The delimiter is what stands between them.
    pub(crate) fn new(delimiter: u8) -> Record {
        Record { delimiter, text: Vec::new(), fields: Vec::new() }
    }

    pub(crate) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Splits a line into its fields. A field that begins with a quote ends at the next one that
    /// is not doubled; what follows it up to the delimiter is taken literally.
    pub(crate) fn read(&mut self, line: &[u8]) -> Result<(), BadRow> {
        self.text.clear();
        self.fields.clear();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut begin = 0;
        // Fields are short: a search for each end costs more than this.
        for (at, byte) in line.iter().enumerate() {
            if *byte == b'"' {
                self.fields.clear();
                return self.read_quoted(line);
            }
            if *byte == self.delimiter {
                self.fields.push(begin..at);
                begin = at + 1;
            }
        }
        self.fields.push(begin..line.len());
        self.text.extend_from_slice(line);
        Ok(())
    }

    fn read_quoted(&mut self, line: &[u8]) -> Result<(), BadRow> {
        let mut rest = line;
        loop {
            let begin = self.text.len();
            if let Some(quoted) = rest.strip_prefix(b"\"") {
                rest = self.unquote(quoted).ok_or_else(|| BadRow {
                    column: None,
                    why: "a quoted field is not closed on its line".to_owned(),
                })?;
            }
            let end = memchr::memchr(self.delimiter, rest);
            let (field, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.text.extend_from_slice(field);
            self.fields.push(begin..self.text.len());
            match after.split_first() {
                Some((_delimiter, next)) => rest = next,
                None => return Ok(()),
            }
        }
    }

    /// Takes the text before the closing quote and returns the text after it.
    fn unquote<'a>(&mut self, mut quoted: &'a [u8]) -> Option<&'a [u8]> {
        loop {
            let quote = memchr::memchr(b'"', quoted)?;
            let (text, after) = quoted.split_at(quote);
            self.text.extend_from_slice(text);
            match after {
                [b'"', b'"', next @ ..] => {
                    self.text.push(b'"');
                    quoted = next;
                }
                _ => return after.get(1..),
            }
        }
    }

    /// The position of the column of this name, in any case, in a record that is a header.
    pub(crate) fn column(&self, wanted: &str) -> Result<Option<usize>, String> {
        let is_wanted = |&at: &usize| names::same(self.field(at).trim_ascii(), wanted.as_bytes());
        let mut found = (0..self.len()).filter(is_wanted);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(format!("the header names '{wanted}' twice")),
            (at, None) => Ok(at),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field of the line that was read last; empty beyond the last field.
    pub(crate) fn field(&self, at: usize) -> &[u8] {
        let range = self.fields.get(at);
        range.and_then(|range| self.text.get(range.clone())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The csv crate is the oracle for every line whose quotes are closed.
        #[test]
        fn fields_are_what_the_csv_crate_reads(line in "[a,\" \u{e9}]{0,20}") {
            let mut record = Record::new(b',');
            let is_closed = record.read(line.as_bytes()).is_ok();
            let fields: Vec<&[u8]> = (0..record.len()).map(|at| record.field(at)).collect();
            let mut oracle = csv::ReaderBuilder::new()
                .has_headers(false)
                .terminator(csv::Terminator::Any(b'\n'))
                .from_reader(line.as_bytes());
            prop_assume!(is_closed && !line.is_empty());
            let mut oracle_record = csv::ByteRecord::default();
            oracle.read_byte_record(&mut oracle_record).unwrap();
            prop_assert_eq!(fields, oracle_record.iter().collect::<Vec<_>>());
        }
    }
}
