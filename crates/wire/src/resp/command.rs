//! What a client asks: a command with its arguments read into types that cannot be wrong.
//!
//! A [`Command`] says what is to be done and knows nothing of how. What asks the engine carries
//! the [`Shape`] in which its reply is put; what needs to know the connection or the server is
//! handed over as data.

use stockd_model::limits::{CLIENT_NAME_BYTES_MAX, SCAN_COUNT_MAX};
use stockd_model::{Fields, Price, Request, Symbol};

use super::arguments::Arguments;
use super::error::CommandError;
use super::glob::Glob;
use super::table::{Spec, Verb};

/// One thing to do. Some commands are several: `MGET` is an [`Array`](Command::Array) and an
/// [`Ask`](Command::Ask) for each of its symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Execute the request and encode its reply in this shape.
    Ask(Request, Shape<'a>),
    /// Encode the head of an array. So many requests follow, whose replies are its elements.
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
    /// Nothing but to say OK (`SELECT 0`, `CLIENT NO-EVICT`).
    Nothing,
    /// `RESET`: make the connection as if it were new, and say so.
    Reset,
    /// `QUIT`: say OK and close.
    Quit,
    /// Nothing but to send the error.
    Refused(CommandError<'a>),
}

/// What the reply to a request looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape<'a> {
    /// The price that a lookup answers, `0` or nil (`GET`, and one symbol of `MGET`).
    Price,
    /// The whole quote as a map, empty if not listed (`HGETALL`).
    Quote,
    /// One field, or nil; `None` for a field that quotes do not have (`HGET`).
    Field(Option<Field>),
    /// An array of these fields, by name, each of them or nil (`HMGET`).
    Fields(Arguments<'a>),
    /// `hash` or `none` (`TYPE`).
    Type,
    /// OK (`SET`).
    Done,
    /// So many for a stock that was listed now, 0 for one that was updated (`HSET`).
    NewFields(u32),
    /// The volume left (`HINCRBY`).
    Volume,
    /// How many of several stocks were listed: encoded with the last of them (`EXISTS`, `DEL`).
    Tally {
        /// Whether this is the last of them.
        last: bool,
    },
}

impl Shape<'_> {
    /// The shape for a reply that comes when the input is gone, unless it needs the input.
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

/// A field of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The name of the stock.
    Symbol,
    /// Its last price, traded or not.
    Price,
    /// Shares that remain.
    Volume,
    /// `trading` or `halted`.
    Status,
    /// Changes so far.
    Version,
    /// Unix time of the last change in nanoseconds.
    Updated,
}

/// One step of a walk over all stocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The place in the catalog from which to read.
    pub from: u64,
    /// Rows of the catalog to read, at most twice [`SCAN_COUNT_MAX`].
    pub rows: usize,
    pattern: Option<Glob<'a>>,
    /// Whether the type asked for is the one that all stocks have.
    right_type: bool,
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
    /// Name the connection: printable ASCII without spaces, at most [`CLIENT_NAME_BYTES_MAX`]
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

impl Field {
    /// Every field, in the order in which a quote is written.
    pub const ALL: [Field; 6] =
        [Field::Symbol, Field::Price, Field::Volume, Field::Status, Field::Version, Field::Updated];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Symbol => "symbol",
            Field::Price => "price",
            Field::Volume => "volume",
            Field::Status => "status",
            Field::Version => "version",
            Field::Updated => "updated",
        }
    }

    /// The field of this name; like symbols, small letters are not capitals.
    pub(super) fn find(name: &[u8]) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name().as_bytes() == name)
    }
}

impl Scan<'_> {
    /// Whether the symbol of this stock is to be shown.
    pub fn admits(&self, symbol: &Symbol) -> bool {
        self.right_type && self.pattern.is_none_or(|pattern| pattern.matches(symbol.as_bytes()))
    }
}

/// A place in the catalog, which is a hash, as the cursor that clients see. A place has no more
/// than its high bits set, since a catalog has fewer than 2⁵³ rows. So the cursor has 53: some
/// clients keep it in a float.
const CURSOR_SHIFT: u32 = 64 - 53;

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

