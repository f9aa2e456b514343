//! Programs that look at a Redis, or stand before it, for whole minutes: collectd, stunnel, redis-commander.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::programs::{Running, becomes, becomes_or, free_port, port};
use crate::server::run;
use crate::{NODE_PACKAGES, market, packages};

#[test]
fn collectd_finds_all_that_it_collects() {
    if !packages::have_all(&["collectd"], &["collectd-core", "libhiredis0.14"]) {
        return;
    }
    let server = market();
    // It writes to no directory that begins with a dot.
    let directory = tempfile::Builder::new().prefix("collectd").tempdir().unwrap();
    let place = directory.path().display();
    let (log, file) = (directory.path().join("log"), directory.path().join("collectd.conf"));
    let configuration = format!(
        "BaseDir \"{place}\"\nPIDFile \"{place}/pid\"\nInterval 0.2\nTypesDB \"/usr/share/collectd/types.db\"\n\
         Hostname \"here\"\nLoadPlugin logfile\n<Plugin logfile>\n LogLevel info\n File \"{}\"\n</Plugin>\n\
         LoadPlugin csv\n<Plugin csv>\n DataDir \"{place}/csv\"\n</Plugin>\nLoadPlugin redis\n<Plugin redis>\n \
         <Node \"stockd\">\n  Host \"127.0.0.1\"\n  Port \"{}\"\n  Timeout 5000\n  ReportCommandStats true\n  \
         ReportCpuUsage true\n  <Query \"HGET AAPL price\">\n   Type \"gauge\"\n   Instance \"AAPL\"\n  </Query>\n \
         </Node>\n</Plugin>\n",
        log.display(),
        port(&server)
    );
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("/usr/sbin/collectd");
    let _collectd = Running::start(command.arg("-f").arg("-C").arg(&file).stderr(Stdio::null()));
    let collected = directory.path().join("csv/here/redis-stockd");
    // A rate is written from the second look on.
    let value_of = |name: &str| {
        let entry = fs::read_dir(&collected).ok()?.flatten().find(|entry| {
            entry.file_name().to_str().is_some_and(|own| own.starts_with(&format!("{name}-20")))
        })?;
        let text = fs::read_to_string(entry.path()).ok()?;
        text.lines().nth(1)?.split(',').nth(1).map(str::to_owned)
    };
    for (name, value) in [
        ("gauge-AAPL", Some("172.5")),
        ("records-0", Some("4")),
        ("current_connections-slaves", Some("0")),
        ("blocked_clients", Some("0")),
        ("pubsub-channels", Some("0")),
        ("memory", None),
        ("commands-info", None),
        ("total_operations", None),
        ("ps_cputime-daemon", None),
        ("uptime", None),
    ] {
        let found = becomes_or(|| value_of(name), || fs::read_to_string(&log).unwrap_or_default());
        let found: f64 = found.parse().unwrap();
        assert!(value.is_none_or(|it| it.parse() == Ok(found)), "{name}: {found}");
    }
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("plugin \"redis\" successfully loaded"), "{said}");
    assert!(!["rror", "ailed", "arning", "nable"].iter().any(|it| said.contains(it)), "{said}");
}

#[test]
fn stunnel_carries_tls_to_it() {
    if !packages::have_all(&["stunnel4", "openssl"], &["stunnel4", "openssl"])
        || !packages::have("redis-cli", "redis-tools")
    {
        return;
    }
    let server = market();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (key, certificate, file) = (path("key"), path("certificate"), path("stunnel.conf"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", &key]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost", "-out", &certificate]);
    assert_eq!(run(openssl).0, Some(0), "no certificate is made");
    let own = free_port();
    let configuration = format!(
        "foreground = yes\npid =\n[stockd]\naccept = 127.0.0.1:{own}\nconnect = 127.0.0.1:{}\ncert = {certificate}\nkey = {key}\n",
        port(&server)
    );
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("stunnel4");
    let _stunnel = Running::start(command.arg(&file).stderr(Stdio::null()));
    becomes(|| TcpStream::connect(("127.0.0.1", own)).ok());
    let ask = |words: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args([
            "-h",
            "localhost",
            "-p",
            &own.to_string(),
            "--tls",
            "--cacert",
            &certificate,
        ]);
        let (code, out, err) = run({
            command.args(words);
            command
        });
        assert_eq!(code, Some(0), "{out}{err}");
        out
    };
    assert_eq!(ask(&["MGET", "AAPL", "NOPE", "BRK/A"]), "172.5\n\n743500\n");
    assert_eq!(ask(&["HINCRBYFLOAT", "AAPL", "volume", "-0.5"]), "999.5\n");
    let listed = ask(&["CLIENT", "LIST"]);
    assert!(listed.contains(&format!(" laddr=127.0.0.1:{} ", port(&server))), "{listed}");
}

#[test]
fn redis_commander_shows_stocks() {
    let Some(packages) = packages::Packages::node(NODE_PACKAGES) else {
        return;
    };
    let script = packages.directory.join("commander.mjs");
    fs::write(&script, include_str!("commander.mjs")).unwrap();
    let server = market();
    let mut command = Command::new(&packages.program);
    command.arg(script).arg(port(&server));
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (Some(0), "all is well\n"), "{err}");
}
