//! Three servers on disks of their own and three nodes, in a network of namespaces, and how things go wrong there.
//!
//! Invariant: after [`Scene::heal`] all processes run, and every link and disk is as at the start.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use stockd_witness::Nats;

use super::disk::Disk;
use super::faults::{Fault, MEMBERS, NODES, SERVERS};
use super::interruption;
use super::network::Network;
use super::node::{LOOK_INTERVAL, Node, Running, info};
use super::place::Place;
use super::programs::Programs;
use super::server::{Server, Setup};

/// How long something may take that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The stream of a cluster that is called as it is by default.
pub(super) const STREAM: &str = "STOCKD_main_0";

/// The ports of every server: for nodes, and for other servers.
const PORT: u16 = 4222;
const ROUTE_PORT: u16 = 6222;

/// A cluster whose parts can fail. What is declared first ends first.
#[derive(Debug)]
pub(super) struct Scene {
    running: Vec<Option<Running>>,
    /// What keeps a snapshot now.
    snapshot: Option<Running>,
    pub(super) nodes: Vec<Node>,
    servers: Vec<Server>,
    disks: Vec<Disk>,
    network: Network,
    stockd: PathBuf,
    flapping: Option<(usize, bool)>,
    /// What goes wrong now.
    active: Vec<Fault>,
}

impl Scene {
    /// Starts all of it, and waits until the nodes are ready.
    pub(super) fn start(
        programs: &Programs,
        directory: &Path,
        write_timeout: &str,
    ) -> Result<Scene> {
        let network = Network::new(MEMBERS)?;
        let places: Vec<Place> = (0..MEMBERS).map(|it| network.place(it)).collect();
        let disks: Vec<Disk> = (0..SERVERS)
            .map(|it| Disk::new(directory, &format!("server-{it}")))
            .collect::<Result<_>>()?;
        let mut servers = Vec::new();
        for (number, disk) in disks.iter().enumerate() {
            let mut routes: Vec<_> =
                places[..SERVERS].iter().map(|it| (it.clone(), ROUTE_PORT)).collect();
            routes.swap(0, number);
            servers.push(Server::new(&Setup {
                program: &programs.nats,
                directory,
                name: &format!("server-{number}"),
                place: places[number].clone(),
                port: PORT,
                store: &disk.path.join("store"),
                routes: &routes,
            })?);
        }
        let urls: Vec<String> = servers.iter().map(Server::url).collect();
        let node = |number: usize| {
            let mut near = urls.clone();
            near.rotate_left(number % SERVERS);
            let place = places[SERVERS + number].clone();
            let node = Node::new(&programs.stockd, directory, number, place, &near.join(","))
                .with("--line", "off")
                .with("--http", "off")
                .with("--write-timeout", write_timeout);
            // The first one keeps nothing, and reads all from the log when it is started again.
            let kept = directory.join(format!("node-{number}"));
            if number == 0 { node } else { node.with("--data-dir", &kept.display().to_string()) }
        };
        let nodes: Vec<Node> = (0..NODES).map(node).collect();
        let running = (0..NODES).map(|_| None).collect();
        let mut scene = Scene {
            running,
            snapshot: None,
            nodes,
            servers,
            disks,
            network,
            stockd: programs.stockd.clone(),
            flapping: None,
            active: Vec::new(),
        };
        for server in &mut scene.servers {
            server.start()?;
        }
        make_stream(programs, &places[0], &urls.join(","), SERVERS)?;
        keep_all(scene.server())?;
        for number in 0..NODES {
            scene.running[number] = Some(scene.nodes[number].start()?);
        }
        scene.wait_until_ready()?;
        Ok(scene)
    }

    fn wait_until_ready(&self) -> Result<()> {
        for node in &self.nodes {
            becomes("the nodes are ready", || {
                let mut dialogue = node.connect().ok()?;
                (info(&mut dialogue).ok()?("cluster_state")? == "ok").then_some(())
            })?;
        }
        Ok(())
    }

