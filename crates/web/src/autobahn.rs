//! The Autobahn test suite for WebSocket, against a server that [echoes](crate::echo), as its cases want it.
//!
//! The cases are Autobahn's own, run by kosoku, since its own runner needs Python 2. Left out are 9.*, messages up to
//! 16 MB and their speed, since a message has at most 64 KiB here; 12.* and 13.*, since there is no compression; and 7.1.6,
//! which sends 256 KiB. `tests/http/sockets.rs` has the same families over the real subprotocol, cut at every byte.

use std::process::Command;
use std::sync::Arc;

use stockd_engine::Engine;

use crate::config::Config;
use crate::server::WebServer;

#[path = "../../stockd/tests/redis_clients/packages.rs"]
#[allow(dead_code, reason = "shared with the clients of Redis")]
mod packages;

#[test]
fn the_cases_of_autobahn_pass() {
    const KOSOKU: &[&str] = &["kosoku==0.1.0"];
    const LEFT_OUT: [&str; 4] = ["9.*", "12.*", "13.*", "7.1.6"];
    let Some(packages) = packages::Packages::python_with("autobahn", "import kosoku", KOSOKU)
    else {
        return;
    };
    let engine = Arc::<Engine>::default();
    let server = stockd_server::Server::start(Default::default(), Arc::clone(&engine)).unwrap();
    let config = Config { http: vec!["127.0.0.1:0".parse().unwrap()], ..Config::default() };
    let web = WebServer::start(config, engine, server.observer()).unwrap();
    let reports = tempfile::tempdir().unwrap();
    let mut kosoku = Command::new(packages.program.with_file_name("kosoku"));
    kosoku.args(["-m", "fuzzingclient", "-p", "8", "-o"]).arg(reports.path());
    LEFT_OUT.iter().for_each(|case| _ = kosoku.args(["-x", case]));
    let output = kosoku.arg(format!("ws://{}/echo", web.endpoints()[0].1)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let report = std::fs::read(reports.path().join("index.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let cases = report.as_object().unwrap().values().next().unwrap().as_object().unwrap();
    assert_eq!(cases.len(), 246);
    for (case, report) in cases {
        for verdict in ["behavior", "behaviorClose"] {
            let verdict = report[verdict].as_str().unwrap();
            assert!(["OK", "NON-STRICT", "INFORMATIONAL"].contains(&verdict), "{case}: {report}");
        }
    }
}
