//! How the arguments of each command are read.
//!
//! This module owns what may stand where in a command. It knows nothing of framing, and nothing of
//! how a command is executed.
//!
//! Invariant: what comes out is valid, or says what is wrong with the first wrong argument.

use std::time::Duration;

use stockd_model::limits::{
    CLIENT_NAME_BYTES_MAX, FEED_TTL_MAX, FEED_TTL_MIN, SCAN_COUNT_MAX, STREAM_INTERVAL_MAX,
};
use stockd_model::{Edit, FeedName, Field, Fields, Price, Request, Rights, Shares, Symbol};

use super::arguments::Arguments;
use super::command::{
    CURSOR_SHIFT, Client, ClientFilter, ClientKind, Command, Constant, Credentials, Describe,
    FeedCommand, Hello, Incoming, Kill, Prices, ReplyMode, Scan, Shape, Tracking, TrackingMode,
    Version,
};
use super::command_error::CommandError;
use super::glob::Glob;
use super::spec;
use super::table::{Spec, Verb};

/// A value, or why the command is refused.
type Outcome<'a, T> = Result<T, CommandError<'a>>;

/// Reads a command that has come whole, and whose number of parts is right. Says which command or
/// subcommand it is, unless it is refused.
#[inline]
pub(super) fn read<'a>(
    spec: &'static Spec,
    arguments: Arguments<'a>,
    rights: Rights,
) -> (Option<&'static Spec>, Incoming<'a>) {
    let read = subcommand(spec, arguments).and_then(|(spec, arguments)| {
        // A subcommand may need another right than its command.
        spec.check_rights(rights)?;
        Ok((spec, read_arguments(spec, arguments)?))
    });
    match read {
        Ok((spec, incoming)) => (Some(spec), incoming),
        Err(error) => (None, Command::Refused(error).into()),
    }
}

/// Reads one part of a command that is executed part by part.
#[inline]
pub(super) fn read_part(verb: Verb, part: &[u8], last: bool) -> Incoming<'_> {
    let command = match verb {
        Verb::Exists | Verb::Touch => {
            return Incoming::Request(lookup(part), Shape::Tally { last });
        }
        Verb::Del | Verb::Unlink => {
            // What can be no symbol is not listed: nothing to do, and counted as such.
            let request = Symbol::parse(part).map_or_else(|_| lookup(part), Request::Delist);
            return Incoming::Request(request, Shape::Tally { last });
        }
        Verb::Subscribe => Command::Subscribe(part),
        Verb::PSubscribe => Command::SubscribePattern(part),
        Verb::Unsubscribe => Command::Unsubscribe(part),
        Verb::PUnsubscribe => Command::UnsubscribePattern(part),
        _ => return Incoming::Request(lookup(part), Shape::Price),
    };
    command.into()
}