    /// What its slow links are.
    pub(super) fn slowness(&self) -> &'static str {
        self.network.slowness()
    }

    /// Where a server is reached, from its own place.
    pub(super) fn server(&self) -> &Server {
        &self.servers[0]
    }

    /// Something goes wrong.
    pub(super) fn begin(&mut self, fault: &Fault) -> Result<()> {
        self.active.push(fault.clone());
        match fault {
            Fault::Killed(members) => members.iter().for_each(|it| self.kill(*it)),
            Fault::Stopped(member) => self.signal(*member, Signal::STOP),
            Fault::Cut { from, to, is_both_ways } => {
                self.network.cut(*from, *to)?;
                if *is_both_ways {
                    self.network.cut(*to, *from)?;
                }
            }
            Fault::Alone { member, is_both_ways } => self.isolate(*member, *is_both_ways)?,
            Fault::Slow(member) => self.network.slow(*member)?,
            Fault::Flapping(member) => self.flapping = Some((*member, false)),
            Fault::PowerFailure(members) => {
                // All at one moment, as far as they can tell.
                members.iter().for_each(|it| self.signal(*it, Signal::STOP));
                for member in members {
                    self.disks[*member].fail()?;
                }
                members.iter().for_each(|it| self.kill(*it));
            }
            Fault::Snapshot => self.snapshot = Some(self.begin_snapshot()?),
        }
        Ok(())
    }

    /// Has a snapshot kept, before anything goes wrong.
    pub(super) fn keep_snapshot(&self) -> Result<()> {
        let mut running = self.begin_snapshot()?;
        let how = becomes("a snapshot is kept", || running.ended())?;
        ensure!(how.contains("status: 0"), "no snapshot is kept: {how}");
        Ok(())
    }

    fn begin_snapshot(&self) -> Result<Running> {
        let urls: Vec<String> = self.servers.iter().map(Server::url).collect();
        // Where a node is: it is as well off as that.
        let mut command = self.network.place(SERVERS).command(&self.stockd);
        command.args(["cluster", "snapshot", "--cluster", &urls.join(",")]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Running { process: command.spawn().context("cannot start stockd")? })
    }

    /// It is over.
    pub(super) fn end(&mut self, fault: &Fault) -> Result<()> {
        self.active.retain(|it| it != fault);
        match fault {
            Fault::Killed(members) => {
                for member in members {
                    self.start_again(*member)?;
                }
            }
            Fault::Stopped(member) => self.signal(*member, Signal::CONT),
            Fault::Cut { from, to, is_both_ways } => {
                self.network.join(*from, *to)?;
                if *is_both_ways {
                    self.network.join(*to, *from)?;
                }
            }
            Fault::Alone { member, is_both_ways } => self.rejoin(*member, *is_both_ways)?,
            Fault::Slow(member) => self.network.quicken(*member),
            Fault::Flapping(member) => {
                if self.flapping.take().is_some_and(|(_, is_cut)| is_cut) {
                    self.rejoin(*member, true)?;
                }
            }
            Fault::PowerFailure(members) => {
                for member in members {
                    self.disks[*member].recover()?;
                    self.start_again(*member)?;
                }
            }
            // It is killed where it is not done.
            Fault::Snapshot => self.snapshot = None,
        }
        Ok(())
    }

    /// All is over.
    pub(super) fn heal(&mut self) -> Result<()> {
        while let Some(fault) = self.active.first().cloned() {
            self.end(&fault)?;
        }
        Ok(())
    }

    /// A moment passes: links that come and go do.
    pub(super) fn pass(&mut self) -> Result<()> {
        interruption::check()?;
        if let Some((member, is_cut)) = self.flapping {
            self.flapping = Some((member, !is_cut));
            return if is_cut { self.rejoin(member, true) } else { self.isolate(member, true) };
        }
        Ok(())
    }

    /// The nodes that have ended, though none has ended them.
    pub(super) fn ended(&mut self) -> Vec<String> {
        let ended = self.running.iter_mut().enumerate().filter_map(|(number, running)| {
            let how = running.as_mut()?.ended()?;
            Some(format!("node {number} has ended: {how}"))
        });
        ended.collect()
    }

    /// Ends the nodes as an operator does: what is wrong with their end.
    pub(super) fn stop_nodes(&mut self) -> Vec<String> {
        let running = self.running.iter_mut().map(Option::take).enumerate();
        let ended = running.filter_map(|(number, it)| Some((number, it?.stop()?)));
        ended.map(|(number, how)| format!("node {number} {how}")).collect()
    }

    fn isolate(&self, member: usize, is_both_ways: bool) -> Result<()> {
        for other in (0..MEMBERS).filter(|it| *it != member) {
            self.network.cut(member, other)?;
            if is_both_ways {
                self.network.cut(other, member)?;
            }
        }
        Ok(())
    }

    fn rejoin(&self, member: usize, is_both_ways: bool) -> Result<()> {
        for other in (0..MEMBERS).filter(|it| *it != member) {
            self.network.join(member, other)?;
            if is_both_ways {
                self.network.join(other, member)?;
            }
        }
        Ok(())
    }

    fn kill(&mut self, member: usize) {
        match member.checked_sub(SERVERS) {
            None => self.servers[member].kill(),
            Some(node) => self.running[node] = None,
        }
    }

    fn start_again(&mut self, member: usize) -> Result<()> {
        match member.checked_sub(SERVERS) {
            None => self.servers[member].start(),
            Some(node) => {
                self.running[node] = Some(self.nodes[node].start()?);
                Ok(())
            }
        }
    }

    fn signal(&self, member: usize, signal: Signal) {
        match member.checked_sub(SERVERS) {
            None => {
                if let Some(process) = self.servers[member].process() {
                    let _ = kill_process(Pid::from_child(process), signal);
                }
            }
            Some(node) => {
                if let Some(running) = &self.running[node] {
                    running.signal(signal);
                }
            }
        }
    }
}

