//! Another access file comes into force: for open connections, subscriptions and tokens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::client::Client;
use crate::stage::{Stage, token, user};

fn reader(tokens: &[u8], read: &str) -> String {
    user("reader", tokens, &format!("read = {read}"))
}

#[test]
fn rights_end_and_begin_with_the_next_command() {
    let stage = Stage::new(&reader(&[1], "[\"US.*\"]"));
    stage.set("US.A", "1");
    stage.set("EU.A", "2");
    let mut client = stage.client(1);
    let refused = "-NOPERM no permission to read this stock";
    assert_eq!(client.ask_all("GET US.A; GET EU.A"), ["1", refused]);
    stage.replace(&reader(&[1], "[\"EU.*\"]"));
    assert_eq!(client.ask_all("GET US.A; GET EU.A"), [refused, "2"]);
    assert_eq!(client.ask_all("KEYS *; DBSIZE"), ["[EU.A]", ":1"]);
    stage.replace(&reader(&[1], "[\"*\"]"));
    assert_eq!(client.ask_all("GET US.A; GET EU.A; DBSIZE"), ["1", "2", ":2"]);
    // The token is gone, and so is its user.
    stage.replace(&reader(&[2], "[\"*\"]"));
    let replies = client.ask_all("GET US.A; PING; ACL WHOAMI");
    assert!(replies.iter().all(|reply| reply.starts_with("-NOAUTH")), "{replies:?}");
    assert_eq!(client.ask(&format!("AUTH {}", token(2))), "OK");
    assert_eq!(client.ask("GET US.A"), "1");
}

#[test]
fn what_was_begun_with_rights_that_are_gone_does_not_go_on() {
    let all = user("all", &[1], "read = [\"*\"]\nwrite = [\"*\"]");
    let few = user("all", &[1], "read = [\"US.*\"]\nwrite = [\"US.*\"]");
    let stage = Stage::new(&all);
    stage.set("US.A", "1");
    stage.set("EU.A", "2");
    let mut client = stage.client(1);
    assert_eq!(client.ask_all("MULTI; SET EU.A 3; DBSIZE"), ["OK", "QUEUED", "QUEUED"]);
    let mut watching = stage.client(1);
    assert_eq!(watching.ask_all("WATCH EU.A; MULTI; SET US.A 9"), ["OK", "OK", "QUEUED"]);
    let mut snapshot = stage.client(1);
    snapshot.ask("SNAPSHOT");
    stage.replace(&few);
    assert_eq!(client.ask("EXEC"), "-NOPERM no permission to write 'EU.A'");
    assert_eq!(watching.ask("EXEC"), "-NOPERM no permission to read 'EU.A'");
    assert!(snapshot.ask("SNAPSHOT NEXT").starts_with("-ERR no snapshot is being read"));
    assert_eq!(stage.quote("EU.A").unwrap().price, "2".parse().ok());
    assert_eq!(stage.quote("US.A").unwrap().price, "1".parse().ok());
}

/// The next message of a subscriber that is about this.
fn awaited(client: &mut Client, what: &str) -> String {
    loop {
        let message = client.next();
        if message.contains(what) {
            return message;
        }
    }
}

#[test]
fn subscriptions_end_with_a_word_and_tell_nothing_after_it() {
    let stage = Stage::new(&reader(&[1], "[\"*\"]"));
    for name in ["US.A", "EU.A"] {
        stage.set(name, "1");
    }
    let mut by_name = stage.client(1);
    by_name.ask("SUBSCRIBE US.A");
    awaited(&mut by_name, "\"price\":\"1\"");
    by_name.ask("SUBSCRIBE EU.A");
    awaited(&mut by_name, "\"price\":\"1\"");
    let mut by_pattern = stage.client(1);
    by_pattern.ask("PSUBSCRIBE *");
    awaited(&mut by_pattern, "US.A");
    let mut tracker = stage.nobody();
    tracker.ask(&format!("HELLO 3 AUTH reader {}", token(1)));
    assert_eq!(tracker.ask_all("CLIENT TRACKING ON; GET EU.A"), ["OK", "1"]);

    stage.replace(&reader(&[1], "[\"US.*\"]"));
    let word = "[message EU.A {\"symbol\":\"EU.A\",\"status\":\"forbidden\"}]";
    assert_eq!(by_name.next(), word);
    assert_eq!(tracker.next(), ">[invalidate nil]");
    stage.set("EU.A", "5");
    stage.set("US.A", "6");
    assert!(by_name.next().contains("\"price\":\"6\""));
    assert!(!awaited(&mut by_pattern, "\"price\":\"6\"").contains("EU.A"));
    assert_eq!(by_name.ask("UNSUBSCRIBE US.A"), "[unsubscribe US.A :0]");

    // More than before may be read: a pattern tells it.
    stage.replace(&reader(&[1], "[\"*\"]"));
    assert!(awaited(&mut by_pattern, "EU.A").contains("\"price\":\"5\""));

    // Nothing may be read any more.
    by_name.ask("SUBSCRIBE US.A");
    awaited(&mut by_name, "\"price\":\"6\"");
    stage.replace(&reader(&[2], "[\"*\"]"));
    assert!(by_name.next().contains("forbidden"));
    let word = "[pmessage * * {\"status\":\"forbidden\"}]";
    assert_eq!(awaited(&mut by_pattern, "forbidden"), word);
    assert!(by_pattern.ask("PING").starts_with("-NOAUTH"));
}

/// Clients that come, ask and go, while tokens are exchanged again and again: none is ever refused.
#[test]
fn tokens_rotate_without_one_refused_request() {
    const CLIENTS: usize = 4;
    const ROTATIONS: u8 = 8;
    let stage = Stage::new(&reader(&[0], "[\"*\"]"));
    stage.set("A", "1");
    let in_use = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let rounds: [AtomicU64; CLIENTS] = Default::default();
    thread::scope(|scope| {
        for round in &rounds {
            let (stage, in_use, is_over) = (&stage, &in_use, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Acquire) {
                    let number = in_use.load(Ordering::Acquire) as u8;
                    let mut client = stage.client(number);
                    for _ in 0..20 {
                        assert_eq!(client.ask("GET A"), "1");
                    }
                    round.fetch_add(1, Ordering::Release);
                }
            });
        }
        let every_client_has_come_again = || {
            let seen = rounds.each_ref().map(|round| round.load(Ordering::Acquire));
            // One that began before has ended, and another one too.
            let is_done =
                |(round, seen): (&AtomicU64, u64)| round.load(Ordering::Acquire) >= seen + 2;
            while !rounds.iter().zip(seen).all(is_done) {
                thread::yield_now();
            }
        };
        for next in 1..=ROTATIONS {
            stage.replace(&reader(&[next - 1, next], "[\"*\"]"));
            in_use.store(next.into(), Ordering::Release);
            every_client_has_come_again();
            stage.replace(&reader(&[next], "[\"*\"]"));
            every_client_has_come_again();
        }
        is_over.store(true, Ordering::Release);
    });
    let metrics = stage.server.metrics();
    assert_eq!((metrics.refused_resp_credentials, metrics.refused_resp_unauthenticated), (0, 0));
}