type Outcome<'a, T> = Result<T, CommandError<'a>>;

impl<'a> Command<'a> {
    /// Reads a command that has come whole, and whose number of parts is right.
    pub(super) fn read(spec: &'static Spec, arguments: Arguments<'a>) -> Command<'a> {
        let command = match subcommand(spec, arguments) {
            Ok((spec, arguments)) => read(spec, arguments),
            Err(error) => Err(error),
        };
        command.unwrap_or_else(Command::Refused)
    }

    /// Reads one part of a command that is executed part by part.
    #[inline]
    pub(super) fn read_part(verb: Verb, part: &'a [u8], last: bool) -> Command<'a> {
        match verb {
            Verb::Exists => Command::Ask(lookup(part), Shape::Tally { last }),
            Verb::Del => match Symbol::parse(part) {
                Ok(symbol) => Command::Ask(Request::Delist(symbol), Shape::Tally { last }),
                // What can be no symbol is not listed: nothing to do, and counted as such.
                Err(_) => Command::Ask(lookup(part), Shape::Tally { last }),
            },
            Verb::Subscribe => match symbol(part) {
                Ok(symbol) => Command::Subscribe(symbol),
                Err(error) => Command::Refused(error),
            },
            Verb::PSubscribe => match Glob::new(part) {
                Ok(pattern) => Command::SubscribePattern(pattern),
                Err(error) => Command::Refused(error),
            },
            Verb::Unsubscribe => Command::Unsubscribe(part),
            Verb::PUnsubscribe => Command::UnsubscribePattern(part),
            _ => Command::Ask(lookup(part), Shape::Price),
        }
    }
}

/// Finds the subcommand where there are such, and what is left for it.
fn subcommand<'a>(
    spec: &'static Spec,
    mut arguments: Arguments<'a>,
) -> Outcome<'a, (&'static Spec, Arguments<'a>)> {
    if !matches!(spec.verb, Verb::Client | Verb::Command | Verb::Config) {
        return Ok((spec, arguments));
    }
    let parts = 1 + arguments.len();
    let Some(name) = arguments.next() else { return Ok((spec, arguments)) };
    let spec = spec
        .find_subcommand(name)
        .ok_or(CommandError::UnknownSubcommand { command: spec.name, name })?;
    match spec.parts.contains(&parts) {
        true => Ok((spec, arguments)),
        false => Err(CommandError::WrongArity { command: spec.name }),
    }
}

