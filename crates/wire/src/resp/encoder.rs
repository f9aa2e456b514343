//! Encodes the replies of one connection, straight into its output, in RESP2 or RESP3.
//!
//! Invariant: one call appends one whole reply, but for [`array`](Encoder::array), which begins
//! one, and [`Shape::Tally`], of which only the last appends anything. No text of a client gets
//! into a reply unframed, so none can pass for a reply of its own.

use std::fmt::{self, Write};

use stockd_model::{
    Answer, DECIMAL_ROOM_BYTES, DecimalText, Field, Price, Quote, Refusal, Reply, Symbol,
    quote_json,
};

use super::arguments::Arguments;
use super::command::{Constant, Shape, Version, cursor};
use super::command_error::Refused;
use super::error_counts::ErrorCounts;
use super::frame::{self, bulk, head, simple};
use super::glob::Glob;

/// Bytes of the longest answer to a lookup: the longest price, of 21 bytes, and its length. The error for a
/// stock that may not be read is a little longer.
pub const ANSWER_BYTES_MAX: usize = 28;

/// The version of Redis whose commands clients may expect, as far as they are for stocks. Some clients
/// refuse to track what they read where `HELLO` does not name `redis` and this version or a later one.
pub const REDIS_VERSION: &str = "7.4.0";

/// Encodes the replies of one connection.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    version: Version,
    tally: Tally,
    errors: ErrorCounts,
}

/// What is known so far of a command whose one reply is about several stocks. Small, since every idle
/// connection has one; a command has fewer parts than can be counted here.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// Stocks that were listed, or rows that were written.
    done: u32,
    refused: u32,
    /// Why the first was refused, with its code.
    first: Option<Box<str>>,
}

impl Tally {
    fn refuse(&mut self, why: &dyn fmt::Display) {
        self.refused += 1;
        self.first.get_or_insert_with(|| why.to_string().into());
    }
}

impl Encoder {
    /// An encoder for a new connection, in RESP2.
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// The version that is spoken.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Speaks this version from the next reply on.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Appends the engine's reply in the shape that its command asks for. A refusal is an error in
    /// every shape.
    pub fn reply(&mut self, reply: &Reply, shape: &Shape<'_>, out: &mut Vec<u8>) {
        match (shape, reply) {
            (Shape::Price, Reply::Found(quote)) => self.answer(quote.answer(), out),
            (Shape::Price, Reply::NotFound) => self.answer(Answer::NotFound, out),
            _ => self.reply_any(reply, shape, out),
        }
    }

    /// Appends the answer to a lookup: the price, `0` or nil, of at most [`ANSWER_BYTES_MAX`] bytes;
    /// or that it may not be read.
    #[inline(always)]
    pub fn answer(&self, answer: Answer, out: &mut Vec<u8>) {
        match answer {
            Answer::Price(price) => bulk_price(price, out),
            Answer::NotTradable => bulk(b"0", out),
            Answer::NotFound => self.nil(out),
            Answer::NotPermitted => self.not_permitted(out),
        }
    }

    #[cold]
    fn not_permitted(&self, out: &mut Vec<u8>) {
        self.error(&"NOPERM no permission to read this stock", out);
    }

