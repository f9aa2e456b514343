//! Every command, by every user, of every kind of stock: what is allowed, said here once more.
//!
//! The table below is written by hand from docs/security.md and knows nothing of that in the code. It has
//! every command that the server has, or the test fails.

use std::collections::BTreeSet;

use stockd_wire::resp::{CommandId, command_name};

use crate::browsing::snapshot;
use crate::client::Client;
use crate::stage::{Stage, token, user};

/// What one must be allowed to do for a command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Needs {
    /// Nothing, and the client need not be known.
    Entrance,
    /// To be known.
    Known,
    /// To read the stock.
    Read,
    /// To read some stock.
    ReadAny,
    /// The same, or to be an administrator.
    ReadAnyOrAdmin,
    /// To write the stock.
    Write,
    /// To write some stock.
    WriteAny,
    /// The same, or to be an administrator, or to see what the server counts.
    WriteAnyOrOversee,
    /// To trade in the stock.
    Trade,
    Admin,
    Metrics,
}

use Needs::{
    Admin, Entrance, Known, Metrics, Read, ReadAny, ReadAnyOrAdmin, Trade, Write, WriteAny,
    WriteAnyOrOversee,
};

/// Every command with an example; `@` is a symbol.
const COMMANDS: &[(&str, &str, Needs)] = &[
    ("get", "GET @", Read),
    ("mget", "MGET @", Read),
    ("hset", "HSET @ price 5", Write),
    ("hincrby", "HINCRBY @ volume -1", Trade),
    ("hincrbyfloat", "HINCRBYFLOAT @ volume -1.5", Trade),
    ("set", "SET @ 5", Write),
    ("hgetall", "HGETALL @", Read),
    ("hmgetall", "HMGETALL @", Read),
    ("hgetrows", "HGETROWS 1 price @", Read),
    ("hsetrows", "HSETROWS 1 price @ 5", Write),
    ("hget", "HGET @ price", Read),
    ("hmget", "HMGET @ price volume", Read),
    ("exists", "EXISTS @", Read),
    ("del", "DEL @", Write),
    ("unlink", "UNLINK @", Write),
    ("touch", "TOUCH @", Read),
    ("hmset", "HMSET @ price 5", Write),
    ("mset", "MSET @ 5", Write),
    ("hdel", "HDEL @ volume", Write),
    ("strlen", "STRLEN @", Read),
    ("hlen", "HLEN @", Read),
    ("hkeys", "HKEYS @", Read),
    ("hvals", "HVALS @", Read),
    ("hexists", "HEXISTS @ price", Read),
    ("hstrlen", "HSTRLEN @ price", Read),
    ("hscan", "HSCAN @ 0", Read),
    ("type", "TYPE @", Read),
    ("ttl", "TTL @", Read),
    ("pttl", "PTTL @", Read),
    ("expiretime", "EXPIRETIME @", Read),
    ("pexpiretime", "PEXPIRETIME @", Read),
    ("persist", "PERSIST @", Read),
    ("dbsize", "DBSIZE", ReadAny),
    ("randomkey", "RANDOMKEY", ReadAny),
    ("snapshot", "SNAPSHOT", ReadAnyOrAdmin),
    ("scan", "SCAN 0", ReadAny),
    ("keys", "KEYS *", ReadAny),
    ("object", "OBJECT HELP", ReadAny),
    ("object|encoding", "OBJECT ENCODING @", Read),
    ("object|refcount", "OBJECT REFCOUNT @", Read),
    ("memory", "MEMORY HELP", ReadAny),
    ("memory|usage", "MEMORY USAGE @", Read),
    ("subscribe", "SUBSCRIBE @", Read),
    ("psubscribe", "PSUBSCRIBE *", ReadAny),
    ("unsubscribe", "UNSUBSCRIBE @", Known),
    ("punsubscribe", "PUNSUBSCRIBE *", Known),
    ("pubsub", "PUBSUB HELP", Known),
    ("pubsub|channels", "PUBSUB CHANNELS", ReadAny),
    ("pubsub|numsub", "PUBSUB NUMSUB @", Read),
    ("pubsub|numpat", "PUBSUB NUMPAT", Metrics),
    ("feed", "FEED HELP", Known),
    ("feed|open", "FEED OPEN matrix 0", WriteAny),
    ("feed|beat", "FEED BEAT", WriteAny),
    ("feed|gap", "FEED GAP", WriteAny),
    ("feed|end", "FEED END", WriteAny),
    ("feed|list", "FEED LIST", WriteAnyOrOversee),
    ("multi", "MULTI", Known),
    ("exec", "EXEC", Known),
    ("discard", "DISCARD", Known),
    ("watch", "WATCH @", Read),
    ("unwatch", "UNWATCH", Known),
    ("ping", "PING", Known),
    ("echo", "ECHO hello", Known),
    ("hello", "HELLO 2", Known),
    ("auth", "AUTH too many words", Entrance),
    ("select", "SELECT 0", Known),
    ("quit", "QUIT", Entrance),
    ("reset", "RESET", Entrance),
    ("client", "CLIENT HELP", Known),
    ("client|id", "CLIENT ID", Known),
    ("client|info", "CLIENT INFO", Known),
    ("client|kill", "CLIENT KILL ID 0", Admin),
    ("client|list", "CLIENT LIST", Known),
    ("client|reply", "CLIENT REPLY ON", Known),
    ("client|interval", "CLIENT INTERVAL 100", Known),
    ("client|getname", "CLIENT GETNAME", Known),
    ("client|setname", "CLIENT SETNAME me", Known),
    ("client|setinfo", "CLIENT SETINFO lib-name me", Known),
    ("client|no-evict", "CLIENT NO-EVICT on", Known),
    ("client|no-touch", "CLIENT NO-TOUCH on", Known),
    ("client|tracking", "CLIENT TRACKING off", Known),
    ("client|caching", "CLIENT CACHING yes", Known),
    ("client|trackinginfo", "CLIENT TRACKINGINFO", Known),
    ("client|getredir", "CLIENT GETREDIR", Known),
    ("client|unpause", "CLIENT UNPAUSE", Known),
    ("client|unblock", "CLIENT UNBLOCK 1", Known),
    ("acl", "ACL HELP", Known),
    ("acl|whoami", "ACL WHOAMI", Known),
    ("command", "COMMAND COUNT", Known),
    ("command|count", "COMMAND COUNT", Known),
    ("command|info", "COMMAND INFO get", Known),
    ("command|docs", "COMMAND DOCS get", Known),
    ("command|list", "COMMAND LIST", Known),
    ("command|getkeys", "COMMAND GETKEYS GET @", Known),
    ("config", "CONFIG HELP", Known),
    ("config|get", "CONFIG GET save", Known),
    ("info", "INFO", Known),
    ("latency", "LATENCY HELP", Known),
    ("latency|latest", "LATENCY LATEST", Known),
    ("latency|history", "LATENCY HISTORY x", Known),
    ("latency|reset", "LATENCY RESET", Known),
    ("module", "MODULE HELP", Known),
    ("module|list", "MODULE LIST", Known),
    ("role", "ROLE", Known),
    ("slowlog", "SLOWLOG HELP", Known),
    ("slowlog|get", "SLOWLOG GET", Known),
    ("slowlog|len", "SLOWLOG LEN", Known),
    ("slowlog|reset", "SLOWLOG RESET", Known),
    ("time", "TIME", Known),
    ("wait", "WAIT 0 0", Known),
    ("fence", "FENCE", ReadAny),
];