fn read<'a>(spec: &'static Spec, mut arguments: Arguments<'a>) -> Outcome<'a, Command<'a>> {
    let all = arguments;
    let mut next = || arguments.next().ok_or(CommandError::WrongArity { command: spec.name });
    Ok(match spec.verb {
        Verb::Get => Command::Ask(lookup(next()?), Shape::Price),
        Verb::HGetAll => Command::Ask(lookup(next()?), Shape::Quote),
        Verb::HGet => Command::Ask(lookup(next()?), Shape::Field(Field::find(next()?))),
        Verb::HMGet => Command::Ask(lookup(next()?), Shape::Fields(arguments)),
        Verb::Type => Command::Ask(lookup(next()?), Shape::Type),
        Verb::HSet => hset(spec, all)?,
        Verb::Set => set(all)?,
        Verb::HIncrBy => trade(next()?, next()?, next()?)?,
        Verb::DbSize => Command::Count,
        Verb::Snapshot => match arguments.next() {
            None => Command::Snapshot { next: false },
            Some(next) if next.eq_ignore_ascii_case(b"next") => Command::Snapshot { next: true },
            Some(_) => return Err(CommandError::Syntax),
        },
        Verb::Scan => Command::Scan(scan(next()?, arguments)?),
        Verb::Keys => Command::Keys(Glob::new(next()?)?),
        Verb::Unsubscribe => Command::UnsubscribeAll,
        Verb::PUnsubscribe => Command::UnsubscribeAllPatterns,
        Verb::Ping => Command::Ping(arguments.next()),
        Verb::Echo => Command::Echo(next()?),
        Verb::Hello => Command::Hello(hello(arguments)?),
        Verb::Auth => match (next()?, arguments.next()) {
            (user, Some(password)) => Command::Auth(Credentials { user, password }),
            (password, None) => Command::Auth(Credentials { user: b"default", password }),
        },
        Verb::Select => match integer(next()?)? {
            0 => Command::Nothing,
            _ => return Err(CommandError::DbIndex),
        },
        Verb::Quit => Command::Quit,
        Verb::Reset => Command::Reset,
        Verb::ClientId => Command::Client(Client::Id),
        Verb::ClientInfo => Command::Client(Client::Info),
        Verb::ClientList => Command::Client(Client::List),
        Verb::ClientGetName => Command::Client(Client::Name),
        Verb::ClientSetName => Command::Client(Client::SetName(client_name(next()?)?)),
        Verb::ClientSetInfo => Command::Client(library(next()?, next()?)?),
        Verb::ClientNoEvict => on_or_off(next()?)?,
        Verb::Command => Command::Describe(Describe::All),
        Verb::CommandCount => Command::Describe(Describe::Count),
        Verb::CommandInfo if arguments.len() == 0 => Command::Describe(Describe::All),
        Verb::CommandInfo => Command::Describe(Describe::Named(arguments)),
        Verb::CommandDocs => Command::Describe(Describe::Docs(arguments)),
        Verb::ConfigGet => Command::Settings(arguments),
        Verb::Info => Command::Info(arguments),
        Verb::Time => Command::Time,
        // `CLIENT` and `CONFIG` alone lack parts; the others are read part by part.
        Verb::Client
        | Verb::Config
        | Verb::MGet
        | Verb::Exists
        | Verb::Del
        | Verb::Subscribe
        | Verb::PSubscribe => return Err(CommandError::WrongArity { command: spec.name }),
    })
}

fn lookup(name: &[u8]) -> Request {
    Request::Lookup(Symbol::parse(name))
}

fn symbol(name: &[u8]) -> Outcome<'_, Symbol> {
    Symbol::parse(name).map_err(CommandError::Symbol)
}

fn price(text: &[u8]) -> Outcome<'_, Price> {
    Price::parse(text).map_err(CommandError::Price)
}

/// Digits with a minus before them or not: no plus, no white space.
fn integer(text: &[u8]) -> Outcome<'_, i64> {
    let text = str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or(CommandError::NotAnInteger)
}

fn set(mut arguments: Arguments<'_>) -> Outcome<'_, Command<'_>> {
    let (Some(name), Some(text), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(CommandError::Syntax);
    };
    let fields = Fields { price: Some(price(text)?), ..Fields::default() };
    Ok(Command::Ask(Request::Update(symbol(name)?, fields), Shape::Done))
}

fn hset<'a>(spec: &'static Spec, mut arguments: Arguments<'a>) -> Outcome<'a, Command<'a>> {
    let wrong_arity = || CommandError::WrongArity { command: spec.name };
    let symbol = symbol(arguments.next().ok_or_else(wrong_arity)?)?;
    let mut fields = Fields::default();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(wrong_arity)?;
        let text = || String::from_utf8_lossy(value);
        match Field::find(name) {
            Some(Field::Price) => fields.price = Some(price(value)?),
            Some(Field::Volume) => {
                fields.volume = Some(text().parse().map_err(CommandError::Volume)?);
            }
            Some(Field::Status) => {
                fields.status = Some(text().parse().map_err(CommandError::Status)?);
            }
            Some(read_only) => return Err(CommandError::ReadOnlyField(read_only.name())),
            None => return Err(CommandError::UnknownField(name)),
        }
    }
    let given = [fields.price.is_some(), fields.volume.is_some(), fields.status.is_some()];
    let new_fields = given.map(u32::from).iter().sum();
    Ok(Command::Ask(Request::Set(symbol, fields), Shape::NewFields(new_fields)))
}

