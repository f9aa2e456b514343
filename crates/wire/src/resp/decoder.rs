//! Decodes the commands of one connection, as arrays or inline, from bytes that come in any
//! pieces.
//!
//! A command of few parts is taken off the input when all of it is there. One over any number of
//! stocks is taken part by part, so that it needs no memory. The rest of a refused command is
//! skipped part by part too.
//!
//! Invariant: what is decoded depends on the bytes alone, not on their pieces. While more bytes are
//! needed, at most [`RESP_COMMAND_BYTES_MAX`] bytes, or one part of a command and a little more,
//! stay in the input.

use stockd_model::limits::{RESP_COMMAND_BYTES_MAX, RESP_COMMAND_PARTS_MAX};
use stockd_model::{Request, Rights, Symbol, SymbolError};

use super::arguments::Arguments;
use super::columns::Columns;
use super::command::{Command, Incoming, Queued, Shape};
use super::command_error::{CommandError, SHOWN_BYTES_MAX};
use super::grammar;
use super::inline::Inline;
use super::part;
use super::protocol_error::ProtocolError;
use super::rows::{Head, Rows};
use super::spec::{self, CommandId};
use super::table::{Spec, Verb};

/// Decodes the commands of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    arrays: Arrays,
    inline: Inline,
}

/// What comes next cannot be answered later: it is no request to the engine, or it is refused, or
/// is no command. It is left for [`Decoder::decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDeferrable;

/// Which commands a connection may give. All others are refused before any of their arguments is
/// looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admits {
    /// All of them.
    #[default]
    All,
    /// Those that come before authentication: `AUTH`, `HELLO`, `RESET` and `QUIT`.
    Entrance,
    /// Those that a subscribed RESP2 connection may give: its replies must not be taken for
    /// messages.
    Subscription,
    /// Those that may be part of a transaction, each as a [`Command::Queue`]; and those that begin, end
    /// or leave one, which are decoded as ever.
    Transaction,
}

impl Decoder {
    /// A decoder for a new connection, which admits all commands.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// From the next command on, only these are admitted.
    pub fn admit(&mut self, admits: Admits) {
        self.arrays.admits = admits;
    }

    /// From the next command on, only those are decoded that need one of these rights, or none.
    pub fn permit(&mut self, rights: Rights) {
        self.arrays.rights = rights;
    }

    /// The command that was decoded since this was last asked, if it is to be executed: neither one that
    /// was refused for its form, nor one that was queued.
    #[inline]
    pub fn take_decoded(&mut self) -> Option<CommandId> {
        self.arrays.decoded.take()
    }

    /// From the next command on, every lookup is decoded as a request of its own, or again some are taken
    /// [together](Decoder::lookups).
    pub fn track(&mut self, tracks: bool) {
        self.arrays.tracks = tracks;
    }

    /// Whether a symbol was named otherwise than it is listed, with white space around it, since this was
    /// last asked. Noted while reads are [tracked](Decoder::track).
    pub fn take_misnamed(&mut self) -> bool {
        std::mem::take(&mut self.arrays.misnamed)
    }

    /// Whether the reply to a command has begun, and what follows is the rest of it.
    pub fn is_within_reply(&self) -> bool {
        matches!(
            self.arrays.state,
            State::Streaming { verb: Verb::MGet | Verb::HMGetAll | Verb::HGetRows, .. }
        )
    }

    /// Whether parts of a command are to come that is executed part by part.
    #[inline]
    pub fn is_streaming(&self) -> bool {
        self.arrays.is_streaming()
    }

    /// Bytes that it holds of a line whose parts are not all taken.
    pub fn held_bytes(&self) -> usize {
        self.inline.array.len()
    }

