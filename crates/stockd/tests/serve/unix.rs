//! Unix sockets: served like TCP, with a file that comes and goes with the server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{STOCKS, ServerProcess, run, stockd, until_closed};

fn directory() -> (TempDir, impl Fn(&str) -> String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    (directory, move |name| format!("unix:{path}/{name}"))
}

fn start(line: &str) -> ServerProcess {
    ServerProcess::spawn(&mut stockd(["serve", "--line", line, "--catalog", STOCKS]))
}

fn names(directory: &TempDir) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(name).collect();
    names.sort();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn sockets_are_printed_served_and_removed_at_the_end_wherever_they_are_set() {
    let (directory, at) = directory();
    let config = directory.path().join("stockd.toml");
    fs::write(&config, format!("line = \"{}\"\n", at("line"))).unwrap();
    let mut command = stockd(["serve", "--catalog", STOCKS, "--config"]);
    command.arg(&config).env("STOCKD_RESP", at("resp"));
    let mut server = ServerProcess::spawn(&mut command);
    assert_eq!(server.address.to_string(), at("line"));
    assert_eq!(server.line(), format!("resp {}", at("resp")));
    assert_eq!(server.lookup(&["ACME", "XYZ"]), ["172.5", "-1"]);
    let (code, out, err) = run(["lookup", "--server", &at("line"), "ACME"]);
    assert_eq!((code, out.as_str()), (Some(0), "ACME 172.5\n"), "{err}");
    let (code, out, err) = run(["lookup", "--json", "--quiet", "--server", &at("line"), "ACME"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with(&format!(r#"{{"server":"{}","#, at("line"))), "{out}");

    let mut idle = server.connect();
    assert_eq!(names(&directory), ["line", "resp", "stockd.toml"]);
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(until_closed(&mut idle), "");
    assert_eq!(names(&directory), ["stockd.toml"]);
}

#[test]
fn one_protocol_is_served_at_several_addresses() {
    let (directory, at) = directory();
    let mut server = start(&format!("127.0.0.1:0,{},127.0.0.1:0", at("line")));
    let unix = server.line();
    let second = server.line();
    assert_eq!(unix, format!("line {}", at("line")));
    let addresses = [server.address.to_string(), unix, second];
    for address in addresses.iter().map(|line| line.trim_start_matches("line ")) {
        let (code, out, err) = run(["lookup", "--server", address, "ACME"]);
        assert_eq!((code, out.as_str()), (Some(0), "ACME 172.5\n"), "{err}");
    }
    server.stop();
    assert!(names(&directory).is_empty());
}

#[test]
fn a_socket_that_a_killed_server_has_left_is_taken_over() {
    let (directory, at) = directory();
    let killed = start(&at("line"));
    killed.signal(Signal::KILL);
    killed.wait();
    assert_eq!(names(&directory), ["line"]);
    let server = start(&at("line"));
    assert_eq!(server.lookup(&["ACME"]), ["172.5"]);
    server.stop();
    assert!(names(&directory).is_empty());
}

#[test]
fn a_socket_of_a_running_server_stays_its_own() {
    let (_directory, at) = directory();
    let server = start(&at("line"));
    let (code, out, err) = run(["serve", "--log", "error", "--line", &at("line")]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        format!(
            "stockd: cannot listen on {}: another server listens there; stop it, or choose another \
             path with --line unix:PATH\n",
            at("line")
        )
    );
    assert_eq!(server.lookup(&["ACME"]), ["172.5"]);
}

/// The second server has taken the name over; the first must not take it away at its end.
#[test]
fn the_end_of_a_server_leaves_the_socket_of_another() {
    let (directory, at) = directory();
    let first = start(&at("line"));
    fs::remove_file(directory.path().join("line")).unwrap();
    let second = start(&at("line"));
    first.stop();
    assert_eq!(second.lookup(&["ACME"]), ["172.5"]);
}

#[test]
fn what_cannot_be_a_socket_is_told_in_one_line() {
    let (directory, at) = directory();
    fs::write(directory.path().join("file"), "precious").unwrap();
    let long = at(&"x".repeat(108));
    let bytes = long.len() - "unix:".len();
    let too_long = format!(
        "stockd: --line: '{long}' is not possible for line: the path of a socket has at most 107 \
         bytes and this one has {bytes}; choose a shorter one\n"
    );
    let listen = |name: &str, reason: &str| {
        let address = at(name);
        let choose = "or choose another path with --line unix:PATH";
        let told = format!("stockd: cannot listen on {address}: {reason}, {choose}\n");
        (address, 1, told)
    };
    for (address, code, told) in [
        (long, 2, too_long),
        listen("file", "what is there is no socket; move it away"),
        listen("missing/line", "its directory does not exist; make it"),
    ] {
        let (ended, out, err) = run(["serve", "--log", "error", "--line", &address]);
        assert_eq!((ended, out.as_str(), err), (Some(code), "", told));
    }
    assert_eq!(names(&directory), ["file"]);
    assert_eq!(fs::read_to_string(directory.path().join("file")).unwrap(), "precious");
}

#[test]
fn a_start_that_fails_later_removes_the_socket() {
    let (directory, at) = directory();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let resp = taken.local_addr().unwrap().to_string();
    let (code, _, err) = run(["serve", "--line", &at("line"), "--resp", &resp]);
    assert_eq!(code, Some(1), "{err}");
    assert!(names(&directory).is_empty());
    assert!(UnixStream::connect(directory.path().join("line")).is_err());
}
