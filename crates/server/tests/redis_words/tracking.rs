//! `CLIENT TRACKING`: what a client has read and keeps is never out of date without its being told.

use std::sync::OnceLock;

use crate::client::{Client, Stage};

fn everywhere(play: impl Fn(&Stage)) {
    for stage in [Stage::new(), Stage::durable()] {
        stage.client().ask_all("HSET A price 1 volume 9; HSET B price 1; HSET AB price 1");
        play(&stage);
    }
}

/// A client that tracks what it reads, in this way.
fn tracker(stage: &Stage, how: &str) -> Client {
    let mut client = stage.client3();
    assert_eq!(client.ask(format!("CLIENT TRACKING ON {how}").trim_end()), "OK");
    client
}

const A: &str = ">[invalidate [A]]";
const B: &str = ">[invalidate [B]]";

#[test]
fn every_change_of_what_was_read_is_told_once() {
    everywhere(|stage| {
        let (mut client, mut other) = (tracker(stage, ""), stage.client());
        for change in [
            "SET A 2",
            "HSET A price 3 status halted",
            "HSET A status trading",
            "HINCRBY A volume -1",
            "HSET A volume none",
            "MSET A 4 B 4",
            "DEL A",
            "HSET A price 1",
        ] {
            client.ask("HGETALL A");
            other.ask(change);
            assert_eq!(client.next(), A, "{change}");
            other.ask("HSET B price 9");
            assert_eq!(client.ask("PING"), "PONG", "B was not read, and A is not tracked now");
        }
        client.ask_all("MGET A B NO");
        other.ask_all("MULTI; HSET A price 5; HSET NO price 5; HSET B price 5; EXEC");
        let mut told: Vec<_> = (0..3).map(|_| client.next()).collect();
        told.sort();
        assert_eq!(told, [A, B, ">[invalidate [NO]]"]);
        // Its own writes are told, too.
        assert_eq!(client.ask("GET A"), "5");
        client.give("SET A 6");
        let mut both = [client.next(), client.next()];
        both.sort();
        assert_eq!(both, [A, "OK"]);
    });
}

#[test]
fn what_is_tracked_is_what_the_client_says() {
    everywhere(|stage| {
        let mut other = stage.client();
        let (mut opt_in, mut opt_out) = (tracker(stage, "OPTIN"), tracker(stage, "OPTOUT"));
        opt_in.ask_all("GET A; CLIENT CACHING YES; MGET B AB; GET NO");
        opt_out.ask_all("GET A; CLIENT CACHING NO; MGET B AB; CLIENT CACHING NO; FOO; GET NO");
        other.ask_all("SET A 2; SET B 2; SET AB 2; HSET NO price 1");
        let mut told = [opt_in.next(), opt_in.next()];
        told.sort();
        assert_eq!(told, [">[invalidate [AB]]", B]);
        let mut told = [opt_out.next(), opt_out.next()];
        told.sort();
        assert_eq!(told, [A, ">[invalidate [NO]]"]);
        for client in [&mut opt_in, &mut opt_out] {
            assert_eq!(client.ask("PING"), "PONG");
        }
        // As one client library asks for everything.
        assert_eq!(
            opt_in.ask_all("CLIENT CACHING YES; MULTI; PTTL A; GET A; EXEC; GET B"),
            ["OK", "OK", "QUEUED", "QUEUED", "[:-1 2]", "2"]
        );
        other.ask_all("SET B 3; SET A 3");
        assert_eq!(opt_in.next(), A);
        assert_eq!(opt_in.ask("PING"), "PONG");
    });
}

#[test]
fn all_changes_of_a_prefix_are_told_each_time() {
    everywhere(|stage| {
        let mut other = stage.client();
        let mut client = tracker(stage, "BCAST PREFIX A PREFIX N*");
        let mut everything = tracker(stage, "BCAST");
        other.ask_all("SET A 2; SET B 2; DEL AB; HSET N* price 1; HSET NO price 1");
        let told = |client: &mut Client, count: usize| {
            let mut told: Vec<_> = (0..count).map(|_| client.next()).collect();
            told.sort();
            told
        };
        let all = ["AB", "A", "B", "N*", "NO"].map(|symbol| format!(">[invalidate [{symbol}]]"));
        assert_eq!(told(&mut everything, 5), all);
        assert_eq!(told(&mut client, 3), [&all[0], &all[1], &all[3]].map(Clone::clone));
        other.ask("SET A 3");
        assert_eq!(client.next(), A);
        assert_eq!(
            client.ask("CLIENT TRACKINGINFO"),
            "{flags [on bcast] redirect :0 prefixes [A N*]}"
        );
        assert_eq!(client.ask("CLIENT TRACKING OFF"), "OK");
        other.ask("SET A 4");
        assert_eq!(client.ask("PING"), "PONG");
    });
}

#[test]
fn own_changes_are_spared_where_that_is_asked_for() {
    let stage = Stage::new();
    let (mut client, mut other) = (tracker(&stage, "NOLOOP"), stage.client());
    client.ask_all("HSET A price 1; GET A; SET A 2; SET A 3; DEL A");
    assert_eq!(client.ask("PING"), "PONG");
    client.ask_all("HSET A price 1; GET A");
    other.ask("SET A 4");
    assert_eq!(client.next(), A);
}

