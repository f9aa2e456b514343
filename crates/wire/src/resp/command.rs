//! What clients ask for: commands with their arguments read into types that cannot be wrong.
//!
//! An [`Incoming`] says what is to be done and knows nothing of how. What the engine executes is a
//! request with the [`Shape`] of its reply. What concerns the connection or the server is a
//! [`Command`]: data for the code that serves the connection.

use std::time::Duration;

use stockd_model::{Edit, Field, Fields, Price, Request, Symbol, SymbolError};

use super::arguments::Arguments;
use super::columns::Columns;
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
    /// `RANDOMKEY`: any stock.
    RandomKey,
    /// `MSET`: update these prices, of pairs of a symbol and a price, as one if all stocks are listed.
    SetAll(Prices<'a>),
    /// `MEMORY USAGE`: what this stock takes.
    MemoryUsage(Result<Symbol, SymbolError>),
    /// One name of `SUBSCRIBE`, as it was sent. It is confirmed whether it can be a symbol or not.
    Subscribe(&'a [u8]),
    /// One pattern of `PSUBSCRIBE`, as it was sent.
    SubscribePattern(&'a [u8]),
    /// One name of `UNSUBSCRIBE`, as it was sent. It is confirmed whether it was subscribed or
    /// not, and whether it can be a symbol or not.
    Unsubscribe(&'a [u8]),
    /// One pattern of `PUNSUBSCRIBE`, as it was sent.
    UnsubscribePattern(&'a [u8]),
    /// `UNSUBSCRIBE` without names.
    UnsubscribeAll,
    /// `PUNSUBSCRIBE` without patterns.
    UnsubscribeAllPatterns,
    /// `PUBSUB CHANNELS`: the symbols that somebody is subscribed to.
    Channels(Glob<'a>),
    /// `PUBSUB NUMSUB`: how many connections are subscribed to each of these names.
    SubscriberCounts(Arguments<'a>),
    /// `PUBSUB NUMPAT`: how many patterns are subscribed to.
    PatternCount,
    /// `PING`, with a message or without.
    Ping(Option<&'a [u8]>),
    /// `ECHO`.
    Echo(&'a [u8]),
    /// `HELLO`.
    Hello(Hello<'a>),
    /// `AUTH`.
    Auth(Credentials<'a>),
    /// `ACL WHOAMI`.
    WhoAmI,
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
    /// `FEED` and a subcommand.
    Feed(FeedCommand<'a>),
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
    /// `FENCE`: say OK when all is shown that any node of the cluster has acknowledged by now.
    Fence,
    /// Nothing but to say this.
    Constant(Constant),
    /// `RESET`: make the connection as if it were new, and say so.
    Reset,
    /// `QUIT`: say OK and close.
    Quit,
    /// A row of `HSETROWS` that cannot be written: count it, and say so with the last row.
    BadRow {
        /// What is wrong with it.
        error: CommandError<'a>,
        /// Whether it is the last row.
        last: bool,
    },
    /// Nothing but to send the error.
    Refused(CommandError<'a>),
}

/// What a connection says of its feed, or asks of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedCommand<'a> {
    /// Tie the writes of this connection to a feed.
    Open {
        /// What can be its name.
        name: &'a str,
        /// How long it may be silent.
        ttl: Duration,
        /// Whether its stocks are halted while it is stale.
        halts_when_stale: bool,
        /// Whether its stocks are halted after it has missed something.
        halts_on_gap: bool,
    },
    /// It lives.
    Beat,
    /// It has missed something.
    Gap,
    /// It has come to its end.
    End,
    /// Tell all feeds.
    List,
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

/// What is said whatever the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// `+OK`.
    Ok,
    /// A number.
    Integer(i64),
    /// A text.
    Text(&'static str),
    /// A word, as a status.
    Status(&'static str),
    /// Nil.
    Nil,
    /// An array without elements.
    Empty,
    /// `ROLE` of a server without replicas.
    Role,
}

/// The pairs of `MSET`, all of them valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices<'a>(pub(super) Arguments<'a>);

impl Prices<'_> {
    /// The updates that they stand for, each of a stock that must be listed.
    pub fn updates(&self) -> impl Iterator<Item = (Symbol, Request)> {
        let mut parts = self.0;
        std::iter::from_fn(move || {
            let symbol = Symbol::parse(parts.next()?).ok()?;
            let price = Edit::Set(Price::parse(parts.next()?).ok()?);
            Some((symbol, Request::Update(symbol, Fields { price, ..Fields::default() })))
        })
    }
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
    /// An array of these fields, each of them or nil (one row of `HGETROWS`).
    Columns(Columns),
    /// One thing for a stock that is listed, another for one that is not (`TYPE`, `TTL`…).
    Either {
        /// Where it is listed.
        listed: Constant,
        /// Where it is not.
        unlisted: Constant,
    },
    /// How many fields the quote has, 0 if not listed (`HLEN`).
    Length,
    /// The names of the fields that the quote has (`HKEYS`).
    Names,
    /// Their values (`HVALS`).
    Values,
    /// Whether the quote has the field: 1 or 0 (`HEXISTS`).
    HasField(Option<Field>),
    /// The bytes of the field, 0 if there is none (`HSTRLEN`).
    FieldLength(Option<Field>),
    /// The bytes of what a lookup answers, 0 if not listed (`STRLEN`).
    PriceLength,
    /// How many fields were taken away (`HDEL`).
    Cleared,
    /// A last page with the fields whose names match (`HSCAN`).
    Page {
        /// The pattern.
        pattern: Option<Glob<'a>>,
        /// Whether values come with them.
        values: bool,
    },
    /// OK (`SET`).
    Done,
    /// This number for a stock that is new, 0 for one that was updated (`HSET`).
    NewFields(u32),
    /// The volume left (`HINCRBY`): an integer, or a text where it has a fraction.
    Volume,
    /// The volume left as a text (`HINCRBYFLOAT`).
    VolumeText,
    /// How many of several rows were written: encoded with the last of them (`HSETROWS`).
    Row {
        /// Whether this is the last of them.
        last: bool,
    },
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
            Shape::Fields(_) | Shape::Page { pattern: Some(_), .. } => return None,
            Shape::Page { pattern: None, values } => Shape::Page { pattern: None, values },
            Shape::Columns(columns) => Shape::Columns(columns),
            Shape::Either { listed, unlisted } => Shape::Either { listed, unlisted },
            Shape::Length => Shape::Length,
            Shape::Names => Shape::Names,
            Shape::Values => Shape::Values,
            Shape::HasField(field) => Shape::HasField(field),
            Shape::FieldLength(field) => Shape::FieldLength(field),
            Shape::PriceLength => Shape::PriceLength,
            Shape::Cleared => Shape::Cleared,
            Shape::Done => Shape::Done,
            Shape::NewFields(fields) => Shape::NewFields(fields),
            Shape::Volume => Shape::Volume,
            Shape::VolumeText => Shape::VolumeText,
            Shape::Row { last } => Shape::Row { last },
            Shape::Tally { last } => Shape::Tally { last },
        })
    }
}

/// One step of a walk over all stocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The place in the catalog from which to read.
    pub from: u64,
    /// Stocks to look at, at most [`SCAN_COUNT_MAX`](stockd_model::limits::SCAN_COUNT_MAX).
    pub count: usize,
    /// Which symbols are to be shown.
    pub pattern: Option<Glob<'a>>,
    /// Whether the type asked for is the one that all stocks have. Otherwise none is to be shown.
    pub right_type: bool,
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
    /// The user, if one was given.
    pub user: Option<&'a [u8]>,
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
    /// All connections of a kind as lines of text.
    List(ClientFilter<'a>),
    /// Close the connections that are so.
    Kill(Kill<'a>),
    /// Which replies the connection is sent from now on.
    Reply(ReplyMode),
    /// At most one message a symbol in this time, or all of them.
    Interval(Option<Duration>),
    /// The name of the connection.
    Name,
    /// Name the connection: printable ASCII without spaces, at most [`CLIENT_NAME_BYTES_MAX`](stockd_model::limits::CLIENT_NAME_BYTES_MAX)
    /// bytes; empty takes the name away.
    SetName(&'a str),
    /// Track what the connection reads from now on, or stop.
    Tracking(Option<Tracking<'a>>),
    /// Track what the next command reads, or do not.
    Caching(bool),
    /// How reads are tracked.
    TrackingInfo,
    /// Where invalidations go: -1 where nothing is tracked, 0 to the connection itself.
    Redirection,
    /// The name of the library that the client uses, as restricted as a connection's name.
    SetLibraryName(&'a str),
    /// The version of that library, as restricted.
    SetLibraryVersion(&'a str),
}

/// How `CLIENT TRACKING ON` is to track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracking<'a> {
    /// What is tracked.
    pub mode: TrackingMode,
    /// Whether changes that the connection makes itself are not to be told.
    pub no_loop: bool,
    pub(super) options: Arguments<'a>,
}

/// What is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackingMode {
    /// All that is read.
    All,
    /// What is read by the command behind `CLIENT CACHING YES`.
    OptIn,
    /// All but what is read by the command behind `CLIENT CACHING NO`.
    OptOut,
    /// All stocks whose symbols begin with one of the prefixes, whether they are read or not.
    Broadcast,
}

impl<'a> Tracking<'a> {
    /// The prefixes of [`Broadcast`](TrackingMode::Broadcast); none stands for all stocks.
    pub fn prefixes(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut options = self.options;
        std::iter::from_fn(move || {
            options.find(|option| option.eq_ignore_ascii_case(b"prefix"))?;
            options.next()
        })
    }
}

/// Which replies a connection is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// All of them.
    On,
    /// None: messages and confirmations of subscriptions alone.
    Off,
    /// All but that to the next command.
    Skip,
}

/// Which connections `CLIENT KILL` closes: those of which all that is given here holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill<'a> {
    /// The number of the connection.
    pub id: Option<u64>,
    /// Where it comes from, as `CLIENT LIST` shows it.
    pub address: Option<&'a [u8]>,
    /// Where it has come to.
    pub local: Option<&'a [u8]>,
    /// Its kind.
    pub kind: Option<ClientKind>,
    /// Whose it is.
    pub user: Option<&'a [u8]>,
    /// Seconds that it has been open, at least.
    pub age_min: Option<u64>,
    /// Whether the connection that asks is none of them.
    pub skips_own: bool,
    /// Whether the answer is their number. Otherwise it is OK, or an error where there is none.
    pub counts: bool,
}

/// A kind of connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// Not subscribed to anything.
    Normal,
    /// Subscribed to something.
    Subscribed,
    /// A master or a replica, of which there are none.
    Peer,
}

/// Which connections `CLIENT LIST` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFilter<'a> {
    /// All.
    All,
    /// Those of this kind.
    Kind(ClientKind),
    /// Those with these numbers.
    Ids(Arguments<'a>),
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
    /// The names of all, or of those that match.
    Names(Option<Glob<'a>>),
    /// The symbols in a command, which comes with its name.
    Keys(Arguments<'a>),
    /// The subcommands of a command.
    Help(&'static str),
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

impl Credentials<'_> {
    /// Whether they let in where no password is asked for: then any is right for the user `default`,
    /// and one without a user is a mistake, as in Redis.
    ///
    /// # Errors
    ///
    /// Why they do not.
    pub fn check_open(&self) -> Result<(), CommandError<'static>> {
        match self.user {
            Some(b"default") => Ok(()),
            Some(_) => Err(CommandError::WrongUser),
            None => Err(CommandError::NoPasswordConfigured),
        }
    }
}

impl std::fmt::Debug for Credentials<'_> {
    /// Without the password, which must not get into a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user.map(|user| user.escape_ascii().to_string()))
            .finish_non_exhaustive()
    }
}