/// A user: its token, what it may read, write and trade (a prefix, or none), and whether it has the rights
/// admin and metrics.
#[derive(Clone, Copy)]
struct User {
    name: &'static str,
    /// None for who shows nothing.
    token: Option<u8>,
    read: Option<&'static str>,
    write: Option<&'static str>,
    trade: Option<&'static str>,
    admin: bool,
    metrics: bool,
}

const NOTHING: User = User {
    name: "anonymous",
    token: None,
    read: None,
    write: None,
    trade: None,
    admin: false,
    metrics: false,
};

fn users() -> Vec<User> {
    let user = |name, token| User { name, token: Some(token), ..NOTHING };
    vec![
        User { read: Some("DEMO."), ..NOTHING },
        User { read: Some("US."), ..user("reader", 1) },
        User { write: Some("US."), ..user("writer", 2) },
        User { trade: Some("US."), ..user("trader", 3) },
        User { read: Some(""), write: Some(""), trade: Some(""), ..user("all", 4) },
        User { admin: true, ..user("admin", 5) },
        User { metrics: true, ..user("metrics", 6) },
        User { read: Some("US."), write: Some("EU."), ..user("mixed", 7) },
        user("nothing", 8),
    ]
}

impl User {
    fn lines(&self) -> String {
        let grant = |name, prefix: Option<&str>| {
            prefix.map_or(String::new(), |prefix| format!("{name} = [\"{prefix}*\"]\n"))
        };
        let rights = [(self.admin, "\"admin\""), (self.metrics, "\"metrics\"")];
        let rights: Vec<_> =
            rights.into_iter().filter_map(|(has, name)| has.then_some(name)).collect();
        let rest = [
            grant("read", self.read),
            grant("write", self.write),
            grant("trade", self.trade),
            format!("rights = [{}]", rights.join(",")),
        ];
        let tokens: Vec<u8> = self.token.into_iter().collect();
        user(self.name, &tokens, &rest.concat())
    }