/// Finds the subcommand where there are such, and what is left for it.
fn subcommand<'a>(
    spec: &'static Spec,
    mut arguments: Arguments<'a>,
) -> Outcome<'a, (&'static Spec, Arguments<'a>)> {
    if !spec.has_subcommands() {
        return Ok((spec, arguments));
    }
    let parts = 1 + arguments.len();
    let Some(name) = arguments.next() else { return Ok((spec, arguments)) };
    if name.eq_ignore_ascii_case(b"help") && parts == 2 {
        return Ok((spec, arguments));
    }
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
        Verb::HLen => return ask(lookup(next()?), Shape::Length),
        Verb::HKeys => return ask(lookup(next()?), Shape::Names),
        Verb::HVals => return ask(lookup(next()?), Shape::Values),
        Verb::HExists => return ask(lookup(next()?), Shape::HasField(Field::find(next()?))),
        Verb::HStrLen => return ask(lookup(next()?), Shape::FieldLength(Field::find(next()?))),
        Verb::StrLen => return ask(lookup(next()?), Shape::PriceLength),
        Verb::HScan => {
            let request = lookup(next()?);
            return ask(request, hscan(next()?, arguments)?);
        }
        Verb::Type
        | Verb::Ttl
        | Verb::PTtl
        | Verb::ExpireTime
        | Verb::PExpireTime
        | Verb::Persist
        | Verb::ObjectEncoding
        | Verb::ObjectRefCount => return ask(lookup(next()?), either(spec.verb)),
        Verb::HDel => return hdel(next()?, arguments),
        Verb::HSet => return hset(spec, all, true),
        Verb::HMSet => return hset(spec, all, false),
        Verb::MSet => Command::SetAll(prices(spec, all)?),
        Verb::RandomKey => Command::RandomKey,
        Verb::MemoryUsage => {
            let symbol = Symbol::parse(next()?);
            match (arguments.next(), arguments.next()) {
                (None, _) => {}
                (Some(samples), Some(_)) if samples.eq_ignore_ascii_case(b"samples") => {}
                _ => return Err(CommandError::Syntax),
            }
            Command::MemoryUsage(symbol)
        }
        Verb::PubSubChannels => Command::Channels(Glob::new(arguments.next().unwrap_or(b"*"))?),
        Verb::PubSubNumSub => Command::SubscriberCounts(arguments),
        Verb::PubSubNumPat => Command::PatternCount,
        Verb::Set => return set(all),
        Verb::HIncrBy => {
            let (name, field, shares) = (next()?, next()?, next()?);
            return trade(name, field, || integer(shares).map(Shares::from), Shape::Volume);
        }
        Verb::HIncrByFloat => {
            let (name, field, text) = (next()?, next()?, next()?);
            let shares = || Shares::parse(text).map_err(CommandError::Shares);
            return trade(name, field, shares, Shape::VolumeText);
        }
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
            (user, Some(password)) => Command::Auth(Credentials { user: Some(user), password }),
            (password, None) => Command::Auth(Credentials { user: None, password }),
        },
        Verb::Select => match integer(next()?)? {
            0 => Command::Constant(Constant::Ok),
            _ => return Err(CommandError::DbIndex),
        },
        Verb::Quit => Command::Quit,
        Verb::Reset => Command::Reset,
        Verb::ClientId => Command::Client(Client::Id),
        Verb::ClientInfo => Command::Client(Client::Info),
        Verb::ClientList => Command::Client(Client::List(client_filter(arguments)?)),
        Verb::ClientKill => Command::Client(Client::Kill(kill(next()?, arguments)?)),
        Verb::ClientReply => Command::Client(Client::Reply(reply_mode(next()?)?)),
        Verb::ClientInterval => Command::Client(Client::Interval(interval(next()?)?)),
        Verb::ClientGetName => Command::Client(Client::Name),
        Verb::ClientSetName => Command::Client(Client::SetName(client_name(next()?)?)),
        Verb::ClientSetInfo => Command::Client(library(next()?, next()?)?),
        Verb::ClientNoEvict | Verb::ClientNoTouch => on_or_off(next()?)?,
        Verb::ClientTracking => Command::Client(Client::Tracking(tracking(next()?, arguments)?)),
        Verb::ClientCaching => Command::Client(Client::Caching(yes_or_no(next()?)?)),
        Verb::ClientTrackingInfo => Command::Client(Client::TrackingInfo),
        Verb::ClientGetRedir => Command::Client(Client::Redirection),
        Verb::ClientUnblock => {
            integer(next()?)?;
            Command::Constant(Constant::Integer(0))
        }
        Verb::ClientUnpause | Verb::SlowLogReset => Command::Constant(Constant::Ok),
        Verb::AclWhoAmI => Command::WhoAmI,
        Verb::LatencyLatest | Verb::LatencyHistory | Verb::ModuleList => {
            Command::Constant(Constant::Empty)
        }
        Verb::SlowLogGet => {
            arguments.next().map(integer).transpose()?;
            Command::Constant(Constant::Empty)
        }
        Verb::SlowLogLen | Verb::LatencyReset => Command::Constant(Constant::Integer(0)),
        Verb::FeedOpen => Command::Feed(feed_open(next()?, next()?, arguments)?),
        Verb::Role => Command::Constant(Constant::Role),
        Verb::Wait => {
            integer(next()?)?;
            integer(next()?)?;
            Command::Constant(Constant::Integer(0))
        }
        Verb::Command if all.len() == 0 => Command::Describe(Describe::All),
        Verb::CommandCount => Command::Describe(Describe::Count),
        Verb::CommandInfo if arguments.len() == 0 => Command::Describe(Describe::All),
        Verb::CommandInfo => Command::Describe(Describe::Named(arguments)),
        Verb::CommandDocs => Command::Describe(Describe::Docs(arguments)),
        Verb::CommandList => Command::Describe(Describe::Names(command_filter(arguments)?)),
        Verb::CommandGetKeys => Command::Describe(Describe::Keys(keys(arguments)?)),
        Verb::ConfigGet => Command::Settings(arguments),
        Verb::Info => Command::Info(arguments),
        Verb::Time => Command::Time,
        Verb::FeedBeat => Command::Feed(FeedCommand::Beat),
        Verb::FeedGap => Command::Feed(FeedCommand::Gap),
        Verb::FeedEnd => Command::Feed(FeedCommand::End),
        Verb::FeedList => Command::Feed(FeedCommand::List),
        Verb::Multi => Command::Multi,
        Verb::Exec => Command::Exec,
        Verb::Discard => Command::Discard,
        Verb::Watch => Command::Watch(all),
        Verb::Unwatch => Command::Unwatch,
        Verb::Fence => Command::Fence,
        // Only `HELP` is left of these.
        Verb::Acl
        | Verb::Client
        | Verb::Command
        | Verb::Config
        | Verb::Feed
        | Verb::Latency
        | Verb::Memory
        | Verb::Module
        | Verb::Object
        | Verb::PubSub
        | Verb::SlowLog => Command::Describe(Describe::Help(spec.name)),
        // These are read part by part.
        Verb::MGet
        | Verb::HMGetAll
        | Verb::HGetRows
        | Verb::HSetRows
        | Verb::Exists
        | Verb::Touch
        | Verb::Del
        | Verb::Unlink
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