    fn reply_any(&mut self, reply: &Reply, shape: &Shape<'_>, out: &mut Vec<u8>) {
        match *shape {
            Shape::Tally { last } => return self.tally(reply, last, out),
            Shape::Row { last } => return self.row(reply, last, out),
            _ => {}
        }
        let quote = match reply {
            Reply::Refused(refusal) => return self.error(&Refused(refusal), out),
            Reply::Found(quote) | Reply::Listed(quote) => Some(quote),
            Reply::Updated(quote) | Reply::Cleared(quote, _) | Reply::Delisted(quote) => {
                Some(quote)
            }
            Reply::NotFound => None,
        };
        match (shape, quote) {
            (Shape::Quote, _) => {
                self.map(present(quote).count(), out);
                self.fields(present(quote), true, true, out);
            }
            (Shape::Names, _) => {
                self.array(present(quote).count(), out);
                self.fields(present(quote), true, false, out);
            }
            (Shape::Values, _) => {
                self.array(present(quote).count(), out);
                self.fields(present(quote), false, true, out);
            }
            (Shape::Page { pattern, values }, _) => {
                let shows = |field: Field| {
                    pattern.is_none_or(|pattern| pattern.matches(field.name().as_bytes()))
                };
                let shown = present(quote).filter(|(field, _)| shows(*field));
                self.array(2, out);
                bulk(b"0", out);
                self.array(shown.clone().count() * (1 + usize::from(*values)), out);
                self.fields(shown, true, *values, out);
            }
            (Shape::Length, _) => self.integer(present(quote).count() as u64, out),
            (Shape::HasField(field), _) => {
                let text = quote.zip(*field).and_then(|(quote, field)| quote.text_of(field));
                self.integer(u64::from(text.is_some()), out);
            }
            (Shape::FieldLength(field), _) => {
                let text = quote.zip(*field).and_then(|(quote, field)| quote.text_of(field));
                self.integer(text.map_or(0, |text| text.as_bytes().len()) as u64, out);
            }
            (Shape::Cleared, _) => {
                let cleared = if let Reply::Cleared(_, fields) = reply { *fields } else { 0 };
                self.integer(u64::from(cleared), out);
            }
            (Shape::PriceLength, _) => {
                let answer = quote.map(|quote| quote.answer().to_string());
                self.integer(answer.map_or(0, |answer| answer.len()) as u64, out);
            }
            (Shape::Fields(names), _) => {
                self.array(names.len(), out);
                for name in *names {
                    match (Field::find(name), quote) {
                        (Some(field), Some(quote)) => self.field(field, quote, out),
                        _ => self.nil(out),
                    }
                }
            }
            (Shape::Columns(columns), _) => {
                self.array(columns.len(), out);
                for field in columns.fields() {
                    match quote {
                        Some(quote) => self.field(field, quote, out),
                        None => self.nil(out),
                    }
                }
            }
            (Shape::Field(Some(field)), Some(quote)) => self.field(*field, quote, out),
            (Shape::Either { listed, .. }, Some(_)) => self.constant(*listed, out),
            (Shape::Either { unlisted, .. }, None) => self.constant(*unlisted, out),
            (Shape::Done, _) => self.ok(out),
            (Shape::NewFields(fields), _) => {
                let listed = matches!(reply, Reply::Listed(_));
                self.integer(if listed { u64::from(*fields) } else { 0 }, out);
            }
            (Shape::Volume, Some(Quote { volume: Some(volume), .. })) => match volume.whole() {
                Some(shares) => self.integer(shares, out),
                None => bulk(volume.text().as_bytes(), out),
            },
            (Shape::VolumeText, Some(Quote { volume: Some(volume), .. })) => {
                bulk(volume.text().as_bytes(), out);
            }
            _ => self.nil(out),
        }
    }

    fn row(&mut self, reply: &Reply, last: bool, out: &mut Vec<u8>) {
        match reply {
            Reply::Refused(refusal) => self.tally.refuse(&Refused(refusal)),
            _ => self.tally.done += 1,
        }
        self.end_rows(last, out);
    }

    /// Counts a row that was not written, and appends the reply with the last.
    pub fn bad_row(&mut self, error: &dyn fmt::Display, last: bool, out: &mut Vec<u8>) {
        self.tally.refuse(error);
        self.end_rows(last, out);
    }

    fn end_rows(&mut self, last: bool, out: &mut Vec<u8>) {
        if !last {
            return;
        }
        let Tally { done, refused, first } = std::mem::take(&mut self.tally);
        let Some(first) = first else {
            return self.integer(done.into(), out);
        };
        let (code, why) = first.split_once(' ').unwrap_or(("ERR", &first));
        let all = u64::from(done) + u64::from(refused);
        let error = format_args!("{code} {refused} of {all} rows were refused, the first: {why}");
        self.error(&error, out);
    }

    fn tally(&mut self, reply: &Reply, last: bool, out: &mut Vec<u8>) {
        match reply {
            Reply::Refused(refusal) => self.tally.refuse(&Refused(refusal)),
            Reply::NotFound => {}
            _ => self.tally.done += 1,
        }
        if last {
            let Tally { done, first, .. } = std::mem::take(&mut self.tally);
            match first {
                Some(first) => self.error(&first, out),
                None => self.integer(done.into(), out),
            }
        }
    }

