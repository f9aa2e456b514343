//! Clients of Redis over TLS, with certificates that `stockd certificate new` has made; and the proxies that
//! stand before or behind it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::packages::{self, Packages};
use crate::programs::{Running, becomes, free_port};
use crate::server::{Server, run, stockd};
use crate::{NODE_PACKAGES, PYTHON_PACKAGES, filled};

/// How long anything may take.
const LONG: Duration = Duration::from_secs(180);

/// A server that asks its clients for certificates, and the directory of all certificates.
struct Stage {
    server: Server,
    directory: TempDir,
}

impl Stage {
    fn open() -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let made = ["certificate", "new", "--host", "localhost", "--client", "desk-7"];
        let mut command = stockd(&made);
        command.arg(directory.path());
        let (code, out, err) = run(command);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(out.lines().count(), 5, "{out}");
        let file = |name: &str| directory.path().join(name).display().to_string();
        let server = Server::start_with(
            "127.0.0.1:0,tls:127.0.0.1:0",
            &[
                ("--tls-cert", &file("server.pem")),
                ("--tls-key", &file("server.key")),
                ("--tls-client-ca", &file("ca.pem")),
                ("--tls-clients", "required"),
            ],
        );
        Stage { server: filled(server), directory }
    }

    fn port(&self) -> &str {
        let tls = self.server.others.iter().find_map(|line| line.strip_prefix("resp tls:"));
        tls.and_then(|address| address.rsplit(':').next()).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Plays a script that is told where the server is and which certificates there are.
    fn is_well(&self, packages: &Packages, script: &Path) {
        let mut command = Command::new(&packages.program);
        command.arg(script).arg(self.port());
        command.args(["ca.pem", "desk-7.pem", "desk-7.key"].map(|name| self.file(name)));
        let (code, out, err) = run(command);
        assert_eq!((code, out.as_str()), (Some(0), "all is well\n"), "{err}");
    }
}

#[test]
fn redis_cli_and_the_commands_of_stockd_show_certificates() {
    let stage = Stage::open();
    let server = format!("tls:localhost:{}", stage.port());
    let mut shown = stage.server.command(&["delist", "HALT", "--server", &server]);
    shown.arg("--tls-ca").arg(stage.file("ca.pem"));
    shown.arg("--tls-cert").arg(stage.file("desk-7.pem"));
    shown.arg("--tls-key").arg(stage.file("desk-7.key"));
    let (code, _, err) = run(shown);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let mut unshown = stage.server.command(&["delist", "SOLD", "--server", &server]);
    unshown.arg("--tls-ca").arg(stage.file("ca.pem"));
    let (code, _, err) = run(unshown);
    assert_eq!(code, Some(1));
    assert!(err.contains("CertificateRequired") || err.contains("closed"), "{err}");
    // The system does not know the authority.
    let (code, _, err) = stage.server.run(&["delist", "SOLD", "--server", &server]);
    assert!(code == Some(1) && err.contains("UnknownIssuer") | err.contains("--tls-ca"), "{err}");

    if !packages::have("redis-cli", "redis-tools") {
        return;
    }
    let mut command = Command::new("redis-cli");
    command.args(["--tls", "-h", "localhost", "-p", stage.port(), "--cacert"]);
    command.arg(stage.file("ca.pem"));
    command.arg("--cert").arg(stage.file("desk-7.pem")).arg("--key").arg(stage.file("desk-7.key"));
    command.args(["MGET", "AAPL", "SOLD", "HALT"]);
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (Some(0), "172.5\n0\n\n"), "{err}");
}

#[test]
fn redis_py_speaks_tls() {
    let Some(packages) = Packages::python(PYTHON_PACKAGES) else {
        return;
    };
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis_clients");
    Stage::open().is_well(&packages, &Path::new(directory).join("tls.py"));
}

#[test]
fn node_redis_and_ioredis_speak_tls() {
    let Some(packages) = Packages::node(NODE_PACKAGES) else {
        return;
    };
    let script = packages.directory.join("tls.mjs");
    std::fs::write(&script, include_str!("tls.mjs")).unwrap();
    Stage::open().is_well(&packages, &script);
}

