//! Every way to look at many stocks shows exactly those that may be read: 10,000 users, 100,000 stocks.

use std::collections::BTreeSet;

use crate::client::Client;
use crate::stage::{Stage, token, user};

const STOCKS: usize = 100_000;
const USERS: usize = 10_000;

/// A name that no other begins with.
fn name(number: usize) -> String {
    format!("S{number:05}")
}

/// Each user reads ten stocks by their prefix, and one of its neighbour's by its name.
fn grants(user: usize) -> String {
    format!("read = [\"S{user:04}*\", \"{}\"]\n", name((user + 1) % USERS * 10))
}

fn readable(user: usize) -> BTreeSet<String> {
    let own = (0..10).map(|digit| name(user * 10 + digit));
    own.chain([name((user + 1) % USERS * 10)]).collect()
}

fn file(own: &[usize]) -> String {
    let mut text = String::new();
    for number in 0..USERS {
        match own.iter().position(|it| *it == number) {
            Some(at) => text += &user(&format!("u{number}"), &[at as u8], &grants(number)),
            None => text += &format!("[[user]]\nname = \"u{number}\"\n{}", grants(number)),
        }
    }
    text
}

fn names(reply: &str) -> BTreeSet<String> {
    let reply = reply.trim_start_matches('[').trim_end_matches(']');
    reply.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn scanned(client: &mut Client) -> BTreeSet<String> {
    let (mut found, mut cursor) = (BTreeSet::new(), "0".to_owned());
    loop {
        let page = client.ask(&format!("SCAN {cursor} COUNT 1000"));
        let (next, rest) = page[1..].split_once(' ').unwrap();
        found.extend(names(&rest[..rest.len() - 1]));
        if next == "0" {
            return found;
        }
        cursor = next.to_owned();
    }
}

fn symbols_in(json: &str) -> BTreeSet<String> {
    let parts = json.split("\"symbol\":\"").skip(1);
    parts.map(|part| part.split('"').next().unwrap().to_owned()).collect()
}

pub(crate) fn snapshot(client: &mut Client) -> BTreeSet<String> {
    let mut found = symbols_in(&client.ask("SNAPSHOT"));
    loop {
        match client.ask("SNAPSHOT NEXT").as_str() {
            "nil" => return found,
            page => found.extend(symbols_in(page)),
        }
    }
}

#[test]
fn browsing_shows_exactly_what_may_be_read() {
    let own = [0, 4711, USERS - 1];
    let stage = Stage::new(&file(&own));
    (0..STOCKS).for_each(|number| stage.set(&name(number), "1"));
    // Somebody is subscribed to some of them.
    let mut watcher = stage.client(1);
    for name in readable(4711) {
        watcher.ask(&format!("SUBSCRIBE {name}"));
    }
    for (at, &number) in own.iter().enumerate() {
        let expected = readable(number);
        let mut client = stage.client(at as u8);
        assert_eq!(names(&client.ask("KEYS *")), expected);
        assert_eq!(scanned(&mut client), expected);
        assert_eq!(client.ask("DBSIZE"), format!(":{}", expected.len()));
        assert_eq!(snapshot(&mut client), expected);
        for _ in 0..3 {
            assert!(expected.contains(&client.ask("RANDOMKEY")));
        }
        let channels = if number == 4711 { expected.clone() } else { BTreeSet::new() };
        assert_eq!(names(&client.ask("PUBSUB CHANNELS")), channels);

        // What changes is told of these alone, and the last of them changes last.
        let other = name((number + 5000) % USERS * 10 + 5);
        let last = expected.last().unwrap();
        let told_until_last = |client: &mut Client, what: &str| {
            let mut told = BTreeSet::new();
            loop {
                let message = client.next();
                let found = if what == "invalidate" {
                    names(message.split("[").last().unwrap().trim_end_matches(']'))
                } else {
                    symbols_in(&message)
                };
                told.extend(found);
                if message.contains(last) && message.contains(what) {
                    return told;
                }
            }
        };
        let mut subscriber = stage.client(at as u8);
        assert_eq!(subscriber.ask("PSUBSCRIBE *"), "[psubscribe * :1]");
        let mut told = BTreeSet::new();
        while told.len() < expected.len() {
            told.extend(symbols_in(&subscriber.next()));
        }
        assert_eq!(told, expected);
        let mut tracker = stage.nobody();
        tracker.ask(&format!("HELLO 3 AUTH default {}", token(at as u8)));
        assert_eq!(tracker.ask("CLIENT TRACKING ON BCAST"), "OK");
        stage.set(&other, "2");
        stage.set(last, "2");
        let told = told_until_last(&mut subscriber, "\"price\":\"2\"");
        assert!(told.is_subset(&expected), "{told:?}");
        let told = told_until_last(&mut tracker, "invalidate");
        assert!(told.is_subset(&expected), "{told:?}");
    }
}
