//! What a user says of a file: how its rows are written, where that cannot be seen from the file alone.
//!
//! Owns the options and the texts that they take. Knows nothing of files.
//!
//! Invariant: what is not said is found out; what is said holds.

use std::str::FromStr;

use clap::ValueEnum;
use encoding_rs::Encoding;
use stockd_model::Field;

/// How the rows of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A header that names the columns, then a row a line.
    Csv,
    /// A JSON object a line.
    #[value(name = "jsonl", alias = "ndjson")]
    JsonLines,
    /// JSON of any other shape: an array of objects, or what Alpaca's data service answers.
    Json,
}

/// What is said of a file; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Form {
    /// Format of the file: csv, jsonl or json. Unless it is said, its ending and its first bytes say it.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// Which columns (or keys of JSON) are which, as in symbol=Ticker,price='Last Sale'; volume= leaves one
    /// out. Names are found in any case.
    #[arg(long, value_name = "COLUMNS", default_value = "", hide_default_value = true)]
    pub(crate) columns: Columns,

    /// What stands between the fields of CSV: a character, or tab. Unless it is said, the header says it.
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,

    /// Whether numbers have a comma before their decimal places, as 1.743,50 has. Unless it is said, the
    /// numbers say it.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub(crate) decimal_comma: Option<bool>,

    /// Encoding of the text, as in windows-1252. Unless it is said, the text is UTF-8, or UTF-16 if its
    /// first bytes are those of UTF-16.
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub(crate) encoding: Option<&'static Encoding>,
}

/// The columns that a user has named, each with the field that it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    given: Vec<(String, String)>,
}

impl Format {
    /// The format that the ending of a name says, if it says one. `.gz` is no part of it.
    pub(crate) fn of(name: &str) -> Option<Format> {
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
        let (_, ending) = plain.rsplit_once('.')?;
        match ending {
            "csv" | "tsv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            _ => None,
        }
    }
}

impl Columns {
    /// The column that is this field; empty where there shall be none, and `None` where nothing is said.
    pub(crate) fn of(&self, field: &str) -> Option<&str> {
        let (_, column) = self.given.iter().find(|(given, _)| given == field)?;
        Some(column)
    }
}

impl FromStr for Columns {
    type Err = String;

    fn from_str(text: &str) -> Result<Columns, String> {
        let mut given: Vec<(String, String)> = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (field, value) =
                rest.split_once('=').ok_or("write FIELD=COLUMN, as in symbol=Ticker")?;
            let field = field.trim().to_ascii_lowercase();
            let fields = Field::WRITABLE.map(Field::name);
            if !["symbol", "op"].contains(&field.as_str()) && !fields.contains(&field.as_str()) {
                let fields = fields.join(", ");
                return Err(format!("'{field}' is no field; there are symbol, {fields}"));
            }
            if given.iter().any(|(before, _)| *before == field) {
                return Err(format!("'{field}' is given twice"));
            }
            let value = value.trim_start();
            let (column, after) = match value.chars().next().filter(|first| "'\"".contains(*first))
            {
                Some(quote) => value[1..]
                    .split_once(quote)
                    .ok_or_else(|| format!("the quote of {value} is not closed"))?,
                None => {
                    let end = value.find(',').unwrap_or(value.len());
                    (value[..end].trim(), &value[end..])
                }
            };
            given.push((field, column.to_owned()));
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if after.is_empty() => after,
                None => return Err(format!("a comma is missing before '{after}'")),
            };
        }
        Ok(Columns { given })
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        &[byte] if byte != b'"' && byte != b'\n' && byte != b'\r' && byte.is_ascii() => Ok(byte),
        _ => Err("write one ASCII character, as ';', or tab".to_owned()),
    }
}

fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| {
        "no such encoding; there are utf-8, utf-16le, windows-1252, shift_jis and others of the WHATWG"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_with_quotes_or_without() {
        let columns: Columns =
            r#"symbol=Ticker, Price='Last, Sale' ,bid="A 'b'",volume="#.parse().unwrap();
        assert_eq!(columns.of("symbol"), Some("Ticker"));
        assert_eq!(columns.of("price"), Some("Last, Sale"));
        assert_eq!(columns.of("bid"), Some("A 'b'"));
        assert_eq!((columns.of("volume"), columns.of("ask")), (Some(""), None));
        assert_eq!("".parse(), Ok(Columns::default()));
        let why = |text: &str| text.parse::<Columns>().unwrap_err();
        assert!(why("ticker=A").starts_with("'ticker' is no field"));
        assert_eq!(why("price=A,price=B"), "'price' is given twice");
        assert!(why("price").starts_with("write FIELD=COLUMN"));
        assert!(why("price='A").contains("is not closed"));
        assert!(why("price='A'B").starts_with("a comma is missing"));
    }

    #[test]
    fn a_delimiter_is_one_character() {
        assert_eq!(delimiter(";"), Ok(b';'));
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        for wrong in ["", ";;", "\"", "→"] {
            assert!(delimiter(wrong).is_err(), "{wrong}");
        }
        assert!(encoding("latin1").is_ok() && encoding("latin0").is_err());
    }
}
