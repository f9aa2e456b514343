//! Rows of stocks, as `HSETROWS` writes and `HGETROWS` reads them: which fields a row has, and how one is read.
//!
//! Invariant: a row is read whole, or nothing of it is taken off the input.

use stockd_model::limits::RESP_COMMAND_BYTES_MAX;
use stockd_model::{Field, Fields, Request, Symbol};

use super::columns::Columns;
use super::command::{Command, Incoming, Shape};
use super::command_error::CommandError;
use super::part;
use super::protocol_error::ProtocolError;
use super::table::Verb;

/// A command of rows: which it is decides what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// `HGETROWS`: a row is a symbol.
    Read,
    /// `HSETROWS`: a row is a symbol and a value for each field.
    Written,
}

/// What stands before the rows.
pub(super) enum Head<'a> {
    /// Not all of it has come.
    NeedsMore,
    /// The columns, how many parts follow, and the input from there on.
    Whole(Columns, usize, &'a [u8]),
    /// It is refused.
    Refused(CommandError<'a>),
}

impl Rows {
    pub(super) fn verb(self) -> Verb {
        match self {
            Rows::Read => Verb::HGetRows,
            Rows::Written => Verb::HSetRows,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Rows::Read => "HGETROWS",
            Rows::Written => "HSETROWS",
        }
    }

    /// Fields of a row, at most.
    fn fields_max(self) -> usize {
        match self {
            Rows::Read => Columns::MAX,
            Rows::Written => Field::WRITABLE.len(),
        }
    }

    /// Parts of a row of this number of fields.
    fn row_parts(self, fields: usize) -> usize {
        match self {
            Rows::Read => 1,
            Rows::Written => 1 + fields,
        }
    }
}

impl Columns {
    /// Parts of a row that is written.
    pub(super) fn row_parts(&self) -> usize {
        Rows::Written.row_parts(self.len())
    }

    /// Reads the number of fields and their names, of a command with this number of arguments.
    pub(super) fn read<'a>(
        rows: Rows,
        whole: &'a [u8],
        arguments: usize,
    ) -> Result<Head<'a>, ProtocolError> {
        let mut rest = whole;
        let Some(text) = next(whole, &mut rest)? else { return Ok(Head::NeedsMore) };
        let count = std::str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok());
        let (command, most) = (rows.name(), rows.fields_max());
        let Some(count) = count.filter(|count| (1..=most).contains(count)) else {
            return Ok(Head::Refused(CommandError::RowFields { command, most }));
        };
        let parts = arguments.saturating_sub(1 + count);
        let row_parts = rows.row_parts(count);
        if parts == 0 || !parts.is_multiple_of(row_parts) {
            let fields = count;
            let error = CommandError::RowParts { command, parts, fields, row_parts };
            return Ok(Head::Refused(error));
        }
        let mut columns = Columns::default();
        for _ in 0..count {
            let Some(name) = next(whole, &mut rest)? else { return Ok(Head::NeedsMore) };
            let Some(field) = Field::find(name) else {
                return Ok(Head::Refused(match rows {
                    Rows::Read => CommandError::NoSuchField(name),
                    Rows::Written => CommandError::UnknownField(name),
                }));
            };
            columns.push(field);
        }
        Ok(Head::Whole(columns, parts, rest))
    }

    /// Takes the next row off the input; `None` while it has not come whole.
    pub(super) fn row<'a>(
        &self,
        input: &mut &'a [u8],
        last: bool,
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        let whole = *input;
        let mut rest = whole;
        let symbol = match part::symbol(&mut rest) {
            Some(symbol) => symbol,
            None => match next(whole, &mut rest)? {
                Some(name) => Symbol::parse(name),
                None => return Ok(None),
            },
        };
        let mut wrong = None;
        let mut fields = Fields::default();
        for field in self.fields() {
            let Some(text) = next(whole, &mut rest)? else { return Ok(None) };
            if wrong.is_none() {
                wrong = fields.set(field, text).err().map(CommandError::Field);
            }
        }
        *input = rest;
        let bad = |error| Incoming::Command(Command::BadRow { error, last });
        Ok(Some(match (wrong, symbol) {
            (Some(error), _) => bad(error),
            (None, Err(error)) => bad(CommandError::Symbol(error)),
            (None, Ok(symbol)) => {
                Incoming::Request(Request::Set(symbol, fields), Shape::Row { last })
            }
        }))
    }
}

/// Takes the next part off the rest of what is to be taken as a whole, which has a limit.
fn next<'a>(whole: &[u8], rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, ProtocolError> {
    let Some((bytes, start)) = part::length(rest)? else { return Ok(None) };
    if whole.len() - rest.len() + start + bytes + 2 > RESP_COMMAND_BYTES_MAX {
        return Err(ProtocolError::BulkLength);
    }
    let Some((text, taken)) = part::part_of(rest, bytes, start)? else { return Ok(None) };
    *rest = rest.get(taken..).unwrap_or_default();
    Ok(Some(text))
}