fn price(text: &[u8]) -> Outcome<'_, Price> {
    Price::parse(text).map_err(CommandError::Price)
}

/// Digits with a minus before them or not: no plus, no white space.
fn integer(text: &[u8]) -> Outcome<'_, i64> {
    let text = str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or(CommandError::NotAnInteger)
}

fn set(mut arguments: Arguments<'_>) -> Outcome<'_, Incoming<'_>> {
    let (Some(name), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err(CommandError::Syntax);
    };
    if let Some(option) = arguments.find(|option| !option.eq_ignore_ascii_case(b"keepttl")) {
        return Err(CommandError::SetOption(option));
    }
    let fields = Fields { price: Edit::Set(price(text)?), ..Fields::default() };
    Ok(Incoming::Request(Request::Update(symbol(name)?, fields), Shape::Done))
}

/// Takes fields away. One that quotes do not have is none to take away; one that every quote has is an error.
fn hdel<'a>(name: &'a [u8], names: Arguments<'a>) -> Outcome<'a, Incoming<'a>> {
    let mut fields = Fields::default();
    for field in names.filter_map(Field::find) {
        if !field.is_optional() {
            return Err(CommandError::Needed(field.name()));
        }
        fields.clear(field);
    }
    // What can be no symbol is not listed, so it has no fields.
    let request =
        Symbol::parse(name).map_or_else(|_| lookup(name), |it| Request::Clear(it, fields));
    Ok(Incoming::Request(request, Shape::Cleared))
}

/// The pairs of `MSET`.
fn prices<'a>(spec: &'static Spec, pairs: Arguments<'a>) -> Outcome<'a, Prices<'a>> {
    let mut parts = pairs;
    while let Some(name) = parts.next() {
        let text = parts.next().ok_or(CommandError::WrongArity { command: spec.name })?;
        symbol(name)?;
        price(text)?;
    }
    Ok(Prices(pairs))
}

