//! `stockd load` as it is run from a shell: against stockd, Redis and memcached, and against servers
//! that lie, stall, refuse and go away.

mod fake;
#[path = "../redis_clients/packages.rs"]
#[allow(dead_code, reason = "shared with the tests of Redis clients")]
mod packages;
mod running;
#[path = "../quotes/server.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands")]
mod server;
#[cfg(feature = "web")]
mod web;

use std::path::Path;
use std::process::Command;

use fake::FakeServer;
use running::{Running, load};
use serde_json::Value;
use server::{Outcome, run, stockd};

impl Running {
    /// The report of a run that must end well.
    fn report(&self, args: &[&str]) -> Value {
        report(self.load(&[args, &["--json", "-"]].concat()))
    }
}

fn report((code, out, err): Outcome) -> Value {
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

/// The first run of a report.
fn first(report: &Value) -> &Value {
    &report["points"][0]["repetitions"][0]
}

#[test]
fn every_reply_of_stockd_is_as_expected_over_line_and_resp() {
    let server = Running::stockd();
    let resp = ["--protocol", "resp", "--server", &server.resp];
    for (more, lookups) in [
        (&[][..], 1),
        (&["--pipeline", "16"], 1),
        (&["--rate", "100000", "--arrivals", "poisson"], 1),
        (&["--threads", "2", "--zipf", "0.99"], 1),
        (&[&resp[..], &["--pipeline", "7"]].concat(), 1),
        (&[&resp[..], &["--mget", "10", "--subscribers", "1"]].concat(), 10),
    ] {
        let common =
            ["--stocks", "500", "--fill", "--verify", "--requests", "3001", "--misses", "5"];
        let report = server.report(&[&common[..], more].concat());
        let run = first(&report);
        assert_eq!(run["requests"], 3001, "{more:?}");
        assert_eq!(run["latency"]["count"], 3001);
        assert_eq!((&run["mismatches"], &run["errors"]), (&0.into(), &0.into()));
        let (hits, misses) = (run["hits"].as_u64().unwrap(), run["misses"].as_u64().unwrap());
        assert_eq!(hits + misses, 3001 * lookups);
        assert!(misses > 0 && misses < hits / 5, "{misses} of {hits}");
        assert_eq!(run["verified"], 3001 * lookups);
        assert_eq!(run["send_delay"].is_null(), !more.contains(&"--rate"));
        assert_eq!(run["messages_a_second"].is_null(), !more.contains(&"--subscribers"));
    }
}

#[test]
fn writes_go_beside_lookups() {
    let server = Running::stockd();
    let resp = ["--protocol", "resp", "--server", &server.resp];
    let mix = ["--stocks", "50", "--fill", "--verify", "--updates", "30", "--requests", "2000"];
    let report = server.report(&[&resp[..], &mix].concat());
    let run = first(&report);
    let count = |kind: &str| run[kind]["count"].as_u64().unwrap();
    assert_eq!(count("lookup_latency") + count("update_latency"), 2000);
    assert!((400..800).contains(&count("update_latency")), "{run}");
}

#[test]
fn alone_it_asks_for_what_the_server_lists() {
    let server = Running::stockd();
    let (code, _, err) = server.load(&["--requests", "10"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("lists no stocks") && err.contains("--stocks N with --fill"), "{err}");
    assert_eq!(server.load(&["--stocks", "5000", "--fill", "--requests", "1"]).0, Some(0));
    let report = server.report(&["--requests", "10"]);
    assert_eq!(report["parameters"]["stocks"], 5000);
    assert_eq!(first(&report)["hits"], 10);
    let (code, out, err) =
        server.load(&["--requests", "10", "--pid", &server.child.id().to_string()]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("requests/s") && out.contains("server CPU/request"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    assert!(err.contains("server memory"), "{err}");
}

#[test]
fn a_sweep_reports_every_value() {
    let server = Running::stockd();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let common =
        "--stocks 10 --fill --requests 100 --sweep connections=1,3 --repetitions 2 --repeats 0";
    let mut args: Vec<&str> = common.split(' ').collect();
    let (json, percentiles) = (path("a.json"), path("a.hgrm"));
    args.extend(["--json", &json, "--hdr", &percentiles, "--label", "first name"]);
    let (code, out, err) = server.load(&args);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        out.lines().filter(|line| line.trim_start().starts_with("connections ")).count(),
        2,
        "{out}"
    );
    assert_eq!(out.lines().filter(|line| line.trim_start().starts_with("3 ")).count(), 2, "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    let report: Value = serde_json::from_slice(&std::fs::read(path("a.json")).unwrap()).unwrap();
    assert_eq!(report["schema"], "stockd-load/1");
    assert_eq!(report["points"][1]["swept"]["value"], 3.0);
    assert_eq!(report["points"][1]["load"]["connections"], 3);
    assert_eq!(report["points"][1]["repetitions"].as_array().unwrap().len(), 2);
    let percentiles = std::fs::read_to_string(path("a.hgrm")).unwrap();
    assert!(percentiles.trim_start().starts_with("Value"), "{percentiles}");
    assert!(percentiles.contains("Total count    =          100]"), "{percentiles}");
}

/// Paths need not be UTF-8.
#[test]
fn a_report_goes_to_a_file_of_any_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let server = FakeServer::start(|_| "1\n");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(OsStr::from_bytes(b"\xff.json"));
    let mut command = stockd(&["load", "--warmup", "0s", "--stocks", "5", "--requests", "10"]);
    command.args(["--server", &server.address, "--json"]).arg(&file);
    let (code, _, err) = run(command);
    assert_eq!(code, Some(0), "{err}");
    let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(
        report["command"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .as_str()
            .unwrap()
            .ends_with("\u{fffd}.json")
    );
    let mut command = stockd(&[]);
    let (code, _, err) = run({
        command.arg(OsStr::from_bytes(b"\xff"));
        command
    });
    assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
}

#[test]
fn reports_are_drawn() {
    let server = Running::stockd();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let common = "--stocks 10 --fill --requests 100 --label first";
    let (json, plots) = (path("a.json"), path("plots"));
    let mut args: Vec<&str> = common.split(' ').collect();
    args.extend(["--json", &json]);
    assert_eq!(server.load(&args).0, Some(0));
    let (code, out, err) = run(stockd(&["load", "plot", &json, "--out", &plots, "--label", "two"]));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out.lines().count(), 4, "{out}");
    let svg = std::fs::read_to_string(path("plots/percentiles-dark.svg")).unwrap();
    assert!(svg.contains("two") && !svg.contains("first"), "{svg}");
    assert!(std::fs::read(path("plots/percentiles-light.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_report_is_one_page_that_needs_nothing_else() {
    let server = Running::stockd();
    let directory = tempfile::tempdir().unwrap();
    let html = directory.path().join("report.html").display().to_string();
    let common =
        "--stocks 10 --fill --requests 500 --sweep connections=1,2 --repetitions 2 --repeats 0";
    let args: Vec<&str> =
        common.split(' ').chain(["--label", "<b>x</b>", "--html", &html]).collect();
    assert_eq!(server.load(&args).0, Some(0));
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(
        page.starts_with("<!doctype html>") && page.contains("default-src 'none'"),
        "{page:.800}"
    );
    assert!(page.contains("stockd load: &lt;b&gt;x&lt;/b&gt;") && !page.contains("<b>"));
    // Percentiles, latency and throughput, each light and dark.
    assert_eq!(page.matches("<svg ").count(), 6);
    let others = page.replace("http://www.w3.org/", "");
    assert!(!others.contains("http:") && !others.contains("https:"), "{page:.800}");
}

#[test]
fn assertions_hold_or_are_exit_code_1() {
    let server = Running::stockd();
    let common = ["--stocks", "10", "--fill", "--requests", "2000", "--repeats", "0"];
    let run = |bounds: &[&str]| {
        let asserted: Vec<&str> = bounds.iter().flat_map(|bound| ["--assert", bound]).collect();
        server.load(&[&common[..], &asserted].concat())
    };
    let trivial = ["p99<1000s", "p50>=0ns", "mean<1000s", "max<=1000s", "rate>0", "errors<=0"];
    let (code, out, err) = run(&trivial);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("requests/s") && !err.contains("does not hold"), "{err}");
    let (code, out, err) = run(&["p99<1ns", "rate>1_000_000_000", "errors<=0", "p99.9<1000s"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(out.contains("requests/s"), "the figures are there all the same: {out}");
    let said: Vec<&str> = err.lines().filter(|line| line.starts_with("stockd: ")).collect();
    assert_eq!(said.len(), 3, "{err}");
    assert!(said[0].contains("'p99<1ns' does not hold: it is "), "{err}");
    assert!(said[1].contains("'rate>1_000_000_000' does not hold: it is "), "{err}");
    assert_eq!(said[2], "stockd: 'p99.9<1000s' cannot be told of 2,000 requests; it takes 10,000");
    let (code, out, err) = run(&["p98<1ms"]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains("'p98' is no figure; there are rate, errors"), "{err}");
}

#[test]
fn redis_is_asked_over_its_socket() {
    if !packages::have("redis-server", "redis-server") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("redis");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    let server = Running::other(command.current_dir(directory.path()), &socket);
    let common =
        ["--protocol", "resp", "--stocks", "100", "--fill", "--fill-with", "set", "--verify"];
    for more in [&["--updates", "20", "--pipeline", "4"][..], &["--mget", "5"]] {
        let report = server.report(&[&common[..], &["--requests", "2000"], more].concat());
        assert_eq!(first(&report)["requests"], 2000);
    }
    let report = server.report(&["--protocol", "resp", "--verify", "--requests", "100"]);
    assert_eq!(report["parameters"]["stocks"], 100);
}

#[test]
fn memcached_is_asked_with_get_and_with_mg() {
    if !packages::have("memcached", "memcached") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("memcached");
    let mut command = Command::new("memcached");
    command.args(["-u", "root", "-s"]).arg(&socket);
    let server = Running::other(&mut command, &socket);
    for meta in [None, Some("--memcached-meta")] {
        let common = "--protocol memcached --stocks 100 --fill --verify --misses 10 --updates 10";
        let mut args: Vec<&str> = common.split(' ').chain(meta).collect();
        args.extend(["--server", &server.line, "--pipeline", "8", "--requests", "2000"]);
        let report = server.report(&args);
        assert_eq!(first(&report)["requests"], 2000);
        assert!(first(&report)["misses"].as_u64() > Some(0));
    }
}

#[test]
fn a_server_that_lies_is_caught() {
    // Right name by name before the run, and for the first ten requests of it.
    let server = FakeServer::start(|nth| if nth < 30 { "172.5\n" } else { "172.4\n" });
    let list = ["--stocks", "20", "--verify", "--requests", "100"];
    let (code, _, err) = load(&server.address, &server.address, &list);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("100 replies compared, 90 wrong"), "{err}");
    assert!(err.contains("90 wrong replies, the first: 'S00000"), "{err}");
    assert!(err.contains("was answered with '172.4', not '172.5'"), "{err}");
}

/// The story of a stall: a server answers nothing until it has 150 requests, at one a millisecond.
/// Request *i* is due at *i* ms and cannot be answered before 149 ms, whatever the machine does
/// meanwhile, so a hundred requests and one count 49 ms or more.
#[test]
fn a_stall_counts_from_when_each_request_was_due() {
    let server = FakeServer::holding_back_until(150, "1\n");
    let list = ["--stocks", "20", "--rate", "1000", "--requests", "200", "--json", "-"];
    let report = report(load(&server.address, &server.address, &list));
    let latency = &first(&report)["latency"];
    let at_least = |figure: &str, ms: u64| {
        let ns = latency[figure].as_u64().unwrap();
        assert!(ns >= ms * 1_000_000 - 1000, "{figure}: {latency}");
    };
    assert_eq!(latency["count"], 200);
    at_least("max_ns", 149);
    at_least("p99_ns", 147);
    at_least("p50_ns", 49);
}

#[test]
fn error_replies_and_lost_connections_are_counted_and_named() {
    let server =
        FakeServer::start(|nth| if nth % 2 == 0 { "1\n" } else { "ERR too busy; try later\n" });
    let list = ["--stocks", "20", "--requests", "100"];
    let (code, out, err) = load(&server.address, &server.address, &list);
    assert_eq!(code, Some(1), "{err}");
    assert!(out.trim_end().ends_with("50"), "{out}");
    assert!(err.contains("50 error replies, the first: too busy; try later"), "{err}");

    let server = FakeServer::closing_after(40, "1\n");
    let (code, _, err) = load(&server.address, &server.address, &list);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("4 connections lost, the first: "), "{err}");
}

#[test]
fn a_run_that_cannot_be_ends_with_one_line_that_says_why() {
    let server = Running::stockd();
    assert_eq!(server.load(&["--stocks", "10", "--fill", "--requests", "1"]).0, Some(0));
    let http = FakeServer::start(|_| "HTTP/1.1 400 Bad Request\r\n");
    let gone = FakeServer::nobody();
    let some = ["--stocks", "5", "--requests", "5"];
    let cases: [(&str, i32, &[&str], &str); 9] = [
        (&gone, 1, &[], "cannot connect to "),
        (
            &server.resp,
            1,
            &[],
            "does not speak the line protocol: it answered '-ERR unknown command",
        ),
        (
            &http.address,
            1,
            &[],
            "it answered 'HTTP/1.1 400 Bad Request'; choose another --protocol",
        ),
        (&server.line, 1, &["--pid", "4294967295"], "process 4294967295"),
        (&server.line, 2, &["--updates", "5"], "the line protocol has no writes"),
        (&server.line, 2, &["--mget", "5"], "--mget needs --protocol resp"),
        (&server.line, 2, &["--sweep", "clients=1"], "connections=1,10,100"),
        (&server.line, 2, &["--rate", "1", "--sweep", "pipeline=1,2"], "--rate"),
        ("nowhere", 2, &[], "'nowhere' is no address; write HOST:PORT, tls:HOST:PORT or unix:PATH"),
    ];
    for (address, expected, more, why) in cases {
        let (code, out, err) = load(address, &server.resp, &[&some[..], more].concat());
        assert_eq!((code, out.as_str()), (Some(expected), ""), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.starts_with("stockd: ") && err.contains(why), "{err}");
    }
    let (code, _, err) = load(&gone, &gone, &[]);
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains("give --names FILE or --stocks N, or the RESP listener"), "{err}");
    let (code, _, err) = run(stockd(&["load", "plot", "/dev/null"]));
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains("/dev/null: not a report of stockd load"), "{err}");
}

/// The servers of the benchmarks in Python are those that were started, on a machine where other programs take ports.
#[test]
fn benchmarks_measure_the_servers_that_they_have_started() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.arg(root.join("tests/load/benchmark_servers.py"));
    command.arg(env!("CARGO_BIN_EXE_stockd")).arg(root.join("../../benchmarks"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STOCKD_") {
            command.env_remove(name);
        }
    }
    let (code, out, err) = run(command);
    assert_eq!((code, &*out), (Some(0), "done\n"), "{err}");
}
