//! Files of timed updates: CSV with a time, what is done, and to which stock.
//!
//! Invariant: updates come in the order of their times, each whole and exactly as written, or
//! it is bad and reported with its file, line and column.

use anyhow::{Context, anyhow, bail};
use indicatif::ProgressBar;
use stockd_client::Write;
use stockd_model::{Edit, Field, Fields, Price};

use super::moment::Moment;
use crate::bad_rows::BadRows;
use crate::catalog_file::csv::Record;
use crate::catalog_file::lines::{Line, Lines, too_long};
use crate::catalog_file::table::{KnownColumns, decimal_mark, delimiter_of};
use crate::catalog_file::{
    self as files, BadRow, Form, Format, Input, RowTexts, Source, Text, parse_symbol, shown,
};
use crate::interruption::Stopping;
use crate::usage_error::UsageError;

/// A file of updates, which may be compressed.
#[derive(Debug)]
pub(crate) struct UpdateFile {
    source: Source,
    stopping: Stopping,
}

/// One change of one stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) at: Moment,
    pub(crate) write: Write,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Updates, without the bad rows.
    pub(crate) updates: u64,
    /// The time of the first.
    pub(crate) first: Option<Moment>,
    pub(crate) bad_rows: BadRows,
}

impl UpdateFile {
    /// The file of this name, `-` being standard input. Once the command is to stop, reading from it is an error.
    ///
    /// # Errors
    ///
    /// When it is said to be something else than CSV.
    pub(crate) fn new(
        name: &str,
        form: Form,
        stopping: Stopping,
    ) -> Result<UpdateFile, UsageError> {
        if form.format.is_some_and(|format| format != Format::Csv) {
            let why = "a file of updates is CSV; write it as CSV, or import its last quotes";
            return Err(UsageError(why.to_owned()));
        }
        Ok(UpdateFile { source: Source::new(name, form), stopping })
    }

    /// Whether it can be read again: a file, and no pipe.
    pub(crate) fn can_be_read_twice(&self) -> bool {
        // What is wrong with a file shows when it is opened.
        self.source.path().is_some_and(|path| {
            std::fs::metadata(path).map_or(true, |metadata| metadata.is_file() || metadata.is_dir())
        })
    }

    /// Reads the file once from beginning to end.
    ///
    /// # Errors
    ///
    /// When it cannot be read or has no usable header.
    pub(crate) fn extent(&self) -> anyhow::Result<Extent> {
        let (mut updates, progress) = self.updates()?;
        let mut extent = Extent { updates: 0, first: None, bad_rows: BadRows::default() };
        while let Some(update) = updates.next()? {
            match update {
                Ok(update) => {
                    extent.updates += 1;
                    extent.first.get_or_insert(update.at);
                }
                Err(bad) => extent.bad_rows.add(bad),
            }
        }
        progress.finish_and_clear();
        Ok(extent)
    }

    /// The updates from the beginning, and the bar that shows how far they were read.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has no usable header.
    pub(crate) fn updates(&self) -> anyhow::Result<(Updates<'_>, ProgressBar)> {
        let source = &self.source;
        let cannot_read = || format!("cannot read {source}");
        let input = source.open_as_it_comes(&self.stopping).with_context(cannot_read)?;
        let Input { text, sample, progress } = input;
        if files::seen_format(&sample) != Format::Csv {
            bail!("{source}:1: it is JSON; a file of updates is CSV");
        }
        let mut lines = Lines::new(text);
        let mut form = source.form().clone();
        loop {
            match lines.next().with_context(cannot_read)? {
                Some((_, Line::Whole(line))) if line.trim_ascii().is_empty() => {}
                Some((number, Line::Whole(line))) => match files::delimiter_line(line) {
                    Some(delimiter) => form.delimiter = form.delimiter.or(Some(delimiter)),
                    None => {
                        let mut record =
                            Record::new(form.delimiter.unwrap_or_else(|| delimiter_of(line)));
                        let rows = files::behind(&sample, number);
                        let header = Header::parse(line, &mut record, &form, rows)
                            .map_err(|why| anyhow!("{source}:{number}: {why}"))?;
                        return Ok((
                            Updates { source, lines, header, record, last: None },
                            progress,
                        ));
                    }
                },
                Some((number, Line::TooLong(max))) => {
                    bail!("{source}:{number}: {}", too_long(max))
                }
                None => bail!("{source}:1: the file is empty; {HEADER_NEEDS}"),
            }
        }
    }
}

