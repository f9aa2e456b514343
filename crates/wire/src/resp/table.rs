//! Every command, once: its name, how many parts it has and what is said of it.
//!
//! Dispatch, the checks before a command is read, the replies of `COMMAND` and the table of
//! docs/resp.md all come from [`COMMANDS`]. What can be learned from a row is in
//! [`spec`](super::spec), and what Redis has and this server has not in [`absent`](super::absent).
//!
//! Invariant: a subcommand stands somewhere behind its command.

use std::ops::RangeInclusive;

use stockd_model::Right;
use stockd_model::limits::{
    RESP_ARRAY_PARTS_MAX, RESP_COMMAND_PARTS_MAX, TRANSACTION_COMMANDS_MAX,
};

/// What is known of one command, or of one subcommand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) verb: Verb,
    /// In small letters; a subcommand with that of its command, as `client|id`.
    pub(super) name: &'static str,
    /// Parts that it may have, its name among them.
    pub(super) parts: RangeInclusive<usize>,
    pub(super) kind: Kind,
    /// Where the symbols stand.
    pub(super) keys: Keys,
    /// The chapter in which Redis has it.
    pub(super) group: &'static str,
    /// Its arguments as documents write them.
    pub(super) arguments: &'static str,
    pub(super) summary: &'static str,
}

/// What a command is, to those who route it and to those who may give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// What clients that route commands look at.
    pub(super) flags: &'static [&'static str],
    /// What one must be allowed to do in order to give it, any of these, with some stock at least; none for
    /// what concerns the connection alone.
    pub(super) rights: &'static [Right],
}

/// The positions of the first and last key of a command and the step from one to the next, as
/// `COMMAND` gives them: a last key of -1 is the last part, and all zero is a command without.
pub(super) type Keys = (i64, i64, i64);

const NO_KEY: Keys = (0, 0, 0);
const ONE_KEY: Keys = (1, 1, 1);
const ALL_KEYS: Keys = (1, -1, 1);
const PAIRED_KEYS: Keys = (1, -1, 2);
const SECOND_KEY: Keys = (2, 2, 1);

const fn kind(flags: &'static [&'static str], rights: &'static [Right]) -> Kind {
    Kind { flags, rights }
}

const AT_ONCE: &[&str] = &["noscript", "loading", "stale", "fast"];
const OF_PUBSUB: &[&str] = &["pubsub", "noscript", "loading", "stale"];

pub(super) const READ: Kind = kind(&["readonly", "fast"], &[Right::Read]);
const BROWSE: Kind = kind(&["readonly"], &[Right::Read]);
/// An administrator sees all.
const BROWSE_ALL: Kind = kind(&["readonly"], &[Right::Read, Right::Admin]);
pub(super) const WRITE: Kind = kind(&["write", "fast"], &[Right::Write]);
pub(super) const TRADE: Kind = kind(&["write", "fast"], &[Right::Trade]);
const CONNECTION: Kind = kind(AT_ONCE, &[]);
const ENTRANCE: Kind = kind(&["noscript", "loading", "stale", "fast", "no_auth"], &[]);
const WATCHING: Kind = kind(AT_ONCE, &[Right::Read]);
const PUBSUB: Kind = kind(OF_PUBSUB, &[Right::Read]);
/// What waits for the log of a cluster, and for nothing elsewhere.
const FENCING: Kind = kind(&["noscript"], &[Right::Read]);
/// What ends subscriptions, or says no more of them than how they are asked for.
const PUBSUB_END: Kind = kind(OF_PUBSUB, &[]);
const PUBSUB_COUNT: Kind = kind(OF_PUBSUB, &[Right::Metrics]);
/// What a feed says of itself.
const FEEDING: Kind = kind(AT_ONCE, &[Right::Write]);
/// Who writes may see which feeds there are.
const FEEDS: Kind = kind(AT_ONCE, &[Right::Write, Right::Metrics, Right::Admin]);
const ADMIN: Kind = kind(&["admin", "noscript", "loading", "stale"], &[Right::Admin]);

/// As many parts as a command may have that is executed part by part.
pub(super) const STREAMED: usize = RESP_ARRAY_PARTS_MAX;
/// As many parts as a command may have that is executed as a whole.
const WHOLE: usize = RESP_COMMAND_PARTS_MAX;
/// As many as one that is a transaction: a name and a value for each of its updates.
const PAIRS: usize = 1 + 2 * TRANSACTION_COMMANDS_MAX;