    /// What a command is answered with: `None` where it is allowed.
    fn expected(&self, is_known: bool, needs: Needs, symbol: &str) -> Option<&'static str> {
        let covers = |prefix: Option<&str>| prefix.is_some_and(|prefix| symbol.starts_with(prefix));
        let is_allowed = match needs {
            Entrance => true,
            _ if !is_known => return Some("-NOAUTH"),
            Known => true,
            Read => covers(self.read),
            ReadAny => self.read.is_some(),
            ReadAnyOrAdmin => self.read.is_some() || self.admin,
            Write => covers(self.write),
            WriteAny => self.write.is_some(),
            WriteAnyOrOversee => self.write.is_some() || self.admin || self.metrics,
            Trade => covers(self.trade),
            Admin => self.admin,
            Metrics => self.metrics,
        };
        (!is_allowed).then_some("-NOPERM")
    }
}

/// A connection as this user.
fn enter(stage: &Stage, user: &User) -> Client {
    match user.token {
        Some(number) => stage.client(number),
        None => stage.nobody(),
    }
}

fn refusal(reply: &str) -> Option<&'static str> {
    ["-NOAUTH", "-NOPERM"].into_iter().find(|code| reply.contains(code))
}

/// As the stocks are before each command: of each pair the first is listed and the second is not.
const STOCKS: [[&str; 2]; 3] = [["US.A", "US.B"], ["EU.A", "EU.B"], ["DEMO.A", "DEMO.B"]];

fn list(stage: &Stage) {
    for [listed, unlisted] in STOCKS {
        if stage.quote(listed).is_none() {
            stage.set(listed, "1");
        }
        if stage.quote(unlisted).is_some() {
            stage.delist(unlisted);
        }
    }
}

/// Every command as one user, with every kind of stock. Returns how many cells were looked at.
fn every_command(stage: &Stage, user: &User, is_known: bool) -> usize {
    let mut cells = 0;
    for (_, example, needs) in COMMANDS {
        let pairs = if example.contains('@') { &STOCKS[..] } else { &STOCKS[..1] };
        for pair in pairs {
            let replies = pair.map(|symbol| {
                list(stage);
                let before = stage.quote(symbol);
                let mut client = enter(stage, user);
                let reply = client.ask(&example.replace('@', symbol));
                let expected = user.expected(is_known, *needs, symbol);
                let cell = format!("{}: {example} of {symbol}: {reply}", user.name);
                assert_eq!(refusal(&reply), expected, "{cell}");
                if expected.is_some() {
                    assert_eq!(stage.quote(symbol), before, "{cell}");
                }
                cells += 1;
                (expected, reply.replace(symbol, "@"))
            });
            if let [(Some(_), listed), (Some(_), unlisted)] = &replies {
                assert_eq!(listed, unlisted, "{}: whether it is listed does not show", user.name);
            }
        }
    }
    cells
}

fn file(with_anonymous: bool) -> String {
    users().iter().filter(|it| it.token.is_some() || with_anonymous).map(User::lines).collect()
}

#[test]
fn the_table_has_every_command() {
    let own: BTreeSet<&str> = COMMANDS.iter().map(|(name, ..)| *name).collect();
    let names: BTreeSet<&str> = (0..CommandId::COUNT).filter_map(command_name).collect();
    assert_eq!(own, names);
}

#[test]
fn every_cell_is_as_stated_in_memory() {
    let stage = Stage::new(&file(true));
    let cells: usize = users().iter().map(|user| every_command(&stage, user, true)).sum();
    assert!(cells > 2000, "{cells}");
    let metrics = stage.server.metrics();
    let refused =
        metrics.refused_resp_read + metrics.refused_resp_write + metrics.refused_resp_trade;
    let refused = refused + metrics.refused_resp_admin + metrics.refused_resp_metrics;
    let codes = stockd_wire::resp::error_codes();
    let at = codes.iter().position(|code| *code == "NOPERM").unwrap();
    assert_eq!(refused, metrics.errors[at], "every refusal is counted once");
}

#[test]
fn every_cell_is_as_stated_on_a_disk() {
    let stage = Stage::durable(&file(true));
    for user in users() {
        every_command(&stage, &user, true);
    }
}

