//! A server over a data directory, and raw connections to it that see each single reply.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// No test waits longer than this for anything; it is a guard against hanging alone.
const PATIENCE: Duration = Duration::from_secs(180);

/// A command that runs `stockd`, without settings from the environment of the tests, that logs
/// what is wrong.
pub(crate) fn stockd<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STOCKD_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null()).env("STOCKD_LOG", "warn");
    command.env("STOCKD_HTTP", "off");
    command
}

/// The arguments of a server over this directory.
pub(crate) fn serve(dir: &Path) -> [&OsStr; 7] {
    let [command, line, off, resp, free, data_dir] =
        ["serve", "--line", "off", "--resp", "127.0.0.1:0", "--data-dir"].map(OsStr::new);
    [command, line, off, resp, free, data_dir, dir.as_os_str()]
}

/// What this script of bash makes of a command, which is its arguments.
pub(crate) fn within(script: &str, plain: &Command) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null());
    command
}

/// A server that is ready. Killed when it is dropped.
pub(crate) struct Server {
    child: Mutex<Child>,
    resp: String,
}

impl Server {
    pub(crate) fn start(dir: &Path, args: &[&str]) -> Server {
        Server::spawn(stockd(serve(dir)).args(args))
    }

    /// Starts this command and waits until it is ready.
    pub(crate) fn spawn(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(resp) = line.trim_end().strip_prefix("resp ") else {
            let mut log = String::new();
            let _ = child.stderr.take().unwrap().read_to_string(&mut log);
            panic!("the server is not ready: {:?}: {log}", child.wait());
        };
        let resp = resp.to_owned();
        Server { child: Mutex::new(child), resp }
    }

    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.resp).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Connection(BufReader::new(stream))
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Ends it at once, wherever it is.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks for the end: how it ended, and what it logged.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        let mut child = self.child.lock().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut log = String::new();
        child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (child.wait().unwrap(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A connection on which commands are typed.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends commands, as much as the server takes.
    pub(crate) fn send(&mut self, commands: &str) -> std::io::Result<()> {
        self.0.get_mut().write_all(commands.as_bytes())
    }

    /// The next line of a reply; `None` when the server is gone.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        // A line that was cut off is no reply.
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    /// Asks something that must be answered by one line.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r\n")).unwrap();
        self.line().expect("an answer")
    }

    /// The lines of a text.
    pub(crate) fn parts_of_bulk(&mut self, command: &str) -> Vec<String> {
        let head = self.ask(command);
        let mut left: usize = head.strip_prefix('$').expect("a text").parse().unwrap();
        let mut lines = Vec::new();
        while left > 0 {
            let line = self.line().expect("a line");
            left -= line.len() + 2;
            lines.push(line);
        }
        self.line();
        lines
    }

    /// The parts of an array, of which none is nil.
    pub(crate) fn parts(&mut self, command: &str) -> Vec<String> {
        let head = self.ask(command);
        let parts: usize = head.strip_prefix('*').expect("an array").parse().unwrap();
        let part = |_| {
            self.line().expect("a length");
            self.line().expect("a text")
        };
        (0..parts).map(part).collect()
    }
}
