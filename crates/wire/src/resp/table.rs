//! Every command, once: its name, how many parts it has and what is said of it.
//!
//! Dispatch, the checks before a command is read, the replies of `COMMAND` and the table of
//! docs/resp.md all come from [`COMMANDS`].
//!
//! Invariant: a name is found if and only if it is in the table, in any case of its letters.

use std::ops::RangeInclusive;

use stockd_model::limits::{RESP_ARRAY_PARTS_MAX, RESP_COMMAND_PARTS_MAX};

/// What is known of one command, or of one subcommand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) verb: Verb,
    /// In small letters; a subcommand with that of its command, as `client|id`.
    pub(super) name: &'static str,
    /// Parts that it may have, its name among them.
    pub(super) parts: RangeInclusive<usize>,
    /// What clients that route commands look at.
    pub(super) flags: &'static [&'static str],
    /// Where the symbols stand.
    pub(super) keys: Keys,
    /// The chapter in which Redis has it.
    pub(super) group: &'static str,
    /// Its arguments as documents write them.
    pub(super) arguments: &'static str,
    pub(super) summary: &'static str,
}

/// The positions of the first and last key of a command and the step from one to the next, as
/// `COMMAND` gives them: a last key of -1 is the last part, and all zero is a command without.
pub(super) type Keys = (i64, i64, i64);

const NO_KEY: Keys = (0, 0, 0);
const ONE_KEY: Keys = (1, 1, 1);
const ALL_KEYS: Keys = (1, -1, 1);

const READ: &[&str] = &["readonly", "fast"];
const BROWSE: &[&str] = &["readonly"];
const WRITE: &[&str] = &["write", "fast"];
const CONNECTION: &[&str] = &["noscript", "loading", "stale", "fast"];
const ENTRANCE: &[&str] = &["noscript", "loading", "stale", "fast", "no_auth"];
const PUBSUB: &[&str] = &["pubsub", "noscript", "loading", "stale"];

/// As many parts as a command may have that is executed part by part.
const STREAMED: usize = RESP_ARRAY_PARTS_MAX;
/// As many parts as a command may have that is executed as a whole.
const WHOLE: usize = RESP_COMMAND_PARTS_MAX;

/// Declares the commands: the enum to dispatch on and the table, in the same order.
macro_rules! commands {
    ($($verb:ident $name:literal $parts:expr, $flags:ident $keys:ident $group:literal,
       $arguments:literal, $summary:literal;)*) => {
        /// A command or subcommand.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Verb {
            $($verb,)*
        }

        /// Every command, those that are asked most first. A subcommand stands somewhere behind
        /// its command.
        pub(super) static COMMANDS: [Spec; [$($name),*].len()] = [$(Spec {
            verb: Verb::$verb,
            name: $name,
            parts: $parts,
            flags: $flags,
            keys: $keys,
            group: $group,
            arguments: $arguments,
            summary: $summary,
        },)*];

        /// The names of [`COMMANDS`], packed.
        static NAMES: [u128; COMMANDS.len()] = [$(packed_literal($name),)*];
    };
}

