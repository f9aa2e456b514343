//! JSON cut into the objects of stocks: arrays of them, one after the other, and objects whose keys are the
//! names of stocks, as Alpaca's data service answers.
//!
//! Knows where values begin and end, and not what they mean: `json.rs` reads each. So a document of any size
//! is read with the memory of one stock.
//!
//! Invariant: each object comes once, in the order of the file, with the line that it begins on. No more than
//! [`CATALOG_LINE_BYTES_MAX`] bytes of one are kept.

use std::io::{self, BufRead};

use stockd_model::limits::CATALOG_LINE_BYTES_MAX;

/// One value.
pub(super) struct Piece<'a> {
    /// The line that it begins on, from 1.
    pub(super) line: u64,
    /// Its key, where it stands in an object of stocks; as JSON, with its quotes.
    pub(super) key: Option<&'a [u8]>,
    /// Its bytes; `None` where they are more than the limit.
    pub(super) value: Option<&'a [u8]>,
}

/// Cuts its input into values.
pub(super) struct Documents<R> {
    bytes: Bytes<R>,
    /// What is open, from outside in; at most [`DEPTH_MAX`].
    open: Vec<Open>,
    key: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Array,
    /// An object whose keys are the names of stocks.
    Stocks,
    /// An object of which what mattered has been read.
    Rest,
}

/// Arrays and objects around a stock, at most.
const DEPTH_MAX: usize = 8;

/// Names under which services put the stocks of an answer.
const WRAPPERS: [&[u8]; 8] = [
    b"\"trades\"",
    b"\"quotes\"",
    b"\"snapshots\"",
    b"\"data\"",
    b"\"results\"",
    b"\"rows\"",
    b"\"items\"",
    b"\"stocks\"",
];

/// Keys of an object that is one stock, although a value stands behind them that is none.
const PARTS: [&[u8]; 6] = [
    b"\"trade\"",
    b"\"quote\"",
    b"\"latestTrade\"",
    b"\"latestQuote\"",
    b"\"minuteBar\"",
    b"\"dailyBar\"",
];

impl<R: BufRead> Documents<R> {
    pub(super) fn new(reader: R) -> Documents<R> {
        let bytes = Bytes { reader, line: 1 };
        Documents { bytes, open: Vec::new(), key: Vec::new(), value: Vec::new() }
    }

