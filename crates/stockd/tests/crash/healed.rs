//! The story: a disk was full, or its directory was away, and the server has become read-only. The
//! operator makes room, or puts the directory back, and sends SIGHUP. The server takes writes again, and what it
//! had shown all the time is on the disk: neither more nor less.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::server::{Connection, Server, serve, stockd, within};

/// No test waits longer than this; it is a guard against hanging alone.
const PATIENCE: Duration = Duration::from_secs(180);

impl Server {
    fn hang_up(&self) {
        let pid = rustix::process::Pid::from_raw(self.process_id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }
}

/// Tries a write until it is not refused any more, and says what was answered.
fn written(connection: &mut Connection, command: &str) -> String {
    let began = Instant::now();
    loop {
        let reply = connection.ask(command);
        if !reply.starts_with("-MISCONF") {
            return reply;
        }
        assert!(began.elapsed() < PATIENCE, "{reply}");
    }
}

fn info(connection: &mut Connection, name: &str) -> String {
    let lines = connection.parts_of_bulk("INFO persistence");
    let line = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().to_owned()
}

#[test]
fn a_disk_that_has_room_again_is_written_without_a_restart() {
    for sync in ["always", "interval=1"] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        // No file may grow beyond 400 KiB, until that is lifted.
        let limited = r#"trap "" XFSZ; ulimit -S -f 400; exec "$@""#;
        let mut command = within(limited, &stockd(serve(&dir)));
        let server = Server::spawn(command.args(["--sync", sync]));
        let mut connection = server.connect();
        let mut listed = 0;
        while connection.ask(&format!("HSET S{listed} price 1 volume 1")) == ":2" {
            listed += 1;
            assert!(listed < 100_000, "the disk is never full");
        }
        // While there is no room a try changes nothing, and is told.
        server.hang_up();
        let began = Instant::now();
        while !info(&mut connection, "read_only_cause").contains("send the server SIGHUP") {
            assert!(began.elapsed() < PATIENCE, "no cause");
        }
        assert_eq!(connection.parts("MGET S1 S2"), ["1", "1"]);
        assert_eq!(connection.ask("DBSIZE"), format!(":{listed}"));

        let pid = server.process_id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
        assert!(lifted.unwrap().success());
        server.hang_up();
        assert_eq!(written(&mut connection, "HSET S0 price 2"), ":0", "{sync}");
        assert_eq!(info(&mut connection, "read_only"), "0");
        assert_eq!(connection.ask("DEL S1"), ":1");
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");

        let server = Server::start(&dir, &[]);
        let mut connection = server.connect();
        assert_eq!(connection.ask("DBSIZE"), format!(":{}", listed - 1), "{sync}");
        assert_eq!(connection.parts("MGET S0 S2"), ["2", "1"]);
        for stock in 2..listed {
            assert_eq!(connection.parts(&format!("MGET S{stock}")), ["1"], "S{stock}");
        }
    }
}

#[test]
fn a_directory_that_is_put_back_is_written_without_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let (dir, away) = (home.path().join("data"), home.path().join("away"));
    let server = Server::start(&dir, &[]);
    let mut connection = server.connect();
    assert_eq!(connection.ask("HSET A price 1 volume 1"), ":2");
    fs::rename(&dir, &away).unwrap();
    // It may have reached the file that was moved. It was not acknowledged.
    assert!(connection.ask("HSET B price 1").starts_with("-MISCONF"));
    // Another directory in its place is not trusted.
    fs::create_dir(&dir).unwrap();
    server.hang_up();
    let began = Instant::now();
    while !info(&mut connection, "read_only_cause").contains("was replaced by another") {
        assert!(began.elapsed() < PATIENCE, "it is trusted");
    }
    fs::remove_dir(&dir).unwrap();
    fs::rename(&away, &dir).unwrap();
    server.hang_up();
    assert_eq!(written(&mut connection, "HSET C price 3"), ":1");
    assert_eq!(connection.ask("EXISTS B"), ":0");
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    let server = Server::start(&dir, &[]);
    assert_eq!(server.connect().ask("DBSIZE"), ":2");
}