/// The updates of a file, one after the other.
pub(crate) struct Updates<'a> {
    source: &'a Source,
    lines: Lines<Text>,
    header: Header,
    record: Record,
    /// The time of the update before.
    last: Option<Moment>,
}

impl Updates<'_> {
    /// Whether the next one is still to be read, and may have to be waited for.
    pub(crate) fn may_wait(&self) -> bool {
        self.lines.may_wait()
    }

    /// The next update, or the next bad row with its place; `None` after the last.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Result<Update, String>>> {
        let Updates { source, lines, header, record, last } = self;
        while let Some((number, line)) =
            lines.next().with_context(|| format!("cannot read {source}"))?
        {
            let update = match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => header.update(line, record, *last),
                Line::TooLong(max) => Err(BadRow { column: None, why: too_long(max) }),
            };
            if let Ok(update) = update {
                *last = Some(update.at);
            }
            return Ok(Some(update.map_err(|bad| bad.located(source, number))));
        }
        Ok(None)
    }
}

const HEADER_NEEDS: &str = "the header must name time (or commit_date_utc), symbol and price, and may name op, volume, bid, ask, bid_size, ask_size and status";

/// The positions of the columns in a row.
struct Header {
    time: usize,
    op: Option<usize>,
    symbol: usize,
    price: usize,
    /// The fields that have a column, the price among them.
    fields: Vec<(Field, usize)>,
    columns: usize,
    texts: RowTexts,
}

impl Header {
    fn parse(line: &[u8], record: &mut Record, form: &Form, rows: &[u8]) -> Result<Header, String> {
        record.read(line).map_err(|bad| bad.why)?;
        let missing = |name: &str| {
            format!("column '{name}' is missing; {HEADER_NEEDS}, and names {}", shown(line))
        };
        let KnownColumns { symbol, fields } = KnownColumns::of(record, form)?;
        let of =
            |wanted: Field| fields.iter().find(|(field, _)| *field == wanted).map(|(_, at)| *at);
        let mut time = of(Field::Time);
        for name in ["commit_date_utc", "timestamp", "datetime", "date"] {
            time = time.map_or_else(|| record.column(name), |at| Ok(Some(at)))?;
        }
        let time = time.ok_or_else(|| missing("time"))?;
        let symbol = symbol.ok_or_else(|| missing("symbol"))?;
        let price = of(Field::Price).ok_or_else(|| missing("price"))?;
        let op = match form.columns.of("op") {
            Some("") => None,
            Some(given) => Some(record.column(given)?.ok_or_else(|| missing(given))?),
            None => record.column("op")?,
        };
        // The time is that of the replay.
        let fields: Vec<_> =
            fields.into_iter().filter(|(field, _)| *field != Field::Time).collect();
        let columns = record.len();
        let texts = RowTexts { mark: decimal_mark(record, form, &fields, rows) };
        Ok(Header { time, op, symbol, price, fields, columns, texts })
    }