    /// Appends a field as text; nil where the quote does not have it.
    fn field(&self, field: Field, quote: &Quote, out: &mut Vec<u8>) {
        match quote.text_of(field) {
            Some(text) => match text.number_text() {
                Some(number) => bulk_number(number, out),
                None => bulk(text.as_bytes(), out),
            },
            None => self.nil(out),
        }
    }

    /// Appends names of fields, their values, or both in turn.
    fn fields<'a>(
        &self,
        fields: impl Iterator<Item = (Field, &'a Quote)>,
        names: bool,
        values: bool,
        out: &mut Vec<u8>,
    ) {
        for (field, quote) in fields {
            if names {
                out.extend_from_slice(framed_name(field));
            }
            if values {
                self.field(field, quote, out);
            }
        }
    }

    /// Appends what is the same for every server.
    pub fn constant(&self, constant: Constant, out: &mut Vec<u8>) {
        match constant {
            Constant::Ok => self.ok(out),
            Constant::Integer(number) => self.signed(number, out),
            Constant::Text(text) => bulk(text.as_bytes(), out),
            Constant::Status(word) => simple(word, out),
            Constant::Nil => self.nil(out),
            Constant::Empty => self.array(0, out),
            Constant::Role => {
                self.array(3, out);
                bulk(b"master", out);
                self.signed(0, out);
                self.array(0, out);
            }
        }
    }

    /// Appends the reply to `PUBSUB NUMSUB`: names, each with how many are subscribed to it.
    pub fn subscriber_counts<'a>(
        &self,
        counts: impl ExactSizeIterator<Item = (&'a [u8], usize)>,
        out: &mut Vec<u8>,
    ) {
        self.array(2 * counts.len(), out);
        for (name, count) in counts {
            bulk(name, out);
            self.integer(count as u64, out);
        }
    }

    /// Appends `+OK`.
    pub fn ok(&self, out: &mut Vec<u8>) {
        simple("OK", out);
    }

    /// Appends `+RESET`, the reply to `RESET`.
    pub fn reset(&self, out: &mut Vec<u8>) {
        simple("RESET", out);
    }

