//! Programs of the world of Redis that are no client libraries for Rust, Python or Node: monitors, proxies, tools
//! and the clients of other languages, each as Debian has it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::{PATIENCE, Server, run};
use crate::{market, node_is_well, packages, place, python_is_well, redis_cli};

/// A program that goes on until it is killed, when it is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free just now, for programs that cannot choose one.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

pub(crate) fn port(server: &Server) -> &str {
    place(server)[1]
}

/// Asks again and again until this is so.
pub(crate) fn becomes<T>(ask: impl FnMut() -> Option<T>) -> T {
    becomes_or(ask, String::new)
}

/// The same, with what is said where it never is.
pub(crate) fn becomes_or<T>(mut ask: impl FnMut() -> Option<T>, say: impl FnOnce() -> String) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        if began.elapsed() >= PATIENCE {
            panic!("never: {}", say());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn script(name: &str) -> String {
    format!("{}/tests/redis_clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A program that speaks to a market and says that all is well.
fn is_well(mut command: Command, server: &Server) {
    command.arg(port(server));
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (Some(0), "all is well\n"), "{err}");
}

#[test]
fn redis_py_caches_and_valkey_glide_connects() {
    python_is_well("caching.py");
}

#[test]
fn node_redis_caches() {
    node_is_well("caching.mjs", include_str!("caching.mjs"));
}

#[test]
fn the_clients_of_other_languages_work() {
    for (program, package, file) in [
        ("ruby", "ruby-redis", "client.rb"),
        ("perl", "libredis-perl", "client.pl"),
        ("php", "php-redis", "client.php"),
    ] {
        if packages::have_all(&[program], &[package, "php-cli"]) {
            let mut command = Command::new(program);
            command.arg(script(file));
            is_well(command, &market());
        }
    }
    if packages::have_all(&["cc"], &["libhiredis-dev", "gcc", "libc6-dev"]) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("client");
        let mut compile = Command::new("cc");
        compile.args([&script("client.c"), "-lhiredis", "-o"]).arg(&program);
        assert_eq!(run(compile).0, Some(0), "client.c is not compiled");
        is_well(Command::new(&program), &market());
    }
}

#[test]
fn the_exporter_for_prometheus_finds_what_it_looks_for() {
    if !packages::have("prometheus-redis-exporter", "prometheus-redis-exporter") {
        return;
    }
    let server = market();
    let listen = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("prometheus-redis-exporter");
    command.arg(format!("--redis.addr=redis://127.0.0.1:{}", port(&server)));
    command.arg(format!("--web.listen-address={listen}")).stderr(Stdio::null());
    let _exporter = Running::start(&mut command);
    let mut stream = becomes(|| TcpStream::connect(&listen).ok());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).unwrap();
    for line in [
        "redis_up 1",
        "redis_exporter_last_scrape_error{err=\"\"} 0",
        "redis_connected_slaves 0",
        "redis_db_keys{db=\"db0\"} 4",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line} is missing:\n{metrics}");
    }
    assert!(metrics.contains("role=\"master\""), "{metrics}");
    let samples =
        metrics.lines().filter(|line| line.starts_with(|it: char| it.is_ascii_lowercase()));
    let mut names: Vec<_> = samples.filter_map(|line| line.split([' ', '{']).next()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 100, "{} names", names.len());
}