    /// Reads one row. Its time must not be before `last`, the time of the row before.
    fn update(
        &self,
        line: &[u8],
        record: &mut Record,
        last: Option<Moment>,
    ) -> Result<Update, BadRow> {
        record.read(line)?;
        if record.len() != self.columns {
            let (fields, columns) = (record.len(), self.columns);
            let why = format!("the row has {fields} fields, the header {columns}");
            return Err(BadRow { column: None, why });
        }
        let field = |at: usize| record.field(at).trim_ascii();
        let at = Moment::parse(field(self.time)).map_err(BadRow::at("time"))?;
        if last.is_some_and(|last| at < last) {
            let why = "it is before that of an earlier line; sort the file by time".to_owned();
            return Err(BadRow { column: Some("time"), why });
        }
        let symbol = parse_symbol(record.field(self.symbol))?;
        let write = match self.op.map(field).unwrap_or_default() {
            b"" | b"set" | b"add" => {
                let mut fields = Fields::default();
                for &(name, at) in &self.fields {
                    match field(at) {
                        b"none" => fields.clear(name),
                        text => self.texts.set(&mut fields, name, text)?,
                    }
                }
                if !fields.can_list() {
                    let price = Price::parse(field(self.price)).map_err(BadRow::at("price"))?;
                    fields.price = Edit::Set(price);
                }
                Write::Set(symbol, fields)
            }
            b"del" => Write::Delist(symbol),
            other => {
                let why = format!("'{}' is none of set, add and del", shown(other));
                return Err(BadRow { column: Some("op"), why });
            }
        };
        Ok(Update { at, write })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use stockd_model::Volume;

    use super::*;

    /// The updates of a file with this text, or the error that names the file `f`.
    fn updates(text: &str) -> Result<Vec<Update>, String> {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let name = file.path().to_str().unwrap();
        let read = || {
            let file = UpdateFile::new(name, Form::default(), Stopping::default()).unwrap();
            let extent = file.extent()?;
            let (mut updates, _) = file.updates()?;
            let (mut all, mut bad) = (Vec::new(), Vec::new());
            while let Some(update) = updates.next()? {
                match update {
                    Ok(update) => all.push(update),
                    Err(row) => bad.push(row),
                }
            }
            let first = all.first().map(|update| update.at);
            assert_eq!((extent.updates, extent.first), (all.len() as u64, first));
            assert_eq!(extent.bad_rows.first, bad);
            match bad.pop() {
                Some(bad) => Err(anyhow!(bad)),
                None => Ok(all),
            }
        };
        read().map_err(|error: anyhow::Error| format!("{error:#}").replace(name, "f"))
    }

    #[test]
    fn updates_are_read_in_their_order() {
        let text = "price, op ,commit_date_utc,symbol,volume,note\n\n\
            1.50,set,2026-08-11,A,10,x\n,del,2026-08-11,\"B,C\",,\n2,add,2026-08-12,牛来USDT,,\n3,,1790000000,D,0,\n0,,1790000000,E,none,";
        let updates = updates(text).unwrap();
        let writes: Vec<Write> = updates.iter().map(|update| update.write).collect();
        let set = |symbol: &str, price: &str, volume: Edit<u64>| {
            let fields = Fields {
                price: Edit::Set(price.parse().unwrap()),
                volume: match volume {
                    Edit::Set(shares) => Edit::Set(Volume::new(shares)),
                    Edit::Clear => Edit::Clear,
                    Edit::Keep => Edit::Keep,
                },
                ..Fields::default()
            };
            Write::Set(symbol.parse().unwrap(), fields)
        };
        let expected = [
            set("A", "1.5", Edit::Set(10)),
            Write::Delist("B,C".parse().unwrap()),
            set("牛来USDT", "2", Edit::Keep),
            set("D", "3", Edit::Set(0)),
            set("E", "0", Edit::Clear),
        ];
        assert_eq!(writes, expected);
        assert_eq!(updates[2].at.ns() - updates[1].at.ns(), 86_400_000_000_000);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let why = |text: &str| updates(text).unwrap_err();
        let file =
            |row: &str| format!("time,op,symbol,price,volume\n2026-08-11,set,A,1,1\n{row}\n");
        assert_eq!(
            why(&file("2026-08-10,set,A,1,1")),
            "f:3:time: it is before that of an earlier line; sort the file by time"
        );
        assert!(
            why(&file("yesterday,set,A,1,1")).starts_with("f:3:time: 'yesterday' is not a time")
        );
        assert_eq!(
            why(&file("2026-08-11,move,A,1,1")),
            "f:3:op: 'move' is none of set, add and del"
        );
        assert!(why(&file("2026-08-11,set,A,,1")).starts_with("f:3:price: '' is not a price"));
        assert!(why(&file("2026-08-11,set,A,1,x")).starts_with("f:3:volume: 'x' is not a volume"));
        assert!(
            why(&file("2026-08-11,set,,1,x")).starts_with("f:3:symbol: '': the symbol is empty")
        );
        assert_eq!(why(&file("2026-08-11,set,A,1")), "f:3: the row has 4 fields, the header 5");
        assert!(
            why("op,symbol,price\n").starts_with("f:1: column 'time' is missing; the header must")
        );
        assert!(why("time,time,symbol,price\n").starts_with("f:1: the header names 'time' twice"));
        assert!(why("").starts_with("f:1: the file is empty; the header must name time"));
    }
}
