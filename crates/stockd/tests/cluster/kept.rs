//! What a node keeps in its data directory: it goes on from there, and from no other.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use stockd_store::{DataDir, Durability, Write};
use tempfile::TempDir;

use crate::nats::Servers;
use crate::node::{self, Node, becomes};
use crate::{field, list};

fn start(servers: &Servers, directory: &Path) -> Node {
    Node::start(&servers.urls_from(0), &["--data-dir", directory.to_str().unwrap()])
}

/// A server, and a node that has kept one stock and goes on.
struct Opening {
    servers: Servers,
    home: TempDir,
    directory: PathBuf,
    node: Node,
}

fn opening() -> Option<Opening> {
    let servers = Servers::start(1)?;
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("node");
    let node = start(&servers, &directory);
    list(&mut node.connect(), "HOT", 5);
    node.keeps_what_is_shown_by(&node);
    Some(Opening { servers, home, directory, node })
}

fn refusal(servers: &Servers, directory: &Path, more: &[&str]) -> String {
    let url = servers.url(0);
    let args = [&[&*url, "--data-dir", directory.to_str().unwrap()], more].concat();
    let (code, err) = node::refused(&args);
    assert_eq!(code, Some(1), "{err}");
    err
}

/// A node is killed after it has kept some of what it acknowledged, and later it ends well. Each time it is started it has
/// all of it.
#[test]
fn a_node_goes_on_from_what_it_has_kept() {
    let Some(servers) = Servers::start(1) else { return };
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("node");
    let node = start(&servers, &directory);
    let mut connection = node.connect();
    (0..50).for_each(|stock| list(&mut connection, &format!("S{stock}"), 5));
    redis::cmd("DEL").arg("S0").exec(&mut connection).unwrap();
    node.keeps_what_is_shown_by(&node);
    // Not kept yet, or not all of it.
    list(&mut connection, "LATER", 7);
    list(&mut connection, "S1", 9);
    node.kill();

    let node = start(&servers, &directory);
    let mut connection = node.connect();
    let volumes = |connection: &mut redis::Connection| {
        ["S0", "S1", "S2", "LATER"].map(|stock| field(connection, stock, "volume"))
    };
    let expected = [None, Some(9), Some(5), Some(7)];
    assert_eq!(volumes(&mut connection), expected);
    node.terminate();

    // Read by what reads any data directory.
    let check = Command::new(env!("CARGO_BIN_EXE_stockd")).arg("check").arg(&directory).output();
    let check = check.unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let node = start(&servers, &directory);
    assert_eq!(volumes(&mut node.connect()), expected);
}

#[test]
fn a_directory_of_another_is_refused_by_name() {
    let Some(Opening { mut servers, home, directory, node }) = opening() else { return };
    node.terminate();

    // A server of its own does not take that of a node, nor a node that of such a server.
    let mut alone = Command::new(env!("CARGO_BIN_EXE_stockd"));
    let output = alone.args(["serve", "--data-dir"]).arg(&directory).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("is that of a node of a cluster; start it with --cluster"), "{err}");
    let own = home.path().join("own");
    let apple = stockd_model::Quote {
        price: "1".parse().ok(),
        version: 1,
        ..stockd_model::Quote::new("AAPL".parse().unwrap())
    };
    stockd_store::Store::commit(&mut DataDir::open(&own, true).unwrap(), &[Write::Put(apple)], 0)
        .unwrap();
    let err = refusal(&servers, &own, &[]);
    assert!(err.contains("is that of a server of its own"), "{err}");

    servers.cluster(&["init", "--replicas", "1", "--size", "1", "--cluster-name", "other"]);
    let err = refusal(&servers, &directory, &["--cluster-name", "other"]);
    assert!(err.contains("is of cluster 'main', and this node is one of 'other'"), "{err}");

    // The log was made again.
    servers.kill(0);
    fs::remove_dir_all(servers.store(0)).unwrap();
    servers.start_again(0);
    becomes(|| {
        let (code, ..) = servers.cluster(&["init", "--replicas", "1", "--size", "1"]);
        (code == Some(0)).then_some(())
    });
    let err = refusal(&servers, &directory, &[]);
    assert!(err.contains("is of another log of cluster 'main', epoch "), "{err}");
}

