//! The header of a CSV file, and what its rows mean.
//!
//! Owns which column is which field, which rows of vendors' files are none, and the marks that are found out
//! from the beginning of a file: the delimiter and the decimal mark.
//!
//! Invariant: which column is which is decided once, by the header.

use stockd_model::Field;

use super::csv::Record;
use super::form::Form;
use super::names;
use super::number::{DecimalMark, Evidence, evidence};
use super::row::{BadRow, Row, RowTexts, shown};

/// The error of a file that ends before its header.
pub(super) const NO_HEADER: &str =
    "the file is empty; it must begin with a header that names symbol and price";

/// The columns of a file, from its first line.
pub(super) struct Header {
    symbol: usize,
    /// Of the other fields, those that have a column.
    fields: Vec<(Field, usize)>,
    columns: usize,
    record: Record,
    mark: DecimalMark,
    directory: Option<Directory>,
    /// Where the series of a share stands, in files of India's exchanges.
    series: Option<usize>,
}

/// A list of what is traded at an exchange, without prices.
struct Directory {
    /// Where it says that a stock is for tests alone.
    test_issue: usize,
}

/// How the last line of such a list begins.
pub(crate) const FOOTER: &[u8] = b"File Creation Time";

/// The series of shares; others are bonds, warrants and the like under the same symbol.
const SHARES: [&[u8]; 6] = [b"EQ", b"BE", b"BZ", b"SM", b"ST", b"IL"];

impl Header {
    /// Reads the header. Names are found in any case; unknown columns are ignored. `rows` is what is known of
    /// the rows behind it.
    pub(super) fn parse(line: &[u8], form: &Form, rows: &[u8]) -> Result<Header, String> {
        let mut record = Record::new(form.delimiter.unwrap_or_else(|| delimiter_of(line)));
        record.read(line).map_err(|error| error.why)?;
        let KnownColumns { symbol, fields } = KnownColumns::of(&record, form)?;
        let named = |name: &str| record.column(name);
        let test_issue = named("test issue")?.filter(|_| is_without_price(&fields));
        let lists = [Field::Price, Field::Bid, Field::Ask, Field::Status];
        let can_list = fields.iter().any(|(field, _)| lists.contains(field));
        let missing = match symbol {
            None => Some("symbol"),
            Some(_) if !can_list && test_issue.is_none() => Some("price"),
            Some(_) => None,
        };
        let (Some(symbol), None) = (symbol, missing) else {
            return Err(is_missing(missing.unwrap_or("symbol"), line));
        };
        let series = match named("series")? {
            None => named("sctysrs")?,
            series => series,
        };
        let mark = decimal_mark(&mut record, form, &fields, rows);
        record.read(line).map_err(|error| error.why)?;
        let columns = record.len();
        let directory = test_issue.map(|test_issue| Directory { test_issue });
        Ok(Header { symbol, fields, columns, record, mark, directory, series })
    }

    /// Reads the row on one line; `None` where the line is no stock.
    pub(super) fn row(&mut self, line: &[u8]) -> Result<Option<Row>, BadRow> {
        if self.directory.is_some() && line.starts_with(FOOTER) {
            return Ok(None);
        }
        self.record.read(line)?;
        let record = &self.record;
        if record.len() != self.columns {
            let (fields, columns) = (record.len(), self.columns);
            let why = format!("the row has {fields} fields, the header {columns}");
            return Err(BadRow { column: None, why });
        }
        let text = |at: usize| record.field(at).trim_ascii();
        if self.series.is_some_and(|at| !SHARES.contains(&text(at))) {
            return Ok(None);
        }
        let symbol = record.field(self.symbol);
        if let Some(Directory { test_issue }) = self.directory {
            return match text(test_issue) {
                b"Y" => Ok(None),
                _ => Row::name_alone(symbol).map(Some),
            };
        }
        let fields = self.fields.iter().map(|&(field, at)| (field, record.field(at)));
        Row::parse(symbol, &RowTexts { mark: self.mark }, fields).map(Some)
    }
}

