//! A running `stockd serve`, and connections to it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stockd_model::Address;

/// No test waits longer than this for anything; it is a guard against hanging alone.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The stocks that tests look up; invented.
pub(crate) const STOCKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/stocks.csv");

/// A command that runs `stockd`, without settings from the environment of the tests but for the
/// engine, with which all tests are to pass. RESP and HTTP are off,
/// so that servers of several tests do not meet on their usual ports, and nothing is kept on disk.
pub(crate) fn stockd<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STOCKD_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null()).env("STOCKD_RESP", "off");
    command.env("STOCKD_EPHEMERAL", "true").env("STOCKD_HTTP", "off");
    command
}

/// Runs `stockd` to its end: its exit code, standard output and standard error.
pub(crate) fn run<S: AsRef<OsStr>>(
    args: impl IntoIterator<Item = S>,
) -> (Option<i32>, String, String) {
    let output = stockd(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A server that is ready, on a free port. Killed when it is dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) address: Address,
    stdout: BufReader<ChildStdout>,
    /// Takes what the server logs, so that it never waits for a reader.
    log: Option<JoinHandle<String>>,
}

impl ServerProcess {
    /// Starts a server with the stocks of [`STOCKS`] and these arguments.
    pub(crate) fn start(args: &[&str]) -> ServerProcess {
        ServerProcess::spawn(
            stockd(["serve", "--line", "127.0.0.1:0", "--catalog", STOCKS]).args(args),
        )
    }

    /// Starts this command and waits until it is ready.
    pub(crate) fn spawn(command: &mut Command) -> ServerProcess {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            let _ = stderr.read_to_end(&mut log);
            String::from_utf8_lossy(&log).into_owned()
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("line ") else {
            let status = child.wait();
            panic!("no address but {line:?}, {status:?}: {}", log.join().unwrap());
        };
        let address = address.parse().unwrap();
        ServerProcess { child, address, stdout, log: Some(log) }
    }

    /// The next line that it prints, without its line feed.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the end: how it ended, and all that was logged.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "the server does not end"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// Asks for the end and waits for it.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = self.try_connect().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A stream of either kind: the system does the same for both.
    pub(crate) fn try_connect(&self) -> std::io::Result<TcpStream> {
        match &self.address {
            Address::Tcp(address) | Address::Tls { address, .. } => TcpStream::connect(address),
            Address::Unix(path) => Ok(OwnedFd::from(UnixStream::connect(&**path)?).into()),
        }
    }

    /// Looks the names up on one connection: the replies.
    pub(crate) fn lookup(&self, names: &[&str]) -> Vec<String> {
        let mut stream = self.connect();
        let request: String = names.iter().map(|name| format!("{name}\n")).collect();
        stream.write_all(request.as_bytes()).unwrap();
        replies(&stream, names.len())
    }

    /// Bytes of memory that the process holds now (`VmRSS`).
    pub(crate) fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
        kib * 1024
    }

    /// Processor time that the process has used, in clock ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next replies of a line connection, without their line feeds.
pub(crate) fn replies(stream: &TcpStream, count: usize) -> Vec<String> {
    let lines = BufReader::new(stream).lines();
    lines.take(count).map(Result::unwrap).collect()
}

/// All that comes until the server closes.
pub(crate) fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Says on the terminal, past the capture of the test's output, what was measured or skipped.
pub(crate) fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