/// What is said of a stock that is listed, and of one that is not.
fn either(verb: Verb) -> Shape<'static> {
    use Constant::{Integer, Nil, Status, Text};
    let (listed, unlisted) = match verb {
        Verb::Type => (Status("hash"), Status("none")),
        Verb::Persist => (Integer(0), Integer(0)),
        Verb::ObjectEncoding => (Text("hashtable"), Nil),
        Verb::ObjectRefCount => (Integer(1), Nil),
        _ => (Integer(-1), Integer(-2)),
    };
    Shape::Either { listed, unlisted }
}

/// Reads a write of fields, which says how many were new where it `counts` them.
fn hset<'a>(
    spec: &'static Spec,
    mut arguments: Arguments<'a>,
    counts: bool,
) -> Outcome<'a, Incoming<'a>> {
    let wrong_arity = || CommandError::WrongArity { command: spec.name };
    let symbol = symbol(arguments.next().ok_or_else(wrong_arity)?)?;
    let mut fields = Fields::default();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(wrong_arity)?;
        let field = Field::find(name).ok_or(CommandError::UnknownField(name))?;
        fields.set(field, value).map_err(CommandError::Field)?;
    }
    let given = fields.given() as u32;
    let shape = if counts { Shape::NewFields(given) } else { Shape::Done };
    Ok(Incoming::Request(Request::Set(symbol, fields), shape))
}

fn trade<'a>(
    name: &'a [u8],
    field: &'a [u8],
    shares: impl FnOnce() -> Outcome<'a, Shares>,
    shape: Shape<'a>,
) -> Outcome<'a, Incoming<'a>> {
    match Field::find(field) {
        Some(Field::Volume) => {}
        Some(other) => return Err(CommandError::NotIncremented(other.name())),
        None => return Err(CommandError::UnknownField(field)),
    }
    Ok(Incoming::Request(Request::Trade(symbol(name)?, shares()?), shape))
}

fn scan<'a>(cursor: &'a [u8], options: Arguments<'a>) -> Outcome<'a, Scan<'a>> {
    let cursor = str::from_utf8(cursor).ok().and_then(|cursor| cursor.parse::<u64>().ok());
    let from = cursor.filter(|cursor| cursor.leading_zeros() >= CURSOR_SHIFT);
    let ScanOptions { pattern, count, right_type, values } = ScanOptions::read(options)?;
    if !values {
        return Err(CommandError::Syntax);
    }
    let from = from.ok_or(CommandError::InvalidCursor)? << CURSOR_SHIFT;
    Ok(Scan { from, count: count.min(SCAN_COUNT_MAX), pattern, right_type })
}

fn hscan<'a>(cursor: &'a [u8], options: Arguments<'a>) -> Outcome<'a, Shape<'a>> {
    let ScanOptions { pattern, values, .. } = ScanOptions::read(options)?;
    let cursor = str::from_utf8(cursor).ok().and_then(|cursor| cursor.parse::<u64>().ok());
    cursor.ok_or(CommandError::InvalidCursor)?;
    Ok(Shape::Page { pattern, values })
}

/// What may stand behind the cursor of a scan.
struct ScanOptions<'a> {
    pattern: Option<Glob<'a>>,
    count: usize,
    /// Whether the type asked for is the one that all stocks have.
    right_type: bool,
    values: bool,
}

