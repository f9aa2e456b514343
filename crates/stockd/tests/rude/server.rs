//! A `stockd serve` whose log is not read, and clients that may be rude to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No test waits longer than this for anything; it is a guard against hanging alone.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server that is ready. Killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    line: String,
    resp: String,
}

impl Server {
    /// Starts one that keeps nothing, with these arguments.
    pub(crate) fn start(args: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STOCKD_") {
                command.env_remove(name);
            }
        }
        command.args(["serve", "--ephemeral", "--line", "127.0.0.1:0", "--resp", "127.0.0.1:0"]);
        command.env("STOCKD_HTTP", "off");
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = |protocol| {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.trim_end().strip_prefix(protocol).expect("an address").to_owned()
        };
        let (line, resp) = (address("line "), address("resp "));
        Server { child, _stdout: stdout, line, resp }
    }

    pub(crate) fn line(&self) -> Client {
        Client::connect(&self.line)
    }

    pub(crate) fn resp(&self) -> Client {
        Client::connect(&self.resp)
    }

    /// Asks one thing on a connection of its own.
    pub(crate) fn ask(&self, command: &str) -> String {
        self.resp().ask(command)
    }

    /// Asks for the end and waits for it, with the log unread to the end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection.
pub(crate) struct Client(TcpStream);

impl Client {
    fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    /// Asks something that is answered by one line.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.try_ask(command).unwrap_or_else(|| panic!("no answer to {command}"))
    }

    /// The same, or `None` where the server has closed.
    pub(crate) fn try_ask(&mut self, command: &str) -> Option<String> {
        // What it said before it closed is an answer all the same.
        let _ = self.write_all(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// The next line, or `None` where the server has closed.
    pub(crate) fn reply(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => line.push(byte[0]),
                Ok(_) => return None,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

impl Deref for Client {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut TcpStream {
        &mut self.0
    }
}