    /// Takes the first command off the front of the input, which begins with the first byte that
    /// was not taken before. `None` asks for more bytes behind those that are left.
    ///
    /// Call it until it returns `None`: a line of many parts is taken off the input with its first
    /// one, and the others are returned even where no input is left. The next call may come at any
    /// time, and with the same input or a longer one.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] when the bytes are no command. The connection is of no use then.
    pub fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        if self.arrays.is_streaming() && !self.inline.is_pending() {
            return self.arrays.stream(input);
        }
        self.decode_any(input)
    }

    /// Takes the next request to the engine off the input, if its reply can be encoded when the
    /// input is gone. `None` asks for more bytes. It costs what [`decode`](Decoder::decode) costs:
    /// nothing is copied in order to be put back.
    ///
    /// # Errors
    ///
    /// [`NotDeferrable`] when something else comes next, which is then still to be decoded.
    pub fn decode_deferrable(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<(Request, Shape<'static>)>, NotDeferrable> {
        // What is skipped here is no command, so it need not be put back.
        if !self.find(input).map_err(|_error| NotDeferrable)? {
            return Ok(None);
        }
        let before = (*input, self.arrays.state, self.inline.taken);
        let decoded = self.arrays.decoded;
        match self.decode_found(input) {
            Ok(None) => return Ok(None),
            Ok(Some(Incoming::Request(request, shape))) => {
                if let Some(shape) = shape.lasting() {
                    return Ok(Some((request, shape)));
                }
            }
            Ok(Some(Incoming::Command(_))) | Err(_) => {}
        }
        (*input, self.arrays.state, self.inline.taken) = before;
        self.arrays.decoded = decoded;
        Err(NotDeferrable)
    }

    /// Takes lookups of prices off the input, as many as come next and are whole, but at most
    /// `at_most`: plain `GET`s, or parts of one `MGET`. They are nearly all that clients ask, so
    /// this path does nothing else. What it does not recognise is left to
    /// [`decode`](Decoder::decode).
    #[inline(always)]
    pub fn lookups(
        &mut self,
        input: &mut &[u8],
        at_most: usize,
        mut each: impl FnMut(Result<Symbol, SymbolError>),
    ) {
        if self.inline.is_pending() || self.arrays.tracks {
            return;
        }
        match self.arrays.state {
            State::Between if self.arrays.admits == Admits::All => {
                for _ in 0..at_most {
                    let Some(symbol) = plain_get(input) else { break };
                    each(symbol);
                }
            }
            State::Streaming { verb: Verb::MGet, left } => {
                let mut taken = 0;
                while taken < left.min(at_most)
                    && let Some(symbol) = part::symbol(input)
                {
                    each(symbol);
                    taken += 1;
                }
                self.arrays.stream_parts(Verb::MGet, left - taken);
            }
            _ => {}
        }
    }

    fn decode_any<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        match self.find(input)? {
            true => self.decode_found(input),
            false => Ok(None),
        }
    }

    /// Finds the next command or part of one. `false` asks for more bytes.
    #[inline(always)]
    fn find(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        self.inline.release();
        Ok(self.inline.is_pending() || self.find_command(input)?)
    }

    /// Decodes what was found, from the pending line or from the input.
    #[inline(always)]
    fn decode_found<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        if !self.inline.is_pending() {
            return self.arrays.decode(input);
        }
        let mut rest = self.inline.array.get(self.inline.taken..).unwrap_or_default();
        let command = self.arrays.decode(&mut rest);
        if self.arrays.drop_refused() {
            rest = &[];
        }
        self.inline.taken = self.inline.array.len() - rest.len();
        command
    }

    /// Skips what is no command: the rest of a refused one, empty arrays, blank lines. `false` asks
    /// for more bytes; after `true` a command comes next, and if it is a line, it is pending.
    fn find_command(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        loop {
            if !self.arrays.skip(input)? {
                return Ok(false);
            }
            if self.arrays.is_streaming() {
                return Ok(true);
            }
            match input.first() {
                None => return Ok(false),
                Some(b'*') => match part::count(input)? {
                    None => return Ok(false),
                    Some((0, taken)) => advance(input, taken),
                    Some(_) => return Ok(true),
                },
                Some(_) if !self.inline.read(input)? => return Ok(false),
                Some(_) if self.inline.is_pending() => return Ok(true),
                Some(_) => {}
            }
        }
    }
}

/// Takes a `GET` off the input, if all of it is there in its usual form.
#[inline(always)]
fn plain_get(input: &mut &[u8]) -> Option<Result<Symbol, SymbolError>> {
    let (head, mut rest) = input.split_first_chunk::<13>()?;
    // In small letters, three of the last eight bytes.
    let (first, last) = (head.first_chunk()?, u64::from_le_bytes(*head.last_chunk()?));
    let small = last | u64::from_le_bytes(*b"\0\0\0   \0\0");
    if first != b"*2\r\n$3\r\n" || small != u64::from_le_bytes(*b"3\r\nget\r\n") {
        return None;
    }
    let symbol = part::symbol(&mut rest)?;
    *input = rest;
    Some(symbol)
}

#[inline]
fn advance(input: &mut &[u8], taken: usize) {
    *input = input.get(taken..).unwrap_or_default();
}

/// Whether a name stands for a symbol that is written otherwise.
fn is_misnamed(name: &[u8]) -> bool {
    Symbol::parse(name).is_ok_and(|symbol| symbol.as_bytes() != name)
}

/// What has been taken off the front of `whole` to leave `rest`.
fn before<'a>(whole: &'a [u8], rest: &[u8]) -> &'a [u8] {
    whole.get(..whole.len() - rest.len()).unwrap_or_default()
}

