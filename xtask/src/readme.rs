//! Runs the commands of README.md, and of the first hours that it leads to, and compares what they print with
//! what is shown.
//!
//! The commands of a document run in bash, one after the other, in one empty directory, with the binary
//! first on PATH; [`transcript`] says how a document marks them. Standard error
//! is passed through and not compared.
//!
//! Invariant: every process that was started has ended when the step ends.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::transcript::{self, Ending};
use crate::workspace::Workspace;
use crate::{build, packages};

/// Each stands for itself: a reader needs nothing that another one has made.
const DOCUMENTS: &[&str] = &["README.md", "docs/student.md", "docs/operator.md"];

/// The command that builds and runs the program in a checkout. README commands run in a directory of
/// their own, where the binary on PATH stands in for it.
const FROM_SOURCE: &str = "cargo run --release --";

/// How long a command may take to print what is shown of it, and to end.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a process may take to end when it is asked to.
const ENDING_TIMEOUT: Duration = Duration::from_secs(10);

/// Programs that the README may use besides our own, and the Debian packages they come in.
const TOOLS: &[(&str, &str)] = &[
    ("nc", "netcat-openbsd"),
    ("python3", "python3"),
    ("redis-cli", "redis-tools"),
    ("curl", "curl"),
];

/// Runs every command of the documents.
pub(crate) fn run(workspace: &Workspace, _: &[String]) -> Result<()> {
    let binary = build::tested_binary(workspace)?;
    DOCUMENTS.iter().try_for_each(|document| run_document(workspace, document, &binary))
}

fn run_document(workspace: &Workspace, document: &str, binary: &Path) -> Result<()> {
    let text = workspace.text(document)?;
    let commands = transcript::commands(&text).with_context(|| document.to_owned())?;
    if commands.is_empty() {
        bail!("{document} has no console block with a command to run");
    }
    install_tools(document, &commands)?;
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let shell = Shell {
        directory: directory.path(),
        path: path_with(binary.parent().context("the binary lies in no directory")?)?,
    };
    let mut running: Option<Running> = None;
    for command in &commands {
        println!("{document}:{}: $ {}", command.line, command.text);
        if command.ending == Ending::KeepsRunning {
            // Its successor may want the same port.
            drop(running.take());
        }
        let kept = shell
            .run(command)
            .with_context(|| format!("{document}:{}: $ {}", command.line, command.text))?;
        running = kept.or(running);
    }
    println!("{} commands do what {document} shows", commands.len());
    Ok(())
}

/// Installs what the commands need and this machine lacks, where that is possible.
fn install_tools(document: &str, commands: &[transcript::Command]) -> Result<()> {
    let words: BTreeSet<&str> =
        commands.iter().flat_map(|command| command.text.split_whitespace()).collect();
    let used: Vec<_> = TOOLS.iter().filter(|(tool, _)| words.contains(tool)).copied().collect();
    packages::install(&used).with_context(|| format!("{document} uses programs of others"))
}

/// PATH with one more directory before the others.
fn path_with(first: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(directories).context("the directory of the binary cannot stand in PATH")
}

/// Where and how commands run.
struct Shell<'a> {
    directory: &'a Path,
    path: OsString,
}

impl Shell<'_> {
    /// Runs a command until it has printed what is shown. Returns it if it keeps running.
    fn run(&self, command: &transcript::Command) -> Result<Option<Running>> {
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let mut running = self.start(command)?;
        let mut printed = Vec::new();
        let shown = |printed: &[String]| command.output.is_empty() || command.shows(printed);
        let keeps_running = command.ending == Ending::KeepsRunning;
        let cut_short = loop {
            // A server is ready once it has printed what is shown, or anything where nothing is.
            if keeps_running && !printed.is_empty() && shown(&printed) {
                return Ok(Some(running));
            }
            match running.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => printed.push(line),
                Err(RecvTimeoutError::Disconnected) => break false,
                Err(RecvTimeoutError::Timeout) => break true,
            }
        };
        let printed_text = format!("it printed:\n{}", printed.join("\n"));
        if cut_short {
            bail!("not done after {} s; {printed_text}", COMMAND_TIMEOUT.as_secs());
        }
        let status = running.wait()?;
        match command.ending {
            Ending::KeepsRunning => bail!("it ended early ({status}); {printed_text}"),
            Ending::Exit(code) if status.code() != Some(code) => {
                bail!("it ended with {status}, not with exit code {code}; {printed_text}")
            }
            Ending::Exit(_) if !shown(&printed) => {
                bail!("shown is:\n{}\n{printed_text}", command.output.join("\n"))
            }
            Ending::Exit(_) => Ok(None),
        }
    }

    fn start(&self, command: &transcript::Command) -> Result<Running> {
        // A server replaces its shell, so that it is the process whose id is known.
        let exec = match command.ending {
            Ending::KeepsRunning => "exec ",
            Ending::Exit(_) => "",
        };
        let text = command.text.replace(FROM_SOURCE, "stockd");
        let mut child = Command::new("bash")
            .args(["-c", &format!("{exec}{text}")])
            .current_dir(self.directory)
            .env("PATH", &self.path)
            // What a server keeps, it keeps here.
            .env("XDG_STATE_HOME", self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot run bash")?;
        let output = child.stdout.take().context("no standard output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // Reading goes on even when no receiver is left: a full pipe would block the server.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Running { child, lines })
    }
}

/// A process of ours, ended when it is dropped.
struct Running {
    child: Child,
    /// What it prints; disconnected at the end of its output.
    lines: Receiver<String>,
}

impl Running {
    fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("cannot wait for it")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Asked first, as an operator would, and all that a pipeline started with it. Its output
        // ends when it has ended.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
        let deadline = Instant::now() + ENDING_TIMEOUT;
        while Instant::now() < deadline
            && self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
        {
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
