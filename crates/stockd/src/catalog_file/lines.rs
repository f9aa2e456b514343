//! Lines of bounded length from any reader.

use std::io::{self, BufRead};
use std::mem;

use stockd_model::limits::CATALOG_LINE_BYTES_MAX;

/// A line, without its line feed.
#[derive(Clone, Copy)]
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    /// It was longer than this number of bytes, and was dropped.
    TooLong(usize),
}

/// Cuts its input into numbered lines. Copies a line only where the buffer of the reader does not hold it whole, and never
/// more of it than the limit.
pub(crate) struct Lines<R> {
    reader: R,
    /// A line that did not lie whole in the buffer of the reader.
    line: Vec<u8>,
    /// Bytes of that buffer that the latest line is, its line feed included: they are given back before the next.
    lent: usize,
    number: u64,
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Lines<R> {
        Lines { reader, line: Vec::new(), lent: 0, number: 0 }
    }

    /// The next line and its number, from 1; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        self.reader.consume(mem::take(&mut self.lent));
        let newline = match self.reader.fill_buf() {
            Ok(bytes) => memchr::memchr(b'\n', bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => return Err(error),
        };
        let mut line = match newline.filter(|len| *len <= CATALOG_LINE_BYTES_MAX) {
            Some(len) => {
                self.lent = len + 1;
                &self.reader.fill_buf()?[..len]
            }
            None => match self.collect()? {
                Collected::Whole => self.line.as_slice(),
                Collected::Nothing => return Ok(None),
                Collected::TooLong => {
                    self.number += 1;
                    return Ok(Some((self.number, Line::TooLong(CATALOG_LINE_BYTES_MAX))));
                }
            },
        };
        self.number += 1;
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        Ok(Some((self.number, Line::Whole(line))))
    }

    /// Puts the next line together of what the reader has of it by and by.
    fn collect(&mut self) -> io::Result<Collected> {
        self.line.clear();
        let mut collected = Collected::Nothing;
        loop {
            let bytes = filled(&mut self.reader)?;
            if bytes.is_empty() {
                return Ok(collected);
            }
            let newline = memchr::memchr(b'\n', bytes);
            let part = &bytes[..newline.unwrap_or(bytes.len())];
            let is_too_long = self.line.len() + part.len() > CATALOG_LINE_BYTES_MAX;
            collected = match collected {
                Collected::TooLong => Collected::TooLong,
                _ if is_too_long => Collected::TooLong,
                _ => Collected::Whole,
            };
            if collected == Collected::Whole {
                self.line.extend_from_slice(part);
            }
            let consumed = part.len() + usize::from(newline.is_some());
            self.reader.consume(consumed);
            if newline.is_some() {
                return Ok(collected);
            }
        }
    }
}

/// What was put together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Collected {
    Nothing,
    Whole,
    TooLong,
}

/// What the reader has, which is nothing only at the end.
fn filled(reader: &mut impl BufRead) -> io::Result<&[u8]> {
    while let Err(error) = reader.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    reader.fill_buf()
}

/// What is said of a line that is longer than this number of bytes.
pub(crate) fn too_long(bytes_max: usize) -> String {
    format!("the line is longer than {bytes_max} bytes, the limit")
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the buffer of the reader holds at once, the lines are those of the text.
        #[test]
        fn lines_do_not_depend_on_how_they_are_read(
            text in "(\u{feff})?[a\r\n]{0,20}", room in 1..9_usize, is_long in 0..3_usize,
        ) {
            let long = "b".repeat([0, CATALOG_LINE_BYTES_MAX - 30, CATALOG_LINE_BYTES_MAX][is_long]);
            let text = format!("{text}{long}{text}");
            let mut lines = Lines::new(BufReader::with_capacity(room, text.as_bytes()));
            let mut whole = Lines::new(text.as_bytes());
            let marked = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let ended = marked.strip_suffix('\n').unwrap_or(marked);
            for (number, line) in (1..).zip(ended.split('\n')).take_while(|_| !text.is_empty()) {
                let line = (line.len() <= CATALOG_LINE_BYTES_MAX).then_some(line.as_bytes());
                for lines in [next(&mut lines), next(&mut whole)] {
                    prop_assert_eq!(lines, Some((number, line.map(<[u8]>::to_vec))));
                }
            }
            prop_assert_eq!((next(&mut lines), next(&mut whole)), (None, None));
        }
    }

    fn next(lines: &mut Lines<impl BufRead>) -> Option<(u64, Option<Vec<u8>>)> {
        lines.next().unwrap().map(|(number, line)| match line {
            Line::Whole(line) => (number, Some(line.to_vec())),
            Line::TooLong(_) => (number, None),
        })
    }
}
