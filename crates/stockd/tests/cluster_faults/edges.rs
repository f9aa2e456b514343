//! Nodes that only follow: at the log itself, or in another region at a mirror of it, which a leaf node of NATS keeps.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::nats::program;
use crate::node::{Node, becomes, refused};
use crate::{has_applied, set, stock, take};

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
    _servers: Vec<Server>,
    _directory: TempDir,
    hub: String,
    leaf: String,
}

fn regions() -> Option<Regions> {
    let program = program()?;
    let directory = tempfile::tempdir().unwrap();
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    let ports: Vec<u16> = listeners.iter().map(|it| it.local_addr().unwrap().port()).collect();
    drop(listeners);
    let [hub, leaves, leaf] = ports[..] else { unreachable!() };
    let listen = |port: u16| format!("listen: 127.0.0.1:{port}\n");
    let jetstream = |domain: &str| {
        let store = directory.path().join(domain);
        format!("jetstream {{ store_dir: {store:?}, sync_interval: always, domain: {domain} }}\n")
    };
    let remote = format!(
        "leafnodes {{ reconnect: 1, remotes: [{{ url: \"nats-leaf://127.0.0.1:{leaves}\" }}] }}\n"
    );
    let hub_listens = format!("leafnodes {{ listen: 127.0.0.1:{leaves} }}\n");
    let start = |name: &str, text: String| Server::start(&program, directory.path(), name, &text);
    let servers = vec![
        start("hub", listen(hub) + &jetstream("hub") + &hub_listens),
        start("leaf", listen(leaf) + &jetstream("edge") + &remote),
    ];
    let url = |port: u16| format!("nats://127.0.0.1:{port}");
    let regions =
        Regions { _servers: servers, _directory: directory, hub: url(hub), leaf: url(leaf) };
    becomes(|| cluster(&["init", "--replicas", "1", "--size", "1", "--cluster", &regions.hub]));
    Some(regions)
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
        // Ready means that it has caught up.
        assert_eq!(stock(edge, "OLD"), expected);
        assert_eq!(edge.info("cluster_state"), "read-only");
        assert!(edge.get("/health/ready").starts_with("HTTP/1.1 200"));
        assert!(edge.get("/metrics").contains("stockd_cluster_writes 0"));
        let error = take(edge, "OLD", 1).unwrap_err();
        assert_eq!(error.code(), Some("CLUSTERDOWN"), "{error}");
        assert!(error.to_string().contains("only follows"), "{error}");
    }
    assert_eq!(take(&core, "OLD", 400).unwrap(), 600);
    let applied = core.info("cluster_applied").parse().unwrap();
    for edge in &edges {
        has_applied(edge, applied);
        assert_eq!(stock(edge, "OLD"), stock(&core, "OLD"));
    }
    // What a node that is gone has last said grows old.
    core.kill();
    for edge in &edges {
        becomes(|| edge.get("/health/ready").starts_with("HTTP/1.1 503").then_some(()));
        assert_eq!(stock(edge, "OLD").unwrap().2, 600, "lookups go on");
    }
}