#[test]
fn who_reads_under_another_name_is_to_forget_all() {
    let stage = Stage::new();
    let mut client = tracker(&stage, "");
    client.ask("HSET A price 1");
    client.send(b"*2\r\n$3\r\nGET\r\n$3\r\n A \r\n");
    assert_eq!((client.next(), client.next()), ("1".into(), ">[invalidate nil]".into()));
    client.send(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nGET\r\n$3\r\n A \r\n*1\r\n$4\r\nEXEC\r\n");
    let replies: Vec<_> = (0..4).map(|_| client.next()).collect();
    assert_eq!(replies, ["OK", "QUEUED", "[1]", ">[invalidate nil]"]);
}

#[test]
fn what_cannot_be_told_is_refused() {
    let stage = Stage::new();
    let mut client = stage.client();
    assert!(client.ask("CLIENT TRACKING ON").starts_with("-ERR CLIENT TRACKING needs RESP3"));
    assert_eq!(client.ask("CLIENT TRACKING OFF"), "OK");
    client.ask("HELLO 3");
    for (command, reply) in [
        ("CLIENT TRACKING ON REDIRECT 7", "-ERR invalidations come on the connection that reads"),
        ("CLIENT TRACKING ON PREFIX A", "-ERR PREFIX option requires BCAST mode to be enabled"),
        ("CLIENT TRACKING ON OPTIN OPTOUT", "-ERR BCAST, OPTIN and OPTOUT cannot be used together"),
        ("CLIENT TRACKING MAYBE", "-ERR syntax error"),
        ("CLIENT CACHING YES", "-ERR CLIENT CACHING can be called only when"),
        ("CLIENT TRACKINGINFO", "{flags [off] redirect :-1 prefixes []}"),
        ("CLIENT GETREDIR", ":-1"),
        ("CLIENT TRACKING ON OPTIN REDIRECT 0", "OK"),
        ("CLIENT TRACKING ON OPTIN", "OK"),
        ("CLIENT TRACKING ON", "-ERR You can't switch the mode of tracking while it is on"),
        ("CLIENT CACHING NO", "-ERR CLIENT CACHING YES is for tracking with OPTIN"),
        ("CLIENT CACHING YES", "OK"),
        ("CLIENT TRACKINGINFO", "{flags [on optin caching-yes] redirect :0 prefixes []}"),
        ("CLIENT GETREDIR", ":0"),
        ("HELLO 2", "-ERR RESP2 has no invalidations"),
    ] {
        let answered = client.ask(command);
        assert!(answered.starts_with(reply), "{command}: {answered}");
    }
    assert!(client.ask("CLIENT INFO").contains(" flags=t "));
    assert_eq!(client.ask_all("RESET; CLIENT GETREDIR"), ["RESET", ":-1"]);
}

#[test]
fn nothing_is_told_within_a_reply() {
    let stage = Stage::new();
    let (mut client, mut other) = (tracker(&stage, ""), stage.client());
    other.ask("HSET A price 1");
    client.send(b"*3\r\n$4\r\nMGET\r\n$1\r\nA\r\n");
    // The first element has been read when the second is still to come.
    while !other.ask("INFO stats").contains("keyspace_hits:1\r\n") {}
    other.ask("SET A 2");
    client.send(b"$1\r\nB\r\n");
    assert_eq!((client.next(), client.next()), ("[1 nil]".into(), A.into()));
}

/// Readers that keep what they read beside a writer: whatever they keep becomes what is, since they are told
/// of all that is not.
#[test]
fn caches_of_many_readers_are_right_in_the_end() {
    const STOCKS: usize = 8;
    const CHANGES: usize = 300;
    everywhere(|stage| {
        let last: OnceLock<Vec<String>> = OnceLock::new();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut client = tracker(stage, "");
                    let mut cache = vec![None; STOCKS];
                    loop {
                        for stock in 0..STOCKS {
                            if cache[stock].is_none() {
                                client.give(&format!("GET S{stock}"));
                                cache[stock] = Some(reply(&mut client, &mut cache));
                            }
                        }
                        let Some(last) = last.get() else { continue };
                        if cache.iter().any(Option::is_none) {
                            continue;
                        }
                        if cache.iter().flatten().eq(last) {
                            break;
                        }
                        // Something of it is out of date, so it is told.
                        forget(&client.next(), &mut cache);
                    }
                });
            }
            let mut writer = stage.client();
            for change in 0..CHANGES {
                let stock = change % STOCKS;
                let _ = match change % 5 {
                    0 => writer.ask(&format!("DEL S{stock}")),
                    _ => writer.ask(&format!("HSET S{stock} price {change}")),
                };
            }
            let prices = (0..STOCKS).map(|stock| writer.ask(&format!("GET S{stock}"))).collect();
            last.set(prices).unwrap();
        });
    });
}

/// The next reply. What is told before it is forgotten.
fn reply(client: &mut Client, cache: &mut [Option<String>]) -> String {
    loop {
        let next = client.next();
        if !forget(&next, cache) {
            return next;
        }
    }
}

/// Forgets the stock that is told, if one is.
fn forget(told: &str, cache: &mut [Option<String>]) -> bool {
    let Some(symbol) = told.strip_prefix(">[invalidate [S") else { return false };
    cache[symbol.trim_end_matches(']').parse::<usize>().unwrap()] = None;
    true
}