/// Where the fields of a quote have their columns.
pub(crate) struct KnownColumns {
    pub(crate) symbol: Option<usize>,
    pub(crate) fields: Vec<(Field, usize)>,
}

impl KnownColumns {
    /// The columns that a header names.
    ///
    /// # Errors
    ///
    /// When it names one twice, or not one that the user has named.
    pub(crate) fn of(record: &Record, form: &Form) -> Result<KnownColumns, String> {
        let symbol = column(record, form, Field::Symbol)?;
        let mut fields = Vec::new();
        for field in Field::WRITABLE {
            fields.extend(column(record, form, field)?.map(|at| (field, at)));
        }
        // Beside a price by another name the volume is what was traded.
        let price_is_ours = form.columns.of("price").is_some() || record.column("price")?.is_some();
        let volume_is_said = form.columns.of("volume").is_some();
        if !price_is_ours && !volume_is_said && !is_without_price(&fields) {
            fields.retain(|(field, _)| *field != Field::Volume);
        }
        Ok(KnownColumns { symbol, fields })
    }
}

/// Where a field has its column; `None` where it has none.
fn column(record: &Record, form: &Form, field: Field) -> Result<Option<usize>, String> {
    match form.columns.of(field.name()) {
        Some("") => Ok(None),
        Some(given) => {
            let missing = || format!("the header has no column '{given}', which --columns names");
            record.column(given)?.ok_or_else(missing).map(Some)
        }
        None => {
            for name in names::of(field) {
                if let Some(at) = record.column(name)? {
                    return Ok(Some(at));
                }
            }
            Ok(None)
        }
    }
}

fn is_without_price(fields: &[(Field, usize)]) -> bool {
    fields.iter().all(|(field, _)| *field != Field::Price)
}

pub(crate) fn is_missing(wanted: &str, line: &[u8]) -> String {
    let header = shown(line);
    if line.trim_ascii_end().contains(&b'\r') {
        return format!(
            "the lines end with carriage returns alone, so that all of the file is one line, which begins with {header}; end \
             them with line feeds, as \"tr '\\r' '\\n'\" does"
        );
    }
    format!(
        "column '{wanted}' is missing; the header must name symbol and price, and names {header}; say which \
         column it is with --columns {wanted}=NAME, or what stands between them with --delimiter"
    )
}

/// What stands between the columns of a header: what makes the most of them that are known, or else the most.
pub(crate) fn delimiter_of(line: &[u8]) -> u8 {
    let weight = |delimiter: &u8| {
        let mut record = Record::new(*delimiter);
        if record.read(line).is_err() {
            return (0, 0);
        }
        let is_known = |name: &&&str| matches!(record.column(name), Ok(Some(_)));
        let known = names::SYMBOL.iter().chain(names::PRICE).filter(is_known).count();
        (known, record.len())
    };
    // Where two are equal, the last one is taken.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(weight).unwrap_or(b',')
}

/// The decimal mark: as it was said, or as the first rows say.
pub(crate) fn decimal_mark(
    record: &mut Record,
    form: &Form,
    fields: &[(Field, usize)],
    rows: &[u8],
) -> DecimalMark {
    match form.decimal_comma {
        Some(true) => return DecimalMark::Comma,
        Some(false) => return DecimalMark::Point,
        // Where a comma ends a field, a number with one would be in quotes: it groups thousands.
        None if record.delimiter() == b',' => return DecimalMark::Point,
        None => {}
    }
    let is_number = |field: &Field| !matches!(field, Field::Status | Field::Time);
    let (mut points, mut commas) = (false, false);
    for line in rows.split(|byte| *byte == b'\n') {
        if record.read(line).is_err() {
            continue;
        }
        for (_, at) in fields.iter().filter(|(field, _)| is_number(field)) {
            let says = evidence(record.field(*at));
            points |= says == Evidence::Point;
            commas |= says == Evidence::Comma;
        }
    }
    match (points, commas) {
        (false, true) => DecimalMark::Comma,
        (true, _) => DecimalMark::Point,
        (false, false) => DecimalMark::Unknown,
    }
}
