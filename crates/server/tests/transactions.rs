//! Transactions of clients, in memory and on a disk, in RESP2 and RESP3: what is answered, what is
//! executed, and what is forgotten.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use stockd_engine::{Access, Catalog, Engine, Sync};
use stockd_model::limits::{
    TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX, TRANSACTION_PARTS_MAX, WATCHED_STOCKS_MAX,
};
use stockd_model::{Quote, Symbol};
use stockd_server::{Protocol, Unplugged};
use stockd_store::{Store, StoreError, Write};

/// A disk that takes everything, until it fails, and counts what each commit writes.
#[derive(Clone, Debug, Default)]
struct Disk {
    fails: Arc<AtomicBool>,
    commits: Arc<Mutex<Vec<usize>>>,
}

impl Store for Disk {
    fn commit(&mut self, writes: &[Write], _: u64) -> Result<(), StoreError> {
        if self.fails.load(Relaxed) {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(StoreError::Commit { path: "quotes".into(), source });
        }
        self.commits.lock().unwrap().push(writes.len());
        Ok(())
    }
}

fn durable(sync: Sync) -> (Arc<Engine>, Disk) {
    let disk = Disk::default();
    (Arc::new(Engine::durable(Catalog::new(), 0, Box::new(disk.clone()), sync)), disk)
}

/// A client, alone with the engine.
struct Client(Unplugged);

impl Client {
    fn new(engine: &Arc<Engine>) -> Client {
        Client(Unplugged::new(Protocol::Resp, engine))
    }

    /// What is answered to commands, typed as lines.
    fn ask(&mut self, commands: &str) -> String {
        let lines: String =
            commands.split(';').map(|line| format!("{}\r\n", line.trim())).collect();
        String::from_utf8(self.0.turn_until_committed(lines.as_bytes()).to_vec()).unwrap()
    }
}

/// Plays to fresh engines of every kind, with A and B listed at 1 with 10 shares each.
fn everywhere(play: impl Fn(&Arc<Engine>)) {
    let interval = Sync::Interval(std::time::Duration::from_secs(3600));
    for engine in [Arc::default(), durable(Sync::Always).0, durable(interval).0] {
        let listed = Client::new(&engine).ask("HSET A price 1 volume 10; HSET B price 1 volume 10");
        assert_eq!(listed, ":2\r\n:2\r\n");
        play(&engine);
    }
}

fn quote(engine: &Engine, name: &str) -> Option<Quote> {
    engine.quote(&Access::All, &name.parse::<Symbol>().unwrap())
}

