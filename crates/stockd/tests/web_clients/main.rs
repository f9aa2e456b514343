//! Clients of HTTP, streams and gRPC, unmodified, against the real server: curl, httpx, httpx-sse, websockets, grpcio with
//! health and reflection, ws, eventsource and @grpc/grpc-js of Node, buf, alpaca-py, a client of CS677, nginx in front;
//! a real browser on pages of other sites, and clients that mean ill; the tools that judge descriptions and metrics; and a real
//! Prometheus.
//!
//! What is not on the machine is installed as in `redis_clients`. Where something cannot be had, the test says so and
//! passes; in CI it fails.

#![cfg(feature = "web")]

#[path = "../redis_clients/packages.rs"]
#[allow(dead_code, reason = "shared with the clients of Redis")]
mod packages;
mod prometheus;
#[path = "../quotes/server.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands")]
mod server;

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use packages::Packages;
use serde_json::{Value, json};
use server::{PATIENCE, run, run_within, stockd};

const PYTHON_PACKAGES: &[&str] = &[
    "httpx==0.28.1",
    "httpx-sse==0.4.3",
    "websockets==17.4",
    "grpcio==1.85.3",
    "grpcio-health-checking==1.85.1",
    "grpcio-reflection==1.85.1",
    "googleapis-common-protos==1.76.0",
    "openapi-spec-validator==0.9.0",
    "schemathesis==4.32.5",
    "h2==4.4.1",
];
const NODE_PACKAGES: &[&str] = &["ws@8.23.0", "eventsource@4.1.1"];
const GRPC_PACKAGES: &[&str] = &["@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1"];
const BUF_PACKAGES: &[&str] = &["@bufbuild/buf@1.75.0"];
const SPECTRAL_PACKAGES: &[&str] = &["@stoplight/spectral-cli@6.16.3"];
const BROWSER_PACKAGES: &[&str] = &["playwright-core@1.65.1"];

/// A server of HTTP alone. Killed when it is dropped.
struct Web {
    child: Child,
    /// Where it prints its other addresses.
    stdout: Lines<BufReader<ChildStdout>>,
    /// The lines before that of HTTP.
    before: Vec<String>,
    /// IP and port.
    address: String,
}

impl Web {
    fn start() -> Web {
        Web::start_with(&["--http", "127.0.0.1:0"])
    }

    fn start_with(args: &[&str]) -> Web {
        let mut command = stockd(&["serve", "--line", "off", "--log", "off"]);
        if !args.contains(&"--resp") {
            command.args(["--resp", "off"]);
        }
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut before = Vec::new();
        let http = |line: std::io::Result<String>| {
            let line = line.ok()?;
            let http = line.strip_prefix("http ").map(str::to_owned);
            before.push(line);
            http
        };
        let http = lines.by_ref().find_map(http);
        let Some(address) = http else {
            let _ = child.kill();
            panic!("the server does not listen: {:?}", child.wait());
        };
        Web { child, stdout: lines, before, address }
    }

    /// Another address of it, whose line begins so.
    fn other(&mut self, prefix: &str) -> String {
        let mut lines = self.before.drain(..).map(Ok).chain(self.stdout.by_ref());
        let address =
            |line: std::io::Result<String>| Some(line.ok()?.strip_prefix(prefix)?.to_owned());
        lines.find_map(address).expect("it is printed")
    }

    /// What curl prints for a path of the server and these arguments.
    fn curl(&self, path: &str, args: &[&str]) -> String {
        let mut command = Command::new("curl");
        command.args(["-sS", "-m", "30"]).args(args);
        command.arg(format!("http://{}{path}", self.address));
        let (code, out, err) = run(command);
        assert_eq!((code, err.as_str()), (Some(0), ""), "curl {path} {args:?}: {out}");
        out
    }

    /// Runs a program to its end, which must be well.
    fn is_well(&self, program: &Path, script: &Path) {
        let mut command = Command::new(program);
        command.arg(script).arg(&self.address);
        is_well(command);
    }
}

fn is_well(command: Command) {
    is_well_within(command, PATIENCE);
}

