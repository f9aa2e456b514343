//! Many connections, hostile ones, and a system that has no files left.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::process::{ServerProcess, replies, report, until_closed};
use crate::shutdown::fill;

const MIB: u64 = 1024 * 1024;

/// More than the server ever needs with a handful of clients, far less than they send.
const MEMORY_BYTES_BOUND: u64 = 96 * MIB;

#[test]
fn ten_thousand_clients_at_once_are_served_and_one_more_is_told() {
    const CLIENTS: usize = 10_000;
    let limit = getrlimit(Resource::Nofile);
    let files = CLIENTS as u64 + 500;
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.maximum.is_some_and(|hard| hard < files)
        || setrlimit(Resource::Nofile, raised).is_err()
    {
        report(
            "skipped: ten_thousand_clients_at_once…: the limit of open files cannot be raised to 10500",
        );
        return;
    }
    let server = ServerProcess::start(&["--workers", "2", "--connections-max", "10000"]);
    let before = server.memory_bytes();
    let mut clients: Vec<TcpStream> = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        clients.push(server.connect());
        // A reply now and then keeps the listen backlog short.
        if clients.len().is_multiple_of(500) {
            ask(clients.last_mut().unwrap());
        }
    }
    // Twice, so that the memory is that of connections which have been busy.
    for _ in 0..2 {
        for client in &mut clients {
            client.write_all(b"ACME\nXYZ\n").unwrap();
        }
        for client in &clients {
            assert_eq!(replies(client, 2), ["172.5", "-1"]);
        }
    }
    let each = server.memory_bytes().saturating_sub(before) / CLIENTS as u64;
    report(&format!(
        "measured: {each} bytes of server memory for each of {CLIENTS} idle connections"
    ));

    assert_eq!(
        until_closed(&mut server.connect()),
        "ERR 10000 connections are open, the limit; try again later\n"
    );
    for client in clients.iter_mut().step_by(100) {
        ask(client);
    }
    // When one leaves, a new one is served; how soon the server notices is its own affair.
    drop(clients.pop());
    admitted(&server);
}

/// A client that is served. While there is no place for it, it comes again.
fn admitted(server: &ServerProcess) -> TcpStream {
    let deadline = Instant::now() + crate::process::PATIENCE;
    loop {
        let mut client = server.connect();
        if client.write_all(b"ACME\n").is_ok() && replies_or_refusal(&client).starts_with("172.5") {
            return client;
        }
        assert!(Instant::now() < deadline, "no place for a new client");
    }
}

fn ask(client: &mut TcpStream) {
    client.write_all(b"ACME\n").unwrap();
    assert_eq!(replies(client, 1), ["172.5"]);
}

fn replies_or_refusal(mut client: &TcpStream) -> String {
    let mut text = [0; 128];
    let len = client.read(&mut text).unwrap_or(0);
    String::from_utf8_lossy(&text[..len]).into_owned()
}

/// The process may open no further file, so accepting fails: those who are served stay served,
/// the processor does not spin, and the client that waits is served when there are files again.
#[test]
fn a_server_without_files_left_serves_on_and_recovers() {
    let server = ServerProcess::start(&[]);
    let mut served = server.connect();
    ask(&mut served);

    let first_free = lowest_free_file(server.pid());
    let normal = getrlimit_of(&server);
    let lowered = Rlimit { current: Some(first_free), maximum: normal.maximum };
    prlimit(Some(server.pid()), Resource::Nofile, lowered).unwrap();

    // The kernel completes the connection; the server cannot accept it.
    let mut waiting = server.connect();
    waiting.write_all(b"ACME\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let error = waiting.read(&mut [0; 8]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");

    let (began, ticks) = (Instant::now(), server.cpu_ticks());
    while began.elapsed() < Duration::from_secs(1) {
        ask(&mut served);
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = Duration::from_millis(10) * (server.cpu_ticks() - ticks) as u32;
    let wall = began.elapsed();
    assert!(used < wall / 2, "{used:?} of processor time in {wall:?}");

    prlimit(Some(server.pid()), Resource::Nofile, normal).unwrap();
    waiting.set_read_timeout(Some(crate::process::PATIENCE)).unwrap();
    assert_eq!(replies(&waiting, 1), ["172.5"]);
    ask(&mut served);
}

/// The number that the next file of the process would get.
fn lowest_free_file(pid: rustix::process::Pid) -> u64 {
    let open = open_files(pid);
    (0..).find(|number| !open.contains(number)).unwrap()
}

/// The numbers of the files that the process has open.
fn open_files(pid: rustix::process::Pid) -> Vec<u64> {
    let files = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.map(|name| name.parse().unwrap()).collect()
}

/// The limit of open files that the server has, found without changing it.
fn getrlimit_of(server: &ServerProcess) -> Rlimit {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid().as_raw_nonzero()));
    let limits = limits.unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
    Rlimit { current: numbers.next().unwrap(), maximum: numbers.next().unwrap() }
}

#[test]
fn a_gigabyte_without_a_newline_is_refused_in_bounded_memory() {
    let server = ServerProcess::start(&[]);
    let mut hostile = server.connect();
    let chunk = vec![b'x'; MIB as usize];
    let refused = (0..1024).any(|_| hostile.write_all(&chunk).is_err());
    let memory = server.memory_bytes();
    assert!(refused, "the server took it all");
    assert!(memory < MEMORY_BYTES_BOUND, "{memory} bytes of memory");
    assert_eq!(server.lookup(&["ACME"]), ["172.5"]);
}

#[test]
fn a_client_that_never_reads_is_held_in_bounded_memory() {
    let server = ServerProcess::start(&["--unread-replies-max", "1MB", "--workers", "1"]);
    let hostile: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    let sent: Vec<usize> = hostile.iter().map(fill).collect();
    let memory = server.memory_bytes();
    assert!(memory < MEMORY_BYTES_BOUND, "{memory} bytes of memory");
    // A neighbour on the same worker is served.
    assert_eq!(server.lookup(&["ACME"]), ["172.5"]);

    // Who reads at last gets a reply for every request; the last one may be cut short.
    let mut client = hostile.into_iter().next().unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let answers = until_closed(&mut client);
    let cut_short = match sent[0] % "ACME\n".len() {
        0 => "",
        4 => "172.5\n",
        _ => "-1\n",
    };
    let whole = "172.5\n".repeat(sent[0] / "ACME\n".len());
    assert!(answers == whole + cut_short, "{} bytes for {}", answers.len(), sent[0]);
}

#[test]
fn a_client_that_never_reads_is_closed_in_the_end() {
    let server =
        ServerProcess::start(&["--stalled-timeout", "200ms", "--unread-replies-max", "1MB"]);
    let mut hostile = server.connect();
    fill(&hostile);
    hostile.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + crate::process::PATIENCE;
    // It is closed on what the client has sent, so the client is reset.
    while !hostile.write(b"x").is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
        assert!(Instant::now() < deadline, "never closed");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.lookup(&["ACME"]), ["172.5"]);
}