fn refused(error: CommandError<'_>) -> Incoming<'_> {
    Incoming::Command(Command::Refused(error))
}

/// Decodes commands that come as arrays.
#[derive(Debug)]
struct Arrays {
    state: State,
    admits: Admits,
    rights: Rights,
    /// The command that was decoded last, until somebody asks.
    decoded: Option<CommandId>,
    /// Whether reads are tracked, so that every lookup is handed over as a request.
    tracks: bool,
    /// Whether a symbol was named otherwise than it is listed, until somebody asks.
    misnamed: bool,
    /// Those of the rows that are being read or written.
    columns: Columns,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A command comes next.
    #[default]
    Between,
    /// Parts of this command come next: as many as are left, at least one.
    Streaming { verb: Verb, left: usize },
    /// Parts of a refused command come next: as many as are left, at least one.
    Skipping { left: usize },
}

impl Default for Arrays {
    fn default() -> Arrays {
        Arrays {
            state: State::Between,
            admits: Admits::All,
            rights: Rights::ALL,
            decoded: None,
            tracks: false,
            misnamed: false,
            columns: Columns::default(),
        }
    }
}

impl Arrays {
    #[inline]
    fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming { .. })
    }

    /// Forgets that parts of a refused command are to come. Whether there were such.
    fn drop_refused(&mut self) -> bool {
        let refused = matches!(self.state, State::Skipping { .. });
        if refused {
            self.state = State::Between;
        }
        refused
    }

    /// Takes what has come of a refused command off the input. `false` asks for more of it.
    fn skip(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        while let State::Skipping { left } = self.state {
            let Some((_, taken)) = part::part(input)? else { return Ok(false) };
            advance(input, taken);
            self.skip_parts(left - 1);
        }
        Ok(true)
    }

    fn skip_parts(&mut self, left: usize) {
        self.state = if left == 0 { State::Between } else { State::Skipping { left } };
    }

    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Incoming<'a>>, ProtocolError> {
        if self.is_streaming() {
            return self.stream(input);
        }
        let whole = *input;
        let Some((parts, head)) = part::count(whole)? else { return Ok(None) };
        let mut rest = whole.get(head..).unwrap_or_default();
        let Some((name, taken)) = part::part(rest)? else { return Ok(None) };
        advance(&mut rest, taken);
        let arguments = parts.saturating_sub(1);

        let Some(spec) = spec::find(name) else {
            return self.refuse_unknown(name, arguments, rest, input);
        };
        if let Err(error) = self.check(spec, parts) {
            *input = rest;
            self.skip_parts(arguments);
            return Ok(Some(refused(error)));
        }
        let is_queued = self.admits == Admits::Transaction && !spec.is_for_queueing();
        if spec.is_streamed() && arguments > 0 && !is_queued {
            match spec.verb {
                Verb::HSetRows => return self.begin_rows(Rows::Written, rest, arguments, input),
                Verb::HGetRows => return self.begin_rows(Rows::Read, rest, arguments, input),
                _ => {}
            }
            *input = rest;
            self.state = State::Streaming { verb: spec.verb, left: arguments };
            self.decoded = Some(spec.verb.into());
            return match spec.verb {
                Verb::MGet | Verb::HMGetAll => Ok(Some(Command::Array(arguments).into())),
                _ => self.stream(input),
            };
        }
        let behind_name = rest;
        for done in 0..arguments {
            let Some((bytes, start)) = part::length(rest)? else { return Ok(None) };
            if whole.len() - rest.len() + start + bytes + 2 > RESP_COMMAND_BYTES_MAX {
                *input = rest;
                self.skip_parts(arguments - done);
                let error = CommandError::TooManyBytes { command: spec.name };
                return Ok(Some(refused(error)));
            }
            let Some((_, taken)) = part::part_of(rest, bytes, start)? else { return Ok(None) };
            advance(&mut rest, taken);
        }
        *input = rest;
        if self.tracks {
            self.note_names(spec, before(behind_name, rest), arguments);
        }
        if is_queued {
            return Ok(Some(Command::Queue(Queued { bytes: before(whole, rest), parts }).into()));
        }
        let arguments = Arguments::new(before(behind_name, rest), arguments);
        let (spec, incoming) = grammar::read(spec, arguments, self.rights);
        self.decoded = spec.map(|spec| spec.verb.into());
        Ok(Some(incoming))
    }

    /// Takes the next part of a command that is executed part by part.
    #[inline]
    fn stream<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Incoming<'a>>, ProtocolError> {
        let State::Streaming { verb, left } = self.state else { return Ok(None) };
        match verb {
            Verb::HSetRows => self.stream_row(left, input),
            Verb::HGetRows | Verb::HMGetAll => self.stream_quote(verb, left, input),
            _ => {
                let Some((part, taken)) = part::part(input)? else { return Ok(None) };
                advance(input, taken);
                self.misnamed |= self.tracks && is_misnamed(part);
                self.stream_parts(verb, left - 1);
                Ok(Some(grammar::read_part(verb, part, left <= 1)))
            }
        }
    }

    /// Takes the next symbol of `HGETROWS` or `HMGETALL`.
    fn stream_quote<'a>(
        &mut self,
        verb: Verb,
        left: usize,
        input: &mut &'a [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        let quick = if self.tracks { None } else { part::symbol(input) };
        let symbol = match quick {
            Some(symbol) => symbol,
            None => {
                let Some((name, taken)) = part::part(input)? else { return Ok(None) };
                advance(input, taken);
                self.misnamed |= self.tracks && is_misnamed(name);
                Symbol::parse(name)
            }
        };
        self.stream_parts(verb, left - 1);
        let shape = match verb {
            Verb::HGetRows => Shape::Columns(self.columns),
            _ => Shape::Quote,
        };
        Ok(Some(Incoming::Request(Request::Lookup(symbol), shape)))
    }

    #[cold]
    fn begin_rows<'a>(
        &mut self,
        rows: Rows,
        rest: &'a [u8],
        arguments: usize,
        input: &mut &'a [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        match Columns::read(rows, rest, arguments)? {
            Head::NeedsMore => Ok(None),
            Head::Refused(error) => {
                *input = rest;
                self.skip_parts(arguments);
                Ok(Some(refused(error)))
            }
            Head::Whole(columns, parts, rest) => {
                *input = rest;
                self.columns = columns;
                let verb = rows.verb();
                self.decoded = Some(verb.into());
                self.stream_parts(verb, parts);
                match rows {
                    Rows::Read => Ok(Some(Command::Array(parts).into())),
                    Rows::Written => self.stream(input),
                }
            }
        }
    }

    /// Takes the next row of `HSETROWS`.
    fn stream_row<'a>(
        &mut self,
        left: usize,
        input: &mut &'a [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        let left = left.saturating_sub(self.columns.row_parts());
        let row = self.columns.row(input, left == 0)?;
        if row.is_some() {
            self.stream_parts(Verb::HSetRows, left);
        }
        Ok(row)
    }

    fn stream_parts(&mut self, verb: Verb, left: usize) {
        self.state = if left == 0 { State::Between } else { State::Streaming { verb, left } };
    }

    /// Notes whether a symbol in a whole command is named otherwise than it is listed.
    #[cold]
    fn note_names(&mut self, spec: &Spec, parts: &[u8], arguments: usize) {
        for at in spec.key_positions(1 + arguments) {
            let name = Arguments::new(parts, arguments).nth(at - 1);
            self.misnamed |= name.is_some_and(is_misnamed);
        }
    }

    /// Whether a command may be given and has a possible number of parts, before its arguments are
    /// read.
    fn check(&self, spec: &'static Spec, parts: usize) -> Result<(), CommandError<'static>> {
        let command = spec.name;
        match self.admits {
            Admits::Entrance if !spec.kind.flags.contains(&"no_auth") => {
                return Err(CommandError::NotAuthenticated);
            }
            Admits::Subscription if !spec.is_for_subscribed() => {
                return Err(CommandError::Subscribed { command });
            }
            Admits::Transaction if !spec.is_for_queueing() && !spec.may_be_queued() => {
                return Err(CommandError::NotInTransaction { command });
            }
            _ => {}
        }
        spec.check_rights(self.rights)?;
        let most = *spec.parts.end();
        if spec.parts.contains(&parts) {
            Ok(())
        } else if parts > most && most >= RESP_COMMAND_PARTS_MAX {
            Err(CommandError::TooManyParts { command, parts, most })
        } else {
            Err(CommandError::WrongArity { command })
        }
    }

    /// Refuses a command that does not exist, once as many of its arguments have come as the
    /// error repeats.
    fn refuse_unknown<'a>(
        &mut self,
        name: &'a [u8],
        arguments: usize,
        behind_name: &'a [u8],
        input: &mut &'a [u8],
    ) -> Result<Option<Incoming<'a>>, ProtocolError> {
        let mut rest = behind_name;
        let mut shown = 0;
        while self.admits != Admits::Entrance
            && shown < arguments
            && behind_name.len() - rest.len() < SHOWN_BYTES_MAX
        {
            let Some((_, taken)) = part::part(rest)? else { return Ok(None) };
            advance(&mut rest, taken);
            shown += 1;
        }
        *input = rest;
        self.skip_parts(arguments - shown);
        let shown = Arguments::new(before(behind_name, rest), shown);
        Ok(Some(refused(match self.admits {
            Admits::Entrance => CommandError::NotAuthenticated,
            _ => CommandError::UnknownCommand { name, arguments: shown },
        })))
    }
}
