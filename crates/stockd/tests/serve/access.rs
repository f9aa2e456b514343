//! Users, tokens and rights: from `stockd token new` to a server that is told of another file.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{STOCKS, ServerProcess, run, stockd};

/// A directory with an access file and tokens.
struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new() -> Desk {
        Desk { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Makes a token for a user, keeps it in `NAME.token`, and returns the lines for the access file.
    fn token(&self, user: &str) -> String {
        let (code, token, lines) = run(["token", "new", user]);
        assert_eq!(code, Some(0), "{lines}");
        fs::write(self.path(&format!("{user}.token")), token).unwrap();
        lines
    }

    fn write(&self, users: &[String]) {
        write(&self.path("access.toml"), &users.concat());
    }

    /// Runs a command against a server as this user.
    fn run(&self, resp: &str, user: &str, args: &[&str]) -> (Option<i32>, String, String) {
        let token = self.text(&format!("{user}.token"));
        let flags = ["--server", resp, "--token-file", &token];
        run(args[..1].iter().chain(&flags).chain(&args[1..]))
    }
}

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, path).unwrap();
}

/// A server with RESP on a free port, and that address.
fn serve(args: &[&str]) -> (ServerProcess, String) {
    let usual = ["serve", "--line", "127.0.0.1:0", "--resp", "127.0.0.1:0", "--catalog", STOCKS];
    let mut server = ServerProcess::spawn(stockd(usual).args(args));
    let resp = server.line().strip_prefix("resp ").unwrap().to_owned();
    (server, resp)
}

#[test]
fn what_others_could_reach_unprotected_is_not_started() {
    let desk = Desk::new();
    desk.write(&[desk.token("feed")]);
    let access = desk.text("access.toml");
    let refused = |args: &[&str]| {
        let (code, stdout, stderr) = run([&["serve"], args].concat());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    };
    let open = refused(&["--line", "0.0.0.0:0"]);
    assert!(open.contains("--access FILE") && open.contains("--insecure=line"), "{open}");
    let plain = refused(&["--line", "off", "--resp", "0.0.0.0:0", "--access", &access]);
    assert!(plain.contains("plain text") && plain.contains("use tls:"), "{plain}");
    refused(&["--line", "0.0.0.0:0", "--insecure=resp"]);
    let unknown = refused(&["--insecure=http2"]);
    assert!(unknown.contains("write true, false, or some of line"), "{unknown}");

    fs::set_permissions(&access, Permissions::from_mode(0o620)).unwrap();
    let writable = refused(&["--access", &access]);
    assert!(writable.contains("others than its owner may write it"), "{writable}");
    write(&desk.path("access.toml"), "[[user]]\nname = \"a\"\nread = [\"A*B\"]\n");
    let mistaken = refused(&["--access", &access]);
    assert!(mistaken.contains("access.toml:3: 'A*B': one * may stand at the end"), "{mistaken}");
}

#[test]
fn who_insists_is_warned() {
    let insists = ["serve", "--line", "0.0.0.0:0", "--catalog", STOCKS, "--insecure"];
    let server = ServerProcess::spawn(&mut stockd(insists));
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("WARN line 0.0.0.0:0 is insecure: anybody who reaches it"), "{log}");
    // In a file, as a list.
    let desk = Desk::new();
    write(&desk.path("stockd.toml"), "line = \"0.0.0.0:0\"\ninsecure = [\"line\", \"resp\"]\n");
    let config = desk.text("stockd.toml");
    let (status, log) = ServerProcess::spawn(&mut stockd(["serve", "--config", &config])).stop();
    assert!(status.success() && log.contains("is insecure"), "{log}");
}

