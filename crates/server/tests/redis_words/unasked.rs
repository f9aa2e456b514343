//! Commands that frameworks, connection pools and graphical clients send by themselves.

use crate::client::Stage;

#[test]
fn everything_that_libraries_send_is_answered_in_memory_and_on_the_disk() {
    for stage in [Stage::new(), Stage::durable()] {
        let mut client = stage.client();
        for (command, reply) in [
            ("HMSET A price 5 volume 7", "OK"),
            ("GET A", "5"),
            ("HSET B price 2", ":1"),
            ("MSET A 6 B 3", "OK"),
            ("MGET A B", "[6 3]"),
            (
                "MSET A 7 NO 1",
                "-ERR stock 'NO' is not listed; list it with HSET 'NO' price <price>",
            ),
            ("GET A", "6"),
            ("TTL A", ":-1"),
            ("PTTL NO", ":-2"),
            ("EXPIRETIME A", ":-1"),
            ("HLEN A", ":6"),
            ("HLEN B", ":5"),
            ("HEXISTS B volume", ":0"),
            ("HSTRLEN A status", ":7"),
            ("HSCAN A 0 MATCH p*", "[0 [price 6]]"),
            ("STRLEN A", ":1"),
            ("HSET A bid 5.9 ask 6.1", ":0"),
            ("HDEL A bid ask bid_size colour", ":2"),
            ("HGET A version", "4"),
            ("HDEL A bid", ":0"),
            ("HDEL NO bid", ":0"),
            ("HGET A version", "4"),
            ("HEXISTS A bid", ":0"),
            ("OBJECT ENCODING A", "hashtable"),
            ("UNLINK B NO", ":1"),
            ("RANDOMKEY", "A"),
            ("ROLE", "[master :0 []]"),
            ("WAIT 0 0", ":0"),
            ("SLOWLOG GET 128", "[]"),
            ("SELECT 0", "OK"),
            ("UNLINK A", ":1"),
            ("RANDOMKEY", "nil"),
            ("MEMORY USAGE A", "nil"),
        ] {
            assert_eq!(client.ask(command), reply, "{command}");
        }
    }
}

#[test]
fn prices_set_at_once_are_one_transaction() {
    for stage in [Stage::new(), Stage::durable()] {
        let mut client = stage.client();
        client.ask_all("HSET A price 1; HSET B price 1");
        assert_eq!(
            client.ask_all("MULTI; MSET A 2 B 3; MSET A 9 NO 1; HLEN A; TTL B; EXEC"),
            [
                "OK",
                "QUEUED",
                "QUEUED",
                "QUEUED",
                "QUEUED",
                "[OK -ERR stock 'NO' is not listed; list it with HSET 'NO' price <price> :5 :-1]"
            ]
        );
        // Within a transaction each stock of it stands for itself.
        assert_eq!(client.ask("MGET A B NO"), "[9 3 nil]");
        assert_eq!(
            client.ask_all("WATCH A; MSET A 4 B 4; MULTI; GET A; EXEC"),
            ["OK", "OK", "OK", "QUEUED", "nil"]
        );
        for browsing in ["RANDOMKEY", "MEMORY USAGE A", "PUBSUB NUMPAT", "ROLE"] {
            let replies = client.ask_all(&format!("MULTI; {browsing}; DISCARD"));
            assert!(replies[1].starts_with("-ERR Command not allowed inside a transaction"));
        }
    }
}

#[test]
fn a_random_stock_is_any_of_them() {
    let stage = Stage::new();
    let mut client = stage.client();
    let names: Vec<_> = (0..20).map(|stock| format!("S{stock}")).collect();
    names.iter().for_each(|name| assert_eq!(client.ask(&format!("HSET {name} price 1")), ":1"));
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 5 {
        let name = client.ask("RANDOMKEY");
        assert!(names.contains(&name), "{name}");
        seen.insert(name);
    }
    let bytes: usize = client.ask("MEMORY USAGE S1")[1..].parse().unwrap();
    assert!(bytes >= 64, "{bytes}");
}