fn trade<'a>(name: &'a [u8], field: &'a [u8], shares: &'a [u8]) -> Outcome<'a, Command<'a>> {
    match Field::find(field) {
        Some(Field::Volume) => {}
        Some(other) => return Err(CommandError::NotIncremented(other.name())),
        None => return Err(CommandError::UnknownField(field)),
    }
    Ok(Command::Ask(Request::Trade(symbol(name)?, integer(shares)?), Shape::Volume))
}

fn scan<'a>(cursor: &'a [u8], mut options: Arguments<'a>) -> Outcome<'a, Scan<'a>> {
    /// What Redis takes where no count is given.
    const COUNT_DEFAULT: usize = 10;
    let cursor = str::from_utf8(cursor).ok().and_then(|cursor| cursor.parse::<u64>().ok());
    let from = cursor.filter(|cursor| cursor.leading_zeros() >= CURSOR_SHIFT);
    let mut count = COUNT_DEFAULT;
    let mut pattern = None;
    let mut right_type = true;
    while let Some(option) = options.next() {
        let value = options.next().ok_or(CommandError::Syntax)?;
        if option.eq_ignore_ascii_case(b"match") {
            pattern = Some(Glob::new(value)?);
        } else if option.eq_ignore_ascii_case(b"type") {
            right_type = value.eq_ignore_ascii_case(b"hash");
        } else if option.eq_ignore_ascii_case(b"count") {
            let asked = integer(value)?;
            count = usize::try_from(asked).unwrap_or(0);
            if count == 0 {
                return Err(CommandError::Syntax);
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let from = from.ok_or(CommandError::InvalidCursor)? << CURSOR_SHIFT;
    // About half of the rows hold a stock.
    Ok(Scan { from, rows: 2 * count.min(SCAN_COUNT_MAX), pattern, right_type })
}

fn hello(mut arguments: Arguments<'_>) -> Outcome<'_, Hello<'_>> {
    let mut hello = Hello::default();
    let Some(version) = arguments.next() else { return Ok(hello) };
    hello.version = match integer(version) {
        Ok(2) => Some(Version::Resp2),
        Ok(3) => Some(Version::Resp3),
        Ok(_) => return Err(CommandError::UnsupportedProtocol),
        Err(_) => return Err(CommandError::ProtocolNotAnInteger),
    };
    while let Some(option) = arguments.next() {
        if option.eq_ignore_ascii_case(b"auth")
            && let (Some(user), Some(password)) = (arguments.next(), arguments.next())
        {
            hello.credentials = Some(Credentials { user, password });
        } else if option.eq_ignore_ascii_case(b"setname")
            && let Some(name) = arguments.next()
        {
            hello.name = Some(client_name(name)?);
        } else {
            return Err(CommandError::HelloOption(option));
        }
    }
    Ok(hello)
}

fn client_name(name: &[u8]) -> Outcome<'_, &str> {
    if name.len() > CLIENT_NAME_BYTES_MAX {
        return Err(CommandError::ClientNameTooLong { bytes: name.len() });
    }
    let name = str::from_utf8(name).ok().filter(|name| name.bytes().all(|b| b.is_ascii_graphic()));
    name.ok_or(CommandError::ClientName)
}

fn library<'a>(attribute: &'a [u8], value: &'a [u8]) -> Outcome<'a, Client<'a>> {
    if attribute.eq_ignore_ascii_case(b"lib-name") {
        Ok(Client::SetLibraryName(client_name(value)?))
    } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
        Ok(Client::SetLibraryVersion(client_name(value)?))
    } else {
        Err(CommandError::ClientOption(attribute))
    }
}

fn on_or_off(state: &[u8]) -> Outcome<'_, Command<'_>> {
    let known = [b"on".as_slice(), b"off"].iter().any(|own| state.eq_ignore_ascii_case(own));
    if known { Ok(Command::Nothing) } else { Err(CommandError::Syntax) }
}