/// Declares the commands: the enum to dispatch on and the table, in the same order.
macro_rules! commands {
    ($($verb:ident $name:literal $parts:expr, $kind:ident $keys:ident $group:literal,
       $arguments:literal, $summary:literal;)*) => {
        /// A command or subcommand.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Verb {
            $($verb,)*
        }

        /// Every command, those that are asked most first.
        pub(super) static COMMANDS: [Spec; [$($name),*].len()] = [$(Spec {
            verb: Verb::$verb,
            name: $name,
            parts: $parts,
            kind: $kind,
            keys: $keys,
            group: $group,
            arguments: $arguments,
            summary: $summary,
        },)*];
    };
}

commands! {
    Get "get" 2..=2, READ ONE_KEY "string", "symbol",
        "The price; 0 while halted or exhausted; nil if not listed";
    MGet "mget" 2..=STREAMED, READ ALL_KEYS "string", "symbol [symbol …]",
        "The same for any number of stocks";
    HMGetAll "hmgetall" 2..=STREAMED, READ ALL_KEYS "hash", "symbol [symbol …]",
        "The quote of each stock, as HGETALL gives it";
    HSet "hset" 4..=WHOLE, WRITE ONE_KEY "hash",
        "symbol field value [field value …]",
        "Lists a stock or updates the given fields, all at once; the number of new fields";
    HSetRows "hsetrows" 5..=STREAMED, WRITE NO_KEY "hash",
        "count field [field …] symbol value [value …] [row …]",
        "As HSET of each stock, with this number of fields of these names; how many rows were written";
    HIncrBy "hincrby" 4..=4, TRADE ONE_KEY "hash", "symbol volume n",
        "Gives n shares back, or takes them where n is negative; the volume left";
    HIncrByFloat "hincrbyfloat" 4..=4, TRADE ONE_KEY "hash", "symbol volume n",
        "As HINCRBY, and n may be any exact decimal; the volume left, as a text";
    Set "set" 3..=WHOLE, WRITE ONE_KEY "string", "symbol price",
        "Updates the price of a listed stock";
    HGetAll "hgetall" 2..=2, READ ONE_KEY "hash", "symbol",
        "The quote: its fields and their values, but for those that are absent";
    HGet "hget" 3..=3, READ ONE_KEY "hash", "symbol field",
        "One field of the quote; nil if there is none";
    HMGet "hmget" 3..=WHOLE, READ ONE_KEY "hash", "symbol field [field …]",
        "Several fields of the quote";
    HGetRows "hgetrows" 4..=STREAMED, READ NO_KEY "hash",
        "count field [field …] symbol [symbol …]",
        "As HMGET of each stock, with this number of fields of these names";
    Exists "exists" 2..=STREAMED, READ ALL_KEYS "generic", "symbol [symbol …]",
        "How many of the stocks are listed";
    Del "del" 2..=STREAMED, WRITE ALL_KEYS "generic", "symbol [symbol …]",
        "Delists stocks; how many were listed";
    Unlink "unlink" 2..=STREAMED, WRITE ALL_KEYS "generic", "symbol [symbol …]",
        "As DEL";
    Touch "touch" 2..=STREAMED, READ ALL_KEYS "generic", "symbol [symbol …]",
        "As EXISTS";
    HMSet "hmset" 4..=WHOLE, WRITE ONE_KEY "hash",
        "symbol field value [field value …]",
        "As HSET, and answers OK";
    MSet "mset" 3..=PAIRS, WRITE PAIRED_KEYS "string", "symbol price [symbol price …]",
        "Updates the prices of up to 1,024 listed stocks as one, or of none where one of them is not listed";
    HDel "hdel" 3..=WHOLE, WRITE ONE_KEY "hash", "symbol field [field …]",
        "Takes away fields that a quote need not have; how many it had";
    StrLen "strlen" 2..=2, READ ONE_KEY "string", "symbol",
        "The length of what GET answers; 0 if not listed";
    HLen "hlen" 2..=2, READ ONE_KEY "hash", "symbol",
        "How many fields the quote has; 0 if not listed";
    HKeys "hkeys" 2..=2, READ ONE_KEY "hash", "symbol",
        "The names of the fields that the quote has";
    HVals "hvals" 2..=2, READ ONE_KEY "hash", "symbol",
        "The values of the fields that the quote has";
    HExists "hexists" 3..=3, READ ONE_KEY "hash", "symbol field",
        "1 if the quote has the field, 0 if not";
    HStrLen "hstrlen" 3..=3, READ ONE_KEY "hash", "symbol field",
        "The length of a field; 0 if there is none";
    HScan "hscan" 3..=8, READ ONE_KEY "hash",
        "symbol cursor [MATCH pattern] [COUNT n] [NOVALUES]",
        "The quote as HGETALL gives it, the fields that match, in one page";
    Type "type" 2..=2, READ ONE_KEY "generic", "symbol",
        "hash if the stock is listed, none if not";
    Ttl "ttl" 2..=2, READ ONE_KEY "generic", "symbol",
        "-1, since no stock expires; -2 if not listed";
    PTtl "pttl" 2..=2, READ ONE_KEY "generic", "symbol", "As TTL";
    ExpireTime "expiretime" 2..=2, READ ONE_KEY "generic", "symbol", "As TTL";
    PExpireTime "pexpiretime" 2..=2, READ ONE_KEY "generic", "symbol", "As TTL";
    Persist "persist" 2..=2, READ ONE_KEY "generic", "symbol", "0, since no stock expires";
    DbSize "dbsize" 1..=1, READ NO_KEY "server", "",
        "How many stocks are listed";
    RandomKey "randomkey" 1..=1, BROWSE NO_KEY "generic", "",
        "Some stock that is listed; nil if none is";
    Snapshot "snapshot" 1..=2, BROWSE_ALL NO_KEY "generic", "[NEXT]",
        "Quotes of the catalog as it is now, and with NEXT further ones of that moment; nil after the last";
    Scan "scan" 2..=8, BROWSE NO_KEY "generic",
        "cursor [MATCH pattern] [COUNT n] [TYPE type]",
        "The next symbols of a walk over all stocks, and the cursor to go on from";
    Keys "keys" 2..=2, BROWSE NO_KEY "generic", "pattern",
        "All symbols that match, at most 100,000";
    Object "object" 2..=WHOLE, READ SECOND_KEY "generic", "subcommand",
        "How a stock is kept";
    ObjectEncoding "object|encoding" 3..=3, READ SECOND_KEY "generic", "symbol",
        "hashtable, the catalog; nil if not listed";
    ObjectRefCount "object|refcount" 3..=3, READ SECOND_KEY "generic", "symbol",
        "1; nil if not listed";
    Memory "memory" 2..=WHOLE, BROWSE SECOND_KEY "server", "subcommand",
        "What stocks take";
    MemoryUsage "memory|usage" 3..=5, BROWSE SECOND_KEY "server", "symbol [SAMPLES n]",
        "Bytes: the stock's share of the catalog; nil if not listed";
    Subscribe "subscribe" 2..=STREAMED, PUBSUB NO_KEY "pubsub", "symbol [symbol …]",
        "The quote of each stock now, and again whenever it changes";
    PSubscribe "psubscribe" 2..=STREAMED, PUBSUB NO_KEY "pubsub", "pattern [pattern …]",
        "The same for all stocks that match, those listed later too";
    Unsubscribe "unsubscribe" 1..=STREAMED, PUBSUB_END NO_KEY "pubsub", "[symbol …]",
        "Ends subscriptions to these stocks, or to all";
    PUnsubscribe "punsubscribe" 1..=STREAMED, PUBSUB_END NO_KEY "pubsub", "[pattern …]",
        "Ends subscriptions to these patterns, or to all";
    PubSub "pubsub" 2..=WHOLE, PUBSUB_END NO_KEY "pubsub", "subcommand",
        "Who is subscribed to what";
    PubSubChannels "pubsub|channels" 2..=3, PUBSUB NO_KEY "pubsub", "[pattern]",
        "The symbols that somebody is subscribed to, or those that match, at most 100,000";
    PubSubNumSub "pubsub|numsub" 2..=WHOLE, PUBSUB NO_KEY "pubsub", "[symbol …]",
        "How many connections are subscribed to each symbol, those with patterns apart";
    PubSubNumPat "pubsub|numpat" 2..=2, PUBSUB_COUNT NO_KEY "pubsub", "",
        "How many patterns are subscribed to";
    Feed "feed" 2..=WHOLE, CONNECTION NO_KEY "server", "subcommand",
        "Feeds of market data, and whether they are alive";
    FeedOpen "feed|open" 4..=8, FEEDING NO_KEY "server",
        "name ttl-ms [ONSTALE mark|halt] [ONGAP mark|halt]",
        "Ties the writes of this connection to a feed, which is stale after this time without writes and beats";
    FeedBeat "feed|beat" 2..=2, FEEDING NO_KEY "server", "",
        "The feed of this connection lives, and has nothing to write";
    FeedGap "feed|gap" 2..=2, FEEDING NO_KEY "server", "",
        "The feed of this connection has missed something, until it is opened again";
    FeedEnd "feed|end" 2..=2, FEEDING NO_KEY "server", "",
        "The feed of this connection has come to its end; further writes are tied to it no more";
    FeedList "feed|list" 2..=2, FEEDS NO_KEY "server", "",
        "All feeds: their states, ages and numbers of stocks";
    Multi "multi" 1..=1, CONNECTION NO_KEY "transactions", "",
        "Begins a transaction: the commands that follow are queued";
    Exec "exec" 1..=1, CONNECTION NO_KEY "transactions", "",
        "Executes what is queued as one; nil if a watched stock has changed";
    Discard "discard" 1..=1, CONNECTION NO_KEY "transactions", "",
        "Forgets what is queued, and what is watched";
    Watch "watch" 2..=WHOLE, WATCHING ALL_KEYS "transactions", "symbol [symbol …]",
        "The next EXEC executes nothing if one of the stocks has changed by then";
    Unwatch "unwatch" 1..=1, CONNECTION NO_KEY "transactions", "",
        "Forgets what is watched";
    Ping "ping" 1..=2, CONNECTION NO_KEY "connection", "[message]",
        "PONG, or the message";
    Echo "echo" 2..=2, CONNECTION NO_KEY "connection", "message",
        "The message";
    Hello "hello" 1..=WHOLE, ENTRANCE NO_KEY "connection",
        "[2|3 [AUTH user token] [SETNAME name]]",
        "Chooses RESP2 or RESP3; what the server is";
    Auth "auth" 2..=3, ENTRANCE NO_KEY "connection", "[user] token",
        "Shows a token; without an access file any is right for the user default";
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
    ClientList "client|list" 2..=WHOLE, CONNECTION NO_KEY "connection",
        "[TYPE normal|pubsub|master|replica] [ID id [id …]]",
        "The connections as lines of text, or those of a type, or with these numbers; without the right admin this one alone";
    ClientKill "client|kill" 3..=WHOLE, ADMIN NO_KEY "connection",
        "[addr:port] [ID id] [ADDR addr:port] [LADDR addr:port] [TYPE normal|pubsub|master|replica] [USER user] [SKIPME yes|no] [MAXAGE seconds]",
        "Closes the connection from there, or all that are so; OK, or how many they are";
    ClientReply "client|reply" 3..=3, CONNECTION NO_KEY "connection", "ON|OFF|SKIP",
        "Whether this connection is sent replies, or none to the next command";
    ClientInterval "client|interval" 3..=3, CONNECTION NO_KEY "connection", "milliseconds",
        "Has this connection told at most one message a symbol in that time; 0: all as they come";
    ClientGetName "client|getname" 2..=2, CONNECTION NO_KEY "connection", "",
        "The name of this connection; nil if it has none";
    ClientSetName "client|setname" 3..=3, CONNECTION NO_KEY "connection", "name",
        "Names this connection; an empty name takes the name away";
    ClientSetInfo "client|setinfo" 4..=4, CONNECTION NO_KEY "connection",
        "lib-name|lib-ver value",
        "Says which client library is used";
    ClientNoEvict "client|no-evict" 3..=3, CONNECTION NO_KEY "connection", "on|off",
        "OK: nobody is evicted";
    ClientNoTouch "client|no-touch" 3..=3, CONNECTION NO_KEY "connection", "on|off",
        "OK: no command notes when a stock was last asked for";
    ClientTracking "client|tracking" 3..=WHOLE, CONNECTION NO_KEY "connection",
        "ON|OFF [PREFIX prefix …] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        "Has this RESP3 connection told what of that it has read has changed, or what begins with a prefix";
    ClientCaching "client|caching" 3..=3, CONNECTION NO_KEY "connection", "YES|NO",
        "Whether what the next command reads is tracked";
    ClientTrackingInfo "client|trackinginfo" 2..=2, CONNECTION NO_KEY "connection", "",
        "How reads of this connection are tracked";
    ClientGetRedir "client|getredir" 2..=2, CONNECTION NO_KEY "connection", "",
        "-1, or 0 while reads are tracked: invalidations go to no other connection";
    ClientUnpause "client|unpause" 2..=2, CONNECTION NO_KEY "connection", "",
        "OK: nobody is paused";
    ClientUnblock "client|unblock" 3..=4, CONNECTION NO_KEY "connection", "id [TIMEOUT|ERROR]",
        "0: no command blocks";
    Acl "acl" 2..=WHOLE, CONNECTION NO_KEY "server", "subcommand",
        "Who the client is";
    AclWhoAmI "acl|whoami" 2..=2, CONNECTION NO_KEY "server", "",
        "The name of the user; default where there is no access file";
    Command "command" 1..=WHOLE, CONNECTION NO_KEY "server", "[subcommand]",
        "Every command: name, arity, flags, keys";
    CommandCount "command|count" 2..=2, CONNECTION NO_KEY "server", "",
        "How many commands there are";
    CommandInfo "command|info" 2..=WHOLE, CONNECTION NO_KEY "server", "[name …]",
        "The named commands, or all, as COMMAND gives them";
    CommandDocs "command|docs" 2..=WHOLE, CONNECTION NO_KEY "server", "[name …]",
        "What the named commands, or all, are for, and their arguments";
    CommandList "command|list" 2..=5, CONNECTION NO_KEY "server", "[FILTERBY PATTERN pattern]",
        "The names of all commands, or of those that match";
    CommandGetKeys "command|getkeys" 3..=WHOLE, CONNECTION NO_KEY "server",
        "command [argument …]",
        "The symbols in a command";
    Config "config" 2..=WHOLE, CONNECTION NO_KEY "server", "subcommand",
        "Settings of the server";
    ConfigGet "config|get" 3..=WHOLE, CONNECTION NO_KEY "server", "pattern [pattern …]",
        "The settings whose names match, as far as clients ask for them";
    Info "info" 1..=WHOLE, CONNECTION NO_KEY "server", "[section …]",
        "The state of the server as lines of text";
    Latency "latency" 2..=WHOLE, CONNECTION NO_KEY "server", "subcommand",
        "Nothing: latencies are not recorded";
    LatencyLatest "latency|latest" 2..=2, CONNECTION NO_KEY "server", "", "Empty";
    LatencyHistory "latency|history" 3..=3, CONNECTION NO_KEY "server", "event", "Empty";
    LatencyReset "latency|reset" 2..=WHOLE, CONNECTION NO_KEY "server", "[event …]", "0";
    Module "module" 2..=WHOLE, CONNECTION NO_KEY "server", "subcommand",
        "Nothing: there are no modules";
    ModuleList "module|list" 2..=2, CONNECTION NO_KEY "server", "", "Empty";
    Role "role" 1..=1, CONNECTION NO_KEY "server", "",
        "master, without replicas";
    SlowLog "slowlog" 2..=WHOLE, CONNECTION NO_KEY "server", "subcommand",
        "Nothing: slow commands are not recorded";
    SlowLogGet "slowlog|get" 2..=3, CONNECTION NO_KEY "server", "[n]", "Empty";
    SlowLogLen "slowlog|len" 2..=2, CONNECTION NO_KEY "server", "", "0";
    SlowLogReset "slowlog|reset" 2..=2, CONNECTION NO_KEY "server", "", "OK";
    Time "time" 1..=1, CONNECTION NO_KEY "server", "",
        "The server's clock: Unix time in seconds, and microseconds";
    Wait "wait" 3..=3, CONNECTION NO_KEY "generic", "replicas timeout-ms",
        "0: there are no replicas";
    Fence "fence" 1..=1, FENCING NO_KEY "generic", "",
        "OK, when this node shows all that any node of the cluster has acknowledged before; at once where there is none";
}