/// The first message to a subscriber of a stock that is not listed.
fn unlisted(symbol: &str) -> String {
    format!("[message {symbol} {{\"symbol\":\"{symbol}\",\"status\":\"unlisted\"}}]")
}

#[test]
fn who_is_subscribed_to_what_is_known_over_all_workers() {
    let stage = Stage::new();
    let mut asker = stage.client();
    assert_eq!(asker.ask_all("PUBSUB CHANNELS; PUBSUB NUMPAT"), ["[]", ":0"]);
    let mut subscribers: Vec<_> = (0..4).map(|_| stage.client()).collect();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.ask("SUBSCRIBE A"), "[subscribe A :1]");
        assert_eq!(subscriber.next(), unlisted("A"));
        assert_eq!(subscriber.ask("PSUBSCRIBE B*"), "[psubscribe B* :2]");
    }
    assert_eq!(subscribers[0].ask("SUBSCRIBE AB"), "[subscribe AB :3]");
    assert_eq!(subscribers[0].next(), unlisted("AB"));
    assert_eq!(
        asker.ask_all("PUBSUB CHANNELS; PUBSUB CHANNELS *B; PUBSUB NUMSUB A AB NO; PUBSUB NUMPAT"),
        ["[A AB]", "[AB]", "[A :4 AB :1 NO :0]", ":1"]
    );
    assert_eq!(subscribers[0].ask("UNSUBSCRIBE A"), "[unsubscribe A :2]");
    assert_eq!(asker.ask("PUBSUB NUMSUB A"), "[A :3]");
    drop(subscribers);
    // What those that have left held is tidied up by and by.
    while asker.ask("PUBSUB NUMPAT") != ":0" || asker.ask("PUBSUB CHANNELS") != "[]" {}
}

#[test]
fn every_name_is_confirmed_and_impossible_ones_never_match() {
    let stage = Stage::new();
    let mut client = stage.client();
    let long = "x".repeat(60);
    let pattern = "y".repeat(300);
    client.give(&format!("SUBSCRIBE A {long} B"));
    assert_eq!(client.next(), "[subscribe A :1]");
    assert_eq!(client.next(), format!("[subscribe {long} :1]"));
    assert_eq!(client.next(), "[subscribe B :2]");
    assert_eq!(client.next(), unlisted("A"));
    assert_eq!(client.next(), unlisted("B"));
    client.give(&format!("PSUBSCRIBE {pattern} C*"));
    assert_eq!(client.next(), format!("[psubscribe {pattern} :2]"));
    assert_eq!(client.next(), "[psubscribe C* :3]");
    assert_eq!(client.ask(&format!("UNSUBSCRIBE {long}")), format!("[unsubscribe {long} :3]"));
}

#[test]
fn any_password_is_right_while_none_is_asked_for() {
    let stage = Stage::new();
    let mut client = stage.client();
    assert_eq!(client.ask("AUTH default secret"), "OK");
    assert!(client.ask("AUTH secret").starts_with("-ERR AUTH <password> called without any"));
    assert!(client.ask("AUTH desk secret").starts_with("-WRONGPASS "));
    assert!(client.ask("HELLO 3 AUTH desk secret").starts_with("-WRONGPASS "));
    assert!(client.ask("HELLO 3 AUTH default secret").contains("proto :3"));
    assert_eq!(client.ask("ACL WHOAMI"), "default");
}

/// StackExchange.Redis subscribes to this when it connects, and takes what comes next for the reply.
#[test]
fn a_channel_of_a_client_library_gets_no_message_before_the_next_reply() {
    for stage in [Stage::new(), Stage::durable()] {
        let mut client = stage.client();
        let name = "__Booksleeve_MasterChanged";
        let confirmed = client.ask(&format!("SUBSCRIBE {name}"));
        assert_eq!(confirmed, format!("[subscribe {name} :1]"));
        assert_eq!(client.ask("PING"), "[pong ]");
    }
}
