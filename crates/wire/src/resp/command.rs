//! What clients ask for: commands with their arguments read into types that cannot be wrong.
//!
//! An [`Incoming`] says what is to be done and knows nothing of how. What the engine executes is a
//! request with the [`Shape`] of its reply. What concerns the connection or the server is a
//! [`Command`]: data for the code that serves the connection.

use stockd_model::{Field, Request, Symbol};

use super::arguments::Arguments;
use super::command_error::CommandError;
use super::glob::Glob;

/// One thing to do. Some commands of clients are several: `MGET` is an [`Array`](Command::Array)
/// and a request for each of its symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The engine executes the request, and its reply is encoded in this shape.
    Request(Request, Shape<'a>),
    /// Anything else.
    Command(Command<'a>),
}

impl<'a> From<Command<'a>> for Incoming<'a> {
    fn from(command: Command<'a>) -> Incoming<'a> {
        Incoming::Command(command)
    }
}

/// What needs more than the engine: the connection, the server or the encoder alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Encode the head of an array. As many requests follow, whose replies are its elements.
    Array(usize),
    /// `DBSIZE`: the number of stocks that are listed.
    Count,
    /// `SNAPSHOT`: the first page of the catalog as it is now, or the next of one begun before.
    Snapshot {
        /// Whether it was begun before.
        next: bool,
    },
    /// `SCAN`: a page of the catalog.
    Scan(Scan<'a>),
    /// `KEYS`: every symbol that matches, unless they are too many.
    Keys(Glob<'a>),
    /// One symbol of `SUBSCRIBE`.
    Subscribe(Symbol),
    /// One pattern of `PSUBSCRIBE`.
    SubscribePattern(Glob<'a>),
    /// One name of `UNSUBSCRIBE`, as it was sent. It is confirmed whether it was subscribed or
    /// not, and whether it can be a symbol or not.
    Unsubscribe(&'a [u8]),
    /// One pattern of `PUNSUBSCRIBE`, as it was sent.
    UnsubscribePattern(&'a [u8]),
    /// `UNSUBSCRIBE` without names.
    UnsubscribeAll,
    /// `PUNSUBSCRIBE` without patterns.
    UnsubscribeAllPatterns,
    /// `PING`, with a message or without.
    Ping(Option<&'a [u8]>),
    /// `ECHO`.
    Echo(&'a [u8]),
    /// `HELLO`.
    Hello(Hello<'a>),
    /// `AUTH`.
    Auth(Credentials<'a>),
    /// `CLIENT` and a subcommand that needs the connection.
    Client(Client<'a>),
    /// `COMMAND` and its subcommands: the encoder knows the reply.
    Describe(Describe<'a>),
    /// `CONFIG GET` with these patterns of setting names.
    Settings(Arguments<'a>),
    /// `INFO` with these sections, or with none for all.
    Info(Arguments<'a>),
    /// `TIME`.
    Time,
    /// `MULTI`: begin a transaction. From then on the decoder is to admit
    /// [what it may hold](super::Admits::Transaction).
    Multi,
    /// A command of the transaction, to be executed when it ends.
    Queue(Queued<'a>),
    /// `EXEC`: execute what is queued.
    Exec,
    /// `DISCARD`: forget what is queued.
    Discard,
    /// `WATCH` of these names: execute the next transaction only if none of the stocks has changed.
    Watch(Arguments<'a>),
    /// `UNWATCH`: forget what is watched.
    Unwatch,
    /// Nothing but to say OK (`SELECT 0`, `CLIENT NO-EVICT`).
    Nothing,
    /// `RESET`: make the connection as if it were new, and say so.
    Reset,
    /// `QUIT`: say OK and close.
    Quit,
    /// Nothing but to send the error.
    Refused(CommandError<'a>),
}

/// A command of a transaction, whole and with a possible number of parts. A new
/// [`Decoder`](super::Decoder) decodes it when it is to be executed, after those queued before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued<'a> {
    /// The command as an array.
    pub bytes: &'a [u8],
    /// Its parts, its name among them.
    pub parts: usize,
}

/// What the reply to a request looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape<'a> {
    /// The price that a lookup answers, `0` or nil (`GET`, and one symbol of `MGET`).
    Price,
    /// The quote as a map of the fields that it has, empty if not listed (`HGETALL`).
    Quote,
    /// One field, or nil; `None` for a field that quotes do not have (`HGET`).
    Field(Option<Field>),
    /// An array of these fields, by name, each of them or nil (`HMGET`).
    Fields(Arguments<'a>),
    /// `hash` or `none` (`TYPE`).
    Type,
    /// OK (`SET`).
    Done,
    /// This number for a stock that is new, 0 for one that was updated (`HSET`).
    NewFields(u32),
    /// The volume left (`HINCRBY`): an integer, or a text where it has a fraction.
    Volume,
    /// How many of several stocks were listed: encoded with the last of them (`EXISTS`, `DEL`).
    Tally {
        /// Whether this is the last of them.
        last: bool,
    },
}

impl Shape<'_> {
    /// The shape of a reply that is encoded when the input is gone; `None` if it needs the input.
    pub fn lasting(&self) -> Option<Shape<'static>> {
        Some(match *self {
            Shape::Price => Shape::Price,
            Shape::Quote => Shape::Quote,
            Shape::Field(field) => Shape::Field(field),
            Shape::Fields(_) => return None,
            Shape::Type => Shape::Type,
            Shape::Done => Shape::Done,
            Shape::NewFields(fields) => Shape::NewFields(fields),
            Shape::Volume => Shape::Volume,
            Shape::Tally { last } => Shape::Tally { last },
        })
    }
}

/// One step of a walk over all stocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The place in the catalog from which to read.
    pub from: u64,
    /// Rows of the catalog to read, at most twice [`SCAN_COUNT_MAX`](stockd_model::limits::SCAN_COUNT_MAX).
    pub rows: usize,
    pub(super) pattern: Option<Glob<'a>>,
    /// Whether the type asked for is the one that all stocks have.
    pub(super) right_type: bool,
}

/// `HELLO`: who the client is and how it wants to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The version to speak from now on, or the same as before.
    pub version: Option<Version>,
    /// The token shown along with it.
    pub credentials: Option<Credentials<'a>>,
    /// The name to give to the connection, as in [`Client::SetName`].
    pub name: Option<&'a str>,
}

/// The version of the protocol in which replies are written. Commands look the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP2, with which every connection begins.
    #[default]
    Resp2,
    /// RESP3: maps, nulls and pushes are told apart.
    Resp3,
}

/// What a client shows to be let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The user, `default` where none was given.
    pub user: &'a [u8],
    /// The password or token.
    pub password: &'a [u8],
}

/// A `CLIENT` subcommand that needs the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client<'a> {
    /// The number of the connection.
    Id,
    /// The connection as a line of text.
    Info,
    /// All connections as lines of text.
    List,
    /// The name of the connection.
    Name,
    /// Name the connection: printable ASCII without spaces, at most [`CLIENT_NAME_BYTES_MAX`](stockd_model::limits::CLIENT_NAME_BYTES_MAX)
    /// bytes; empty takes the name away.
    SetName(&'a str),
    /// The name of the library that the client uses, as restricted as a connection's name.
    SetLibraryName(&'a str),
    /// The version of that library, as restricted.
    SetLibraryVersion(&'a str),
}

/// Which commands are to be described, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Describe<'a> {
    /// Their number.
    Count,
    /// Arity, flags and keys of all.
    All,
    /// The same of the named ones, in their order, nil for what is no command.
    Named(Arguments<'a>),
    /// What the named ones are for, or all where none is named.
    Docs(Arguments<'a>),
}

impl Scan<'_> {
    /// Bytes of the pattern that each symbol is compared with.
    pub fn pattern_bytes(&self) -> usize {
        self.pattern.map_or(0, |pattern| pattern.as_bytes().len())
    }

    /// Whether the symbol of this stock is to be shown.
    pub fn admits(&self, symbol: &Symbol) -> bool {
        self.right_type && self.pattern.is_none_or(|pattern| pattern.matches(symbol.as_bytes()))
    }
}

/// A place in the catalog, which is a hash, as the cursor that clients see. A place has no more
/// than its high bits set, since a catalog has fewer than 2⁵³ rows. So the cursor has 53: some
/// clients keep it in a float.
pub(super) const CURSOR_SHIFT: u32 = 64 - 53;

/// The cursor of a place in the catalog.
pub(super) fn cursor(place: u64) -> u64 {
    debug_assert_eq!(
        place.trailing_zeros().min(CURSOR_SHIFT),
        CURSOR_SHIFT,
        "a place between rows"
    );
    place >> CURSOR_SHIFT
}

impl std::fmt::Debug for Credentials<'_> {
    /// Without the password, which must not get into a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user.escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}
