//! The configuration file: TOML to keys and values, each with its line.
//!
//! It does not know which keys are settings.

use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::usage_error::UsageError;

/// One `key = value` of the file.
pub(super) struct Entry {
    /// Its line, from 1.
    pub(super) line: usize,
    pub(super) key: String,
    /// The value as text, without quotes.
    pub(super) value: String,
}

/// Reads the entries of a configuration file, in the order of their lines.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, UsageError> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| UsageError(format!("cannot read settings from {name}: {error}")))?;
    parse(&text).map_err(|(line, why)| UsageError(format!("{name}:{line}: {why}")))
}

/// The entries of the text, or an error and its line.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let line_of = |offset: usize| {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        (line_of(offset), error.message().replace('\n', ", "))
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_of(key.span().start);
        let value = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Boolean(switch) => switch.to_string(),
            DeValue::Array(texts) if texts.iter().all(|text| text.get_ref().is_str()) => {
                let texts = texts.iter().filter_map(|text| text.get_ref().as_str());
                texts.collect::<Vec<_>>().join(",")
            }
            other => {
                let (key, kind) = (key.get_ref(), other.type_str());
                let why = format!(
                    "the value of '{key}' is {kind}; write a text in quotes, a number, true or false"
                );
                return Err((line, why));
            }
        };
        let key = key.get_ref().to_string();
        entries.push(Entry { line, key, value });
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

/// A value as the file has it: numbers, true and false without quotes, other text in quotes.
pub(super) fn literal(text: &str) -> String {
    match text {
        "true" | "false" => text.to_owned(),
        _ if text.parse::<i64>().is_ok() => text.to_owned(),
        _ => format!("{text:?}"),
    }
}
