//! A node as a process, until it is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Node {
    process: Child,
    resp: String,
    http: String,
}

/// A node that is not ready yet.
pub(crate) struct Starting {
    node: Node,
    /// Lines of its output, and of its log.
    said: Receiver<String>,
    logged: Receiver<String>,
}

impl Starting {
    /// Starts one that follows the log at these servers.
    pub(crate) fn new(servers: &str, more: &[&str]) -> Starting {
        let mut command = serve(&[&["--cluster", servers], more].concat());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = lines(process.stdout.take().unwrap());
        let logged = lines(process.stderr.take().unwrap());
        Starting { node: Node { process, resp: String::new(), http: String::new() }, said, logged }
    }

    /// Waits until its log has this.
    #[allow(dead_code, reason = "not every test does")]
    pub(crate) fn logs(&self, what: &str) {
        while !self.logged.recv_timeout(PATIENCE).expect(what).contains(what) {}
    }

    /// Waits until it is ready.
    pub(crate) fn ready(mut self) -> Node {
        let address = |protocol: &str| {
            let line = self.said.recv_timeout(PATIENCE).expect("the node is ready");
            line.strip_prefix(protocol).unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        (self.node.resp, self.node.http) = (address("resp "), address("http "));
        self.node
    }
}

/// The lines of a stream as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    let lines = BufReader::new(stream).lines();
    thread::spawn(move || lines.map_while(Result::ok).for_each(|line| _ = tell.send(line)));
    told
}

impl Node {
    /// Starts one that follows the log at these servers, and waits until it is ready.
    pub(crate) fn start(servers: &str, more: &[&str]) -> Node {
        Starting::new(servers, more).ready()
    }

    pub(crate) fn connect(&self) -> redis::Connection {
        let client = redis::Client::open(format!("redis://{}/", self.resp)).unwrap();
        client.get_connection().unwrap()
    }

    /// Runs a command that writes to it: its exit code, and all that it says.
    #[allow(dead_code, reason = "not every test does")]
    pub(crate) fn command(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
        let output = command.args(args).args(["--server", &self.resp]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// What `INFO cluster` says of this.
    pub(crate) fn info(&self, key: &str) -> String {
        let text: String = redis::cmd("INFO").arg("cluster").query(&mut self.connect()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {key} in {text}")).trim().to_owned()
    }

    /// Waits until its data directory has all that a node shows now.
    pub(crate) fn keeps_what_is_shown_by(&self, node: &Node) {
        let applied = || node.info("cluster_applied").parse::<u64>().unwrap();
        // What a node says of itself is from a moment before, and each tick in the log renews it.
        let before = applied();
        let applied = becomes(|| Some(applied()).filter(|applied| *applied > before));
        becomes(|| (self.info("cluster_kept").parse::<u64>().unwrap() >= applied).then_some(()));
    }

    /// What HTTP answers.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
    }

    /// Ends it as an operator does.
    pub(crate) fn terminate(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a node that must not start: its exit code, and what it says. The servers are the first argument.
pub(crate) fn refused(args: &[&str]) -> (Option<i32>, String) {
    let output = serve(&[&["--cluster"], args].concat()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn serve(more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
    command.args(["serve", "--line", "off", "--workers", "1"]);
    command.args(["--resp", "127.0.0.1:0", "--http", "127.0.0.1:0"]).args(more);
    command.stdin(Stdio::null());
    command
}

/// Asks again and again until there is an answer.
pub(crate) fn becomes<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "it never comes to be");
        thread::sleep(Duration::from_millis(20));
    }
}
