//! Why a command is refused, as the one line that its client reads.
//!
//! A line begins with the code that clients look at (`ERR`, `NOAUTH`, …). The words are those of
//! Redis where clients or people know them, and ours where Redis has no such case.
//!
//! Invariant: a refused command changes nothing, and the connection goes on.

use std::fmt;

use stockd_model::limits::{
    CLIENT_NAME_BYTES_MAX, FEED_TTL_MAX, FEED_TTL_MIN, PATTERN_BYTES_MAX, RESP_COMMAND_BYTES_MAX,
    STREAM_INTERVAL_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX, TRANSACTION_PARTS_MAX,
    WATCHED_STOCKS_MAX,
};
use stockd_model::{
    FeedNameError, FieldError, PriceError, Refusal, Right, SharesError, SymbolError,
};

use super::absent;
use super::arguments::Arguments;

/// A command was refused. Nothing changed, and the connection goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError<'a> {
    /// There is no such command.
    #[error("ERR unknown command '{}'{}", Shown(.name), Remedy(name, .arguments))]
    UnknownCommand {
        /// What it is called.
        name: &'a [u8],
        /// Its first arguments.
        arguments: Arguments<'a>,
    },
    /// The command has no such subcommand.
    #[error("ERR unknown subcommand '{}' of '{command}'{}", Shown(.name), SubRemedy(command, .name))]
    UnknownSubcommand {
        /// The command.
        command: &'static str,
        /// What its subcommand is called.
        name: &'a [u8],
    },
    /// Too few arguments, or more than the command has.
    #[error("ERR wrong number of arguments for '{command}' command")]
    WrongArity {
        /// The command.
        command: &'static str,
    },
    /// More parts than a command that is executed as a whole may have.
    #[error("ERR '{command}' command has {parts} parts, the limit is {most}; send several")]
    TooManyParts {
        /// The command.
        command: &'static str,
        /// Its parts, its name among them.
        parts: usize,
        /// As many as it may have.
        most: usize,
    },
    /// More bytes than a command that is executed as a whole may have.
    #[error("ERR '{command}' command is longer than {RESP_COMMAND_BYTES_MAX} bytes, the limit")]
    TooManyBytes {
        /// The command.
        command: &'static str,
    },
    /// Arguments that make no sense together.
    #[error("ERR syntax error")]
    Syntax,
    /// `HSETROWS` or `HGETROWS` with a number of fields that there cannot be.
    #[error("ERR the first argument of {command} is the number of fields of a row: 1 to {most}")]
    RowFields {
        /// The command.
        command: &'static str,
        /// Fields of a row, at most.
        most: usize,
    },
    /// `HSETROWS` with rows that are not whole, or one of the two without any.
    #[error(
        "ERR {command} has {parts} parts of rows, and a row of {fields} fields has {row_parts}"
    )]
    RowParts {
        /// The command.
        command: &'static str,
        /// Parts behind the names of the fields.
        parts: usize,
        /// Fields of a row.
        fields: usize,
        /// Parts of a row.
        row_parts: usize,
    },
    /// `HDEL` of a field that every quote has.
    #[error("ERR field '{0}' is there in every quote; DEL delists the stock")]
    Needed(&'static str),
    /// `SET` with an option.
    #[error(
        "ERR syntax error: SET takes no '{}': a price stays until the next update; use WATCH, MULTI and EXEC to depend on what is there",
        Shown(.0)
    )]
    SetOption(&'a [u8]),
    /// `CLIENT TRACKING` with another connection to tell.
    #[error(
        "ERR invalidations come on the connection that reads, as pushes of RESP3: there is no REDIRECT; use HELLO 3 and CLIENT TRACKING ON"
    )]
    TrackingRedirect,
    /// `CLIENT TRACKING` with two modes at once.
    #[error("ERR BCAST, OPTIN and OPTOUT cannot be used together")]
    TrackingModes,
    /// `CLIENT TRACKING` with a prefix, but not for all changes.
    #[error("ERR PREFIX option requires BCAST mode to be enabled")]
    TrackingPrefix,
    /// `CLIENT TRACKING` where invalidations cannot be told.
    #[error(
        "ERR CLIENT TRACKING needs RESP3, in which invalidations can be told; send HELLO 3 first"
    )]
    TrackingNeedsResp3,
    /// `HELLO 2` while reads are tracked.
    #[error(
        "ERR RESP2 has no invalidations, and reads are tracked; send CLIENT TRACKING OFF first"
    )]
    Resp2WhileTracking,
    /// `CLIENT TRACKING ON` in another mode than before.
    #[error(
        "ERR You can't switch the mode of tracking while it is on; send CLIENT TRACKING OFF first"
    )]
    TrackingModeSwitched,
    /// `CLIENT CACHING` where it means nothing.
    #[error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
    )]
    CachingWithoutTracking,
    /// `CLIENT CACHING` that says what is so anyway.
    #[error("ERR CLIENT CACHING YES is for tracking with OPTIN, and NO for OPTOUT")]
    CachingOtherMode,
    /// `COMMAND GETKEYS` of something that is no command.
    #[error("ERR Invalid command specified")]
    InvalidCommand,
    /// `COMMAND GETKEYS` of a command with too few parts, or too many.
    #[error("ERR Invalid number of arguments specified for command")]
    InvalidArguments,
    /// `COMMAND GETKEYS` of a command without symbols.
    #[error("ERR The command has no key arguments")]
    NoKeys,
    /// `CLIENT LIST` of a type that there is not.
    #[error("ERR Unknown client type '{}'", Shown(.0))]
    ClientType(&'a [u8]),
    /// `CLIENT KILL` of a user that there is not.
    #[error("ERR No such user '{}'", Shown(.0))]
    NoSuchUser(&'a [u8]),
    /// `CLIENT KILL` of one connection that is not there.
    #[error("ERR No such client")]
    NoSuchClient,
    /// `CLIENT KILL ID` of something that is no number of a connection.
    #[error("ERR client-id should be greater than 0")]
    KilledId,
    /// `CLIENT KILL MAXAGE` of something that is no number of seconds.
    #[error("ERR maxage is not an integer or out of range")]
    KilledAge,
    /// `CLIENT INTERVAL` of something that is no number of milliseconds.
    #[error(
        "ERR interval '{}' is no number of milliseconds from 0 to {}",
        Shown(.0),
        STREAM_INTERVAL_MAX.as_millis()
    )]
    Interval(&'a [u8]),
    /// `CLIENT LIST ID` of something that is no number of a connection.
    #[error("ERR Invalid client ID")]
    ClientId,
    /// A wrong token; or, where there are none, `AUTH` as somebody else than the user `default`.
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongUser,
    /// An argument is no whole number, or does not fit 64 bits.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// `HINCRBYFLOAT` of a text that is no number of shares.
    #[error("ERR {0}")]
    Shares(SharesError),
    /// A write to a name that no stock can have.
    #[error("ERR {0}")]
    Symbol(SymbolError),
    /// A text that is no price.
    #[error("ERR {0}")]
    Price(PriceError),
    /// A write of a field with a text that is no value of it, or of a field that only the server sets.
    #[error("ERR {0}")]
    Field(FieldError),
    /// A write to a field that quotes do not have.
    #[error(
        "ERR unknown field '{}': the fields to set are price, volume, bid, ask, bid_size, ask_size, status and time",
        Shown(.0)
    )]
    UnknownField(&'a [u8]),
    /// `HGETROWS` of a field that quotes do not have.
    #[error(
        "ERR unknown field '{}': the fields of a quote are symbol, price, volume, bid, ask, bid_size, ask_size, status, time, version, updated, feed and feed_state",
        Shown(.0)
    )]
    NoSuchField(&'a [u8]),
    /// `HINCRBY` or `HINCRBYFLOAT` of another field than the volume.
    #[error("ERR field '{0}' cannot be incremented: HINCRBY is for volume, HSET sets the others")]
    NotIncremented(&'static str),
    /// `SCAN` from a cursor that no `SCAN` has given.
    #[error("ERR invalid cursor")]
    InvalidCursor,
    /// A pattern above its limit.
    #[error("ERR the pattern is {bytes} bytes long, the limit is {PATTERN_BYTES_MAX}")]
    PatternTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// Another database than the one there is.
    #[error("ERR DB index is out of range")]
    DbIndex,
    /// `HELLO` asks for another version than 2 or 3.
    #[error("NOPROTO unsupported protocol version")]
    UnsupportedProtocol,
    /// `HELLO` asks for a version that is no number.
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolNotAnInteger,
    /// `HELLO` has something behind the version that it does not know.
    #[error("ERR Syntax error in HELLO option '{}'", Shown(.0))]
    HelloOption(&'a [u8]),
    /// `CLIENT SETINFO` of something else than `lib-name` and `lib-ver`.
    #[error("ERR Unrecognized option '{}'", Shown(.0))]
    ClientOption(&'a [u8]),
    /// The name of a connection or library has characters that would break the client list.
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    /// The name of a connection or library is above its limit.
    #[error("ERR the client name is {bytes} bytes long, the limit is {CLIENT_NAME_BYTES_MAX}")]
    ClientNameTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// The server has tokens, and the client has not shown one.
    #[error("NOAUTH Authentication required.")]
    NotAuthenticated,
    /// `HELLO` before a token is shown.
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
    )]
    HelloNotAuthenticated,
    /// A feed cannot have this name.
    #[error("ERR {0}")]
    FeedName(FeedNameError),
    /// A feed cannot be silent for this time.
    #[error(
        "ERR the ttl of a feed is {} to {} ms, a whole number",
        FEED_TTL_MIN.as_millis(),
        FEED_TTL_MAX.as_millis()
    )]
    FeedTtl,
    /// What a feed says of itself, where none is open.
    #[error("ERR no feed is open on this connection; open one with FEED OPEN name ttl-ms")]
    NoFeed,
    /// The client may not give this command.
    #[error(
        "NOPERM User has no permissions to run the '{command}' command: it needs the right '{right}'"
    )]
    NotPermitted {
        /// The command.
        command: &'static str,
        /// What it needs.
        right: Right,
    },
    /// `DBSIZE` in a transaction of a client that does not read all stocks.
    #[error(
        "ERR Command not allowed inside a transaction: 'dbsize' counts the stocks that this user may read one by one; give it before MULTI or after EXEC"
    )]
    CountInTransaction,
    /// `AUTH` where the server asks for no tokens.
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
    )]
    NoPasswordConfigured,
    /// A command that cannot be part of a transaction.
    #[error(
        "ERR Command not allowed inside a transaction: '{command}'; give it before MULTI or after EXEC"
    )]
    NotInTransaction {
        /// The command.
        command: &'static str,
    },
    /// One command more than a transaction may have.
    #[error(
        "ERR the transaction has {TRANSACTION_COMMANDS_MAX} commands, the limit; execute several"
    )]
    TransactionCommands,
    /// More parts than the commands of a transaction may have.
    #[error(
        "ERR the commands of the transaction have more than {TRANSACTION_PARTS_MAX} parts, the limit; execute several"
    )]
    TransactionParts,
    /// More bytes than the commands of a transaction may have.
    #[error(
        "ERR the commands of the transaction have more than {TRANSACTION_BYTES_MAX} bytes, the limit; execute several"
    )]
    TransactionBytes,
    /// `EXEC` of a transaction of which a command could not be queued.
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    TransactionAborted,
    /// `MULTI` within a transaction.
    #[error("ERR MULTI calls can not be nested")]
    NestedMulti,
    /// `EXEC` where no transaction was begun.
    #[error("ERR EXEC without MULTI")]
    ExecWithoutMulti,
    /// `DISCARD` where no transaction was begun.
    #[error("ERR DISCARD without MULTI")]
    DiscardWithoutMulti,
    /// `WATCH` within a transaction.
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInsideMulti,
    /// `WATCH` of more stocks than a connection may watch.
    #[error("ERR {WATCHED_STOCKS_MAX} stocks are watched, the limit; execute or UNWATCH first")]
    TooManyWatched,
    /// A RESP2 connection that is subscribed can receive nothing but messages.
    #[error(
        "ERR Can't execute '{command}': only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    )]
    Subscribed {
        /// The command.
        command: &'static str,
    },
}

