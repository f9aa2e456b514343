//! Snapshots of the cluster: who is new or was away for long begins with one, and the log is shortened behind them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::nats::Servers;
use crate::node::{Node, Starting, becomes};
use crate::{field, list};

fn snapshot(servers: &Servers) {
    let (code, out) = servers.cluster(&["snapshot"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("a snapshot of cluster main up to message "), "{out}");
}

/// The first message that the log has.
fn first(servers: &Servers) -> u64 {
    let (_, out) = servers.cluster(&["status"]);
    let messages = out.lines().find_map(|line| line.strip_prefix("messages    ")).unwrap();
    messages.split(' ').next().unwrap().parse().unwrap()
}

fn chunks(servers: &Servers) -> Vec<String> {
    let info = servers.ask(
        "$JS.API.STREAM.INFO.OBJ_STOCKD_main_SNAP",
        r#"{"subjects_filter":"$O.STOCKD_main_SNAP.C.>"}"#,
    );
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let subjects = info["state"]["subjects"].as_object().into_iter().flatten();
    let mut subjects: Vec<String> = subjects.map(|(subject, _)| subject.clone()).collect();
    subjects.sort();
    subjects
}

/// A server, a node, and the data directory of another one that has kept some stocks and is away.
struct Opening {
    servers: Servers,
    node: Node,
    directory: TempDir,
}

fn opening(stocks: &[&str]) -> Option<Opening> {
    let servers = Servers::start(1)?;
    let directory = tempfile::tempdir().unwrap();
    let away = start(&servers, &directory).ready();
    let node = Node::start(&servers.url(0), &[]);
    stocks.iter().for_each(|stock| list(&mut node.connect(), stock, 5));
    away.keeps_what_is_shown_by(&node);
    away.terminate();
    Some(Opening { servers, node, directory })
}

/// Starts the one that is away.
fn start(servers: &Servers, directory: &TempDir) -> Starting {
    Starting::new(&servers.url(0), &["--data-dir", directory.path().to_str().unwrap()])
}

#[test]
fn who_is_new_or_was_away_begins_with_a_snapshot() {
    let stocks = ["GONE", "KEPT", "CHANGED"];
    let Some(Opening { servers, node, directory }) = opening(&stocks) else { return };
    let url = servers.url(0);
    let mut connection = node.connect();
    let applied: u64 = node.info("cluster_applied").parse().unwrap();
    redis::cmd("DEL").arg("GONE").exec(&mut connection).unwrap();
    list(&mut connection, "CHANGED", 6);

    snapshot(&servers);
    assert_eq!(first(&servers), 1, "one snapshot shortens nothing");
    list(&mut connection, "SECOND", 7);
    snapshot(&servers);
    becomes(|| (first(&servers) > applied).then_some(()));
    list(&mut connection, "LATER", 8);
    let expected = [None, Some(5), Some(6), Some(7), Some(8)];
    let volumes = |node: &Node| {
        let mut connection = node.connect();
        ["GONE", "KEPT", "CHANGED", "SECOND", "LATER"]
            .map(|stock| field(&mut connection, stock, "volume"))
    };
    assert_eq!(volumes(&node), expected);
    let of_new = volumes(&Node::start(&url, &[]));
    assert_eq!(of_new, expected, "of a new node");

    // The newest snapshot loses what is in it: the one before is as good.
    let [.., newest] = &chunks(&servers)[..] else { panic!("there are snapshots") };
    let purge = format!(r#"{{"filter":"{newest}"}}"#);
    let purged = servers.ask("$JS.API.STREAM.PURGE.OBJ_STOCKD_main_SNAP", &purge);
    assert!(purged.contains(r#""purged":1"#), "{purged}");
    assert_eq!(volumes(&Node::start(&url, &[])), expected, "from the snapshot before");

    // What was kept is from before the log begins now.
    let back = start(&servers, &directory).ready();
    assert_eq!(volumes(&back), expected, "of one that was away");
    assert_eq!(back.info("cluster_state"), "ok");
    back.keeps_what_is_shown_by(&back);
    back.terminate();
    let again = start(&servers, &directory).ready();
    assert_eq!(volumes(&again), expected, "from what it has kept then");

    // All of them hold the same.
    let (code, out) = servers.cluster(&["verify", "--cluster-monitor", &servers.monitor(0)]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("all nodes hold the same"), "{out}");
    assert!(out.contains(", always"), "{out}");
}

/// What one node has acknowledged another one shows behind a fence.
#[test]
fn behind_a_fence_all_is_shown_that_was_acknowledged_anywhere() {
    let Some(servers) = Servers::start(1) else { return };
    let nodes = [0, 1].map(|_| Node::start(&servers.url(0), &[]));
    let mut connections = nodes.each_ref().map(Node::connect);
    for volume in 1..=100 {
        let [one, other] = &mut connections;
        let (writer, reader) = if volume % 2 == 0 { (one, other) } else { (other, one) };
        list(writer, "HOT", volume);
        let fenced: String = redis::cmd("FENCE").query(reader).unwrap();
        assert_eq!(fenced, "OK");
        assert_eq!(field(reader, "HOT", "volume"), Some(volume));
    }
    // In one pipeline, too.
    let [one, other] = &mut connections;
    list(one, "HOT", 1000);
    let (_, volume): (String, u64) =
        redis::pipe().cmd("FENCE").cmd("HGET").arg("HOT").arg("volume").query(other).unwrap();
    assert_eq!(volume, 1000);
}

/// A node was away while one stock changed often. The log has all of it, and a snapshot is less to read.
#[test]
fn who_was_away_for_long_begins_with_a_snapshot_though_the_log_has_all() {
    let Some(Opening { servers, node, directory }) = opening(&["HOT"]) else { return };
    let mut connection = node.connect();
    (0..100).for_each(|volume| list(&mut connection, "HOT", volume));
    snapshot(&servers);
    list(&mut connection, "LATER", 7);
    assert_eq!(first(&servers), 1);

    let back = start(&servers, &directory);
    back.logs("begins with a snapshot of the cluster");
    let back = back.ready();
    let volumes = |connection: &mut redis::Connection| {
        ["HOT", "LATER"].map(|it| field(connection, it, "volume"))
    };
    assert_eq!(volumes(&mut back.connect()), [Some(99), Some(7)]);
    back.keeps_what_is_shown_by(&back);
    back.terminate();
    let again = start(&servers, &directory).ready();
    assert_eq!(volumes(&mut again.connect()), [Some(99), Some(7)]);
}

/// Stocks that have several chunks in a snapshot.
const MANY: u64 = 40_000;

/// Who keeps a snapshot is killed in the middle of it. What it leaves is no snapshot; nodes begin and go on, others keep the
/// next ones, and with those it goes.
#[test]
fn a_snapshot_whose_keeper_was_killed_does_no_harm() {
    let Some(servers) = Servers::start(1) else { return };
    let url = servers.url(0);
    let node = Node::start(&url, &[]);
    let mut connection = node.connect();
    for from in (0..MANY).step_by(1000) {
        let mut pipe = redis::pipe();
        for at in from..from + 1000 {
            pipe.cmd("HSET").arg(format!("S{at}")).arg("price").arg(at).ignore();
        }
        pipe.exec(&mut connection).unwrap();
    }
    let mut keeper = Command::new(env!("CARGO_BIN_EXE_stockd"));
    keeper.args(["cluster", "snapshot", "--cluster", &url]);
    keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut keeper = keeper.spawn().unwrap();
    // Without a pause: it does not take long.
    let began = Instant::now();
    while chunks(&servers).is_empty() && began.elapsed() < Duration::from_secs(180) {}
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    let left = chunks(&servers);
    assert!(!left.is_empty(), "it was never begun");

    let count = |node: &Node| redis::cmd("DBSIZE").query::<u64>(&mut node.connect()).unwrap();
    assert_eq!(count(&Node::start(&url, &[])), MANY, "of a new node");
    list(&mut connection, "LATER", 7);
    snapshot(&servers);
    list(&mut connection, "LAST", 8);
    snapshot(&servers);
    becomes(|| {
        let chunks = chunks(&servers);
        left.iter().all(|it| !chunks.contains(it)).then_some(())
    });
    assert_eq!(count(&Node::start(&url, &[])), MANY + 2, "from a snapshot");
    assert_eq!(node.info("cluster_state"), "ok");
}
