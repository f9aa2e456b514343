//! A network of namespaces on this machine, whose links can be cut, slowed down and made to come and go.
//!
//! ```text
//!   namespace of a member           namespace of the network
//!   eth0 10.213.0.N ───── veth ───── bridge ───── …
//! ```
//!
//! A link is cut by a false address of the other end at the sender: what is sent goes nowhere, and none of both is told. That is
//! one direction; the other one is cut at the other end.
//!
//! Invariant: nothing of it is left when this is dropped. Nothing leaves the machine.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::place::Place;
use crate::packages;

/// An address of a network card that nothing has.
const NOWHERE: &str = "02:00:00:00:00:99";

/// What a slow link does, where the kernel can: late by some of these milliseconds, and a few packets not at all.
const NETEM: &str = "netem delay 40ms 30ms loss 3%";

/// Else: a queue in front of a narrow link, that drops what it has no room for.
const NARROW: &str = "tbf rate 2mbit burst 16kb latency 300ms";

/// A network.
#[derive(Debug)]
pub(super) struct Network {
    prefix: String,
    members: Vec<Place>,
    has_netem: bool,
}

impl Network {
    /// Why there can be none here, if there cannot.
    pub(super) fn missing() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("namespaces of the network need root".to_owned());
        }
        if packages::install(&[("ip", "iproute2"), ("tc", "iproute2"), ("nsenter", "util-linux")])
            .is_err()
        {
            return Some(
                "ip, tc and nsenter are needed: apt-get install iproute2 util-linux".to_owned(),
            );
        }
        let name = format!("stockd-{}-try", std::process::id());
        let can = ip(&["netns", "add", &name]).is_ok();
        let _ = ip(&["netns", "del", &name]);
        (!can).then(|| "this machine makes no namespaces of the network".to_owned())
    }

    /// Makes one with this many members.
    pub(super) fn new(members: usize) -> Result<Network> {
        let prefix = format!("stockd-{}", std::process::id());
        let mut network = Network { prefix, members: Vec::new(), has_netem: false };
        let hub = network.hub();
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        for number in 0..members {
            network.add(number)?;
        }
        if let Some(first) = network.members.first() {
            network.has_netem = shape(first, NETEM).is_ok();
            unshape(first);
        }
        Ok(network)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    fn add(&mut self, number: usize) -> Result<()> {
        let (hub, name) = (self.hub(), format!("{}-{number}", self.prefix));
        let (host, port) = (Ipv4Addr::new(10, 213, 0, number as u8 + 1), format!("port{number}"));
        ip(&["netns", "add", &name])?;
        self.members.push(Place { host, namespace: Some(name.clone()) });
        ip(&[
            "-n", &name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns",
            &hub,
        ])?;
        ip(&["-n", &hub, "link", "set", &port, "master", "bridge", "up"])?;
        ip(&["-n", &name, "addr", "add", &format!("{host}/24"), "dev", "eth0"])?;
        ip(&["-n", &name, "link", "set", "eth0", "up"])?;
        ip(&["-n", &name, "link", "set", "lo", "up"])
    }

    pub(super) fn place(&self, member: usize) -> Place {
        self.members[member].clone()
    }

    /// What its slow links are.
    pub(super) fn slowness(&self) -> &'static str {
        if self.has_netem { NETEM } else { NARROW }
    }

    /// Lets nothing through from one member to another.
    pub(super) fn cut(&self, from: usize, to: usize) -> Result<()> {
        self.neighbour(
            from,
            &["replace", &self.host(to), "lladdr", NOWHERE, "nud", "permanent", "dev", "eth0"],
        )
    }

    /// Lets it through again.
    pub(super) fn join(&self, from: usize, to: usize) -> Result<()> {
        self.neighbour(from, &["del", &self.host(to), "dev", "eth0"])
    }

    /// Makes all that a member sends late, and loses some of it.
    pub(super) fn slow(&self, member: usize) -> Result<()> {
        shape(&self.members[member], self.slowness())
    }

    /// Makes it quick again.
    pub(super) fn quicken(&self, member: usize) {
        unshape(&self.members[member]);
    }

    fn host(&self, member: usize) -> String {
        self.members[member].host.to_string()
    }

    fn neighbour(&self, of: usize, what: &[&str]) -> Result<()> {
        let name = self.members[of].namespace.clone().unwrap_or_default();
        ip(&[&["-n", &name, "neigh"], what].concat())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.members.iter().filter_map(|it| it.namespace.clone()).chain([self.hub()]) {
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

fn shape(place: &Place, how: &str) -> Result<()> {
    let mut command = place.command("tc");
    command.args(["qdisc", "replace", "dev", "eth0", "root"]).args(how.split(' '));
    run(&mut command)
}

fn unshape(place: &Place) {
    let mut command = place.command("tc");
    // There may be none.
    let _ = run(command.args(["qdisc", "del", "dev", "eth0", "root"]));
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

pub(super) fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let (error, program) = (String::from_utf8_lossy(&output.stderr), command.get_program());
        let arguments: Vec<_> = command.get_args().map(|it| it.to_string_lossy()).collect();
        bail!("{} {}: {}", program.display(), arguments.join(" "), error.trim());
    }
    Ok(())
}
