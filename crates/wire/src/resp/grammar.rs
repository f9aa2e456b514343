//! How the arguments of each command are read.
//!
//! This module owns what may stand where in a command. It knows nothing of framing, and nothing of
//! how a command is executed.
//!
//! Invariant: what comes out is valid, or says what is wrong with the first wrong argument.

use stockd_model::limits::{CLIENT_NAME_BYTES_MAX, SCAN_COUNT_MAX};
use stockd_model::{Edit, Field, Fields, Price, Request, Symbol};

use super::arguments::Arguments;
use super::command::{
    CURSOR_SHIFT, Client, Command, Credentials, Describe, Hello, Incoming, Scan, Shape, Version,
};
use super::command_error::CommandError;
use super::glob::Glob;
use super::table::{Spec, Verb};

/// A value, or why the command is refused.
type Outcome<'a, T> = Result<T, CommandError<'a>>;

/// Reads a command that has come whole, and whose number of parts is right.
pub(super) fn read<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Incoming<'a> {
    let read = match subcommand(spec, arguments) {
        Ok((spec, arguments)) => read_arguments(spec, arguments),
        Err(error) => Err(error),
    };
    read.unwrap_or_else(|error| Command::Refused(error).into())
}

/// Reads one part of a command that is executed part by part.
#[inline]
pub(super) fn read_part(verb: Verb, part: &[u8], last: bool) -> Incoming<'_> {
    let command = match verb {
        Verb::Exists => return Incoming::Request(lookup(part), Shape::Tally { last }),
        Verb::Del => {
            // What can be no symbol is not listed: nothing to do, and counted as such.
            let request = Symbol::parse(part).map_or_else(|_| lookup(part), Request::Delist);
            return Incoming::Request(request, Shape::Tally { last });
        }
        Verb::Subscribe => symbol(part).map(Command::Subscribe),
        Verb::PSubscribe => Glob::new(part).map(Command::SubscribePattern),
        Verb::Unsubscribe => Ok(Command::Unsubscribe(part)),
        Verb::PUnsubscribe => Ok(Command::UnsubscribePattern(part)),
        _ => return Incoming::Request(lookup(part), Shape::Price),
    };
    command.unwrap_or_else(Command::Refused).into()
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

fn read_arguments<'a>(
    spec: &'static Spec,
    mut arguments: Arguments<'a>,
) -> Outcome<'a, Incoming<'a>> {
    let all = arguments;
    let ask = |request, shape| Ok(Incoming::Request(request, shape));
    let mut next = || arguments.next().ok_or(CommandError::WrongArity { command: spec.name });
    let command = match spec.verb {
        Verb::Get => return ask(lookup(next()?), Shape::Price),
        Verb::HGetAll => return ask(lookup(next()?), Shape::Quote),
        Verb::HGet => return ask(lookup(next()?), Shape::Field(Field::find(next()?))),
        Verb::HMGet => return ask(lookup(next()?), Shape::Fields(arguments)),
        Verb::Type => return ask(lookup(next()?), Shape::Type),
        Verb::HSet => return hset(spec, all),
        Verb::Set => return set(all),
        Verb::HIncrBy => return trade(next()?, next()?, next()?),
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
        Verb::Multi => Command::Multi,
        Verb::Exec => Command::Exec,
        Verb::Discard => Command::Discard,
        Verb::Watch => Command::Watch(all),
        Verb::Unwatch => Command::Unwatch,
        // `CLIENT` and `CONFIG` alone lack parts; the others are read part by part.
        Verb::Client
        | Verb::Config
        | Verb::MGet
        | Verb::Exists
        | Verb::Del
        | Verb::Subscribe
        | Verb::PSubscribe => return Err(CommandError::WrongArity { command: spec.name }),
    };
    Ok(command.into())
}

fn lookup(name: &[u8]) -> Request {
    Request::Lookup(Symbol::parse(name))
}

fn symbol(name: &[u8]) -> Outcome<'_, Symbol> {
    Symbol::parse(name).map_err(CommandError::Symbol)
}

/// Digits with a minus before them or not: no plus, no white space.
fn integer(text: &[u8]) -> Outcome<'_, i64> {
    let text = str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or(CommandError::NotAnInteger)
}

fn set(mut arguments: Arguments<'_>) -> Outcome<'_, Incoming<'_>> {
    let (Some(name), Some(text), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(CommandError::Syntax);
    };
    let price = Price::parse(text).map_err(CommandError::Price)?;
    let fields = Fields { price: Edit::Set(price), ..Fields::default() };
    Ok(Incoming::Request(Request::Update(symbol(name)?, fields), Shape::Done))
}

fn hset<'a>(spec: &'static Spec, mut arguments: Arguments<'a>) -> Outcome<'a, Incoming<'a>> {
    let wrong_arity = || CommandError::WrongArity { command: spec.name };
    let symbol = symbol(arguments.next().ok_or_else(wrong_arity)?)?;
    let mut fields = Fields::default();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(wrong_arity)?;
        let field = Field::find(name).ok_or(CommandError::UnknownField(name))?;
        fields.set(field, value).map_err(CommandError::Field)?;
    }
    let new_fields = Shape::NewFields(fields.given() as u32);
    Ok(Incoming::Request(Request::Set(symbol, fields), new_fields))
}

fn trade<'a>(name: &'a [u8], field: &'a [u8], shares: &'a [u8]) -> Outcome<'a, Incoming<'a>> {
    match Field::find(field) {
        Some(Field::Volume) => {}
        Some(other) => return Err(CommandError::NotIncremented(other.name())),
        None => return Err(CommandError::UnknownField(field)),
    }
    Ok(Incoming::Request(Request::Trade(symbol(name)?, integer(shares)?), Shape::Volume))
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