/// The disk of the only server is put back to what it was some writes ago.
#[test]
fn a_log_that_went_back_is_refused() {
    let Some(Opening { mut servers, home, directory, node }) = opening() else { return };
    servers.kill(0);
    let backup = home.path().join("backup");
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    copy(&servers.store(0), &backup);
    servers.start_again(0);
    becomes(|| (node.info("cluster_state") == "ok").then_some(()));
    list(&mut node.connect(), "LOST", 5);
    node.keeps_what_is_shown_by(&node);
    node.terminate();

    servers.kill(0);
    fs::remove_dir_all(servers.store(0)).unwrap();
    copy(&backup, &servers.store(0));
    servers.start_again(0);
    let err = refusal(&servers, &directory, &[]);
    assert!(err.contains("it has lost what was acknowledged"), "{err}");
    assert!(err.contains("stockd cluster recover"), "{err}");

    // A new log begins with what the directory has.
    let recover = ["recover", "--data-dir", directory.to_str().unwrap()];
    let (code, out) = servers.cluster(&recover);
    assert_eq!(code, Some(1), "{out}");
    let (code, out) = servers.cluster(&[&recover[..], &["--discard-log"]].concat());
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("2 stocks of "), "{out}");
    let err = refusal(&servers, &directory, &[]);
    assert!(err.contains("is of another log of cluster 'main'"), "{err}");
    let (code, _) = servers.cluster(&[&recover[..], &["--discard-log"]].concat());
    assert_eq!(code, Some(1), "there is nothing more to recover");
    let node = start(&servers, &home.path().join("new"));
    let mut connection = node.connect();
    assert_eq!(field(&mut connection, "LOST", "volume"), Some(5));
    assert_eq!(field(&mut connection, "HOT", "version"), Some(1));
    list(&mut connection, "HOT", 9);
    assert_eq!(field(&mut connection, "HOT", "version"), Some(2));
    // And so does one that has only the log and its first snapshot.
    let other = Node::start(&servers.urls_from(0), &[]);
    assert_eq!(field(&mut other.connect(), "HOT", "volume"), Some(9));
}

/// Somebody changes the volume of a stock in the directory, behind the back of the node.
#[test]
fn quotes_that_were_changed_by_hand_are_found() {
    let Some(Opening { servers, home: _home, directory, node }) = opening() else { return };
    node.terminate();
    let mut data = DataDir::open(&directory, true).unwrap();
    let position = data.position().unwrap().to_vec();
    let mut quotes = Vec::new();
    let floor = data
        .load(|quote| {
            quotes.push(quote);
            ControlFlow::Continue(())
        })
        .unwrap();
    quotes[0].volume = Some("6".parse().unwrap());
    data.commit_at(&[Write::Put(quotes[0])], floor, &position, Durability::Synced).unwrap();
    drop(data);
    let err = refusal(&servers, &directory, &[]);
    assert!(err.contains("holds other quotes than the node kept there"), "{err}");
}

/// A path was mistyped: it is named, and nothing is made there.
#[test]
fn what_is_no_data_directory_is_not_recovered_and_not_made() {
    let home = tempfile::tempdir().unwrap();
    let (missing, empty) = (home.path().join("missing"), home.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    for (path, named) in [(&missing, missing.clone()), (&empty, empty.join("quotes.redb"))] {
        let mut recover = Command::new(env!("CARGO_BIN_EXE_stockd"));
        recover.args(["cluster", "recover", "--cluster", "nats://127.0.0.1:1", "--data-dir"]);
        let output = recover.arg(path).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains(&format!("'{}' does not exist", named.display())), "{err}");
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}
