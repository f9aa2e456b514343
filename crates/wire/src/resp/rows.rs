//! The rows of `HSETROWS`: which fields they have, and how one is read.
//!
//! Invariant: a row is read whole, or nothing of it is taken off the input.

use stockd_model::limits::RESP_COMMAND_BYTES_MAX;
use stockd_model::{Field, Fields, Request, Symbol};

use super::command::{Command, Incoming, Shape};
use super::command_error::CommandError;
use super::part;
use super::protocol_error::ProtocolError;

/// Fields that a writer gives, at most.
pub(super) const FIELDS_MAX: usize = Field::WRITABLE.len();

/// The fields of a row, in order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Columns {
    fields: [Option<Field>; FIELDS_MAX],
    count: usize,
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

impl Columns {
    /// Parts of a row.
    pub(super) fn row_parts(&self) -> usize {
        1 + self.count
    }

    /// Reads the number of fields and their names, of a command with this number of arguments.
    pub(super) fn read<'a>(whole: &'a [u8], arguments: usize) -> Result<Head<'a>, ProtocolError> {
        let mut rest = whole;
        let Some(text) = next(whole, &mut rest)? else { return Ok(Head::NeedsMore) };
        let count = std::str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok());
        let Some(count) = count.filter(|count| (1..=FIELDS_MAX).contains(count)) else {
            return Ok(Head::Refused(CommandError::RowFields));
        };
        let parts = arguments.saturating_sub(1 + count);
        if parts == 0 || !parts.is_multiple_of(1 + count) {
            return Ok(Head::Refused(CommandError::RowParts { parts, fields: count }));
        }
        let mut columns = Columns { count, ..Columns::default() };
        for column in columns.fields.iter_mut().take(count) {
            let Some(name) = next(whole, &mut rest)? else { return Ok(Head::NeedsMore) };
            *column = Field::find(name);
            if column.is_none() {
                return Ok(Head::Refused(CommandError::UnknownField(name)));
            }
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
        let Some(name) = next(whole, &mut rest)? else { return Ok(None) };
        let mut wrong = None;
        let mut fields = Fields::default();
        for field in self.fields.iter().take(self.count).flatten() {
            let Some(text) = next(whole, &mut rest)? else { return Ok(None) };
            if wrong.is_none() {
                wrong = fields.set(*field, text).err().map(CommandError::Field);
            }
        }
        *input = rest;
        let bad = |error| Incoming::Command(Command::BadRow { error, last });
        Ok(Some(match (wrong, Symbol::parse(name)) {
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
