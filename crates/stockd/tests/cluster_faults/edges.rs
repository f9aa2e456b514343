//! Nodes that only follow: at the log itself, or in another region at a mirror of it, which a leaf node of NATS keeps.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::nats::program;
use crate::node::{Node, Starting, becomes, refused};
use crate::{set, stock, take};

/// A server of NATS, until it is dropped.
struct Server(Child);

impl Server {
    fn start(program: &Path, directory: &Path, name: &str, text: &str) -> Server {
        let file = directory.join(format!("{name}.conf"));
        fs::write(&file, format!("server_name: {name}\nmax_payload: 1MB\n{text}")).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Server(command.spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server that has the log, and a leaf node of it with a JetStream of its own.
struct Regions {
    program: PathBuf,
    directory: TempDir,
    /// Of the first one for clients and for leaf nodes, and of the leaf node.
    ports: [u16; 3],
    running: [Option<Server>; 2],
    hub: String,
    leaf: String,
}

fn regions() -> Option<Regions> {
    let program = program()?;
    let directory = tempfile::tempdir().unwrap();
    let listeners = [0; 3].map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let ports = listeners.each_ref().map(|it| it.local_addr().unwrap().port());
    drop(listeners);
    let url = |port: u16| format!("nats://127.0.0.1:{port}");
    let (hub, leaf) = (url(ports[0]), url(ports[2]));
    let mut regions = Regions { program, directory, ports, running: [None, None], hub, leaf };
    let leaves = format!("leafnodes {{ listen: 127.0.0.1:{} }}\n", ports[1]);
    regions.running[0] = Some(regions.server("hub", ports[0], &leaves));
    regions.start_leaf(true);
    becomes(|| cluster(&["init", "--replicas", "1", "--size", "1", "--cluster", &regions.hub]));
    Some(regions)
}

impl Regions {
    /// Starts a server with a JetStream in a domain of its own.
    fn server(&self, name: &str, port: u16, more: &str) -> Server {
        let store = self.directory.path().join(name);
        let text = format!(
            "listen: 127.0.0.1:{port}\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always, domain: {name} }}\n{more}"
        );
        Server::start(&self.program, self.directory.path(), name, &text)
    }

    /// Starts the leaf node, which may have no way to the other server.
    fn start_leaf(&mut self, has_a_way: bool) {
        let [_, leaves, port] = self.ports;
        let remote = format!(
            "leafnodes {{ reconnect: 1, remotes: [{{ url: \"nats-leaf://127.0.0.1:{leaves}\" }}] }}\n"
        );
        self.running[1] = None;
        self.running[1] = Some(self.server("edge", port, if has_a_way { &remote } else { "" }));
    }
}

/// Runs `stockd cluster`: what it says, if it does what is asked.
fn cluster(args: &[&str]) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
    let output = command.arg("cluster").args(args).stdin(Stdio::null()).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn nodes_of_other_regions_show_what_the_others_write_and_take_no_writes() {
    let Some(regions) = regions() else { return };
    let core = Node::start(&regions.hub, &[]);
    for at in 1..=200 {
        set(&core, "OLD", at, 1000).unwrap();
    }
    becomes(|| cluster(&["mirror", "--domain", "hub", "--cluster", &regions.leaf]));
    let (code, err) = refused(&[&regions.leaf]);
    assert_eq!(code, Some(1));
    assert!(err.contains("is a mirror here") && err.contains("--follow"), "{err}");

    let edges = [&regions.hub, &regions.leaf].map(|url| Node::start(url, &["--follow"]));
    let expected = stock(&core, "OLD");
    for edge in &edges {
        // One has caught up when it is ready, the other one with a mirror that may be behind.
        becomes(|| (stock(edge, "OLD") == expected).then_some(()));
        assert_eq!(edge.info("cluster_state"), "read-only");
        assert!(edge.get("/health/ready").starts_with("HTTP/1.1 200"));
        assert!(edge.get("/metrics").contains("stockd_cluster_writes 0"));
        let error = take(edge, "OLD", 1).unwrap_err();
        assert_eq!(error.code(), Some("CLUSTERDOWN"), "{error}");
        assert!(error.to_string().contains("only follows"), "{error}");
    }
    assert_eq!(take(&core, "OLD", 400).unwrap(), 600);
    for edge in &edges {
        becomes(|| (stock(edge, "OLD") == stock(&core, "OLD")).then_some(()));
    }
    // What a node that is gone has last said grows old.
    core.kill();
    for edge in &edges {
        becomes(|| edge.get("/health/ready").starts_with("HTTP/1.1 503").then_some(()));
        assert_eq!(stock(edge, "OLD").unwrap().2, 600, "lookups go on");
    }
}

/// The log was shortened before there was a mirror of it: what is missing there those have who keep the log.
#[test]
fn a_node_at_a_mirror_begins_with_a_snapshot() {
    let Some(regions) = regions() else { return };
    let core = Node::start(&regions.hub, &[]);
    for price in 1..=3 {
        set(&core, "OLD", price, 1000).unwrap();
        becomes(|| cluster(&["snapshot", "--cluster", &regions.hub]));
    }
    let first = |url: &str| {
        let status = cluster(&["status", "--cluster", url])?;
        let messages = status.lines().find_map(|line| line.strip_prefix("messages    "))?;
        messages.split(' ').next()?.parse::<u64>().ok()
    };
    becomes(|| (first(&regions.hub)? > 1).then_some(()));
    becomes(|| cluster(&["mirror", "--domain", "hub", "--cluster", &regions.leaf]));
    let edge = Node::start(&regions.leaf, &["--follow"]);
    assert_eq!(stock(&edge, "OLD"), stock(&core, "OLD"));
    assert!(first(&regions.leaf).unwrap() > 1, "the mirror has no more than the log had");
    assert_eq!(take(&core, "OLD", 1).unwrap(), 999);
    // And goes on.
    becomes(|| (stock(&edge, "OLD") == stock(&core, "OLD")).then_some(()));
}

/// A node that has followed the log is started at a mirror that is behind. That has lost nothing: it is waited for.
#[test]
fn a_mirror_that_is_behind_is_waited_for() {
    let Some(mut regions) = regions() else { return };
    let core = Node::start(&regions.hub, &[]);
    set(&core, "OLD", 1, 1000).unwrap();
    becomes(|| cluster(&["mirror", "--domain", "hub", "--cluster", &regions.leaf]));
    drop(Node::start(&regions.leaf, &["--follow"]));
    regions.running[1] = None;
    set(&core, "OLD", 2, 1000).unwrap();
    let directory = regions.directory.path().join("node");
    let args = ["--follow", "--data-dir", directory.to_str().unwrap()];
    let edge = Node::start(&regions.hub, &args);
    edge.keeps_what_is_shown_by(&core);
    edge.terminate();

    regions.start_leaf(false);
    let starting = Starting::new(&regions.leaf, &args);
    starting.logs("the mirror is behind, and is waited for");
    regions.start_leaf(true);
    assert_eq!(stock(&starting.ready(), "OLD"), Some((2, 2, 1000)));
}

#[test]
fn servers_without_jetstream_are_named_for_what_they_lack() {
    let Some(regions) = regions() else { return };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let listen = format!("listen: 127.0.0.1:{port}\n");
    let _bare = Server::start(&regions.program, regions.directory.path(), "bare", &listen);
    let url = format!("nats://127.0.0.1:{port}");
    let starting = Starting::new(&url, &["--follow"]);
    starting.logs("no JetStream answers at the NATS servers that are named");
}
