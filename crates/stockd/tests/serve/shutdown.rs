//! How the server ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{ServerProcess, stockd, until_closed};

#[test]
fn sigterm_and_sigint_end_it_with_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = ServerProcess::start(&[]);
        let mut idle = server.connect();
        assert_eq!(server.lookup(&["ACME"]), ["172.5"]);
        server.signal(signal);
        let (status, log) = server.wait();
        assert_eq!((status.code(), status.signal()), (Some(0), None), "{log}");
        assert_eq!(until_closed(&mut idle), "");
        assert!(log.contains("stopped") && log.contains("lookups=1"), "{log}");
    }
}

/// Clients have sent their requests and read none of the replies when the signal comes.
#[test]
fn every_request_that_was_sent_is_answered_before_the_end() {
    const CLIENTS: usize = 50;
    const REQUESTS: usize = 3000;
    let server = ServerProcess::start(&[]);
    let names = ["ACME", "GONE", "XYZ", "TRUE", "NA"];
    let answers = ["172.5", "0", "-1", "159", "0.0005"];
    let line = |texts: &[&str], at: usize| format!("{}\n", texts[at % texts.len()]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for (first, client) in clients.iter_mut().enumerate() {
        let requests: String = (first..first + REQUESTS).map(|at| line(&names, at)).collect();
        client.write_all(requests.as_bytes()).unwrap();
    }
    server.signal(Signal::TERM);
    for (first, client) in clients.iter_mut().enumerate() {
        let expected: String = (first..first + REQUESTS).map(|at| line(&answers, at)).collect();
        assert!(until_closed(client) == expected, "client {first} misses replies");
    }
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Clients that never stop sending do not keep it from ending, and what they get is right.
#[test]
fn it_ends_under_load() {
    let server = ServerProcess::start(&[]);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = server.connect();
            let (began, has_begun) = std::sync::mpsc::channel();
            let client = std::thread::spawn(move || {
                let batch = "ACME\nXYZ\n".repeat(200);
                let expected: Vec<_> = ["172.5", "-1"].repeat(200);
                let mut batches = 0;
                while stream.write_all(batch.as_bytes()).is_ok() {
                    let Ok(answers) = read_batch(&stream, expected.len()) else {
                        break;
                    };
                    assert!(
                        expected
                            .starts_with(&answers.iter().map(String::as_str).collect::<Vec<_>>())
                    );
                    if answers.len() < expected.len() {
                        break;
                    }
                    batches += 1;
                    let _ = began.send(());
                }
                batches
            });
            has_begun.recv().unwrap();
            client
        })
        .collect();
    server.signal(Signal::TERM);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    for client in clients {
        assert!(client.join().unwrap() >= 1);
    }
}

/// Up to `count` whole replies; fewer when the server closes.
fn read_batch(stream: &TcpStream, count: usize) -> std::io::Result<Vec<String>> {
    BufReader::new(stream).lines().take(count).collect()
}

/// A client that reads nothing keeps the server for the seconds that it gives to flush. A second
/// signal does not wait for that.
#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let server = ServerProcess::start(&["--unread-replies-max", "1MB"]);
        let stalled = server.connect();
        fill(&stalled);
        server.signal(Signal::TERM);
        // The end has begun when the address is free again.
        while server.try_connect().is_ok() {}
        server.signal(signal);
        assert_eq!(server.wait().0.code(), Some(code));
    }
}

/// Sends lookups and reads no reply, until the server stops reading.
pub(crate) fn fill(stream: &TcpStream) -> usize {
    let mut stream = stream.try_clone().unwrap();
    stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let batch = "ACME\n".repeat(10_000);
    let mut sent = 0;
    loop {
        match stream.write(&batch.as_bytes()[sent % 5..]) {
            Ok(len) => sent += len,
            Err(_) => return sent,
        }
        assert!(sent < 1 << 30, "the server goes on reading");
    }
}

#[test]
fn a_client_that_reads_nothing_does_not_keep_it() {
    let server = ServerProcess::start(&["--unread-replies-max", "1MB"]);
    let stalled = server.connect();
    fill(&stalled);
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    drop(stalled);
}

#[test]
fn standard_output_has_the_addresses_and_nothing_else() {
    let mut command = stockd(["serve", "--line", "[::1]:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut rest) = (String::new(), String::new());
    stdout.read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    stdout.read_to_string(&mut rest).unwrap();
    let status = child.wait().unwrap();
    assert!(line.starts_with("line [::1]:"), "{line:?}");
    assert_eq!((rest.as_str(), status.code()), ("", Some(0)));
}

#[test]
fn a_log_that_nobody_reads_any_more_does_not_stop_the_server() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = stockd(["serve", "--line", "127.0.0.1:0", "--log", "trace"]);
    let mut child = command.stdout(Stdio::piped()).stderr(writer).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert!(line.starts_with("line 127.0.0.1:"), "{line:?}");
    assert_eq!(status.code(), Some(0));
}

/// A signal to read the settings again is no signal to stop, as it is for a process that does not know it.
#[test]
fn sighup_reads_the_settings_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stockd.toml");
    std::fs::write(&file, "log = 'info'\n").unwrap();
    let server = ServerProcess::start(&["--config", file.to_str().unwrap()]);
    assert_eq!(server.lookup(&["ACME"]), ["172.5"]);
    std::fs::write(&file, "log = 'debug'\nworkers = 7\n").unwrap();
    server.signal(Signal::HUP);
    assert_eq!(server.lookup(&["ACME"]), ["172.5"]);
    server.signal(Signal::TERM);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("these take a restart: workers"), "{log}");
}

#[test]
fn settings_that_are_not_possible_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stockd.toml");
    std::fs::write(&file, "").unwrap();
    let server = ServerProcess::start(&["--config", file.to_str().unwrap()]);
    std::fs::write(&file, "workers = 9999\n").unwrap();
    server.signal(Signal::HUP);
    // Of two signals that come together the system may deliver the later one first.
    assert_eq!(server.lookup(&["ACME"]), ["172.5"]);
    server.signal(Signal::TERM);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the settings stay as they are") && log.contains("9999"), "{log}");
}