#[test]
fn what_is_queued_takes_effect_as_one() {
    everywhere(|engine| {
        let (mut client, mut other) = (Client::new(engine), Client::new(engine));
        assert_eq!(
            client.ask("MULTI; HINCRBY A volume -3; HINCRBY B volume 3; GET A; HGET B volume"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
        );
        assert_eq!(other.ask("HGET A volume"), "$2\r\n10\r\n");
        assert_eq!(client.ask("EXEC"), "*4\r\n:7\r\n:13\r\n$1\r\n1\r\n$2\r\n13\r\n");
        assert_eq!(other.ask("HGET A volume"), "$1\r\n7\r\n");
        // A whole pipeline in one read, and what follows it.
        assert_eq!(
            client.ask("SET A 2; MULTI; DBSIZE; HSET C price 5; DBSIZE; DEL A C; DBSIZE; EXEC; DBSIZE; GET A"),
            "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*5\r\n:2\r\n:1\r\n:3\r\n:2\r\n:1\r\n:1\r\n$-1\r\n"
        );
        assert_eq!(client.ask("MULTI; PING; EXEC"), "+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n");
        assert_eq!(client.ask("MULTI; EXEC"), "+OK\r\n*0\r\n");
    });
}

#[test]
fn a_stock_that_changes_several_times_counts_each_and_shows_the_last() {
    everywhere(|engine| {
        let mut client = Client::new(engine);
        client.ask("MULTI; SET A 2; SET A 3; SET A 4; DEL B; HSET B price 9; EXEC");
        let (a, b) = (quote(engine, "A").unwrap(), quote(engine, "B").unwrap());
        assert_eq!((a.answer().to_string().as_str(), a.version), ("4", 4));
        assert_eq!((b.answer().to_string().as_str(), b.version), ("9", 3));
        // Versions go on from what was told, in memory too.
        client.ask("MULTI; SET A 2; SET A 3; DEL A; EXEC");
        client.ask("HSET A price 1");
        assert!(quote(engine, "A").unwrap().version > 7);
    });
}

#[test]
fn a_watched_stock_that_has_changed_keeps_everything_from_being_executed() {
    for (hello, nil) in [("PING", "*-1\r\n"), ("HELLO 3", "_\r\n")] {
        everywhere(|engine| {
            let (mut client, mut other) = (Client::new(engine), Client::new(engine));
            client.ask(hello);
            for (watch, change) in [
                ("WATCH A", "SET A 2"),
                ("WATCH B A", "HINCRBY A volume -1"),
                ("WATCH A", "DEL A"),
                ("WATCH A", "HSET A price 1"),
            ] {
                assert_eq!(client.ask(watch), "+OK\r\n");
                other.ask(change);
                let replies = client.ask("MULTI; SET B 7; EXEC");
                assert_eq!(replies, format!("+OK\r\n+QUEUED\r\n{nil}"), "{change}");
                assert_ne!(quote(engine, "B").unwrap().answer().to_string(), "7");
            }
            // What is as it was is executed, and forgotten with the transaction.
            for (watch, forget) in [
                ("WATCH A B NOSUCH", "PING"),
                ("WATCH A; DEL A; HSET A price 1", "UNWATCH"),
                ("WATCH A; DEL A; HSET A price 1; MULTI", "DISCARD"),
                ("WATCH A; DEL A; HSET A price 1; MULTI; PING; EXEC", "PING"),
            ] {
                client.ask(&format!("{watch}; {forget}"));
                let replies = client.ask("MULTI; ECHO done; EXEC");
                assert_eq!(replies, "+OK\r\n+QUEUED\r\n*1\r\n$4\r\ndone\r\n", "{watch}; {forget}");
            }
            client.ask("WATCH A; SET A 5; RESET");
            assert!(client.ask("MULTI; ECHO done; EXEC").ends_with("done\r\n"));
        });
    }
}

#[test]
fn beyond_a_limit_nothing_is_executed() {
    let engine = Arc::default();
    let mut client = Client::new(&engine);
    client.ask("HSET A price 1 volume 1");
    let aborted = "EXECABORT Transaction discarded because of previous errors.\r\n";
    let names = |count: usize| vec!["A"; count].join(" ");
    let most = format!("MGET {}", names(TRANSACTION_PARTS_MAX / 8 - 1));
    let long = format!("ECHO {}", "x".repeat(60_000));
    for (command, fit, why) in [
        ("SET A 2", TRANSACTION_COMMANDS_MAX, "1024 commands, the limit"),
        (&most, 8, "16384 parts, the limit"),
        (&long, TRANSACTION_BYTES_MAX / 60_100, "1048576 bytes, the limit"),
    ] {
        client.ask("MULTI");
        for _ in 0..fit {
            assert_eq!(client.ask(command), "+QUEUED\r\n");
        }
        let refused = client.ask(command);
        assert!(refused.starts_with("-ERR the ") && refused.contains(why), "{refused}");
        assert!(client.ask("EXEC").contains(aborted));
        assert_eq!(client.ask("GET A"), "$1\r\n1\r\n");
    }
    // As many as fit are executed.
    client.ask("MULTI");
    let queued = client.ask(&vec!["HINCRBY A volume 1"; TRANSACTION_COMMANDS_MAX].join(";"));
    assert_eq!(queued, "+QUEUED\r\n".repeat(TRANSACTION_COMMANDS_MAX));
    assert!(client.ask("EXEC").ends_with(":1025\r\n"));

    let many = |from: usize| {
        let names: Vec<String> = (0..100).map(|number| format!("S{}", from + number)).collect();
        format!("WATCH {}", names.join(" "))
    };
    let watches: Vec<String> =
        (0..=WATCHED_STOCKS_MAX / 100).map(|part| many(part * 100)).collect();
    let replies = client.ask(&watches.join(";"));
    assert!(
        replies.ends_with("-ERR 1024 stocks are watched, the limit; execute or UNWATCH first\r\n")
    );
}

#[test]
fn one_commit_keeps_all_and_each_stock_once() {
    let (engine, disk) = durable(Sync::Always);
    let mut client = Client::new(&engine);
    client.ask("HSET A price 1 volume 10; HSET B price 1 volume 10");
    disk.commits.lock().unwrap().clear();
    client.ask("MULTI; HINCRBY A volume -3; HINCRBY B volume 3; HINCRBY A volume -1; EXEC");
    assert_eq!(*disk.commits.lock().unwrap(), [2]);
    assert_eq!((engine.totals().transactions, engine.totals().trades), (1, 3));
    // A transaction that only reads needs no commit.
    client.ask("MULTI; GET A; EXEC");
    assert_eq!(disk.commits.lock().unwrap().len(), 1);
}

#[test]
fn what_is_not_kept_is_refused_as_a_whole() {
    let (engine, disk) = durable(Sync::Always);
    let mut client = Client::new(&engine);
    client.ask("HSET A price 1 volume 10");
    disk.fails.store(true, Relaxed);
    let replies = client.ask("MULTI; GET A; HINCRBY A volume -3; EXEC");
    assert!(replies.contains("+QUEUED\r\n-MISCONF the write was not kept: "), "{replies}");
    let replies = client.ask("MULTI; GET A; HINCRBY A volume -3; EXEC");
    assert!(replies.contains("+QUEUED\r\n-MISCONF the catalog is read-only: "), "{replies}");
    assert_eq!(client.ask("HGET A volume"), "$2\r\n10\r\n");
    let replies = client.ask("MULTI; GET A; EXEC");
    assert_eq!(replies, "+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n");
}
