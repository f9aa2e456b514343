//! What Redis has and this server has not, where a client would take any answer but an error for a lie:
//! what is to be done instead.
//!
//! Invariant: no name here is one of the [table](super::table).

/// Names in small letters, a subcommand with that of its command, and what their refusal says.
const ABSENT: &[(&[&str], &str)] = &[
    (
        &["expire", "pexpire", "expireat", "pexpireat", "getex", "hexpire"],
        "stocks do not expire; DEL delists one, HSET … status halted stops its trade",
    ),
    (&["setex", "psetex"], "prices do not expire; use SET"),
    (
        &["setnx", "msetnx", "hsetnx"],
        "a write that depends on what is there is a transaction: WATCH, GET, MULTI, HSET, EXEC",
    ),
    (&["getset", "getdel"], "read and write as one with MULTI, GET, SET or DEL, EXEC"),
    (
        &["incr", "decr", "incrby", "decrby", "incrbyfloat", "append", "setrange"],
        "a price is set with SET, shares are traded with HINCRBY … volume",
    ),
    (
        &["publish", "spublish"],
        "messages come from changes of stocks alone; HSET or SET changes one",
    ),
    (&["ssubscribe", "sunsubscribe"], "there are no shards; use SUBSCRIBE"),
    (
        &["eval", "evalsha", "eval_ro", "evalsha_ro", "script", "fcall", "fcall_ro", "function"],
        "there are no scripts; WATCH, MULTI and EXEC execute several commands as one",
    ),
    (
        &["flushall", "flushdb"],
        "nobody who can connect can empty the catalog; DEL delists the stocks that it names",
    ),
    (&["dump", "restore", "migrate"], "use stockd export and stockd import, or SNAPSHOT"),
    (
        &["rename", "renamenx", "copy", "move", "swapdb"],
        "a stock keeps its symbol; list the other with HSET and delist this one with DEL",
    ),
    (&["sort", "sort_ro"], "the client sorts"),
    (&["monitor"], "commands of others are not shown; PSUBSCRIBE * shows all changes"),
    (
        &["save", "bgsave", "bgrewriteaof"],
        "every write is kept as it is made; see INFO persistence",
    ),
    (&["lastsave"], "see INFO persistence"),
    (
        &["shutdown", "debug"],
        "nobody who can connect can stop the server; send the process SIGTERM",
    ),
    (&["replicaof", "slaveof", "sync", "psync", "failover"], "there are no replicas"),
    (&["cluster", "readonly", "readwrite", "asking"], "This instance has cluster support disabled"),
    (
        &[
            "lpush", "rpush", "lrange", "llen", "sadd", "srem", "smembers", "zadd", "zrange",
            "xadd", "xread", "xrange", "setbit", "pfadd", "geoadd", "blpop", "brpop",
        ],
        "a stock is a hash; use HSET and HGETALL",
    ),
    (
        &["config|set", "config|rewrite"],
        "settings come from the command line and the file of the server",
    ),
    (&["config|resetstat", "latency|doctor"], "counters count from the start of the server"),
    (
        &["client|pause"],
        "nobody is paused here; end the writers, or halt stocks with HSET … status halted",
    ),
    (
        &["object|freq", "object|idletime"],
        "reads of stocks are not noted; HGET … updated says when one has changed",
    ),
    (&["module|load", "module|unload"], "there are no modules"),
];

/// What to do instead of this command or subcommand (`config|set`), whose name may be in any case.
pub(super) fn instead(name: &[u8]) -> Option<&'static str> {
    let is_it = |own: &&str| own.as_bytes().eq_ignore_ascii_case(name);
    ABSENT.iter().find(|(names, _)| names.iter().any(is_it)).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::spec;

    #[test]
    fn nothing_is_absent_and_in_the_table() {
        for name in ABSENT.iter().flat_map(|(names, _)| *names) {
            assert_eq!(spec::find_any(name.as_bytes()), None, "{name}");
            assert!(instead(name.to_uppercase().as_bytes()).is_some());
        }
        assert_eq!(instead(b"no-such-command"), None);
    }
}
