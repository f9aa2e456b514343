//! The service plane at a node of a cluster, whose log is played by a thread: what it says of the node, and of writes of which
//! the log does not say what became.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use stockd_engine::{Catalog, ClusterReport, Engine, Replica, Replicated};
use stockd_model::Refusal;
use stockd_web::Config;
use tokio::runtime::Runtime;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::Web;
use crate::rpc::{self, proto};
use crate::streams::Events;

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(180);

/// A node, and what its log does.
struct Node {
    web: Web,
    log: Arc<Log>,
    thread: Option<JoinHandle<()>>,
}

struct Log {
    ends: AtomicBool,
    /// What the node says of itself.
    report: Mutex<ClusterReport>,
    /// What becomes of writes, where they are not decided.
    refusal: Mutex<Option<Refusal>>,
}

impl Node {
    /// One that takes writes, and shows what is up to 120 ms old.
    fn start() -> Node {
        let (engine, replica) = Engine::replicated(Replicated {
            catalog: Catalog::new(),
            version_floor: 0,
            stocks_max: 10,
            epoch: 7,
            hash: |_| 0,
        });
        let report = ClusterReport {
            name: "main".to_owned(),
            state: "ok",
            is_ready: true,
            applied: 1,
            staleness: Some(Duration::from_millis(120)),
            uncertain: 0,
            passed_over: 0,
            followed: 1,
            sessions: 1,
            digest: None,
            kept: None,
            snapshot: 0,
        };
        let log = Arc::new(Log {
            ends: AtomicBool::new(false),
            report: Mutex::new(report),
            refusal: Mutex::default(),
        });
        let said = Arc::clone(&log);
        engine.report_cluster_with(move || said.report.lock().unwrap().clone());
        let of_thread = Arc::clone(&log);
        let thread = Some(thread::spawn(move || of_thread.run(replica)));
        Node { web: Web::with(Config::default(), Arc::new(engine)), log, thread }
    }

    /// From now on it is ready, or not.
    fn becomes(&self, is_ready: bool) {
        let mut report = self.log.report.lock().unwrap();
        report.is_ready = is_ready;
        report.state = if is_ready { "ok" } else { "disconnected" };
    }

    /// A connection for gRPC.
    fn link(&self, runtime: &Runtime) -> rpc::Link {
        let address = self.web.address();
        let connect = tokio::net::TcpStream::connect(address);
        let stream = runtime.block_on(connect).unwrap();
        rpc::link(runtime, stream)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.log.ends.store(true, SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}

impl Log {
    fn run(&self, mut replica: Replica) {
        while !self.ends.load(SeqCst) && replica.wait(Instant::now() + Duration::from_millis(10)) {
            while replica.is_asked() {
                let (_, pending) = replica.gather();
                match *self.refusal.lock().unwrap() {
                    Some(refusal) => replica.refuse(pending, refusal),
                    None => replica.decide_own(1, pending).unwrap(),
                }
            }
            replica.show();
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// What a write is told over HTTP and gRPC when this becomes of it.
#[test]
fn a_write_is_told_what_became_of_it() {
    let down = Refusal::ClusterDown { cause: "the log is not there" };
    for (refusal, status, kind, code, reason) in [
        (down, 503, "cluster-down", Code::Unavailable, "CLUSTER_DOWN"),
        (Refusal::Uncertain, 504, "uncertain", Code::Unknown, "UNCERTAIN"),
    ] {
        let node = Node::start();
        let mut http = node.web.connect();
        let json = [("Content-Type", "application/json")];
        let listed = http.ask("PUT", "/v1/stocks/AAPL", &json, r#"{"price":"1","volume":"10"}"#);
        assert_eq!(listed.status, 201, "{listed:?}");

        *node.log.refusal.lock().unwrap() = Some(refusal);
        for (method, path, body) in [
            ("PUT", "/v1/stocks/AAPL", r#"{"price":"2"}"#),
            ("POST", "/v1/stocks/AAPL/trades", r#"{"side":"buy","quantity":"5"}"#),
            ("DELETE", "/v1/stocks/AAPL", ""),
        ] {
            let refused = http.ask(method, path, if body.is_empty() { &[] } else { &json }, body);
            assert_eq!(refused.status, status, "{method} {path}: {refused:?}");
            assert_eq!(refused.json()["type"], json!(format!("/problems/{kind}")));
            assert_eq!(refused.header("retry-after").is_some(), status == 503, "{refused:?}");
        }
        assert_eq!(http.get("/v1/stocks/AAPL").json()["price"], "1", "lookups go on");

        let runtime = runtime();
        let mut client = rpc::of(node.link(&runtime));
        let symbol = || "AAPL".to_owned();
        let fields = proto::Quote {
            price: Some(proto::Price { text: "2".to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let update =
            proto::UpdateRequest { symbol: symbol(), fields: Some(fields), ..Default::default() };
        let delist = proto::DelistRequest { symbol: symbol(), ..Default::default() };
        let refused = [
            runtime.block_on(client.update(update)).unwrap_err(),
            runtime.block_on(client.delist(delist)).unwrap_err(),
        ];
        for refused in refused {
            assert_eq!(refused.code(), code, "{refused:?}");
            assert_eq!(refused.get_details_error_info().unwrap().reason, reason);
        }
    }
}

/// A node whose data is too old is not ready, by HTTP and gRPC alike. Who watches is told when that changes.
#[test]
fn the_health_of_grpc_is_that_of_http() {
    let node = Node::start();
    let runtime = runtime();
    let mut health = HealthClient::with_origin(node.link(&runtime), rpc::origin());
    let request = || HealthCheckRequest { service: "stockd.v1.Stocks".to_owned() };
    let mut watch = runtime.block_on(health.watch(request())).unwrap().into_inner();
    let mut told = || {
        let message = async { tokio::time::timeout(PATIENCE, watch.message()).await };
        runtime.block_on(message).unwrap().unwrap().map(|said| said.status())
    };
    assert_eq!(told(), Some(ServingStatus::Serving));
    for (is_ready, status, expected) in
        [(false, 503, ServingStatus::NotServing), (true, 200, ServingStatus::Serving)]
    {
        node.becomes(is_ready);
        assert_eq!(node.web.connect().get("/health/ready").status, status);
        let checked = runtime.block_on(health.check(request())).unwrap();
        assert_eq!(checked.into_inner().status(), expected);
        assert_eq!(told(), Some(expected));
    }
    node.web.server.as_ref().unwrap().stop();
    assert_eq!((told(), told()), (Some(ServingStatus::NotServing), None));
}

#[test]
fn heartbeats_say_how_old_what_is_shown_may_be() {
    let node = Node::start();
    let mut events = Events::open(&node.web, "symbols=AAPL", &[]);
    let runtime = runtime();
    let mut client = rpc::of(node.link(&runtime));
    let request = proto::WatchRequest { symbols: vec!["AAPL".to_owned()], ..Default::default() };
    let mut watch = runtime.block_on(client.watch(request)).unwrap().into_inner();
    let heartbeat = events.named("heartbeat").0;
    assert!(heartbeat.ends_with(r#","fresh_ms":120}"#), "{heartbeat}");
    let fresh = loop {
        let message = async { tokio::time::timeout(PATIENCE, watch.message()).await };
        let message = runtime.block_on(message).unwrap().unwrap().unwrap();
        if let Some(proto::watch_response::Event::Heartbeat(heartbeat)) = message.event {
            break heartbeat.fresh_ms;
        }
    };
    assert_eq!(fresh, Some(120));
}