impl<'a> ScanOptions<'a> {
    fn read(mut options: Arguments<'a>) -> Outcome<'a, ScanOptions<'a>> {
        /// What Redis takes where no count is given.
        const COUNT_DEFAULT: usize = 10;
        let mut read =
            ScanOptions { pattern: None, count: COUNT_DEFAULT, right_type: true, values: true };
        while let Some(option) = options.next() {
            if option.eq_ignore_ascii_case(b"novalues") {
                read.values = false;
                continue;
            }
            let value = options.next().ok_or(CommandError::Syntax)?;
            if option.eq_ignore_ascii_case(b"match") {
                read.pattern = Some(Glob::new(value)?);
            } else if option.eq_ignore_ascii_case(b"type") {
                read.right_type = value.eq_ignore_ascii_case(b"hash");
            } else if option.eq_ignore_ascii_case(b"count") {
                read.count = usize::try_from(integer(value)?).unwrap_or(0);
                if read.count == 0 {
                    return Err(CommandError::Syntax);
                }
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(read)
    }
}

/// `FEED OPEN`.
fn feed_open<'a>(
    name: &'a [u8],
    ttl: &'a [u8],
    mut options: Arguments<'a>,
) -> Outcome<'a, FeedCommand<'a>> {
    let name = FeedName::check(name).map_err(CommandError::FeedName)?;
    let ttl = integer(ttl).ok().and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    let ttl = ttl.filter(|ttl| (FEED_TTL_MIN..=FEED_TTL_MAX).contains(ttl));
    let ttl = ttl.ok_or(CommandError::FeedTtl)?;
    let (mut halts_when_stale, mut halts_on_gap) = (false, false);
    while let Some(option) = options.next() {
        let halts = match options.next() {
            Some(value) if value.eq_ignore_ascii_case(b"halt") => true,
            Some(value) if value.eq_ignore_ascii_case(b"mark") => false,
            _ => return Err(CommandError::Syntax),
        };
        if option.eq_ignore_ascii_case(b"onstale") {
            halts_when_stale = halts;
        } else if option.eq_ignore_ascii_case(b"ongap") {
            halts_on_gap = halts;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(FeedCommand::Open { name, ttl, halts_when_stale, halts_on_gap })
}

fn client_filter(mut options: Arguments<'_>) -> Outcome<'_, ClientFilter<'_>> {
    let Some(option) = options.next() else { return Ok(ClientFilter::All) };
    if option.eq_ignore_ascii_case(b"id") && options.len() > 0 {
        let mut ids = options;
        let is_id = |id: &[u8]| integer(id).is_ok_and(|id| id > 0);
        return if ids.all(is_id) {
            Ok(ClientFilter::Ids(options))
        } else {
            Err(CommandError::ClientId)
        };
    }
    match (option.eq_ignore_ascii_case(b"type"), options.next(), options.next()) {
        (true, Some(kind), None) => client_kind(kind).map(ClientFilter::Kind),
        _ => Err(CommandError::Syntax),
    }
}

fn client_kind(kind: &[u8]) -> Outcome<'_, ClientKind> {
    match kind.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientKind::Normal),
        b"pubsub" => Ok(ClientKind::Subscribed),
        b"master" | b"replica" | b"slave" => Ok(ClientKind::Peer),
        _ => Err(CommandError::ClientType(kind)),
    }
}

/// What `CLIENT KILL` is to close: an address alone, or pairs of an option and its value.
fn kill<'a>(first: &'a [u8], mut rest: Arguments<'a>) -> Outcome<'a, Kill<'a>> {
    let mut kill = Kill {
        id: None,
        address: None,
        local: None,
        kind: None,
        user: None,
        age_min: None,
        skips_own: rest.len() > 0,
        counts: rest.len() > 0,
    };
    if rest.len() == 0 {
        kill.address = Some(first);
        return Ok(kill);
    }
    let mut next = Some(first);
    while let Some(option) = next {
        let value = rest.next().ok_or(CommandError::Syntax)?;
        match option.to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = integer(value).ok().and_then(|id| u64::try_from(id).ok());
                kill.id = Some(id.filter(|id| *id > 0).ok_or(CommandError::KilledId)?);
            }
            b"addr" => kill.address = Some(value),
            b"laddr" => kill.local = Some(value),
            b"type" => kill.kind = Some(client_kind(value)?),
            b"user" => kill.user = Some(value),
            b"skipme" => kill.skips_own = yes_or_no(value)?,
            b"maxage" => {
                let age = integer(value).ok().and_then(|age| u64::try_from(age).ok());
                kill.age_min = Some(age.filter(|age| *age > 0).ok_or(CommandError::KilledAge)?);
            }
            _ => return Err(CommandError::Syntax),
        }
        next = rest.next();
    }
    Ok(kill)
}