#[test]
fn without_an_anonymous_user_nobody_does_anything() {
    let stage = Stage::new(&file(false));
    let cells = every_command(&stage, &NOTHING, false);
    let refused = stage.server.metrics().refused_resp_unauthenticated;
    assert!(refused > 200 && refused < cells as u64, "{refused} of {cells}");
    // One who is known is not bothered.
    every_command(&stage, &users()[4], true);
}

/// Within a transaction the same is refused, when it is queued, and nothing of it is executed.
#[test]
fn a_transaction_has_nothing_that_is_not_permitted() {
    for stage in [Stage::new(&file(true)), Stage::durable(&file(true))] {
        list(&stage);
        for user in users() {
            for (_, example, needs) in COMMANDS {
                if ![Read, Write, Trade].contains(needs) || example.starts_with("SUB") {
                    continue;
                }
                for [symbol, _] in STOCKS {
                    let Some(expected) = user.expected(true, *needs, symbol) else { continue };
                    if ["WATCH", "PUBSUB", "MEMORY"].iter().any(|it| example.starts_with(it)) {
                        continue;
                    }
                    let before = stage.quote(symbol);
                    let mut client = enter(&stage, &user);
                    let own = if user.write.is_some() { "SET US.A 7" } else { "PING" };
                    let command = example.replace('@', symbol);
                    let replies = client.ask_all(&format!("MULTI; {own}; {command}; EXEC"));
                    assert_eq!(refusal(&replies[2]), Some(expected), "{command}: {replies:?}");
                    assert!(replies[3].starts_with("-EXECABORT"), "{command}: {replies:?}");
                    assert_eq!(stage.quote(symbol), before);
                }
            }
        }
    }
}

/// The line protocol has no credentials: it answers what `anonymous` may read.
#[test]
fn lines_answer_what_anonymous_reads() {
    let lookup = |stage: &Stage, names: &[&str]| {
        use std::io::{BufRead, BufReader, Write};
        let mut stream = std::net::TcpStream::connect(stage.address(1)).unwrap();
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        stream.write_all(text.as_bytes()).unwrap();
        let lines = BufReader::new(stream).lines().take(names.len());
        lines.map(Result::unwrap).collect::<Vec<_>>()
    };
    let denied = "ERR not permitted";
    let stage = Stage::new(&file(true));
    list(&stage);
    let names = ["US.A", "DEMO.A", "US.B", "DEMO.B", "", "lookup DEMO.A"];
    assert_eq!(lookup(&stage, &names), [denied, "1", denied, "-1", "-1", "1"]);
    assert_eq!(stage.server.metrics().refused_line_read, 3);
    let stage = Stage::new(&file(false));
    list(&stage);
    assert_eq!(lookup(&stage, &names[..4]), [denied; 4]);
}

/// What is told of others takes a right of its own.
#[test]
fn connections_and_counts_of_others_are_for_administrators() {
    let stage = Stage::new(&file(true));
    list(&stage);
    let mut reader = stage.client(1);
    let mut admin = stage.client(5);
    assert_eq!(reader.ask("CLIENT LIST").lines().count(), 1);
    assert!(reader.ask("CLIENT LIST").contains("user=reader"));
    let all = admin.ask("CLIENT LIST");
    assert!(all.contains("user=reader") && all.contains("user=admin"), "{all}");
    let sections = |info: String| {
        let titles = info.lines().filter_map(|line| line.strip_prefix("# "));
        titles.map(str::to_owned).collect::<Vec<_>>()
    };
    let few = ["Server", "Persistence", "Replication", "Modules", "Cluster", "Keyspace"];
    assert_eq!(sections(reader.ask("INFO")), few);
    assert_eq!(sections(reader.ask("INFO stats")), [""; 0]);
    for client in [&mut admin, &mut stage.client(6)] {
        assert!(sections(client.ask("INFO everything")).contains(&"Access".to_owned()));
    }
    assert!(!reader.ask("INFO keyspace").contains("keys="));
    assert!(stage.client(4).ask("INFO keyspace").contains("keys=3"));
    // A snapshot is of what may be read, and an administrator's of all.
    for (client, stocks) in [(&mut reader, 1), (&mut admin, 3)] {
        assert_eq!(snapshot(client).len(), stocks);
    }
    let whoami =
        [(&mut reader, "reader"), (&mut admin, "admin"), (&mut stage.nobody(), "anonymous")];
    for (client, name) in whoami {
        assert_eq!(client.ask("ACL WHOAMI"), name);
    }
    assert_eq!(reader.ask(&format!("AUTH admin {}", token(5))), "OK");
    assert_eq!(reader.ask("ACL WHOAMI"), "admin");
    assert_eq!(reader.ask("RESET"), "RESET");
    assert_eq!(reader.ask("ACL WHOAMI"), "anonymous");
}