commands! {
    Get "get" 2..=2, READ ONE_KEY "string", "symbol",
        "The price; 0 while halted or exhausted; nil if not listed";
    MGet "mget" 2..=STREAMED, READ ALL_KEYS "string", "symbol [symbol …]",
        "The same for any number of stocks";
    HSet "hset" 4..=WHOLE, WRITE ONE_KEY "hash",
        "symbol field value [field value …]",
        "Lists a stock or updates the given fields, all at once; the number of new fields";
    HIncrBy "hincrby" 4..=4, WRITE ONE_KEY "hash", "symbol volume n",
        "Gives n shares back, or takes them where n is negative; the volume left";
    Set "set" 3..=WHOLE, WRITE ONE_KEY "string", "symbol price",
        "Updates the price of a listed stock";
    HGetAll "hgetall" 2..=2, READ ONE_KEY "hash", "symbol",
        "The quote: its fields and their values, but for those that are absent";
    HGet "hget" 3..=3, READ ONE_KEY "hash", "symbol field",
        "One field of the quote; nil if there is none";
    HMGet "hmget" 3..=WHOLE, READ ONE_KEY "hash", "symbol field [field …]",
        "Several fields of the quote";
    Exists "exists" 2..=STREAMED, READ ALL_KEYS "generic", "symbol [symbol …]",
        "How many of the stocks are listed";
    Del "del" 2..=STREAMED, WRITE ALL_KEYS "generic", "symbol [symbol …]",
        "Delists stocks; how many were listed";
    Type "type" 2..=2, READ ONE_KEY "generic", "symbol",
        "hash if the stock is listed, none if not";
    DbSize "dbsize" 1..=1, READ NO_KEY "server", "",
        "How many stocks are listed";
    Snapshot "snapshot" 1..=2, BROWSE NO_KEY "generic", "[NEXT]",
        "Quotes of the catalog as it is now, and with NEXT further ones of that moment; nil after the last";
    Scan "scan" 2..=8, BROWSE NO_KEY "generic",
        "cursor [MATCH pattern] [COUNT n] [TYPE type]",
        "The next symbols of a walk over all stocks, and the cursor to go on from";
    Keys "keys" 2..=2, BROWSE NO_KEY "generic", "pattern",
        "All symbols that match, at most 100,000";
    Subscribe "subscribe" 2..=STREAMED, PUBSUB NO_KEY "pubsub", "symbol [symbol …]",
        "The quote of each stock now, and again whenever it changes";
    PSubscribe "psubscribe" 2..=STREAMED, PUBSUB NO_KEY "pubsub", "pattern [pattern …]",
        "The same for all stocks that match, those listed later too";
    Unsubscribe "unsubscribe" 1..=STREAMED, PUBSUB NO_KEY "pubsub", "[symbol …]",
        "Ends subscriptions to these stocks, or to all";
    PUnsubscribe "punsubscribe" 1..=STREAMED, PUBSUB NO_KEY "pubsub", "[pattern …]",
        "Ends subscriptions to these patterns, or to all";
    Multi "multi" 1..=1, CONNECTION NO_KEY "transactions", "",
        "Begins a transaction: the commands that follow are queued";
    Exec "exec" 1..=1, CONNECTION NO_KEY "transactions", "",
        "Executes what is queued as one; nil if a watched stock has changed";
    Discard "discard" 1..=1, CONNECTION NO_KEY "transactions", "",
        "Forgets what is queued, and what is watched";
    Watch "watch" 2..=WHOLE, CONNECTION ALL_KEYS "transactions", "symbol [symbol …]",
        "The next EXEC executes nothing if one of the stocks has changed by then";
    Unwatch "unwatch" 1..=1, CONNECTION NO_KEY "transactions", "",
        "Forgets what is watched";
    Ping "ping" 1..=2, CONNECTION NO_KEY "connection", "[message]",
        "PONG, or the message";
    Echo "echo" 2..=2, CONNECTION NO_KEY "connection", "message",
        "The message";
    Hello "hello" 1..=WHOLE, ENTRANCE NO_KEY "connection",
        "[2|3 [AUTH user password] [SETNAME name]]",
        "Chooses RESP2 or RESP3; what the server is";
    Auth "auth" 2..=3, ENTRANCE NO_KEY "connection", "[user] password",
        "Shows a token to the server";
    Select "select" 2..=2, CONNECTION NO_KEY "connection", "0",
        "OK: there is one database, 0";
    Quit "quit" 1..=WHOLE, ENTRANCE NO_KEY "connection", "",
        "OK, and closes the connection";
    Reset "reset" 1..=1, ENTRANCE NO_KEY "connection", "",
        "Makes the connection as it was when it was new";
    Client "client" 2..=WHOLE, CONNECTION NO_KEY "connection", "subcommand",
        "What is known of connections";
    ClientId "client|id" 2..=2, CONNECTION NO_KEY "connection", "",
        "The number of this connection";
    ClientInfo "client|info" 2..=2, CONNECTION NO_KEY "connection", "",
        "This connection as a line of text";
    ClientList "client|list" 2..=2, CONNECTION NO_KEY "connection", "",
        "The connections as lines of text";
    ClientGetName "client|getname" 2..=2, CONNECTION NO_KEY "connection", "",
        "The name of this connection; nil if it has none";
    ClientSetName "client|setname" 3..=3, CONNECTION NO_KEY "connection", "name",
        "Names this connection; an empty name takes the name away";
    ClientSetInfo "client|setinfo" 4..=4, CONNECTION NO_KEY "connection",
        "lib-name|lib-ver value",
        "Says which client library is used";
    ClientNoEvict "client|no-evict" 3..=3, CONNECTION NO_KEY "connection", "on|off",
        "OK: nobody is evicted";
    Command "command" 1..=WHOLE, CONNECTION NO_KEY "server", "[subcommand]",
        "Every command: name, arity, flags, keys";
    CommandCount "command|count" 2..=2, CONNECTION NO_KEY "server", "",
        "How many commands there are";
    CommandInfo "command|info" 2..=WHOLE, CONNECTION NO_KEY "server", "[name …]",
        "The named commands, or all, as COMMAND gives them";
    CommandDocs "command|docs" 2..=WHOLE, CONNECTION NO_KEY "server", "[name …]",
        "What the named commands, or all, are for";
    Config "config" 2..=WHOLE, CONNECTION NO_KEY "server", "subcommand",
        "Settings of the server";
    ConfigGet "config|get" 3..=WHOLE, CONNECTION NO_KEY "server", "pattern [pattern …]",
        "The settings whose names match, as far as clients ask for them";
    Info "info" 1..=WHOLE, CONNECTION NO_KEY "server", "[section …]",
        "The state of the server as lines of text";
    Time "time" 1..=1, CONNECTION NO_KEY "server", "",
        "The server's clock: Unix time in seconds, and microseconds";
}

/// The command of this name, in any case.
#[inline]
pub(super) fn find(name: &[u8]) -> Option<&'static Spec> {
    find_any(name).filter(|spec| !spec.is_subcommand())
}