fn is_well_within(command: Command, patience: Duration) {
    let (code, out, err) = run_within(command, patience);
    assert_eq!((code, out.as_str()), (Some(0), "all is well\n"), "{err}");
    // Figures, for those who let the test print them.
    eprint!("{err}");
}

/// A script beside this file.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_clients").join(name)
}

/// Has a script of Node stand beside the modules that it uses.
fn node_script(packages: &Packages, name: &str) -> PathBuf {
    let place = packages.directory.join(format!("web_{name}"));
    std::fs::copy(script(name), &place).unwrap();
    place
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ALPACA_PACKAGES: &[&str] = &["alpaca-py==0.44.0", "httpx==0.28.1"];

fn alpaca() -> Option<Packages> {
    Packages::python_with("alpaca", "import alpaca, httpx, msgpack, requests", ALPACA_PACKAGES)
}

fn python() -> Option<Packages> {
    Packages::python_with("web", "import httpx, grpc, schemathesis, h2", PYTHON_PACKAGES)
}

#[test]
fn curl_speaks_both_versions_and_over_a_unix_socket() {
    if !packages::have("curl", "curl") {
        return;
    }
    const JSON: &str = "Content-Type: application/json";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("http.sock");
    let addresses = format!("127.0.0.1:0,unix:{}", path.display());
    let web = Web::start_with(&["--http", &addresses]);
    let put = [
        "-X",
        "PUT",
        "-H",
        JSON,
        "-d",
        r#"{"price":172.50}"#,
        "-w",
        "%{http_code}",
        "-o",
        "/dev/null",
    ];
    assert_eq!(web.curl("/v1/stocks/BRK%2FA", &put), "201");
    let text = ["-H", "Accept: text/plain"];
    assert_eq!(web.curl("/v1/stocks/BRK%2FA", &text), "172.5\n");
    let second = ["--http2-prior-knowledge", "-w", "%{http_version}", "-H", "Accept: text/plain"];
    assert_eq!(web.curl("/v1/stock?symbol=BRK/A", &second), "172.5\n2");
    let socket = path.display().to_string();
    let over_socket =
        ["--unix-socket", &socket, "-H", "Accept: text/plain", "-H", "Host: localhost"];
    assert_eq!(web.curl("/v1/stocks/BRK%2FA", &over_socket), "172.5\n");
    let compressed = web.curl("/openapi.json", &["--compressed", "-H", "Accept-Encoding: gzip"]);
    assert!(compressed.starts_with("{\"openapi\":\"3.1"));
    let foreign = ["-H", "Host: evil.example", "-w", "%{http_code}", "-o", "/dev/null"];
    assert_eq!(web.curl("/v1/stocks/A", &foreign), "421");
}

#[test]
fn curl_speaks_both_versions_over_tls() {
    if !packages::have("curl", "curl") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name).display().to_string();
    let made = run(stockd(&["certificate", "new", "--host", "localhost", &place("")]));
    assert_eq!(made.0, Some(0), "{made:?}");
    let (certificate, key) = (place("server.pem"), place("server.key"));
    let address = "tls:127.0.0.1:0";
    let web = Web::start_with(&["--http", address, "--tls-cert", &certificate, "--tls-key", &key]);
    let port = web.address.rsplit(':').next().unwrap();
    for (version, printed) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let mut command = Command::new("curl");
        command.args(["-sS", "-m", "30", "--cacert", &place("ca.pem"), version]);
        command.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
        command.args(["-w", "%{http_version}", &format!("https://localhost:{port}/health/ready")]);
        let (code, out, err) = run(command);
        assert_eq!((code, out.as_str()), (Some(0), &*format!("ready\n{printed}")), "{err}");
    }
}

#[test]
fn python_clients_of_http_websocket_and_grpc_work() {
    let Some(packages) = python() else { return };
    Web::start().is_well(&packages.program, &script("python.py"));
}

