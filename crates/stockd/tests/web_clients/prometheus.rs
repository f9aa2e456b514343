//! A real Prometheus scrapes a server with many stocks and connections: few series, nothing that promtool finds wrong, and
//! an alert of the manual that fires when it should, and ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use super::{PATIENCE, Web, packages, run};

/// Each is listed, so that a series for each would show.
const STOCKS: usize = 100_000;
/// Connections of RESP, of which 1,050 may be open: more than nine of ten.
const CONNECTIONS: usize = 1_000;
const CONNECTIONS_MAX: &str = "1050";
const SERIES_MAX: f64 = 300.0;

/// Killed when it is dropped.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    /// One that scrapes this address each second, with the alerts of the manual.
    fn start(directory: &Path, scraped: &str) -> Prometheus {
        let place = directory.display();
        std::fs::write(directory.join("rules.yml"), super::alerts_of_the_manual()).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{place}/rules.yml]\n\
             scrape_configs: [{{job_name: stockd, static_configs: [{{targets: ['{scraped}']}}]}}]\n"
        );
        std::fs::write(directory.join("prometheus.yml"), config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={place}/prometheus.yml"));
        command.arg(format!("--storage.tsdb.path={place}/data"));
        command.arg("--web.listen-address=127.0.0.1:0");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listens = |line: String| {
            let (_, address) = line.split_once("msg=\"Listening on\" address=")?;
            Some(address.trim().to_owned())
        };
        let address = lines.by_ref().find_map(listens);
        // What it says later is of no interest, and must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let Some(address) = address else {
            let _ = child.kill();
            panic!("Prometheus does not listen: {:?}", child.wait());
        };
        Prometheus { child, address }
    }

    fn ask(&self, path: &str) -> Value {
        let mut command = Command::new("curl");
        command.args(["-sS", "-m", "30", &format!("http://{}/api/v1/{path}", self.address)]);
        let (_, out, err) = run(command);
        // Until it is ready it answers with a text.
        serde_json::from_str(&out).unwrap_or_else(|_| Value::String(format!("{out}{err}")))
    }

    /// The latest value of a metric, if there is one.
    fn value(&self, metric: &str) -> Option<f64> {
        let answer = self.ask(&format!("query?query={metric}"));
        answer.pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
    }

    /// The names of the alerts that fire.
    fn alerts(&self) -> Vec<String> {
        let answer = self.ask("alerts");
        let alerts = answer.pointer("/data/alerts").and_then(Value::as_array).cloned();
        let name = |alert: &Value| {
            assert_eq!(alert["state"], "firing", "no rule has to wait: {alert}");
            alert["labels"]["alertname"].as_str().unwrap().to_owned()
        };
        alerts.unwrap_or_default().iter().map(name).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so, which each scrape may change.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

/// So that this process can have all the connections.
fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// A catalog file with all the stocks.
fn catalog() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
    let lines = (0..STOCKS).map(|stock| format!("S{stock},1,1\n"));
    let text = format!("symbol,price,volume\n{}", lines.collect::<String>());
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn prometheus_scrapes_few_series_and_an_alert_fires_when_it_should() {
    if !packages::have("prometheus", "prometheus") || !packages::have("curl", "curl") {
        return;
    }
    let file = catalog();
    let catalog = file.path().display().to_string();
    let mut args = vec!["--http", "127.0.0.1:0", "--resp", "127.0.0.1:0"];
    args.extend(["--connections-max", CONNECTIONS_MAX, "--catalog", &catalog]);
    let mut web = Web::start_with(&args);
    let resp = web.other("resp ");
    let directory = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(directory.path(), &web.address);
    let stocks = STOCKS as f64;
    until("it is scraped", || prometheus.value("stockd_stocks") == Some(stocks));
    assert_eq!(prometheus.value("up"), Some(1.0));
    assert_eq!(prometheus.alerts(), [""; 0]);

    raise_file_limit();
    let connections: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(&resp).unwrap()).collect();
    until("the alert fires", || prometheus.alerts() == ["StockdConnectionsNearLimit"]);
    let series = prometheus.value("scrape_samples_scraped").unwrap();
    assert!(series > 50.0 && series <= SERIES_MAX, "{series} series");
    super::is_clean_for_promtool(&web);
    drop(connections);
    until("the alert ends", || prometheus.alerts().is_empty());
}