/// Milliseconds; 0 stands for no interval.
fn interval(text: &[u8]) -> Outcome<'_, Option<Duration>> {
    let ms = integer(text).ok().and_then(|ms| u64::try_from(ms).ok());
    let interval = ms.map(Duration::from_millis).filter(|it| *it <= STREAM_INTERVAL_MAX);
    let interval = interval.ok_or(CommandError::Interval(text))?;
    Ok((!interval.is_zero()).then_some(interval))
}

fn reply_mode(mode: &[u8]) -> Outcome<'_, ReplyMode> {
    match mode.to_ascii_lowercase().as_slice() {
        b"on" => Ok(ReplyMode::On),
        b"off" => Ok(ReplyMode::Off),
        b"skip" => Ok(ReplyMode::Skip),
        _ => Err(CommandError::Syntax),
    }
}

/// The pattern of `COMMAND LIST FILTERBY PATTERN`. Of modules and categories there are none.
fn command_filter(mut options: Arguments<'_>) -> Outcome<'_, Option<Glob<'_>>> {
    let Some(option) = options.next() else { return Ok(None) };
    let (Some(kind), Some(value), None) = (options.next(), options.next(), options.next()) else {
        return Err(CommandError::Syntax);
    };
    if !option.eq_ignore_ascii_case(b"filterby") {
        return Err(CommandError::Syntax);
    }
    match kind.to_ascii_lowercase().as_slice() {
        b"pattern" => Glob::new(value).map(Some),
        b"module" | b"aclcat" => Glob::new(b"").map(Some),
        _ => Err(CommandError::Syntax),
    }
}

/// The command of `COMMAND GETKEYS`, which has a symbol.
fn keys(command: Arguments<'_>) -> Outcome<'_, Arguments<'_>> {
    let mut parts = command;
    let name = parts.next().unwrap_or_default();
    let spec = spec::find(name).ok_or(CommandError::InvalidCommand)?;
    if !spec.parts.contains(&command.len()) {
        return Err(CommandError::InvalidArguments);
    }
    match spec.key_positions(command.len()).next() {
        Some(_) => Ok(command),
        None => Err(CommandError::NoKeys),
    }
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
            hello.credentials = Some(Credentials { user: Some(user), password });
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

fn tracking<'a>(state: &'a [u8], options: Arguments<'a>) -> Outcome<'a, Option<Tracking<'a>>> {
    let mut tracking = Tracking { mode: TrackingMode::All, no_loop: false, options };
    let mut left = options;
    let mut prefixed = false;
    while let Some(option) = left.next() {
        let mode = match option.to_ascii_lowercase().as_slice() {
            b"bcast" => TrackingMode::Broadcast,
            b"optin" => TrackingMode::OptIn,
            b"optout" => TrackingMode::OptOut,
            b"noloop" => {
                tracking.no_loop = true;
                continue;
            }
            b"prefix" => {
                Glob::new(left.next().ok_or(CommandError::Syntax)?)?;
                prefixed = true;
                continue;
            }
            b"redirect" if left.next() == Some(b"0") => continue,
            b"redirect" => return Err(CommandError::TrackingRedirect),
            _ => return Err(CommandError::Syntax),
        };
        if tracking.mode != TrackingMode::All && tracking.mode != mode {
            return Err(CommandError::TrackingModes);
        }
        tracking.mode = mode;
    }
    if prefixed && tracking.mode != TrackingMode::Broadcast {
        return Err(CommandError::TrackingPrefix);
    }
    match state.to_ascii_lowercase().as_slice() {
        b"on" => Ok(Some(tracking)),
        b"off" => Ok(None),
        _ => Err(CommandError::Syntax),
    }
}

fn yes_or_no(answer: &[u8]) -> Outcome<'_, bool> {
    match answer.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

fn on_or_off(state: &[u8]) -> Outcome<'_, Command<'_>> {
    let known = [b"on".as_slice(), b"off"].iter().any(|own| state.eq_ignore_ascii_case(own));
    if known { Ok(Command::Constant(Constant::Ok)) } else { Err(CommandError::Syntax) }
}