/// The server is killed, and started again where it was, when the client says so.
#[test]
fn alpaca_py_works_and_connects_again() {
    let Some(packages) = alpaca() else { return };
    let web = Web::start();
    let address = web.address.clone();
    let mut command = Command::new(&packages.program);
    command
        .arg(script("alpaca_client.py"))
        .arg(&address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut client = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut web = Some(web);
    if lines.next().as_deref() == Some("restart") {
        drop(web.take());
        web = Some(Web::start_with(&["--http", &address]));
        client.stdin.take().unwrap().write_all(b"restarted\n").unwrap();
    }
    let last = lines.next();
    let output = client.wait_with_output().unwrap();
    assert_eq!(last.as_deref(), Some("all is well"), "{}", String::from_utf8_lossy(&output.stderr));
    drop(web);
}

#[test]
fn a_client_of_the_course_cs677_works() {
    let Some(packages) = alpaca() else { return };
    Web::start().is_well(&packages.program, &script("cs677.py"));
}

#[test]
fn node_clients_of_streams_work() {
    let Some(packages) = Packages::node(NODE_PACKAGES) else { return };
    let script = node_script(&packages, "node.mjs");
    Web::start().is_well(&packages.program, &script);
}

#[test]
fn grpc_js_works() {
    let Some(packages) = Packages::node(GRPC_PACKAGES) else { return };
    let web = Web::start();
    let mut command = Command::new(&packages.program);
    command.arg(node_script(&packages, "grpc.mjs")).arg(&web.address);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../web/proto"));
    is_well(command);
}

/// A tool that knows the services by reflection alone.
#[test]
fn buf_curl_calls_by_reflection() {
    let Some(packages) = Packages::node(BUF_PACKAGES) else { return };
    let web = Web::start();
    let call = |method: &str, message: &str| {
        let mut buf = Command::new(packages.directory.join("node_modules/.bin/buf"));
        buf.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", message]);
        buf.arg(format!("http://{}/stockd.v1.Stocks/{method}", web.address));
        // It keeps what it knows below the home directory.
        buf.env("HOME", &packages.directory);
        run(buf)
    };
    let updated = call("Update", r#"{"symbol":"AAPL","fields":{"price":{"text":"172.50"}}}"#);
    assert_eq!(updated.0, Some(0), "{updated:?}");
    let (code, out, err) = call("Lookup", r#"{"symbol":"AAPL"}"#);
    assert!(code == Some(0) && out.contains(r#""text": "172.5""#), "{out}{err}");
    let (code, _, err) = call("Lookup", r#"{"symbol":"NOPE"}"#);
    assert!(code != Some(0) && err.contains("not_found"), "{err}");
}

#[test]
fn pages_of_other_sites_can_do_nothing_in_a_real_browser() {
    if !packages::have("chromium", "chromium") {
        return;
    }
    let Some(packages) = Packages::node(BROWSER_PACKAGES) else { return };
    let web = Web::start();
    let open = Web::start_with(&["--http", "127.0.0.1:0", "--cors-origins", "*"]);
    let mut command = Command::new(&packages.program);
    // What launches browsers is that of the dashboard's tests.
    let stage = packages.directory.join("stage.mjs");
    std::fs::copy(script("../dashboard/stage.mjs"), stage).unwrap();
    command.arg(node_script(&packages, "browser.mjs")).args([&web.address, &open.address]);
    is_well(command);
}

#[test]
fn hostile_clients_of_http2_are_bounded() {
    let Some(packages) = python() else { return };
    Web::start().is_well(&packages.program, &script("hostile_http2.py"));
}

/// nginx as a proxy, killed when it is dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As many clients as `STOCKD_CROWD` says, half by Server-Sent Events and half by WebSocket; CI has few. The server, and each
/// process of 2,500 clients, has files of its own: where a process may have 20,000, 19,900 clients fit.
#[test]
fn a_crowd_of_streams_loses_nothing_and_is_bounded() {
    let clients = std::env::var("STOCKD_CROWD").unwrap_or_else(|_| "300".to_owned());
    let count: u32 = clients.parse().unwrap();
    raise_files(u64::from(count) + 10_000);
    let web = Web::start_with(&["--http", "127.0.0.1:0", "--streams-max", &clients]);
    let mut command = Command::new("python3");
    command.arg(script("crowd.py")).args([&web.address, &web.child.id().to_string(), &clients]);
    is_well_within(command, PATIENCE + count * Duration::from_millis(60));
}

/// Allows this process, and those that it starts, this number of files, or as many as the system lets it.
fn raise_files(files: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= files) {
        return;
    }
    let wanted = Rlimit { current: Some(files), maximum: now.maximum.map(|it| it.max(files)) };
    let most = Rlimit { current: now.maximum.map(|it| it.min(files)), ..now };
    let _ = setrlimit(Resource::Nofile, wanted).or_else(|_| setrlimit(Resource::Nofile, most));
}

/// The buffering of nginx is left as it is.
#[test]
fn streams_pass_through_nginx_as_they_come() {
    let Some(packages) = python() else { return };
    if !packages::have_all(&["nginx"], &["nginx-light"]) {
        return;
    }
    let web = Web::start();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display();
    let socket = directory.path().join("proxy.sock");
    let config = format!(
        "daemon off; master_process off; pid {place}/pid; error_log stderr;\nevents {{}}\nhttp {{\n\
         access_log off; client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};\n\
         uwsgi_temp_path {place}; scgi_temp_path {place};\n\
         map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}\n\
         server {{ listen unix:{place}/proxy.sock; location / {{ proxy_pass http://{};\n\
         proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\n\
         proxy_set_header Connection $connection_upgrade; }} }} }}\n",
        web.address
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    // Its place is on the path of the system's own programs alone.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(directory.path()).arg("-c").arg(&file).env("PATH", path);
    let _nginx = Nginx(nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < deadline, "nginx does not listen");
        thread::sleep(Duration::from_millis(5));
    }
    let mut command = Command::new(&packages.program);
    command.arg(script("behind_nginx.py")).arg(&socket).arg(&web.address);
    is_well(command);
}

#[test]
fn the_description_is_valid_and_what_it_says_is_so() {
    let Some(packages) = python() else { return };
    let web = Web::start();
    let description = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(description.path(), web.curl("/openapi.json", &[])).unwrap();
    let mut validator = Command::new(&packages.program);
    validator.args(["-m", "openapi_spec_validator"]).arg(description.path());
    let (code, out, err) = run(validator);
    assert_eq!(code, Some(0), "{out}{err}");

    let described = std::fs::read_to_string(description.path()).unwrap();
    std::fs::write(description.path(), narrowed(&described)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // Names or a page, one condition or the other: a description cannot say that parameters exclude each other.
    let exceptions = ["GET /v1/stocks", "PUT /v1/stocks/{symbol}"].map(|name| {
        format!("[[operations]]\ninclude-name = \"{name}\"\nchecks.positive_data_acceptance.enabled = false\n")
    });
    std::fs::write(directory.path().join("schemathesis.toml"), exceptions.concat()).unwrap();
    let mut schemathesis = Command::new(packages.program.with_file_name("schemathesis"));
    schemathesis.arg("run").arg(description.path()).current_dir(directory.path());
    schemathesis.args(["--url", &format!("http://{}", web.address), "--max-examples", "15"]);
    // A stream does not end, and a test case waits for the end.
    schemathesis.args(["--exclude-path", "/v1/stream", "--mode", "positive", "--seed", "1"]);
    schemathesis.args(["--phases", "examples,coverage,fuzzing"]);
    let (code, out, err) = run(schemathesis);
    assert_eq!(code, Some(0), "{out}{err}");
}

/// The description with narrower forms for some values: it makes values of the forms, and expects each to be taken. That a symbol
/// has 48 bytes of UTF-8, or a month 30 days, no form can say.
fn narrowed(described: &str) -> String {
    let mut api: Value = serde_json::from_str(described).unwrap();
    let symbol = r"^[A-Za-z0-9][A-Za-z0-9./^-]{0,47}$";
    let operations = api["paths"].as_object_mut().unwrap().values_mut();
    for operation in operations.flat_map(|path| path.as_object_mut().unwrap().values_mut()) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["name"] == "symbol" && !parameter["schema"]["pattern"].is_null() {
                parameter["schema"]["pattern"] = symbol.into();
            }
        }
    }
    let schemas = &mut api["components"]["schemas"];
    for (name, minimum, pattern) in [
        ("Price", -1_000_000_000, r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"),
        ("Volume", 0, r"^[0-9]{1,12}(\.[0-9]{1,6})?$"),
    ] {
        let forms = &mut schemas[name]["oneOf"];
        forms[0]["pattern"] = pattern.into();
        forms[1] = json!({"type": "integer", "minimum": minimum, "maximum": 1_000_000_000});
    }
    let time = r"^20[0-9][0-9]-0[1-9]-[0-2][1-8]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$";
    schemas["Fields"]["properties"]["time"]["pattern"] = time.into();
    let quantity = r"^[1-9][0-9]{0,15}(\.[0-9]{1,3})?$";
    schemas["Trade"]["properties"]["quantity"]["pattern"] = quantity.into();
    api.to_string()
}

#[test]
fn spectral_finds_nothing_wrong_with_the_description() {
    let Some(packages) = Packages::node(SPECTRAL_PACKAGES) else { return };
    if !packages::have("curl", "curl") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("stockd.json"), Web::start().curl("/openapi.json", &[]))
        .unwrap();
    // What an operation does stands in its summary; some need no more words.
    let rules = "extends: ['spectral:oas']\nrules:\n  operation-description: off\n";
    std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    let mut spectral = Command::new(&packages.program);
    spectral.arg(packages.directory.join("node_modules/.bin/spectral"));
    spectral.args(["lint", "stockd.json", "--ruleset", "rules.yaml", "--fail-severity", "warn"]);
    let (code, out, err) = run({
        spectral.current_dir(directory.path());
        spectral
    });
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("No results"), "{out}");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    if !packages::have("promtool", "prometheus") || !packages::have("curl", "curl") {
        return;
    }
    is_clean_for_promtool(&Web::start());
}

fn is_clean_for_promtool(web: &Web) {
    // It reads the older text.
    let metrics = web.curl("/metrics", &["-H", "Accept: text/plain"]);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = promtool.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn manual() -> String {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http.md");
    std::fs::read_to_string(manual).unwrap()
}

fn alerts_of_the_manual() -> String {
    let manual = manual();
    let (_, rules) = manual.split_once("```yaml\ngroups:").unwrap();
    let (rules, _) = rules.split_once("```").unwrap();
    format!("groups:{rules}")
}

#[test]
fn promtool_finds_nothing_wrong_with_the_alerts_of_the_manual() {
    if !packages::have("promtool", "prometheus") {
        return;
    }
    let (manual, rules) = (manual(), alerts_of_the_manual());
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    std::fs::write(file.path(), &rules).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "rules"]).arg(file.path());
    let (code, out, err) = run(promtool);
    assert_eq!(code, Some(0), "{out}{err}");
    let metrics = rules.match_indices("stockd_").map(|(at, _)| &rules[at..]);
    for metric in metrics {
        let name =
            metric.split(|it: char| !it.is_ascii_alphanumeric() && it != '_').next().unwrap();
        assert!(manual.contains(&format!("| `{name}` |")), "there is no metric {name}");
    }
}

/// Streams of all kinds are open, and clients that take nothing.
#[test]
fn sigterm_ends_it_whatever_clients_do() {
    use rustix::process::{Pid, Signal, kill_process};
    let mut web = Web::start();
    let connect = || std::net::TcpStream::connect(&web.address).unwrap();
    let mut streams: Vec<_> = (0..20).map(|_| connect()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let request = match number % 4 {
            0 => "GET /v1/stream?patterns=* HTTP/1.1\r\nHost: localhost\r\n\r\n",
            1 => {
                "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            }
            2 => {
                "POST /v1/updates HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: 1000\r\n\r\n{"
            }
            _ => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        };
        stream.write_all(request.as_bytes()).unwrap();
    }
    kill_process(Pid::from_child(&web.child), Signal::TERM).unwrap();
    // A guard against hanging alone: the promise is 5 s.
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = web.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(0));
}
