//! What monitors divide by and alert on.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::client::{Client, Stage};

fn info(client: &mut Client, sections: &str) -> BTreeMap<String, String> {
    let text = client.ask(format!("INFO {sections}").trim_end());
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_numbers_that_monitors_look_for_are_there_and_true() {
    let stage = Stage::new();
    let mut client = stage.client();
    let fresh = info(&mut client, "");
    for name in [
        "role",
        "connected_slaves",
        "master_replid",
        "used_memory",
        "used_memory_human",
        "used_memory_rss",
        "used_memory_peak",
        "maxmemory",
        "total_system_memory",
        "total_commands_processed",
        "instantaneous_ops_per_sec",
        "used_cpu_sys",
        "used_cpu_user",
        "used_cpu_sys_children",
        "blocked_clients",
        "connected_clients",
        "keyspace_hits",
        "keyspace_misses",
        "evicted_keys",
        "expired_keys",
        "rejected_connections",
        "tcp_port",
        "total_net_input_bytes",
        "pubsub_channels",
        "pubsub_patterns",
        "uptime_in_days",
    ] {
        assert!(fresh.contains_key(name), "{name} is missing");
    }
    assert_eq!(fresh["role"], "master");
    assert!(!fresh.contains_key("db0"), "the catalog is empty");
    assert!(!fresh.keys().any(|name| name.starts_with("cmdstat_")), "only with all");

    client.ask_all(
        "HSET A price 1; GET A; GET A; GET NO; MGET A NO A; HSET A price x; FOO; CLIENT ID",
    );
    let port = stage.address(0).port().to_string();
    let mut line = TcpStream::connect(stage.address(1)).unwrap();
    line.write_all(b"A\nNO\n").unwrap();
    line.read_exact(&mut [0; 5]).unwrap();
    let all = info(&mut client, "everything");
    let is = |name: &str, value: &str| assert_eq!(untimed(&all[name]), value, "{name}");
    is("db0", "keys=1,expires=0,avg_ttl=0");
    is("cmdstat_get", "calls=3");
    is("cmdstat_mget", "calls=1");
    is("cmdstat_hset", "calls=1");
    is("cmdstat_client|id", "calls=1");
    is("cmdstat_info", "calls=1");
    is("errorstat_ERR", "count=2");
    is("keyspace_hits", "5");
    is("keyspace_misses", "3");
    is("line_requests", "2");
    // Two that were refused are not among them, and the line protocol's two are.
    is("total_commands_processed", "9");
    is("tcp_port", &port);
    assert!(all["used_memory"].parse::<u64>().unwrap() > 100_000);
    assert!(all["instantaneous_ops_per_sec"].parse::<u64>().unwrap() > 0);
}

#[test]
fn commands_of_a_transaction_count_when_they_are_executed() {
    for stage in [Stage::new(), Stage::durable()] {
        let mut client = stage.client();
        client.ask_all("HSET A price 1 volume 9; MULTI; GET A; HINCRBY A volume -1; DISCARD");
        client.ask_all("MULTI; GET A; HINCRBY A volume -1; EXEC; GET A");
        let all = info(&mut client, "commandstats");
        assert_eq!(untimed(&all["cmdstat_get"]), "calls=2");
        assert_eq!(untimed(&all["cmdstat_hincrby"]), "calls=1");
        assert_eq!(untimed(&all["cmdstat_multi"]), "calls=2");
        assert_eq!(untimed(&all["cmdstat_exec"]), "calls=1");
    }
}

#[test]
fn sections_are_told_as_they_are_asked_for() {
    let stage = Stage::new();
    let mut client = stage.client();
    let mut titles = |sections: &str| -> Vec<String> {
        let text = client.ask(format!("INFO {sections}").trim_end());
        let titles = text.lines().filter_map(|line| line.strip_prefix("# "));
        titles.map(str::to_owned).collect()
    };
    assert_eq!(titles("replication"), ["Replication"]);
    assert_eq!(titles("CPU server"), ["Server", "CPU"]);
    assert_eq!(titles("nothing"), [] as [String; 0]);
    let default = titles("");
    assert_eq!(titles("default"), default);
    assert_eq!(titles("default commandstats").len(), default.len() + 1);
    assert_eq!(titles("all"), titles("everything"));
}

#[test]
fn a_client_is_described_in_the_words_of_redis() {
    let stage = Stage::new();
    let mut client = stage.client3();
    let name = "quotes-gateway-deployment-7d9c5b6f4d-abcde.production.svc.cluster.local";
    assert_eq!(client.ask(&format!("CLIENT SETNAME {name}")), "OK");
    client.ask_all("CLIENT SETINFO LIB-NAME redis-py; CLIENT SETINFO LIB-VER 5.1.0; WATCH A B");
    client.ask("SUBSCRIBE A");
    assert!(client.next().contains("unlisted"));
    client.ask("PSUBSCRIBE B*");
    let line = client.ask("CLIENT INFO");
    let fields: BTreeMap<_, _> =
        line.split_whitespace().filter_map(|field| field.split_once('=')).collect();
    for name in [
        "id",
        "addr",
        "laddr",
        "fd",
        "name",
        "age",
        "idle",
        "flags",
        "db",
        "sub",
        "psub",
        "ssub",
        "multi",
        "watch",
        "qbuf",
        "qbuf-free",
        "argv-mem",
        "multi-mem",
        "rbs",
        "rbp",
        "obl",
        "oll",
        "omem",
        "tot-mem",
        "events",
        "cmd",
        "user",
        "redir",
        "resp",
        "lib-name",
        "lib-ver",
    ] {
        assert!(fields.contains_key(name), "{name} is missing in {line}");
    }
    let is = |name: &str, value: &str| assert_eq!(fields[name], value, "{name} in {line}");
    is("name", name);
    is("laddr", &stage.address(0).to_string());
    is("flags", "P");
    is("sub", "1");
    is("psub", "1");
    is("multi", "-1");
    is("watch", "2");
    is("resp", "3");
    is("cmd", "client|info");
    is("lib-name", "redis-py");
    is("user", "default");
    assert!(fields["fd"].parse::<i32>().unwrap() > 2);

    let mut other = stage.client();
    let listed = |client: &mut Client, filter: &str| {
        client.ask(format!("CLIENT LIST {filter}").trim_end()).lines().count()
    };
    assert_eq!(listed(&mut other, ""), 2);
    assert_eq!(listed(&mut other, "TYPE pubsub"), 1);
    assert_eq!(listed(&mut other, "TYPE normal"), 1);
    assert_eq!(listed(&mut other, "TYPE replica"), 0);
    assert_eq!(listed(&mut other, &format!("ID {} 999", fields["id"])), 1);
    assert_eq!(other.ask_all("MULTI; GET A")[1], "QUEUED");
    let line = client.ask("CLIENT LIST TYPE normal");
    assert!(line.contains(" flags=x ") && line.contains(" multi=1 "), "{line}");
}

/// What a line of commandstats says, but for times.
fn untimed(line: &str) -> &str {
    line.split(",usec=").next().unwrap()
}

/// The fields of `cmdstat_NAME`, as monitors read them.
fn stat(client: &mut Client, name: &str) -> BTreeMap<String, f64> {
    let text = client.ask("INFO commandstats");
    let prefix = format!("cmdstat_{name}:");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default();
    let fields = line.split(',').filter_map(|field| field.split_once('='));
    fields.map(|(name, value)| (name.to_owned(), value.trim().parse().unwrap())).collect()
}

#[test]
fn commands_are_timed_and_no_number_goes_back() {
    for stage in [Stage::new(), Stage::durable()] {
        let mut client = stage.client();
        let mut monitor = stage.client();
        client.ask("HSET A price 1 volume 1000000");
        let mut before = 0.0;
        for round in 1..=20 {
            for _ in 0..50 {
                client.ask_all("GET A; MGET A B; GET B; HINCRBY A volume -1; HGETALL A; KEYS *");
            }
            let get = stat(&mut monitor, "get");
            assert_eq!(get["calls"], f64::from(round * 100));
            let usec = get.get("usec").copied().unwrap_or(0.0);
            assert!(usec >= before, "{get:?}");
            before = usec;
        }
        for name in ["get", "mget", "hincrby", "hgetall", "keys", "info"] {
            let fields = stat(&mut monitor, name);
            assert!(fields.get("usec_per_call").is_some_and(|it| *it > 0.0), "{name}: {fields:?}");
            // Nothing here takes anything like a second.
            assert!(fields["usec"] <= fields["calls"] * 1e6, "{name}: {fields:?}");
            let text = monitor.ask("INFO latencystats");
            let prefix = format!("latency_percentiles_usec_{name}:p50=");
            let line = text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap();
            let values: Vec<f64> = format!("p50={line}")
                .split(',')
                .map(|it| it.split_once('=').unwrap().1.parse().unwrap())
                .collect();
            assert!(values[0] > 0.0 && values.is_sorted() && values.len() == 3, "{name}: {line}");
        }
        assert!(!monitor.ask("INFO latencystats").contains("_del:"));
        assert!(!monitor.ask("INFO").contains("latency_percentiles"));
        assert!(monitor.ask("INFO all").contains("\r\n# Latencystats\r\n"));
    }
}

#[test]
fn a_command_that_was_given_once_is_timed() {
    let stage = Stage::new();
    stage.client().ask("GET A");
    assert_eq!(stat(&mut stage.client(), "get")["calls"], 1.0);
    assert!(stat(&mut stage.client(), "get").contains_key("usec_per_call"));
}
