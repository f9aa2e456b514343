//! Snapshots of the cluster: who is new or was away for long begins with one, and the log is shortened behind them.

use crate::nats::Servers;
use crate::node::{Node, becomes};
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
    let subjects = info["state"]["subjects"].as_object().unwrap();
    let mut subjects: Vec<String> = subjects.keys().cloned().collect();
    subjects.sort();
    subjects
}

#[test]
fn who_is_new_or_was_away_begins_with_a_snapshot() {
    let Some(servers) = Servers::start(1) else { return };
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("away");
    let with_directory = ["--data-dir", directory.to_str().unwrap()];
    let url = servers.url(0);
    let away = Node::start(&url, &with_directory);
    let node = Node::start(&url, &[]);
    let mut connection = node.connect();
    for stock in ["GONE", "KEPT", "CHANGED"] {
        list(&mut connection, stock, 5);
    }
    let applied: u64 = node.info("cluster_applied").parse().unwrap();
    becomes(|| (away.info("cluster_kept").parse::<u64>().unwrap() >= applied).then_some(()));
    away.terminate();
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
    let back = Node::start(&url, &with_directory);
    assert_eq!(volumes(&back), expected, "of one that was away");
    assert_eq!(back.info("cluster_state"), "ok");
    let applied: u64 = back.info("cluster_applied").parse().unwrap();
    becomes(|| (back.info("cluster_kept").parse::<u64>().unwrap() >= applied).then_some(()));
    back.terminate();
    let again = Node::start(&url, &with_directory);
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