/// What the engine refused, with the command that helps.
pub(super) struct Refused<'a>(pub(super) &'a Refusal);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refusal::NotListed(symbol) => write!(
                f,
                "ERR stock '{symbol}' is not listed; list it with HSET '{symbol}' price <price>"
            ),
            // Of writes that the disk does not take, and of late ones, clients know by the code.
            refusal => write!(f, "{} {refusal}", refusal.problem().resp_code()),
        }
    }
}

impl CommandError<'_> {
    /// Whether a write was refused for what is written in it.
    pub fn is_of_a_write(&self) -> bool {
        matches!(
            self,
            CommandError::Symbol(_)
                | CommandError::Price(_)
                | CommandError::Shares(_)
                | CommandError::Field(_)
                | CommandError::UnknownField(_)
                | CommandError::NotIncremented(_)
                | CommandError::SetOption(_)
        )
    }
}

/// Bytes of names and arguments that an error repeats, at most, each.
pub(super) const SHOWN_BYTES_MAX: usize = 128;

/// What a client sent, shortened.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES_MAX)];
        f.write_str(&String::from_utf8_lossy(shown))
    }
}

/// What to do instead of a command that Redis has, or else how an unknown one begins.
struct Remedy<'a>(&'a [u8], &'a Arguments<'a>);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match absent::instead(self.0) {
            Some(instead) => write!(f, ": {instead}"),
            None => Beginning(self.1).fmt(f),
        }
    }
}

/// The same of a subcommand.
struct SubRemedy<'a>(&'static str, &'a [u8]);

impl fmt::Display for SubRemedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SubRemedy(command, name) = self;
        match absent::instead(&[command.as_bytes(), b"|", name].concat()) {
            Some(instead) => write!(f, ": {instead}"),
            None => write!(f, "; see {} HELP", command.to_uppercase()),
        }
    }
}

/// The first arguments of an unknown command, if it has any.
struct Beginning<'a>(&'a Arguments<'a>);

impl fmt::Display for Beginning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = SHOWN_BYTES_MAX;
        for (index, argument) in (*self.0).enumerate() {
            if room == 0 {
                break;
            }
            f.write_str(if index == 0 { ", with args beginning with: " } else { " " })?;
            let shown = argument.len().min(room);
            write!(f, "'{}'", Shown(&argument[..shown]))?;
            room -= shown;
        }
        Ok(())
    }
}
