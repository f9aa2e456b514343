//! A running `stockd serve` with RESP, and the commands that are run against it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// No test waits longer than this for anything; it is a guard against hanging alone.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A command without settings from the environment of the tests, that keeps nothing on disk.
pub(crate) fn stockd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STOCKD_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null()).env("STOCKD_EPHEMERAL", "true");
    // Servers of several tests do not meet on its usual port.
    command.env("STOCKD_HTTP", "off");
    command
}

/// How a command ended: its exit code, standard output and standard error.
pub(crate) type Outcome = (Option<i32>, String, String);

pub(crate) fn run(command: Command) -> Outcome {
    run_within(command, PATIENCE)
}

/// As [`run`], for a command that may take this long.
pub(crate) fn run_within(command: Command, patience: Duration) -> Outcome {
    let output = assert_cmd::Command::from_std(command).timeout(patience).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A server that is ready, on a free port. Killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// The address of RESP: the first one.
    pub(crate) resp: String,
    /// The other addresses that it has printed, as it printed them.
    #[allow(dead_code, reason = "some suites give it one address alone")]
    pub(crate) others: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_on("127.0.0.1:0")
    }

    /// Starts a server whose RESP listener has this address.
    pub(crate) fn start_on(resp: &str) -> Server {
        Server::start_with(resp, &[])
    }

    /// Starts a server whose RESP listeners have these addresses, with commas between, and with these settings.
    pub(crate) fn start_with(resp: &str, settings: &[(&str, &str)]) -> Server {
        let mut command = stockd(&["serve", "--line", "off", "--log", "off", "--resp", resp]);
        command.args(settings.iter().flat_map(|(flag, value)| [flag, value]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let is_resp = |line: &String| line.starts_with("resp ");
        let mut lines = lines.filter(is_resp).take(1 + resp.matches(',').count());
        let Some(first) = lines.next() else {
            let _ = child.kill();
            panic!("the server does not listen: {:?}", child.wait());
        };
        let resp = first.trim_start_matches("resp ").to_owned();
        Server { child, resp, others: lines.collect() }
    }

    /// A command that is told of this server by its environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = stockd(args);
        command.env("STOCKD_RESP_SERVER", &self.resp);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        run(self.command(args))
    }

    /// Runs a command that must end well, and returns what it printed.
    pub(crate) fn out(&self, args: &[&str]) -> String {
        let (code, out, err) = self.run(args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}: {out}");
        out
    }

    /// Every stock, as `stockd export` writes it, without the header.
    pub(crate) fn stocks(&self) -> Vec<String> {
        self.out(&["export", "-"]).lines().skip(1).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs until it is told to stop, whose lines are read as they come. Killed when it
/// is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Running { child, lines }
    }

    /// The next line without its line feed; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for the end: the exit code, and the rest of what it printed on both outputs.
    pub(crate) fn end(mut self) -> Outcome {
        let (mut out, mut err) = (String::new(), String::new());
        self.lines.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
