//! Lines of bounded length from any reader.

use std::io::{self, BufRead};

use stockd_model::limits::CATALOG_LINE_BYTES_MAX;

/// A line, without its line feed.
#[derive(Clone, Copy)]
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    /// It was longer than this number of bytes, and was dropped.
    TooLong(usize),
}

/// Cuts its input into numbered lines. Holds at most one line, and never more than the limit.
pub(crate) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Lines<R> {
        Lines { reader, line: Vec::new(), number: 0 }
    }

    /// The next line and its number, from 1; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        self.line.clear();
        let mut is_too_long = false;
        let mut is_end = true;
        loop {
            let bytes = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                bytes => bytes?,
            };
            if bytes.is_empty() {
                break;
            }
            is_end = false;
            let newline = memchr::memchr(b'\n', bytes);
            let part = &bytes[..newline.unwrap_or(bytes.len())];
            is_too_long |= self.line.len() + part.len() > CATALOG_LINE_BYTES_MAX;
            if !is_too_long {
                self.line.extend_from_slice(part);
            }
            let consumed = part.len() + usize::from(newline.is_some());
            self.reader.consume(consumed);
            if newline.is_some() {
                break;
            }
        }
        if is_end {
            return Ok(None);
        }
        self.number += 1;
        let mut line = self.line.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        let line = match is_too_long {
            true => Line::TooLong(CATALOG_LINE_BYTES_MAX),
            false => Line::Whole(line),
        };
        Ok(Some((self.number, line)))
    }
}

/// What is said of a line that is longer than this number of bytes.
pub(crate) fn too_long(bytes_max: usize) -> String {
    format!("the line is longer than {bytes_max} bytes, the limit")
}