/// The command or subcommand (`client|id`) of this name, in any case.
#[inline]
pub(super) fn find_any(name: &[u8]) -> Option<&'static Spec> {
    let packed = packed(name)?;
    let index = NAMES.iter().position(|&own| own == packed)?;
    COMMANDS.get(index)
}

impl Spec {
    /// The subcommand of this name, in any case.
    pub(super) fn find_subcommand(&self, name: &[u8]) -> Option<&'static Spec> {
        find_any(&[self.name.as_bytes(), b"|", name].concat())
    }

    /// Its subcommands.
    pub(super) fn subcommands(&self) -> impl Iterator<Item = &'static Spec> + Clone {
        let command = self.name;
        let is_own = move |name: &str| name.split_once('|').is_some_and(|(own, _)| own == command);
        COMMANDS.iter().filter(move |spec| is_own(spec.name))
    }

    pub(super) fn is_subcommand(&self) -> bool {
        self.name.contains('|')
    }

    /// Whether it is executed part by part as they come.
    #[inline]
    pub(super) fn is_streamed(&self) -> bool {
        *self.parts.end() == STREAMED
    }

    /// Whether a subscribed RESP2 connection may give it.
    pub(super) fn is_for_subscribed(&self) -> bool {
        self.group == "pubsub" || matches!(self.verb, Verb::Ping | Verb::Quit | Verb::Reset)
    }

    /// Whether it is executed at once while a transaction is queued.
    pub(super) fn is_for_queueing(&self) -> bool {
        use Verb::{Discard, Exec, Multi, Quit, Reset, Watch};
        matches!(self.verb, Multi | Exec | Discard | Watch | Quit | Reset)
    }

    /// Whether it may be queued: it reads or writes stocks that it names, or says no more than it was
    /// told. Its reply is not much longer than itself, or is one quote.
    pub(super) fn may_be_queued(&self) -> bool {
        use Verb::{Echo, Ping, Select, Time, Unwatch};
        [READ, WRITE].contains(&self.flags)
            || matches!(self.verb, Echo | Ping | Select | Time | Unwatch)
    }

    /// The number of parts as Redis puts it: negative where there may be more.
    pub(super) fn arity(&self) -> i64 {
        let least = *self.parts.start() as i64;
        if self.parts.start() == self.parts.end() { least } else { -least }
    }
}

/// All top-level commands.
pub(super) fn commands() -> impl Iterator<Item = &'static Spec> + Clone {
    COMMANDS.iter().filter(|spec| !spec.is_subcommand())
}

/// Bytes of the longest name that can be packed: the last byte of the word is its length.
const NAME_BYTES_MAX: usize = size_of::<u128>() - 1;

/// A name in one word, to be compared at once. `None` for one longer than any in the table.
#[inline]
fn packed(name: &[u8]) -> Option<u128> {
    let mut bytes = [0; NAME_BYTES_MAX + 1];
    bytes[NAME_BYTES_MAX] = name.len() as u8;
    for (byte, &given) in bytes[..NAME_BYTES_MAX].get_mut(..name.len())?.iter_mut().zip(name) {
        *byte = given.to_ascii_lowercase();
    }
    Some(u128::from_le_bytes(bytes))
}

const fn packed_literal(name: &str) -> u128 {
    let name = name.as_bytes();
    assert!(name.len() <= NAME_BYTES_MAX, "a name too long to be packed");
    let mut bytes = [0; NAME_BYTES_MAX + 1];
    bytes[NAME_BYTES_MAX] = name.len() as u8;
    let mut index = 0;
    while index < name.len() {
        assert!(!name[index].is_ascii_uppercase(), "a name in capitals");
        bytes[index] = name[index];
        index += 1;
    }
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_nothing_else_is() {
        for spec in &COMMANDS {
            assert_eq!(find_any(spec.name.as_bytes()), Some(spec));
            assert_eq!(find_any(spec.name.to_uppercase().as_bytes()), Some(spec));
            assert_eq!(find(spec.name.as_bytes()).is_some(), !spec.is_subcommand());
        }
        for name in
            ["", "ge", "gett", "eval", "client\\id", "no-such-command-at-all", "g\x05t", "get\0"]
        {
            assert_eq!(find(name.as_bytes()), None, "{name}");
            assert_eq!(find_any(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn every_subcommand_has_its_command() {
        for spec in COMMANDS.iter().filter(|spec| spec.is_subcommand()) {
            let (command, name) = spec.name.split_once('|').unwrap();
            let command = find(command.as_bytes()).unwrap();
            assert_eq!(command.find_subcommand(name.as_bytes()), Some(spec));
            assert!(command.subcommands().any(|own| own == spec));
        }
    }

    #[test]
    fn arity_is_negative_where_there_may_be_more_parts() {
        let arity = |name: &str| find_any(name.as_bytes()).unwrap().arity();
        assert_eq!(["get", "mget", "ping", "hincrby", "client|id"].map(arity), [2, -2, -1, 4, 2]);
    }
}