/// Makes the stream of a cluster, as soon as its servers are there.
pub(super) fn make_stream(
    programs: &Programs,
    place: &Place,
    urls: &str,
    replicas: usize,
) -> Result<()> {
    let replicas = replicas.to_string();
    becomes("the stream is made", || {
        let mut command = place.command(&programs.stockd);
        command.args([
            "cluster",
            "init",
            "--cluster",
            urls,
            "--size",
            "1",
            "--replicas",
            &replicas,
        ]);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success()).then_some(())
    })
}

/// Has the whole log kept, for who reads it afterwards: snapshots do not shorten it.
fn keep_all(server: &Server) -> Result<()> {
    let update = || -> Result<()> {
        let mut nats = Nats::connect(server.place.address(server.port))?;
        let made = nats.api(&format!("STREAM.INFO.{STREAM}"), &json!(null))?;
        let mut config = made["config"].clone();
        config["deny_purge"] = true.into();
        nats.api(&format!("STREAM.UPDATE.{STREAM}"), &config)?;
        Ok(())
    };
    within(&server.place, || becomes("the whole log is kept", || update().ok()))
}

/// Asks again and again until there is an answer.
pub(super) fn becomes<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        interruption::check()?;
        if began.elapsed() > PATIENCE {
            bail!("it never comes to be that {what}");
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Does something in the network of a place.
pub(super) fn within<T: Send>(place: &Place, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let Some(file) = place.file() else { return act() };
    // A thread of its own: it stays there.
    let there = || {
        let file = std::fs::File::open(&file).with_context(|| file.display().to_string())?;
        let network = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), network)?;
        act()
    };
    thread::scope(|scope| scope.spawn(there).join().ok().context("a thread panicked")?)
}
