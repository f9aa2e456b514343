//! Every command: what it answers, and what is said when it is wrong.

use super::*;

/// Commands, and what is answered to them in RESP2.
const TRANSCRIPT: &[(&str, &str)] = &[
    ("GET AAPL", "$5\r\n172.5\r\n"),
    ("get AAPL", "$5\r\n172.5\r\n"),
    ("gEt IBM", "$3\r\n159\r\n"),
    ("GET SOLDOUT", "$1\r\n0\r\n"),
    ("GET HALTED", "$1\r\n0\r\n"),
    ("GET XYZ", "$-1\r\n"),
    ("GET aapl", "$-1\r\n"),
    ("GET AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$-1\r\n"),
    ("MGET AAPL XYZ HALTED", "*3\r\n$5\r\n172.5\r\n$-1\r\n$1\r\n0\r\n"),
    (
        "HGETALL HALTED",
        "*12\r\n$6\r\nsymbol\r\n$6\r\nHALTED\r\n$5\r\nprice\r\n$2\r\n20\r\n$6\r\nvolume\r\n$1\r\n5\r\n$6\r\nstatus\r\n$6\r\nhalted\r\n$7\r\nversion\r\n$1\r\n1\r\n$7\r\nupdated\r\n$19\r\n1790000000123456789\r\n",
    ),
    ("HGETALL XYZ", "*0\r\n"),
    ("HGET HALTED price", "$2\r\n20\r\n"),
    ("HGET AAPL nothing", "$-1\r\n"),
    ("HGET XYZ price", "$-1\r\n"),
    ("HMGET AAPL price nothing status", "*3\r\n$5\r\n172.5\r\n$-1\r\n$7\r\ntrading\r\n"),
    ("HMGET XYZ price volume", "*2\r\n$-1\r\n$-1\r\n"),
    ("HSET AAPL price 173", ":0\r\n"),
    ("HSET NEW price 1 volume 2", ":2\r\n"),
    ("HSET NEW price 1 price 2 status halted", ":2\r\n"),
    (
        "HSET NEW volume 1",
        "-ERR stock 'NEW' is not listed, and listing it needs a price, a bid, an ask or a status\r\n",
    ),
    ("HSET AAPL price", "-ERR wrong number of arguments for 'hset' command\r\n"),
    ("HSET AAPL price 1 volume", "-ERR wrong number of arguments for 'hset' command\r\n"),
    (
        "HSET AAPL colour red",
        "-ERR unknown field 'colour': the fields to set are price, volume, bid, ask, bid_size, ask_size, status and time\r\n",
    ),
    (
        "HSET AAPL version 5",
        "-ERR field 'version' is read-only: the fields to set are price, volume, bid, ask, bid_size, ask_size, status and time\r\n",
    ),
    (
        "HSET AAPL price $1",
        "-ERR '$1' is not a price: write a decimal like 172.5, -37.63 or 1e-5, without $ and thousands separators\r\n",
    ),
    (
        "HSET AAPL price 12345678901234567890",
        "-ERR '12345678901234567890' has too many digits: without its point a price is at most 9223372036854775807; round it first\r\n",
    ),
    (
        "HSET AAPL volume -1",
        "-ERR '-1' is not a volume: write a decimal of 0 or more like 1000 or 0.25, or none where shares are not counted\r\n",
    ),
    ("HSET NEW price 1e3 volume none", ":1\r\n"),
    ("HSET AAPL status open", "-ERR 'open' is not a status: write trading or halted\r\n"),
    (
        "HSET AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA price 1",
        "-ERR the symbol is 49 bytes long, the limit is 48\r\n",
    ),
    ("SET AAPL 173.25", "+OK\r\n"),
    (
        "SET AAPL 173.25 EX 10",
        "-ERR syntax error: SET takes no 'EX': a price stays until the next update; use WATCH, MULTI and EXEC to depend on what is there\r\n",
    ),
    ("SET AAPL 173.25 KEEPTTL", "+OK\r\n"),
    ("SET XYZ 1", "-ERR stock 'XYZ' is not listed; list it with HSET 'XYZ' price <price>\r\n"),
    ("HINCRBY AAPL volume -5", ":995\r\n"),
    ("HINCRBY AAPL volume -1001", "-ERR volume of 'AAPL' is 1000, cannot take 1001\r\n"),
    ("HINCRBY AAPL volume 1.5", "-ERR value is not an integer or out of range\r\n"),
    ("HINCRBY AAPL volume +5", "-ERR value is not an integer or out of range\r\n"),
    ("HINCRBY AAPL volume 9223372036854775808", "-ERR value is not an integer or out of range\r\n"),
    ("HMGETALL XYZ XYZ", "*2\r\n*0\r\n*0\r\n"),
    (
        "HGETROWS 3 price volume bid AAPL XYZ",
        "*2\r\n*3\r\n$5\r\n172.5\r\n$4\r\n1000\r\n$-1\r\n*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    ),
    ("HGETROWS 1 status HALTED", "*1\r\n*1\r\n$6\r\nhalted\r\n"),
    (
        "HGETROWS 14 price AAPL",
        "-ERR the first argument of HGETROWS is the number of fields of a row: 1 to 13\r\n",
    ),
    (
        "HGETROWS 2 price volume",
        "-ERR HGETROWS has 0 parts of rows, and a row of 2 fields has 1\r\n",
    ),
    (
        "HGETROWS 1 prize AAPL",
        "-ERR unknown field 'prize': the fields of a quote are symbol, price, volume, bid, ask, bid_size, ask_size, status, time, version, updated, feed and feed_state\r\n",
    ),
    ("HSETROWS 2 price volume NEW 1 2 OTHER 3 none", ":2\r\n"),
    (
        "HSETROWS 1 status NEW halted OTHER open",
        "-ERR 1 of 2 rows were refused, the first: 'open' is not a status: write trading or halted\r\n",
    ),
    (
        "HSETROWS 2 price volume NEW 1 OTHER 2",
        "-ERR HSETROWS has 4 parts of rows, and a row of 2 fields has 3\r\n",
    ),
    ("HINCRBYFLOAT AAPL volume -0.25", "$6\r\n999.75\r\n"),
    ("HINCRBYFLOAT AAPL volume 5e-1", "$6\r\n1000.5\r\n"),
    ("HINCRBYFLOAT AAPL volume -1000.5", "-ERR volume of 'AAPL' is 1000, cannot take 1000.5\r\n"),
    (
        "HINCRBYFLOAT AAPL volume many",
        "-ERR 'many' is not a number of shares: write a decimal like 5, -5 or -0.25\r\n",
    ),
    (
        "HINCRBYFLOAT AAPL price 1",
        "-ERR field 'price' cannot be incremented: HINCRBY is for volume, HSET sets the others\r\n",
    ),
    (
        "HINCRBY AAPL price 1",
        "-ERR field 'price' cannot be incremented: HINCRBY is for volume, HSET sets the others\r\n",
    ),
    (
        "HINCRBY HALTED volume 1",
        "-ERR stock 'HALTED' is halted; trades are refused until its status is trading\r\n",
    ),
    ("DEL AAPL XYZ AAPL IBM", ":2\r\n"),
    ("EXISTS AAPL XYZ AAPL", ":2\r\n"),
    ("EXISTS AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ":0\r\n"),
    ("DBSIZE", ":4\r\n"),
    ("UNLINK AAPL XYZ", ":1\r\n"),
    ("TOUCH AAPL XYZ", ":1\r\n"),
    ("HMSET NEW price 1 volume 2", "+OK\r\n"),
    (
        "HMSET NEW volume 1",
        "-ERR stock 'NEW' is not listed, and listing it needs a price, a bid, an ask or a status\r\n",
    ),
    ("MSET AAPL 173 IBM 160", "+OK\r\n"),
    ("MSET AAPL 173 IBM", "-ERR wrong number of arguments for 'mset' command\r\n"),
    (
        "MSET AAPL 173 XYZ 1",
        "-ERR stock 'XYZ' is not listed; list it with HSET 'XYZ' price <price>\r\n",
    ),
    (
        "MSET AAPL x",
        "-ERR 'x' is not a price: write a decimal like 172.5, -37.63 or 1e-5, without $ and thousands separators\r\n",
    ),
    ("HDEL AAPL volume volume colour", ":1\r\n"),
    ("HDEL AAPL bid colour", ":0\r\n"),
    ("HDEL XYZ volume", ":0\r\n"),
    (
        "HDEL AAPL volume status",
        "-ERR field 'status' is there in every quote; DEL delists the stock\r\n",
    ),
    ("STRLEN AAPL", ":5\r\n"),
    ("STRLEN HALTED", ":1\r\n"),
    ("STRLEN XYZ", ":0\r\n"),
    ("HLEN AAPL", ":6\r\n"),
    ("HLEN XYZ", ":0\r\n"),
    (
        "HKEYS AAPL",
        "*6\r\n$6\r\nsymbol\r\n$5\r\nprice\r\n$6\r\nvolume\r\n$6\r\nstatus\r\n$7\r\nversion\r\n$7\r\nupdated\r\n",
    ),
    ("HKEYS XYZ", "*0\r\n"),
    (
        "HVALS AAPL",
        "*6\r\n$4\r\nAAPL\r\n$5\r\n172.5\r\n$4\r\n1000\r\n$7\r\ntrading\r\n$1\r\n1\r\n$19\r\n1790000000123456789\r\n",
    ),
    ("HEXISTS AAPL volume", ":1\r\n"),
    ("HEXISTS AAPL colour", ":0\r\n"),
    ("HEXISTS XYZ volume", ":0\r\n"),
    ("HSTRLEN AAPL status", ":7\r\n"),
    ("HSTRLEN AAPL colour", ":0\r\n"),
    ("HSCAN AAPL 0 MATCH pr* COUNT 100", "*2\r\n$1\r\n0\r\n*2\r\n$5\r\nprice\r\n$5\r\n172.5\r\n"),
    ("HSCAN AAPL 0 MATCH s* NOVALUES", "*2\r\n$1\r\n0\r\n*2\r\n$6\r\nsymbol\r\n$6\r\nstatus\r\n"),
    ("HSCAN XYZ 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
    ("HSCAN AAPL x", "-ERR invalid cursor\r\n"),
    ("SCAN 0 NOVALUES", "-ERR syntax error\r\n"),
    ("TTL AAPL", ":-1\r\n"),
    ("PTTL XYZ", ":-2\r\n"),
    ("EXPIRETIME AAPL", ":-1\r\n"),
    ("PEXPIRETIME XYZ", ":-2\r\n"),
    ("PERSIST AAPL", ":0\r\n"),
    ("RANDOMKEY", "$3\r\nIBM\r\n"),
    ("OBJECT ENCODING AAPL", "$9\r\nhashtable\r\n"),
    ("OBJECT REFCOUNT AAPL", ":1\r\n"),
    ("OBJECT REFCOUNT XYZ", "$-1\r\n"),
    (
        "OBJECT FREQ AAPL",
        "-ERR unknown subcommand 'FREQ' of 'object': reads of stocks are not noted; HGET … updated says when one has changed\r\n",
    ),
    ("MEMORY USAGE AAPL", ":128\r\n"),
    ("MEMORY USAGE XYZ SAMPLES 0", "$-1\r\n"),
    ("MEMORY USAGE XYZ DEPTH 0", "-ERR syntax error\r\n"),
    ("PUBSUB CHANNELS A*", "*0\r\n"),
    ("PUBSUB NUMSUB AAPL x", "*4\r\n$4\r\nAAPL\r\n:0\r\n$1\r\nx\r\n:0\r\n"),
    ("PUBSUB NUMPAT", ":0\r\n"),
    ("ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"),
    ("WAIT 1 100", ":0\r\n"),
    ("FENCE", "+OK\r\n"),
    ("FENCE now", "-ERR wrong number of arguments for 'fence' command\r\n"),
    ("WAIT 1 x", "-ERR value is not an integer or out of range\r\n"),
    ("MODULE LIST", "*0\r\n"),
    ("SLOWLOG GET 10", "*0\r\n"),
    ("SLOWLOG LEN", ":0\r\n"),
    ("SLOWLOG RESET", "+OK\r\n"),
    ("LATENCY LATEST", "*0\r\n"),
    ("LATENCY HISTORY command", "*0\r\n"),
    ("LATENCY RESET", ":0\r\n"),
    ("ACL WHOAMI", "$7\r\ndefault\r\n"),
    ("CLIENT LIST TYPE pubsub", "$5\r\nid=7\n\r\n"),
    ("CLIENT LIST TYPE stock", "-ERR Unknown client type 'stock'\r\n"),
    ("CLIENT LIST ID x", "-ERR Invalid client ID\r\n"),
    ("CLIENT LIST ID", "-ERR syntax error\r\n"),
    ("CLIENT NO-TOUCH on", "+OK\r\n"),
    ("CLIENT GETREDIR", ":-1\r\n"),
    ("CLIENT UNPAUSE", "+OK\r\n"),
    ("CLIENT UNBLOCK 7", ":0\r\n"),
    (
        "COMMAND LIST FILTERBY PATTERN hg*",
        "*3\r\n$7\r\nhgetall\r\n$4\r\nhget\r\n$8\r\nhgetrows\r\n",
    ),
    ("COMMAND LIST FILTERBY MODULE json", "*0\r\n"),
    ("COMMAND LIST x", "-ERR syntax error\r\n"),
    ("COMMAND GETKEYS MSET A 1 B 2", "*2\r\n$1\r\nA\r\n$1\r\nB\r\n"),
    ("COMMAND GETKEYS OBJECT ENCODING A", "*1\r\n$1\r\nA\r\n"),
    ("COMMAND GETKEYS PING", "-ERR The command has no key arguments\r\n"),
    ("COMMAND GETKEYS FOO", "-ERR Invalid command specified\r\n"),
    ("COMMAND GETKEYS GET", "-ERR Invalid number of arguments specified for command\r\n"),
    (
        "MODULE HELP",
        "*3\r\n$63\r\nMODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n$4\r\nLIST\r\n$9\r\n    Empty\r\n",
    ),
    ("TYPE AAPL", "+hash\r\n"),
    ("TYPE XYZ", "+none\r\n"),
    ("KEYS *L*T*", "*2\r\n$6\r\nHALTED\r\n$7\r\nSOLDOUT\r\n"),
    ("SNAPSHOT LAST", "-ERR syntax error\r\n"),
    ("snapshot next", "$-1\r\n"),
    ("SCAN 0 MATCH A* COUNT 100", "*2\r\n$1\r\n0\r\n*1\r\n$4\r\nAAPL\r\n"),
    ("SCAN 0 TYPE string", "*2\r\n$1\r\n0\r\n*0\r\n"),
    ("SCAN 0 COUNT 0", "-ERR syntax error\r\n"),
    ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range\r\n"),
    ("SCAN 0 MATCH", "-ERR syntax error\r\n"),
    ("SCAN 9007199254740992", "-ERR invalid cursor\r\n"),
    ("SCAN x", "-ERR invalid cursor\r\n"),
    ("PING", "+PONG\r\n"),
    ("PING hi", "$2\r\nhi\r\n"),
    ("ECHO hi", "$2\r\nhi\r\n"),
    ("SELECT 0", "+OK\r\n"),
    ("SELECT 1", "-ERR DB index is out of range\r\n"),
    ("SELECT x", "-ERR value is not an integer or out of range\r\n"),
    ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
    ("HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"),
    ("HELLO 3 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'\r\n"),
    (
        "HELLO",
        "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n",
    ),
    ("AUTH default secret", "+OK\r\n"),
    ("AUTH desk secret", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
    (
        "HELLO 3 AUTH desk secret",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    ),
    (
        "AUTH secret",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
    ),
    ("CLIENT ID", ":7\r\n"),
    ("client getname", "$-1\r\n"),
    ("CLIENT SETNAME desk-1", "+OK\r\n"),
    ("CLIENT SETINFO LIB-NAME redis-py", "+OK\r\n"),
    ("CLIENT SETINFO colour red", "-ERR Unrecognized option 'colour'\r\n"),
    ("CLIENT NO-EVICT on", "+OK\r\n"),
    ("CLIENT NO-EVICT maybe", "-ERR syntax error\r\n"),
    ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command\r\n"),
    ("CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"),
    ("CLIENT COLOUR x", "-ERR unknown subcommand 'COLOUR' of 'client'; see CLIENT HELP\r\n"),
    (
        "CLIENT PAUSE 10",
        "-ERR unknown subcommand 'PAUSE' of 'client': nobody is paused here; end the writers, or halt stocks with HSET … status halted\r\n",
    ),
    ("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
    ("CONFIG GET a* SAVE", "*4\r\n$4\r\nsave\r\n$0\r\n\r\n$10\r\nappendonly\r\n$2\r\nno\r\n"),
    ("CONFIG GET nothing", "*0\r\n"),
    ("TIME", "*2\r\n$10\r\n1790000000\r\n$6\r\n123456\r\n"),
    ("INFO", "$21\r\n# Server\r\nloading:0\r\n\r\n"),
    ("RESET", "+RESET\r\n"),
    (
        "COMMAND INFO get nothing",
        "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*0\r\n*0\r\n$-1\r\n",
    ),
    (
        "COMMAND DOCS expiretime",
        "*2\r\n$10\r\nexpiretime\r\n*6\r\n$7\r\nsummary\r\n$6\r\nAs TTL\r\n$5\r\ngroup\r\n$7\r\ngeneric\r\n$9\r\narguments\r\n*1\r\n*4\r\n$4\r\nname\r\n$6\r\nsymbol\r\n$4\r\ntype\r\n$3\r\nkey\r\n",
    ),
    (
        "COMMAND DOCS dbsize",
        "*2\r\n$6\r\ndbsize\r\n*4\r\n$7\r\nsummary\r\n$26\r\nHow many stocks are listed\r\n$5\r\ngroup\r\n$6\r\nserver\r\n",
    ),
    ("SUBSCRIBE AAPL", "*3\r\n$9\r\nsubscribe\r\n$4\r\nAAPL\r\n:1\r\n"),
    (
        "SUBSCRIBE AAPL AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "*3\r\n$9\r\nsubscribe\r\n$4\r\nAAPL\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$49\r\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n:2\r\n",
    ),
    ("PSUBSCRIBE A*", "*3\r\n$10\r\npsubscribe\r\n$2\r\nA*\r\n:1\r\n"),
    ("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"),
    ("UNSUBSCRIBE AAPL", "*3\r\n$11\r\nunsubscribe\r\n$4\r\nAAPL\r\n:0\r\n"),
    ("PUNSUBSCRIBE", "*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n"),
    ("GET", "-ERR wrong number of arguments for 'get' command\r\n"),
    ("GET a b c", "-ERR wrong number of arguments for 'get' command\r\n"),
    ("DEL", "-ERR wrong number of arguments for 'del' command\r\n"),
    ("MULTI", "+OK\r\n"),
    ("EXEC", "-ERR EXEC without MULTI\r\n"),
    ("DISCARD", "-ERR DISCARD without MULTI\r\n"),
    ("WATCH AAPL XYZ", "+OK\r\n"),
    ("UNWATCH", "+OK\r\n"),
    (
        "EXPIRE AAPL 10",
        "-ERR unknown command 'EXPIRE': stocks do not expire; DEL delists one, HSET … status halted stops its trade\r\n",
    ),
    (
        "EVAL x",
        "-ERR unknown command 'EVAL': there are no scripts; WATCH, MULTI and EXEC execute several commands as one\r\n",
    ),
    ("FOO a b", "-ERR unknown command 'FOO', with args beginning with: 'a' 'b'\r\n"),
    ("client|id", "-ERR unknown command 'client|id'\r\n"),
];

#[test]
fn every_command_is_answered_as_clients_expect() {
    for (command, expected) in TRANSCRIPT {
        assert_eq!(reply(command), *expected, "{command}");
    }
}

#[test]
fn every_command_means_the_same_however_it_is_cut() {
    for (command, expected) in TRANSCRIPT {
        // One command behind it shows that exactly its own bytes were taken.
        let stream = [words(command), words("PING after")].concat();
        let expected = Conversation::replies([stream.as_slice()])
            .strip_prefix(expected)
            .map(|after| [expected, after].concat())
            .unwrap();
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(Conversation::replies([head, tail]), expected, "{command} cut at {cut}");
        }
        assert_eq!(Conversation::replies(stream.chunks(1)), expected, "{command} byte by byte");
    }
}

#[test]
fn a_line_behind_a_command_is_none_of_its_arguments() {
    let stream = [words("HMGET AAPL price"), b"$5\r\nprice\r\n".to_vec()].concat();
    assert_eq!(
        Conversation::replies([stream.as_slice()]),
        "*1\r\n$5\r\n172.5\r\n-ERR unknown command '$5'\r\n-ERR unknown command 'price'\r\n"
    );
}

#[test]
fn every_command_may_be_typed_as_a_line() {
    for (command, expected) in TRANSCRIPT {
        for end in ["\n", "\r\n"] {
            let line = format!("\r\n{command}{end}PING\n");
            for cut in 0..=line.len() {
                let (head, tail) = line.as_bytes().split_at(cut);
                let replies = Conversation::replies([head, tail]);
                assert!(replies.starts_with(expected), "{command} cut at {cut}: {replies}");
                assert!(
                    replies.ends_with("PONG\r\n")
                        || replies.ends_with("QUEUED\r\n")
                        || replies.ends_with("pong\r\n$0\r\n\r\n")
                );
            }
        }
    }
}

#[test]
fn a_line_of_many_parts_waits_for_room_like_any_pipeline() {
    let mut conversation = Conversation::new();
    conversation.out_bytes_max = 1;
    conversation.receive(b"MGET AAPL XYZ IBM\nPI");
    for expected in ["*3\r\n", "$5\r\n172.5\r\n", "$-1\r\n", "$3\r\n159\r\n"] {
        assert_eq!(conversation.read(), expected);
        conversation.resume();
    }
    conversation.receive(b"NG\n");
    assert_eq!(conversation.read(), "+PONG\r\n");
}

#[test]
fn resp3_tells_maps_nulls_and_pushes_apart() {
    for (command, expected) in [
        ("GET AAPL", "$5\r\n172.5\r\n"),
        ("GET XYZ", "_\r\n"),
        ("MGET XYZ", "*1\r\n_\r\n"),
        ("HGETALL XYZ", "%0\r\n"),
        ("CONFIG GET save", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n"),
        ("SUBSCRIBE AAPL", ">3\r\n$9\r\nsubscribe\r\n$4\r\nAAPL\r\n:1\r\n"),
        ("UNSUBSCRIBE", ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"),
        ("INFO", "=25\r\ntxt:# Server\r\nloading:0\r\n\r\n"),
        ("COMMAND INFO nothing", "*1\r\n_\r\n"),
        ("CLIENT GETNAME", "_\r\n"),
    ] {
        assert_eq!(reply3(command), expected, "{command}");
    }
    assert!(reply3("HGETALL AAPL").starts_with("%6\r\n$6\r\nsymbol\r\n$4\r\nAAPL\r\n"));
    assert!(reply3("COMMAND INFO get").contains("~2\r\n+readonly\r\n"));
    assert!(reply3("COMMAND DOCS").starts_with(&format!("%{}\r\n", spec::commands().count())));
    assert!(reply("HELLO 3").starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"));
    assert!(reply("HELLO 3").contains("$5\r\nproto\r\n:3\r\n"));
}

#[test]
fn a_volume_above_63_bits_is_answered_exactly() {
    let commands = ["HSET BIG price 1 volume 18446744073709551614", "HINCRBY BIG volume 1"];
    for (hello, expected) in
        [("HELLO 2", "$20\r\n18446744073709551615\r\n"), ("HELLO 3", "(18446744073709551615\r\n")]
    {
        let mut conversation = Conversation::new();
        conversation.receive(&words(hello));
        conversation.read();
        for command in commands {
            conversation.receive(&words(command));
        }
        assert_eq!(conversation.read(), format!(":2\r\n{expected}"));
    }
}

#[test]
fn symbols_may_have_spaces_and_padding() {
    let mut conversation = Conversation::new();
    conversation.receive(&array(&["HSET", "A B", "price", "1", "volume", "1"]));
    conversation.receive(b"GET 'A B'\n");
    conversation.receive(&array(&["GET", "  AAPL "]));
    assert_eq!(conversation.read(), ":2\r\n$1\r\n1\r\n$5\r\n172.5\r\n");
}

#[test]
fn hello_carries_credentials_and_a_name() {
    let mut decoder = Decoder::new();
    let input = words("HELLO 3 AUTH desk secret SETNAME desk-1");
    let Some(Incoming::Command(Command::Hello(hello))) =
        decoder.decode(&mut input.as_slice()).unwrap()
    else {
        panic!("no hello")
    };
    let credentials = Credentials { user: Some(b"desk"), password: b"secret" };
    assert_eq!(
        hello,
        Hello {
            version: Some(Version::Resp3),
            credentials: Some(credentials),
            name: Some("desk-1")
        }
    );
    assert!(!format!("{hello:?}").contains("secret"), "{hello:?}");
}

#[test]
fn before_authentication_nothing_but_the_entrance_is_open() {
    let refused = "-NOAUTH Authentication required.\r\n";
    let decoded = |command: &str| {
        let mut decoder = Decoder::new();
        decoder.admit(Admits::Entrance);
        let input = words(command);
        let mut rest = input.as_slice();
        let mut out = Vec::new();
        match decoder.decode(&mut rest).unwrap() {
            Some(Incoming::Command(Command::Refused(error))) => {
                Encoder::new().error(&error, &mut out);
            }
            Some(_) => {}
            None => panic!("{command} is whole"),
        }
        assert_eq!(decoder.decode(&mut rest), Ok(None));
        assert!(rest.is_empty());
        String::from_utf8(out).unwrap()
    };
    for command in ["GET AAPL", "get AAPL", "MGET A B", "SUBSCRIBE A", "PING", "FOO a b"] {
        assert_eq!(decoded(command), refused, "{command}");
    }
    for command in ["AUTH secret", "AUTH desk secret", "HELLO 3", "QUIT", "RESET"] {
        assert_eq!(decoded(command), "", "{command}");
    }
}

#[test]
fn a_subscribed_resp2_connection_hears_messages_alone() {
    let mut conversation = Conversation::new();
    conversation.receive(&words("SUBSCRIBE AAPL"));
    conversation.read();
    conversation.receive(&words("GET AAPL"));
    assert_eq!(
        conversation.read(),
        "-ERR Can't execute 'get': only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n"
    );
    conversation.receive(&words("PING"));
    conversation.receive(&words("UNSUBSCRIBE AAPL"));
    conversation.receive(&words("GET AAPL"));
    assert_eq!(
        conversation.read(),
        "*2\r\n$4\r\npong\r\n$0\r\n\r\n*3\r\n$11\r\nunsubscribe\r\n$4\r\nAAPL\r\n:0\r\n$5\r\n172.5\r\n"
    );
}

#[test]
fn messages_carry_their_payload_as_it_is() {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    encoder.message(b"AAPL", b"{}", &mut out);
    encoder.set_version(Version::Resp3);
    encoder.message(b"AAPL", b"{}", &mut out);
    encoder.pattern_message(b"A*", b"AAPL", b"{}", &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "*3\r\n$7\r\nmessage\r\n$4\r\nAAPL\r\n$2\r\n{}\r\n>3\r\n$7\r\nmessage\r\n$4\r\nAAPL\r\n$2\r\n{}\r\n>4\r\n$8\r\npmessage\r\n$2\r\nA*\r\n$4\r\nAAPL\r\n$2\r\n{}\r\n"
    );
}

#[test]
fn an_error_is_one_line_whatever_the_client_sent() {
    let replies = Conversation::replies([array(&["FOO\r\n+OK", "\r\n:1\r\n\x7f"]).as_slice()]);
    assert_eq!(replies, "-ERR unknown command 'FOO  +OK', with args beginning with: '  :1   '\r\n");
}

#[test]
fn the_place_to_go_on_from_survives_as_a_cursor() {
    let (encoder, mut decoder) = (Encoder::new(), Decoder::new());
    for place in [1 << 39, u64::MAX << 39] {
        let mut out = Vec::new();
        encoder.scan(Some(place), &[], &mut out);
        let text = String::from_utf8(out).unwrap();
        let cursor = text.split("\r\n").nth(2).unwrap();
        assert!(cursor.parse::<u64>().unwrap() < 1 << 53);
        let input = words(&format!("SCAN {cursor} COUNT 9999999"));
        let Ok(Some(Incoming::Command(Command::Scan(scan)))) =
            decoder.decode(&mut input.as_slice())
        else {
            panic!("no scan")
        };
        assert_eq!((scan.from, scan.count), (place, stockd_model::limits::SCAN_COUNT_MAX));
    }
}
