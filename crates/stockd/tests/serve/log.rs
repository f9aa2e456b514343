//! A log that is not read, and one that clients would fill.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use stockd_model::limits::SHUTDOWN_TIMEOUT;

use crate::process::{PATIENCE, STOCKS, ServerProcess, replies, stockd, until_closed};

/// A server whose standard error is a pipe that is full from the beginning. Killed when it is
/// dropped.
struct Unread {
    child: Child,
    log: Option<PipeReader>,
    address: String,
    _stdout: BufReader<ChildStdout>,
}

impl Unread {
    fn start(args: &[&str]) -> Unread {
        let (log, writer) = std::io::pipe().unwrap();
        fill(&writer);
        let mut command = stockd(["serve", "--line", "127.0.0.1:0", "--catalog", STOCKS]);
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(writer).spawn().unwrap();
        drop(command);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("line ").unwrap().to_owned();
        Unread { child, log: Some(log), address, _stdout: stdout }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn is_polite_to(&self, mut client: &TcpStream) {
        client.write_all(b"ACME\nXYZ\n").unwrap();
        assert_eq!(replies(client, 2), ["172.5", "-1"]);
    }

    /// Asks for the end: the exit code.
    fn stop(&mut self) -> Option<i32> {
        let began = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(began.elapsed() < PATIENCE, "the server does not end"),
            }
            std::thread::yield_now();
        };
        assert!(began.elapsed() < SHUTDOWN_TIMEOUT, "{:?}", began.elapsed());
        status.code()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes into a pipe until it has no room.
fn fill(mut pipe: &PipeWriter) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(pipe).unwrap();
    fcntl_setfl(pipe, flags | OFlags::NONBLOCK).unwrap();
    while pipe.write(&[b'\n'; 4096]).is_ok() {}
    fcntl_setfl(pipe, flags).unwrap();
}

#[test]
fn a_log_that_nobody_reads_stops_neither_the_server_nor_its_end() {
    let mut server = Unread::start(&["--connections-max", "2"]);
    let polite = [server.connect(), server.connect()];
    polite.iter().for_each(|client| server.is_polite_to(client));
    for _ in 0..2000 {
        let refusal = until_closed(&mut server.connect());
        assert_eq!(refusal, "ERR 2 connections are open, the limit; try again later\n");
    }
    polite.iter().for_each(|client| server.is_polite_to(client));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_start_that_fails_ends_although_nobody_reads_why() {
    let (_log, writer) = std::io::pipe().unwrap();
    fill(&writer);
    let mut command = stockd(["serve", "--line", "127.0.0.1:0", "--catalog", "/nowhere.csv"]);
    let status = command.stdout(Stdio::null()).stderr(writer).spawn().unwrap().wait().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn dropped_lines_are_counted_where_they_are_missing() {
    const CLIENTS: usize = 5000;
    let mut server = Unread::start(&["--log", "trace"]);
    for _ in 0..CLIENTS {
        // Each leaves lines in the log, more than it holds in all.
        server.is_polite_to(&server.connect());
    }
    const TOLD: &str = " lines of the log were dropped: nobody read it";
    let mut log = BufReader::new(server.log.take().unwrap()).lines();
    let mut lines: Vec<String> = Vec::new();
    while !lines.last().is_some_and(|line| line.contains(TOLD)) {
        lines.push(log.next().expect("what was dropped is told").unwrap());
    }
    // There is room again, so the end is not dropped.
    let reading = std::thread::spawn(move || log.map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(server.stop(), Some(0));
    lines.extend(reading.join().unwrap());
    lines.retain(|line| !line.is_empty());
    let at = |what: &str| {
        let found = lines.iter().position(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("no {what} in {} lines", lines.len()))
    };
    let told = at(TOLD);
    assert!(at("serving") < told && told < at("stopped"), "{}", lines[told]);
    let (stamp, rest) = lines[told].split_once("  WARN ").unwrap();
    assert_eq!(stamp.len(), lines[0].split(' ').next().unwrap().len(), "{stamp}");
    let dropped: usize = rest.split(' ').next().unwrap().parse().unwrap();
    // Every client left one line at least, and each is there or counted.
    assert!(dropped + lines.len() > CLIENTS, "{dropped} and {}", lines.len());
}

/// A feed whose every write is refused is named, once; one that got a write through is not.
#[test]
fn a_client_whose_writes_are_all_refused_is_named() {
    let mut server = ServerProcess::start(&["--resp", "127.0.0.1:0"]);
    let resp = server.line().strip_prefix("resp ").unwrap().to_owned();
    let write = |commands: &str, times: usize| {
        let mut client = TcpStream::connect(&resp).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let local = client.local_addr().unwrap();
        client.write_all(commands.repeat(times).as_bytes()).unwrap();
        let mut replies = BufReader::new(client).lines();
        for _ in 0..times * commands.lines().count() {
            replies.next().unwrap().unwrap();
        }
        local
    };
    let named = write("HSET OIL volume 1\r\nHSET OIL price $1\r\n", 20);
    let unnamed = write("HSET GAS price 1\r\nHSET GAS price $1\r\n", 20);
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0));
    let told: Vec<&str> = log.lines().filter(|line| line.contains("were refused")).collect();
    assert_eq!(told.len(), 1, "{log}");
    let words = format!("all of the first 10 writes of {named} were refused, the last one: ");
    assert!(told[0].contains(&words) && told[0].contains("'$1' is not a price"), "{}", told[0]);
    assert!(!log.contains(&unnamed.to_string()), "{log}");
}

/// A client is served, the next one refused, and so on: each refusal is news.
#[test]
fn what_clients_can_cause_at_will_is_shown_once_a_second_and_counted() {
    const SPELLS: usize = 300;
    let server = ServerProcess::start(&["--connections-max", "1"]);
    let began = Instant::now();
    for _ in 0..SPELLS {
        let mut served = served(&server);
        until_closed(&mut server.connect());
        served.write_all(b"ACME\n").unwrap();
        assert_eq!(replies(&served, 1), ["172.5"]);
    }
    let seconds = began.elapsed().as_secs() as usize + 1;
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0));
    let refusing = log.lines().filter(|line| line.contains("refusing new clients"));
    let (more, shown): (Vec<&str>, Vec<&str>) =
        refusing.partition(|line| line.contains(" more like: "));
    assert!((1..=seconds + 1).contains(&shown.len()), "{log}");
    assert!(more.len() <= seconds + 1, "{log}");
    let count = |line: &&str| line.split_whitespace().nth(2).unwrap().parse::<usize>().unwrap();
    let all = shown.len() + more.iter().map(count).sum::<usize>();
    assert!(all >= SPELLS, "{all} of {SPELLS}: {log}");
}

/// The one client that is served, once the one before has left.
fn served(server: &ServerProcess) -> TcpStream {
    let began = Instant::now();
    loop {
        let mut client = server.connect();
        let asked = client.write_all(b"ACME\n");
        let mut reply = [0; 6];
        if asked.is_ok() && client.read_exact(&mut reply).is_ok() && &reply == b"172.5\n" {
            return client;
        }
        assert!(began.elapsed() < PATIENCE, "no place for a new client");
    }
}
