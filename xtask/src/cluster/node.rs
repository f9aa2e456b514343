//! A node: a `stockd serve` that follows the log of a cluster.
//!
//! Invariant: the process has ended when this is dropped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::place::Place;
use crate::resp::{Dialogue, Reply};

/// How long a node that is asked to end may take.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// How often something is looked at that must come.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How a node is started, as often as it is.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) number: usize,
    pub(super) place: Place,
    program: PathBuf,
    arguments: Vec<String>,
    /// Where RESP is spoken: a file that every namespace reaches.
    pub(super) socket: PathBuf,
    log: PathBuf,
}

/// A node that runs, or is about to.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Child,
}

impl Node {
    /// One that follows the log at these servers.
    pub(super) fn new(
        program: &Path,
        directory: &Path,
        number: usize,
        place: Place,
        servers: &str,
    ) -> Node {
        let socket = directory.join(format!("node-{number}.sock"));
        let text = |it: &str| it.to_owned();
        let arguments = vec![
            text("serve"),
            text("--cluster"),
            text(servers),
            text("--resp"),
            format!("unix:{}", socket.display()),
            text("--workers"),
            text("1"),
        ];
        let log = directory.join(format!("node-{number}.log"));
        Node { number, place, program: program.to_owned(), arguments, socket, log }
    }

    /// A server that is no node, and keeps nothing.
    pub(super) fn alone(program: &Path, directory: &Path) -> Node {
        let mut node = Node::new(program, directory, 8, Place::here(), "");
        node.arguments.retain(|it| !it.is_empty() && it != "--cluster");
        node.arguments.push("--ephemeral".to_owned());
        node.with("--resp", "127.0.0.1:0").with("--line", "127.0.0.1:0").with("--http", "off")
    }

    /// Gives a setting a value.
    pub(super) fn with(mut self, name: &str, value: &str) -> Node {
        match self.arguments.iter().position(|it| it == name) {
            Some(at) => self.arguments[at + 1] = value.to_owned(),
            None => self.arguments.extend([name.to_owned(), value.to_owned()]),
        }
        self
    }

    /// Starts it, and waits for nothing.
    pub(super) fn start(&self) -> Result<Running> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = self.place.command(&self.program);
        command.args(&self.arguments).stdout(Stdio::null()).stderr(log);
        Ok(Running { process: command.spawn().context("cannot start stockd")? })
    }

    /// Starts it, and waits until it has said where each protocol is spoken.
    pub(super) fn start_and_wait(&self, protocols: &[&str]) -> Result<(Running, Vec<String>)> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = self.place.command(&self.program);
        command.args(&self.arguments).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().context("cannot start stockd")?;
        let mut lines = BufReader::new(process.stdout.take().context("no pipe")?).lines();
        let mut addresses = vec![String::new(); protocols.len()];
        let mut running = Running { process };
        while addresses.iter().any(String::is_empty) {
            let Some(line) = lines.next() else {
                running.kill();
                bail!("node {} does not start; its log: {}", self.number, self.log.display());
            };
            let line = line?;
            let known = protocols.iter().zip(&mut addresses);
            for (protocol, address) in known {
                if let Some((said, rest)) = line.split_once(' ')
                    && said == *protocol
                    && address.is_empty()
                {
                    *address = rest.to_owned();
                }
            }
        }
        // It prints nothing more, and its output needs no reader.
        Ok((running, addresses))
    }

    /// How often it has begun with a snapshot, as its log says.
    pub(super) fn snapshots_begun_with(&self) -> Result<usize> {
        let log = match std::fs::read_to_string(&self.log) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            log => log?,
        };
        Ok(log.matches("begins with a snapshot").count())
    }

    pub(super) fn connect(&self) -> Result<Dialogue> {
        Dialogue::connect_unix(&self.socket)
            .with_context(|| format!("cannot connect to node {}", self.number))
    }
}

impl Running {
    /// Ends it without a warning.
    pub(super) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Whether it has ended by itself, and how.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.process.try_wait().ok()??;
        Some(status.to_string())
    }

    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.process), signal);
    }

    /// Ends it as an operator does. What is wrong with its end.
    pub(super) fn stop(mut self) -> Option<String> {
        self.signal(Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < END_PATIENCE {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => return Some(format!("ended with {status}")),
                _ => std::thread::sleep(LOOK_INTERVAL),
            }
        }
        Some(format!("did not end within {END_PATIENCE:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What `INFO cluster` says, by name.
pub(super) fn info(dialogue: &mut Dialogue) -> Result<impl Fn(&str) -> Option<String> + use<>> {
    match dialogue.ask("INFO cluster")? {
        Reply::Bulk(text) => Ok(move |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(|value| value.trim().to_owned())
        }),
        other => bail!("INFO answered {other:?}"),
    }
}
