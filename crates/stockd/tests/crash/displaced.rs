//! The story: while a server runs, somebody moves its data directory, deletes it, or puts another
//! one in its place, as a clumsy restore does. What the server wrote from then on, no start would
//! find. So it says so, and takes no more writes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use stockd_model::limits::SHUTDOWN_TIMEOUT;

use crate::server::{Connection, Server};

/// No test waits longer than this; it is a guard against hanging alone.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is done to the directory, and what is said of it.
type Mischief = (fn(&Path), &'static str);

const MISCHIEFS: [Mischief; 4] = [
    (|data| fs::rename(data, data.with_extension("away")).unwrap(), "was moved or deleted"),
    (|data| fs::remove_dir_all(data).unwrap(), "was moved or deleted"),
    (
        |data| {
            fs::rename(data, data.with_extension("away")).unwrap();
            fs::create_dir(data).unwrap();
            let file = data.with_extension("away").join("quotes.redb");
            fs::copy(file, data.join("quotes.redb")).unwrap();
        },
        "was replaced by another",
    ),
    (|data| fs::remove_file(data.join("quotes.redb")).unwrap(), "has lost its quotes.redb"),
];

fn persistence(connection: &mut Connection) -> Vec<String> {
    let head = connection.ask("INFO persistence");
    assert!(head.starts_with('$'), "{head}");
    let lines = std::iter::from_fn(|| connection.line());
    lines.take_while(|line| !line.is_empty()).collect()
}

fn is_read_only(connection: &mut Connection) -> bool {
    // The text ends with the line feed of its last line, and then comes that of the reply.
    persistence(connection).contains(&"read_only:1".to_owned())
}

/// Exit code 1, in time, and one line that says why.
fn ends_badly(server: Server, what: &str) {
    let began = Instant::now();
    let (status, log) = server.stop();
    assert!(began.elapsed() < SHUTDOWN_TIMEOUT, "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(1), "{log}");
    let told = log.lines().filter(|line| line.contains("read-only from now on"));
    assert_eq!(told.filter(|line| line.contains(what)).count(), 1, "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("stockd: the catalog was read-only") && last.contains(what), "{log}");
}

#[test]
fn a_write_is_refused_once_the_directory_is_not_where_it_was() {
    for (mischief, what) in MISCHIEFS {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        let server = Server::start(&dir, &[]);
        let mut connection = server.connect();
        assert_eq!(connection.ask("HSET A price 1 volume 1"), ":2");
        mischief(&dir);
        let refused = connection.ask("HSET B price 1");
        assert!(refused.starts_with("-MISCONF ") && refused.contains(what), "{refused}");
        assert!(
            refused.ends_with("put the directory back, then send the server SIGHUP"),
            "{refused}"
        );
        assert!(connection.ask("HSET B price 2").contains("the catalog is read-only"));
        assert!(is_read_only(&mut connection));
        assert_eq!(connection.parts("MGET A"), ["1"]);
        ends_badly(server, what);
    }
}

#[test]
fn it_is_noticed_when_nobody_writes() {
    for sync in ["always", "never", "interval=3600000"] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        let server = Server::start(&dir, &["--sync", sync]);
        let mut connection = server.connect();
        assert_eq!(connection.ask("HSET A price 1 volume 1"), ":2");
        fs::remove_dir_all(&dir).unwrap();
        let began = Instant::now();
        while !is_read_only(&mut connection) {
            assert!(began.elapsed() < PATIENCE, "nobody notices");
        }
        ends_badly(server, "was moved or deleted");
    }
}

#[test]
fn a_directory_that_is_put_back_has_all_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let (dir, away) = (home.path().join("data"), home.path().join("away"));
    let server = Server::start(&dir, &[]);
    let mut connection = server.connect();
    let mut kept = 0;
    // Somebody moves it while a client writes.
    let refused = loop {
        if kept == 50 {
            fs::rename(&dir, &away).unwrap();
        }
        match connection.ask(&format!("HSET S{kept} price 1 volume 1")).as_str() {
            ":2" => kept += 1,
            refused => break refused.to_owned(),
        }
        assert!(kept <= 50, "it goes on writing");
    };
    assert!(refused.contains("was moved or deleted"), "{refused}");
    fs::rename(&away, &dir).unwrap();
    // It does not trust the directory again by itself.
    assert!(connection.ask("HSET Z price 1").contains("read-only"));
    ends_badly(server, "was moved or deleted");
    let server = Server::start(&dir, &[]);
    let mut connection = server.connect();
    for stock in 0..kept {
        assert_eq!(connection.parts(&format!("MGET S{stock}")), ["1"], "S{stock}");
    }
    assert_eq!(connection.ask("HSET Z price 1"), ":1");
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
}

#[test]
fn a_lock_without_data_is_told_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let start = || Server::start(&dir, &["--log", "info"]).stop().1;
    let odd = format!("{} has a lock but no data: ", dir.display());
    let log = start();
    assert!(log.contains(&format!("{} is a new data directory", dir.display())), "{log}");
    assert!(!log.contains(&odd), "{log}");
    fs::remove_file(dir.join("quotes.redb")).unwrap();
    let log = start();
    assert!(log.contains(&odd) && !log.contains("is a new data directory"), "{log}");
    let log = start();
    assert!(!log.contains(&odd) && !log.contains("is a new data directory"), "{log}");
}

#[test]
fn what_other_users_may_use_is_named_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let (_, log) = Server::start(&dir, &[]).stop();
    assert!(!log.contains("other users"), "{log}");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&dir), 0o700);
    let (lock, data) = (dir.join("stockd.lock"), dir.join("quotes.redb"));
    assert_eq!((mode(&lock), mode(&data)), (0o600, 0o600));

    // As an earlier version made them.
    for (path, mode) in [(&dir, 0o755), (&lock, 0o644), (&data, 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let (_, log) = Server::start(&dir, &[]).stop();
    for path in [&lock, &data] {
        let path = path.display();
        let told = format!(
            "WARN other users may read '{path}' (mode 0644); take it from them with chmod go-rwx '{path}'"
        );
        assert!(log.contains(&told), "{log}");
        assert_eq!(mode(Path::new(&path.to_string())), 0o644);
    }
}