#[test]
fn nagios_and_haproxy_find_it_well_and_notice_its_end() {
    let server = market();
    let check = Path::new("/usr/lib/nagios/plugins/check_redis");
    if packages::have_all(&["perl"], &["monitoring-plugins-contrib", "libredis-perl"])
        && check.exists()
    {
        let mut command = Command::new(check);
        command.args(["-H", "127.0.0.1", "-p", port(&server), "-a", "connected_clients"]);
        command.args(["-w", "~", "-c", "~"]);
        let (code, out, err) = run(command);
        assert!(code == Some(0) && out.contains("OK: REDIS 7.4.0"), "{out}{err}");
    }
    if !packages::have_all(&["haproxy"], &["haproxy"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (socket, file) = (directory.path().join("stats"), directory.path().join("haproxy.cfg"));
    let configuration = format!(
        "global\n stats socket {}\ndefaults\n mode tcp\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n\
         listen redis\n bind 127.0.0.1:{}\n option tcp-check\n tcp-check connect\n tcp-check send PING\\r\\n\n \
         tcp-check expect string +PONG\n tcp-check send info\\ replication\\r\\n\n tcp-check expect string role:master\n \
         tcp-check send QUIT\\r\\n\n tcp-check expect string +OK\n server stockd 127.0.0.1:{} check inter 100ms\n",
        socket.display(),
        free_port(),
        port(&server)
    );
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new("haproxy");
    let _haproxy = Running::start(command.arg("-q").arg("-f").arg(&file));
    let is = |state: &str, how: &str| {
        let mut text = String::new();
        let mut stats = UnixStream::connect(&socket).ok()?;
        stats.write_all(b"show stat\n").ok()?;
        stats.read_to_string(&mut text).ok()?;
        let line = text.lines().find(|line| line.starts_with("redis,stockd,"))?;
        let fields: Vec<_> = line.split(',').collect();
        (fields.get(17) == Some(&state) && fields.get(36).is_some_and(|it| it.contains(how)))
            .then_some(())
    };
    becomes(|| is("UP", "L7OK"));
    drop(server);
    becomes(|| is("DOWN", "L4"));
}

#[test]
fn twemproxy_stands_between() {
    if !packages::have_all(&["nutcracker"], &["nutcracker"]) {
        return;
    }
    let server = market();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nutcracker.yml");
    let own = free_port();
    let configuration = format!(
        "alpha:\n  listen: 127.0.0.1:{own}\n  redis: true\n  servers:\n   - 127.0.0.1:{}:1\n",
        port(&server)
    );
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new("nutcracker");
    command.arg("-c").arg(&file).arg("-p").arg(directory.path().join("pid"));
    command.args(["-a", "127.0.0.1", "-s", &free_port().to_string()]).stderr(Stdio::null());
    let _proxy = Running::start(&mut command);
    becomes(|| TcpStream::connect(("127.0.0.1", own)).ok());
    let ask = |words: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &own.to_string()]).args(words);
        run(command).1
    };
    assert_eq!(ask(&["MGET", "AAPL", "NOPE", "BRK/A"]), "172.5\n\n743500\n");
    assert_eq!(ask(&["HMSET", "AAPL", "price", "173"]), "OK\n");
    assert_eq!(ask(&["TTL", "AAPL"]), "-1\n");
    assert_eq!(ask(&["HINCRBY", "AAPL", "volume", "-1"]), "999\n");
}

#[test]
fn redis_cli_looks_at_everything() {
    if !packages::have("redis-cli", "redis-tools") {
        return;
    }
    let server = market();
    let seen = redis_cli(&server, &["--bigkeys"]);
    assert!(seen.contains("Sampled 4 keys") && seen.contains("4 hashs with 24 fields"), "{seen}");
    let seen = redis_cli(&server, &["--memkeys"]);
    assert!(seen.contains("Sampled 4 keys") && seen.contains("4 hashs with"), "{seen}");
    let mut names: Vec<_> = redis_cli(&server, &["--scan"]).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["AAPL", "BRK/A", "HALT", "SOLD"]);
    let latency = redis_cli(&server, &["-i", "1", "--latency"]);
    assert_eq!(latency.split_whitespace().count(), 4, "{latency}");

    let mut command = Command::new("redis-cli");
    command.args(place(&server)).args(["-i", "0.01", "--stat"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut stat = Running(command.spawn().unwrap());
    let lines = BufReader::new(stat.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let third =
        lines.into_iter().filter(|line| line.starts_with(|it: char| it.is_ascii_digit())).nth(2);
    let third = third.unwrap();
    // Keys, memory, clients, blocked, requests, connections.
    let columns: Vec<_> = third.split_whitespace().collect();
    assert!(columns[0] == "4" && columns[2] == "1" && columns[3] == "0", "{third}");
}