    /// Appends a text.
    pub fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        bulk(text, out);
    }

    /// Appends lines that are for people, as those of `INFO` and `CLIENT LIST`.
    pub fn lines(&self, lines: &str, out: &mut Vec<u8>) {
        self.begin_lines(lines.len(), out);
        out.extend_from_slice(lines.as_bytes());
        self.end_lines(out);
    }

    /// Begins lines of this number of bytes. Those follow, and then the [end](Encoder::end_lines).
    pub fn begin_lines(&self, bytes: usize, out: &mut Vec<u8>) {
        match self.version {
            Version::Resp2 => head(b'$', bytes, out),
            Version::Resp3 => {
                head(b'=', bytes + "txt:".len(), out);
                out.extend_from_slice(b"txt:");
            }
        }
    }

    /// Ends lines.
    pub fn end_lines(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
    }

    /// Appends a number. One that no signed 64 bits hold, which only a volume can be, is a text in
    /// RESP2 and a big number in RESP3.
    pub fn integer(&self, number: u64, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        let sign = match self.version {
            _ if i64::try_from(number).is_ok() => b':',
            Version::Resp2 => return bulk(digits, out),
            Version::Resp3 => b'(',
        };
        out.push(sign);
        out.extend_from_slice(digits);
        out.extend_from_slice(b"\r\n");
    }

    pub(super) fn signed(&self, number: i64, out: &mut Vec<u8>) {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Appends nil.
    #[inline]
    pub fn nil(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// Appends `+QUEUED`, the reply to a command of a transaction until that is executed.
    pub fn queued(&self, out: &mut Vec<u8>) {
        simple("QUEUED", out);
    }

    /// Appends the refusal of a whole transaction.
    pub fn refusal(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        self.error(&Refused(refusal), out);
    }

    /// Appends nil in place of an array.
    pub fn nil_array(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.version {
            Version::Resp2 => b"*-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// Appends an error: its code and words, on one line whatever they are.
    pub fn error(&self, error: &dyn fmt::Display, out: &mut Vec<u8>) {
        out.push(b'-');
        let before = out.len();
        let written = write!(OneLine(out), "{error}");
        debug_assert!(written.is_ok(), "a vector takes everything");
        self.errors.count(out.get(before..).unwrap_or_default());
        out.extend_from_slice(b"\r\n");
    }

    /// Takes the errors that were encoded since this was last asked, by their codes.
    #[inline]
    pub fn take_errors(&mut self) -> Option<ErrorCounts> {
        self.errors.any().then(|| std::mem::take(&mut self.errors))
    }

    /// Appends the head of an array. As many replies as it has elements follow.
    #[inline]
    pub fn array(&self, elements: usize, out: &mut Vec<u8>) {
        frame::array(elements, out);
    }

    /// Appends the head of a map. As many pairs of replies follow.
    pub fn map(&self, pairs: usize, out: &mut Vec<u8>) {
        match self.version {
            Version::Resp2 => head(b'*', 2 * pairs, out),
            Version::Resp3 => head(b'%', pairs, out),
        }
    }

    /// Appends the head of a set.
    pub(super) fn set(&self, elements: usize, out: &mut Vec<u8>) {
        match self.version {
            Version::Resp2 => head(b'*', elements, out),
            Version::Resp3 => head(b'~', elements, out),
        }
    }

    /// Appends the head of what comes without being asked for at that moment.
    pub(super) fn push(&self, elements: usize, out: &mut Vec<u8>) {
        match self.version {
            Version::Resp2 => head(b'*', elements, out),
            Version::Resp3 => head(b'>', elements, out),
        }
    }

    /// Appends the reply to `HELLO`, in the version it asked for, which must be set by now.
    pub fn hello(&self, connection: u64, out: &mut Vec<u8>) {
        self.map(7, out);
        for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
            bulk(name.as_bytes(), out);
            bulk(value.as_bytes(), out);
        }
        bulk(b"proto", out);
        self.integer(if self.version == Version::Resp2 { 2 } else { 3 }, out);
        bulk(b"id", out);
        self.integer(connection, out);
        for (name, value) in [("mode", "standalone"), ("role", "master")] {
            bulk(name.as_bytes(), out);
            bulk(value.as_bytes(), out);
        }
        bulk(b"modules", out);
        self.array(0, out);
    }

    /// Appends the reply to `SCAN`: the place in the catalog to go on from, `None` at the end, and
    /// the symbols found.
    pub fn scan(&self, next: Option<u64>, symbols: &[Symbol], out: &mut Vec<u8>) {
        self.array(2, out);
        bulk(itoa::Buffer::new().format(next.map_or(0, cursor)).as_bytes(), out);
        self.symbols(symbols, out);
    }

    /// Appends a page of `SNAPSHOT`: each quote as the [JSON](quote_json) of live
    /// quotes, but with the status that was written, whatever its feed does.
    pub fn quotes(&self, quotes: &[Quote], out: &mut Vec<u8>) {
        let mut json = Vec::new();
        self.array(quotes.len(), out);
        for quote in quotes {
            json.clear();
            quote_json::encode_kept(quote, &mut json);
            bulk(&json, out);
        }
    }

    /// Appends symbols: the reply to `KEYS`, and a part of that to `SCAN`.
    pub fn symbols(&self, symbols: &[Symbol], out: &mut Vec<u8>) {
        self.array(symbols.len(), out);
        for symbol in symbols {
            self.symbol(symbol, out);
        }
    }

    /// Appends one of several symbols.
    pub fn symbol(&self, symbol: &Symbol, out: &mut Vec<u8>) {
        bulk(symbol.as_bytes(), out);
    }

    /// Appends the reply to `TIME`.
    pub fn time(&self, unix_ns: u64, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        self.array(2, out);
        bulk(number.format(unix_ns / 1_000_000_000).as_bytes(), out);
        bulk(number.format(unix_ns / 1_000 % 1_000_000).as_bytes(), out);
    }

    /// Appends the reply to `CONFIG GET`: those of the settings, which are pairs of a name and a
    /// value, whose name matches one of the patterns in any case.
    pub fn settings(&self, patterns: Arguments<'_>, settings: &[(&str, &str)], out: &mut Vec<u8>) {
        let matches = |name: &str| {
            patterns.into_iter().any(|pattern| {
                let pattern = pattern.to_ascii_lowercase();
                Glob::new(&pattern).is_ok_and(|pattern| pattern.matches(name.as_bytes()))
            })
        };
        let found: Vec<_> = settings.iter().filter(|(name, _)| matches(name)).collect();
        self.map(found.len(), out);
        for (name, value) in found {
            bulk(name.as_bytes(), out);
            bulk(value.as_bytes(), out);
        }
    }
}

/// The fields that a quote has; none of a stock that is not listed.
#[inline]
fn present(quote: Option<&Quote>) -> impl Iterator<Item = (Field, &Quote)> + Clone {
    let fields = |quote| Field::ALL.into_iter().map(move |field| (field, quote));
    quote.into_iter().flat_map(fields).filter(|(field, quote)| quote.has(*field))
}

/// The name of a field as a bulk string.
const fn framed_name(field: Field) -> &'static [u8] {
    match field {
        Field::Symbol => b"$6\r\nsymbol\r\n",
        Field::Price => b"$5\r\nprice\r\n",
        Field::Volume => b"$6\r\nvolume\r\n",
        Field::Bid => b"$3\r\nbid\r\n",
        Field::Ask => b"$3\r\nask\r\n",
        Field::BidSize => b"$8\r\nbid_size\r\n",
        Field::AskSize => b"$8\r\nask_size\r\n",
        Field::Status => b"$6\r\nstatus\r\n",
        Field::Time => b"$4\r\ntime\r\n",
        Field::Version => b"$7\r\nversion\r\n",
        Field::Updated => b"$7\r\nupdated\r\n",
        Field::Feed => b"$4\r\nfeed\r\n",
        Field::FeedState => b"$10\r\nfeed_state\r\n",
    }
}

/// As [`bulk`] of a number, but quicker: the room that it stands in is copied as a whole.
#[inline]
fn bulk_number(number: &DecimalText, out: &mut Vec<u8>) {
    const HEAD_BYTES: usize = b"$21\r\n".len();
    let len = number.len();
    let mut frame = [0; HEAD_BYTES + DECIMAL_ROOM_BYTES];
    let (head, start) = match len {
        0..=9 => ([b'$', b'0' + len as u8, b'\r', b'\n', 0], HEAD_BYTES - 1),
        _ => ([b'$', b'0' + (len / 10) as u8, b'0' + (len % 10) as u8, b'\r', b'\n'], HEAD_BYTES),
    };
    frame[..HEAD_BYTES].copy_from_slice(&head);
    frame[start..start + DECIMAL_ROOM_BYTES].copy_from_slice(number.room());
    let end = start + len;
    frame[end..end + 2].copy_from_slice(b"\r\n");
    let before = out.len();
    out.extend_from_slice(&frame);
    out.truncate(before + end + 2);
}

/// As [`bulk`] of a price that is an answer, but quicker: it is written where it stays.
#[inline(always)]
fn bulk_price(price: Price, out: &mut Vec<u8>) {
    const HEAD_BYTES: usize = b"$0\r\n".len();
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES + DECIMAL_ROOM_BYTES]);
    if let Some(reply) = out.last_chunk_mut::<{ HEAD_BYTES + DECIMAL_ROOM_BYTES }>()
        && let Some(room) = reply.last_chunk_mut()
        && let bytes @ 0..=9 = price.write_answer(room)
    {
        let end = HEAD_BYTES + bytes;
        reply[..HEAD_BYTES].copy_from_slice(&[b'$', b'0' + bytes as u8, b'\r', b'\n']);
        reply[end..end + 2].copy_from_slice(b"\r\n");
        out.truncate(start + end + 2);
    } else {
        out.truncate(start);
        bulk_long_price(price, out);
    }
}

#[inline(never)]
fn bulk_long_price(price: Price, out: &mut Vec<u8>) {
    let mut room = [0; DECIMAL_ROOM_BYTES];
    let bytes = price.write_answer(&mut room);
    bulk(&room[..bytes], out);
}

/// Writes text with a space in place of each control character, since the end of a line is the
/// end of an error, and the rest of it would be taken for the next reply.
struct OneLine<'a>(&'a mut Vec<u8>);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let printable = |byte: u8| if byte.is_ascii_control() { b' ' } else { byte };
        self.0.extend(text.bytes().map(printable));
        Ok(())
    }
}