    /// The next value; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the input cannot be read, ends within a value, or is no JSON between values.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.value.clear();
        self.key.clear();
        loop {
            let open = self.open.last().copied();
            let Some(byte) = self.bytes.past_space(open.is_some())? else {
                return match open {
                    None => Ok(None),
                    Some(_) => Err(self.bytes.error("the file ends within an array or object")),
                };
            };
            let line = self.bytes.line;
            match (open, byte) {
                (Some(Open::Array), b']') | (Some(Open::Stocks | Open::Rest), b'}') => {
                    self.bytes.take()?;
                    self.open.pop();
                }
                (None | Some(Open::Array), b'[') => self.enter(Open::Array)?,
                (None, b'{') => {
                    if self.object(line)? {
                        return Ok(Some(self.piece(line)));
                    }
                }
                (Some(Open::Stocks), b'"') => {
                    self.key()?;
                    self.value(0)?;
                    return Ok(Some(self.piece(line)));
                }
                (Some(Open::Rest), b'"') => {
                    self.key()?;
                    self.value(0)?;
                    self.key.clear();
                    self.value.clear();
                }
                (None | Some(Open::Array), _) => {
                    self.value(0)?;
                    return Ok(Some(self.piece(line)));
                }
                _ => {
                    return Err(self
                        .bytes
                        .error("a key in quotes or the end of the object is missing"));
                }
            }
        }
    }

    fn piece(&self, line: u64) -> Piece<'_> {
        let value = (self.value.len() <= CATALOG_LINE_BYTES_MAX).then_some(self.value.as_slice());
        let key = (!self.key.is_empty()).then_some(self.key.as_slice());
        Piece { line, key, value }
    }

    fn enter(&mut self, open: Open) -> io::Result<()> {
        self.bytes.take()?;
        if self.open.len() == DEPTH_MAX {
            return Err(self.bytes.error("too many arrays within arrays"));
        }
        self.open.push(open);
        Ok(())
    }

    /// Begins an object that stands alone. Returns whether it is a stock, which was then read; otherwise
    /// stocks stand in it.
    fn object(&mut self, line: u64) -> io::Result<bool> {
        self.bytes.take()?;
        if self.bytes.past_space(false)? != Some(b'"') {
            self.value.push(b'{');
            self.value(1)?;
            return Ok(true);
        }
        self.key()?;
        let first = self.bytes.past_space(false)?;
        let is_part = PARTS.contains(&self.key.as_slice());
        match first {
            Some(b'[') if WRAPPERS.contains(&self.key.as_slice()) => {
                self.open.push(Open::Rest);
                self.key.clear();
                self.enter(Open::Array)?;
                Ok(false)
            }
            Some(b'{') if WRAPPERS.contains(&self.key.as_slice()) => {
                self.open.push(Open::Rest);
                self.key.clear();
                self.enter(Open::Stocks)?;
                Ok(false)
            }
            Some(b'{') if !is_part => {
                self.open.push(Open::Stocks);
                self.value(0)?;
                Ok(true)
            }
            _ => {
                self.value.push(b'{');
                self.value.append(&mut self.key);
                self.value.push(b':');
                self.value(1)?;
                debug_assert!(line <= self.bytes.line);
                Ok(true)
            }
        }
    }

    /// Reads a key with its quotes, and the colon behind it.
    fn key(&mut self) -> io::Result<()> {
        self.key.clear();
        let mut is_escaped = false;
        loop {
            let Some(byte) = self.bytes.take()? else {
                return Err(self.bytes.error("the file ends within a key"));
            };
            if self.key.len() <= CATALOG_LINE_BYTES_MAX {
                self.key.push(byte);
            }
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' if self.key.len() > 1 => break,
                _ => {}
            }
        }
        if self.bytes.past_space(false)? != Some(b':') {
            return Err(self.bytes.error("a colon is missing behind a key"));
        }
        self.bytes.take()?;
        self.bytes.past_space(false).map(|_| ())
    }

    /// Reads a value to its end, of which this number of brackets are open already.
    fn value(&mut self, mut depth: usize) -> io::Result<()> {
        let (mut in_text, mut is_escaped, mut any) = (false, false, false);
        loop {
            let Some(byte) = self.bytes.peek()? else {
                return match depth == 0 && !in_text {
                    true => Ok(()),
                    false => Err(self.bytes.error("the file ends within a value")),
                };
            };
            let is_end = depth == 0
                && !in_text
                && any
                && (matches!(byte, b',' | b']' | b'}' | b'{' | b'[' | b'"')
                    || byte.is_ascii_whitespace());
            if is_end {
                return Ok(());
            }
            self.bytes.take()?;
            if self.value.len() <= CATALOG_LINE_BYTES_MAX {
                self.value.push(byte);
            }
            any = true;
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_text => is_escaped = true,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
    }
}

/// The bytes of the input, and on which line they are.
struct Bytes<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Bytes<R> {
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                bytes => return Ok(bytes?.first().copied()),
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.reader.consume(1);
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    /// The next byte that is no space (nor byte order mark), and no comma where values have them between.
    fn past_space(&mut self, commas: bool) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(byte) if byte.is_ascii_whitespace() || (commas && byte == b',') => {}
                Some(0xef | 0xbb | 0xbf) if self.line == 1 => {}
                byte => return Ok(byte),
            }
            self.take()?;
        }
    }

    fn error(&self, why: &str) -> io::Error {
        let why = format!("{why}, on line {}", self.line);
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}