#[test]
fn redis_rs_speaks_tls() {
    let stage = Stage::open();
    let read = |name| std::fs::read(stage.file(name)).unwrap();
    let address = format!("rediss://localhost:{}", stage.port());
    let connect = |client_tls| {
        let root_cert = Some(read("ca.pem"));
        let certificates = redis::TlsCertificates { client_tls, root_cert };
        let client = redis::Client::build_with_tls(address.as_str(), certificates).unwrap();
        client.get_connection_with_timeout(LONG)
    };
    let (client_cert, client_key) = (read("desk-7.pem"), read("desk-7.key"));
    let shown = redis::ClientTlsConfig { client_cert, client_key };
    let mut connection = connect(Some(shown)).unwrap();
    connection.set_read_timeout(Some(LONG)).unwrap();
    let prices: Vec<Option<String>> =
        redis::cmd("MGET").arg(&["AAPL", "SOLD", "NOPE"]).query(&mut connection).unwrap();
    assert_eq!(prices, [Some("172.5".to_owned()), Some("0".to_owned()), None]);
    let mut pipeline = redis::pipe();
    for _ in 0..2000 {
        pipeline.cmd("GET").arg("BRK/A");
    }
    let prices: Vec<String> = pipeline.query(&mut connection).unwrap();
    assert_eq!(prices, vec!["743500"; 2000]);
    let mut listener = connection.as_pubsub();
    listener.subscribe("AAPL").unwrap();
    let message: String = listener.get_message().unwrap().get_payload().unwrap();
    assert!(message.contains(r#""price":"172.5""#), "{message}");

    let unshown = connect(None).and_then(|mut connection| {
        connection.set_read_timeout(Some(LONG))?;
        redis::cmd("PING").query::<String>(&mut connection)
    });
    assert!(unshown.is_err(), "{unshown:?}");
}

/// stunnel brings TLS to a client that has none, and HAProxy checks a server over TLS.
#[test]
fn stunnel_and_haproxy_speak_tls_to_it() {
    let stage = Stage::open();
    let (ca, certificate, key) =
        (stage.file("ca.pem"), stage.file("desk-7.pem"), stage.file("desk-7.key"));
    if packages::have_all(&["stunnel"], &["stunnel4"]) {
        let own = free_port();
        let file = stage.file("stunnel.conf");
        let text = format!(
            "foreground = quiet\npid =\n[stockd]\nclient = yes\naccept = 127.0.0.1:{own}\n\
             connect = localhost:{}\nCAfile = {}\nverifyChain = yes\ncheckHost = localhost\n\
             cert = {}\nkey = {}\n",
            stage.port(),
            ca.display(),
            certificate.display(),
            key.display(),
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("stunnel");
        let _stunnel = Running::start(command.arg(&file));
        becomes(|| TcpStream::connect(("127.0.0.1", own)).ok());
        let mut command = Command::new("redis-cli");
        command.args(["-p", &own.to_string(), "MGET", "AAPL", "NOPE"]);
        assert_eq!(run(command).1, "172.5\n\n");
    }
    if packages::have_all(&["haproxy"], &["haproxy"]) {
        let own = free_port();
        let pair = stage.file("both.pem");
        let read = |path| std::fs::read_to_string(path).unwrap();
        std::fs::write(&pair, read(&certificate) + &read(&key)).unwrap();
        let file = stage.file("haproxy.cfg");
        let text = format!(
            "defaults\n mode tcp\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n\
             listen redis\n bind 127.0.0.1:{own}\n server stockd 127.0.0.1:{} ssl verify required \
             verifyhost localhost ca-file {} crt {}\n",
            stage.port(),
            ca.display(),
            pair.display(),
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("haproxy");
        let _haproxy = Running::start(command.arg("-q").arg("-f").arg(&file));
        becomes(|| TcpStream::connect(("127.0.0.1", own)).ok());
        let mut command = Command::new("redis-cli");
        command.args(["-p", &own.to_string(), "MGET", "AAPL", "NOPE"]);
        assert_eq!(run(command).1, "172.5\n\n");
    }
}
