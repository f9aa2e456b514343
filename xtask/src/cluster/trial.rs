//! A cluster on this machine, to try it: three servers, three nodes, on ports that were free.
//!
//! Invariant: all processes have ended when this has.

use std::iter;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};

use super::faults::{NODES, SERVERS};
use super::interruption;
use super::node::{LOOK_INTERVAL, Node, Running};
use super::place::Place;
use super::programs::Programs;
use super::scene::{becomes, make_stream};
use super::server::{Server, Setup};
use crate::packages;
use crate::resp::Reply;

/// What runs. What is declared first ends first.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) running: Vec<Running>,
    pub(super) nodes: Vec<Node>,
    /// Where each speaks by line, RESP and HTTP.
    pub(super) addresses: Vec<Vec<String>>,
    pub(super) servers: Vec<Server>,
}

/// A command that is shown, to be copied.
#[derive(Debug)]
struct Shown {
    command: String,
    says: &'static str,
}

const PROTOCOLS: [&str; 3] = ["line", "resp", "http"];

impl Trial {
    /// Starts all of it. The servers keep the log in this directory.
    pub(super) fn start(programs: &Programs, directory: &Path) -> Result<Trial> {
        // All at once, so that no two are the same.
        let listeners: Vec<_> = iter::repeat_with(|| TcpListener::bind(("127.0.0.1", 0)))
            .take(2 * SERVERS)
            .collect::<Result<_, _>>()?;
        let ports: Vec<u16> =
            listeners.iter().map(|it| Ok(it.local_addr()?.port())).collect::<Result<_>>()?;
        drop(listeners);
        let (ports, route_ports) = ports.split_at(SERVERS);
        let mut servers = Vec::new();
        for (number, port) in ports.iter().enumerate() {
            let mut routes: Vec<_> =
                route_ports.iter().map(|port| (Place::here(), *port)).collect();
            routes.swap(0, number);
            let mut server = Server::new(&Setup {
                program: &programs.nats,
                directory,
                name: &format!("server-{number}"),
                place: Place::here(),
                port: *port,
                store: &directory.join(format!("store-{number}")),
                routes: &routes,
            })?;
            server.start()?;
            servers.push(server);
        }
        let mut urls: Vec<String> = servers.iter().map(Server::url).collect();
        make_stream(programs, &Place::here(), &urls.join(","), SERVERS)?;
        let (mut nodes, mut running, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..NODES {
            let node =
                Node::new(&programs.stockd, directory, number, Place::here(), &urls.join(","))
                    .with("--line", "127.0.0.1:0")
                    .with("--http", "127.0.0.1:0")
                    .with(
                        "--resp",
                        &format!(
                            "127.0.0.1:0,unix:{}",
                            directory.join(format!("node-{number}.sock")).display()
                        ),
                    );
            let (process, spoken) = node.start_and_wait(&PROTOCOLS)?;
            nodes.push(node);
            running.push(process);
            addresses.push(spoken);
            urls.rotate_left(1);
        }
        Ok(Trial { running, nodes, addresses, servers })
    }

    /// What can be done with it, with commands to copy.
    pub(super) fn describe(&self, stockd: &Path) -> String {
        let mut text = String::new();
        for server in &self.servers {
            text += &format!("{:<9} {}\n", server.name, server.url());
        }
        for (number, addresses) in self.addresses.iter().enumerate() {
            let [line, resp, http] = [0, 1, 2].map(|at| addresses[at].as_str());
            text += &format!("node-{number}    line {line}  resp {resp}  http {http}\n");
        }
        text += "\nWrite through one node, and look at another:\n";
        for Shown { command, .. } in self.commands(stockd) {
            text += &format!("  {command}\n");
        }
        for (running, number) in self.running.iter().zip(0..) {
            text += &format!(
                "{}  kill -9 {}    # node-{number}\n",
                if number == 0 { "\nSee what happens when something ends:\n" } else { "" },
                running.process.id()
            );
        }
        for server in &self.servers {
            if let Some(process) = server.process() {
                text += &format!("  kill -9 {}    # {}\n", process.id(), server.name);
            }
        }
        text + "\nCtrl-C ends all of it.\n"
    }

    /// The commands that are shown, and what each must say.
    fn commands(&self, stockd: &Path) -> Vec<Shown> {
        let stockd = stockd.display();
        let of = |node: usize, at: usize| self.addresses[node][at].as_str();
        let port = |node: usize| of(node, 1).rsplit(':').next().unwrap_or_default().to_owned();
        let resp = of(0, 1);
        let set = format!("{stockd} set AAPL --price 172.50 --volume 1000 --server {resp}");
        let status = format!("{stockd} cluster status --cluster {}", self.servers[0].url());
        [
            (set, "AAPL"),
            (format!("{stockd} lookup AAPL --server {}", of(1, 0)), "AAPL 172.5"),
            (format!("redis-cli -p {} HINCRBY AAPL volume -10", port(2)), "990"),
            (format!("redis-cli -p {} INFO cluster", port(0)), "cluster_state:ok"),
            (format!("curl http://{}/health/ready", of(0, 2)), "ready"),
            (status, "stream      STOCKD_main_0"),
        ]
        .map(|(command, says)| Shown { command, says })
        .into()
    }

    /// Runs until somebody wants it to end.
    pub(super) fn wait() {
        while interruption::check().is_ok() {
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Writes through each node, and reads all of it from each; then runs the commands that are shown.
    ///
    /// # Errors
    ///
    /// When a node does not show what was written, or a command does not say what it must.
    pub(super) fn check(&self, stockd: &Path) -> Result<()> {
        let symbol = |node: usize| format!("VIA{node}");
        for node in &self.nodes {
            let set = node
                .connect()?
                .ask(&format!("HSET {} price 1.5 volume 10", symbol(node.number)))?;
            ensure!(matches!(set, Reply::Number(_)), "node {} answered {set:?}", node.number);
        }
        for node in &self.nodes {
            let mut dialogue = node.connect()?;
            for other in 0..NODES {
                becomes("each node shows the writes of all", || {
                    let price = dialogue.ask(&format!("HGET {} price", symbol(other))).ok()?;
                    (price == Reply::Bulk("1.5".to_owned())).then_some(())
                })
                .with_context(|| format!("node {}, {}", node.number, symbol(other)))?;
            }
        }
        packages::install(&[("redis-cli", "redis-tools"), ("curl", "curl")])?;
        self.commands(stockd).iter().try_for_each(Shown::check)
    }

    /// Ends nodes and servers, as an operator does.
    pub(super) fn end(self) -> Result<()> {
        for (number, running) in self.running.into_iter().enumerate() {
            let wrong = running.stop();
            ensure!(wrong.is_none(), "node {number} {}", wrong.unwrap_or_default());
        }
        Ok(())
    }
}

impl Shown {
    /// Runs it, until it says what it must: a node may not show yet what was written through another.
    fn check(&self) -> Result<()> {
        let Shown { command, says } = self;
        let mut said = String::new();
        let checked = becomes("a command works that is shown", || {
            let output =
                Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().ok()?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            said = format!("{}{}", text(&output.stdout), text(&output.stderr));
            (output.status.success() && said.contains(says)).then_some(())
        });
        checked.with_context(|| format!("'{command}' does not say '{says}', but: {said}"))
    }
}