/// What each command of the client may do, as a user that may do it and as one that may not; then the
/// file is exchanged under the server.
#[test]
fn every_command_shows_its_token_and_a_new_file_is_taken() {
    let desk = Desk::new();
    let feed = desk.token("feed");
    let ops = desk.token("ops");
    let may = |rest: &str| format!("{feed}{rest}\n");
    let all = "read = [\"*\"]\nwrite = [\"*\"]\ntrade = [\"*\"]\nrights = [\"admin\"]";
    let few = "read = [\"US.*\"]";
    desk.write(&[may(all), ops.clone()]);
    let (server, resp) = serve(&["--access", &desk.text("access.toml"), "--log", "debug"]);

    let stocks = desk.text("stocks.csv");
    fs::write(&stocks, "symbol,price,volume\nEU.B,7,7\n").unwrap();
    let updates = desk.text("updates.csv");
    fs::write(&updates, "time,symbol,price\n2026-01-01T00:00:00Z,EU.B,8\n").unwrap();
    let exported = desk.text("exported.csv");
    let commands: [&[&str]; 8] = [
        &["set", "EU.A", "--price", "5", "--volume", "10"],
        &["lookup", "EU.A"],
        &["buy", "EU.A", "1"],
        &["sell", "EU.A", "1"],
        &["import", &stocks],
        &["replay", &updates],
        &["export", &exported],
        &["delist", "EU.B"],
    ];
    for args in commands {
        let (code, _, stderr) = desk.run(&resp, "feed", args);
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        let (code, ..) = desk.run(&resp, "ops", args);
        assert_ne!(code, Some(0), "{args:?}");
        let (code, _, stderr) = run([&args[..1], &["--server", &resp], &args[1..]].concat());
        assert_ne!(code, Some(0), "{args:?} without a token: {stderr}");
    }
    let (code, stdout, _) = desk.run(&resp, "feed", &["lookup", "EU.A", "NONE"]);
    assert_eq!((code, stdout.as_str()), (Some(1), "EU.A 5\nNONE not listed\n"));
    let wrong = desk.run(&resp, "ops", &["set", "EU.A", "--price", "5", "--user", "feed"]);
    assert!(wrong.2.contains("WRONGPASS"), "{}", wrong.2);
    write(&desk.path("bad.token"), "stk_mistyped");
    let (_, _, stderr) = desk.run(&resp, "bad", &["lookup", "EU.A"]);
    assert!(stderr.contains("bad.token: the token is damaged"), "{stderr}");

    // A watcher is told that it may read no more.
    let token = desk.text("feed.token");
    let watch = ["watch", "EU.A", "--server", &resp, "--token-file", &token, "--count", "2"];
    let mut watcher = stockd(watch).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(watcher.stdout.take().unwrap()).lines();
    assert!(told.next().unwrap().unwrap().contains("\"price\":\"5\""));
    desk.write(&["[[user]]\nname = \"broken".to_owned()]);
    server.signal(Signal::HUP);
    desk.write(&[may(few), ops]);
    server.signal(Signal::HUP);
    assert!(told.next().unwrap().unwrap().contains("forbidden"));
    assert!(watcher.wait().unwrap().success());
    let (code, stdout, _) = desk.run(&resp, "feed", &["lookup", "EU.A"]);
    assert_eq!((code, stdout.as_str()), (Some(1), "EU.A not permitted\n"));

    let (status, log) = server.stop();
    assert!(status.success());
    assert!(log.contains("the access file was exchanged: feed changed"), "{log}");
    assert!(log.contains("is user 'feed'"), "{log}");
    for user in ["feed", "ops"] {
        let token = fs::read_to_string(desk.path(&format!("{user}.token"))).unwrap();
        assert!(!log.contains(token.trim()), "no token is logged");
    }
}

#[test]
fn a_file_is_explained() {
    let desk = Desk::new();
    let feed = desk.token("feed") + "read = [\"*\"]\nwrite = [\"US.*\", \"BRK/A\"]\n";
    desk.write(&[feed, "[[user]]\nname = \"ops\"\nrights = [\"admin\"]\n".to_owned()]);
    let file = desk.text("access.toml");
    let check = |args: &[&str]| {
        let (code, stdout, stderr) = run([&["access", "check", &file], args].concat());
        (code, stdout + &stderr)
    };
    let all = "feed: read *; write US.*, BRK/A\nops: admin\nwho shows nothing may do nothing\n";
    assert_eq!(check(&[]), (Some(0), all.to_owned()));
    assert_eq!(check(&["--user", "ops"]), (Some(0), "ops: admin\n".to_owned()));
    let asked = check(&["--user", "feed", "--read", "X", "--write", "US.A"]);
    assert_eq!(asked, (Some(0), "feed may read X\nfeed may write US.A\n".to_owned()));
    let asked = check(&["--user", "feed", "--trade", "X"]);
    assert_eq!(asked, (Some(1), "feed may not trade X\n".to_owned()));
    assert_eq!(check(&["--read", "X"]), (Some(1), "anonymous may not read X\n".to_owned()));
    let (code, said) = check(&["--user", "nobody", "--read", "X"]);
    assert!(code == Some(1) && said.contains("there is no user 'nobody'"), "{said}");
    let (code, stdout, stderr) = run(["token", "new", "a b"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("a name is printable ASCII without spaces"), "{stderr}");
}
