//! A `stockd serve` that rude clients are let at, as its operator sees it: its addresses, its
//! memory, and how it ends.
//!
//! Invariant: its standard error is a pipe that is not read before the process has ended, as under
//! a supervisor that hangs; and the process has ended when this is dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::memory::{MemoryLimit, resident_bytes};

/// The end that the documentation promises: this long after SIGTERM at most.
pub(super) const STOP_PROMISE: Duration = Duration::from_secs(5);

/// How long a server may take to end before it is killed.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// How often a running server is looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Connections that it serves at once: few enough that rude clients can reach the limit.
const CONNECTIONS_MAX: &str = "4000";

/// How a server is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Launch<'a> {
    pub(super) binary: &'a Path,
    pub(super) workers: usize,
    /// The stocks that it lists at its start.
    pub(super) catalog: Option<&'a Path>,
    /// `None` keeps nothing.
    pub(super) data_dir: Option<&'a Path>,
    pub(super) limit: &'a MemoryLimit,
}

/// A server that is ready.
#[derive(Debug)]
pub(super) struct Server<'a> {
    child: Child,
    /// Held, so that it never writes to a closed pipe.
    _stdout: BufReader<ChildStdout>,
    limit: &'a MemoryLimit,
    pub(super) line: SocketAddr,
    pub(super) resp: SocketAddr,
    /// The most resident bytes that were seen.
    pub(super) peak: u64,
}

/// How a server ended after it was asked to.
#[derive(Debug)]
pub(super) struct Stopped {
    /// `None` where it had to be killed.
    pub(super) status: Option<ExitStatus>,
    pub(super) took: Duration,
    /// What it had logged, as far as the pipe took it.
    pub(super) log: String,
}

impl<'a> Server<'a> {
    /// Starts it and waits until it is ready.
    pub(super) fn start(launch: Launch<'a>) -> Result<Server<'a>> {
        let mut command = launch.limit.command(launch.binary);
        command.args(["serve", "--line", "127.0.0.1:0", "--resp", "127.0.0.1:0"]);
        command.args(["--http", "off"]);
        command.args(["--workers", &launch.workers.to_string()]);
        command.args(["--connections-max", CONNECTIONS_MAX]);
        match launch.data_dir {
            Some(directory) => command.arg("--data-dir").arg(directory),
            None => command.arg("--ephemeral"),
        };
        if let Some(catalog) = launch.catalog {
            command.arg("--catalog").arg(catalog);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start stockd")?;
        let stdout = BufReader::new(child.stdout.take().context("its output is no pipe")?);
        ready(child, stdout, launch.limit)
    }

    /// Looks at its memory, and whether it still runs.
    ///
    /// # Errors
    ///
    /// When it has ended, or has more memory than it may have and was therefore ended.
    pub(super) fn look(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let why = match self.limit.kills() {
                0 => String::new(),
                _ => format!(": out of memory ({})", self.limit.describe()),
            };
            bail!("the server ended with {status}{why}");
        }
        let resident = resident_bytes(self.child.id()).unwrap_or(0);
        self.peak = self.peak.max(resident);
        if self.limit.is_exceeded(resident) {
            self.child.kill()?;
            self.child.wait()?;
            bail!("the server had {} MiB of memory; {}", resident >> 20, self.limit.describe());
        }
        Ok(())
    }

    /// Looks at it again and again for this time.
    pub(super) fn watch(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.look()?;
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    pub(super) fn resident_bytes(&self) -> Result<u64> {
        resident_bytes(self.child.id())
    }

    /// Asks for the end and waits for it.
    pub(super) fn stop(mut self) -> Result<Stopped> {
        let asked = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break Some(status),
                None if asked.elapsed() > STOP_PATIENCE => break None,
                None => std::thread::sleep(LOOK_INTERVAL),
            }
        };
        let took = asked.elapsed();
        Ok(Stopped { status, took, log: self.ended_log() })
    }

    /// Ends it where it runs still: what its log has.
    fn ended_log(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut log = Vec::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_end(&mut log);
        }
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server once it has printed its addresses.
fn ready<'a>(
    child: Child,
    mut stdout: BufReader<ChildStdout>,
    limit: &'a MemoryLimit,
) -> Result<Server<'a>> {
    let (mut line, mut resp) = (None, None);
    loop {
        let mut text = String::new();
        let len = stdout.read_line(&mut text)?;
        match text.trim_end().split_once(' ') {
            Some(("line", address)) => line = Some(address.parse()?),
            Some(("resp", address)) => resp = Some(address.parse()?),
            _ => {}
        }
        if let (Some(line), Some(resp)) = (line, resp) {
            return Ok(Server { child, _stdout: stdout, limit, line, resp, peak: 0 });
        }
        if len == 0 {
            // A server of no addresses, which ends what is left of it and has its log.
            let none = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut server =
                Server { child, _stdout: stdout, limit, line: none, resp: none, peak: 0 };
            bail!("the server does not start: {}", server.ended_log().trim_end());
        }
    }
}
