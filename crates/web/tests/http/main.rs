//! The service plane over real sockets, beside a data plane without listeners.

mod access;
mod bounds;
mod client;
mod cors;
mod deadlines;
mod endings;
mod facades;
mod grpc_alone;
mod node;
mod promises;
mod quotes;
mod rpc;
mod silence;
mod sockets;
mod streams;
mod websocket;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::Http;
use stockd_access::Authority;
use stockd_engine::{Access, Catalog, Engine, Sync};
use stockd_model::{Fields, Request};
use stockd_server::Server;
use stockd_store::DataDir;
use stockd_web::{Config, WebServer};
use tempfile::TempDir;

/// A running service plane.
struct Web {
    engine: Arc<Engine>,
    server: Option<WebServer>,
    _data_plane: Server,
    _data_dir: Option<TempDir>,
}

impl Web {
    /// One over a catalog in memory.
    fn start() -> Web {
        Web::with(Config::default(), Arc::default())
    }

    /// One that keeps every write on the disk.
    fn durable() -> Web {
        let directory = tempfile::tempdir().unwrap();
        let web = Web::over(directory.path());
        Web { _data_dir: Some(directory), ..web }
    }

    /// One over what this directory holds, as after a restart.
    fn over(directory: &Path) -> Web {
        let data = DataDir::open(directory, true).unwrap();
        let catalog = Catalog::new();
        let floor = data.load(|quote| {
            catalog.restore(&quote).unwrap();
            ControlFlow::Continue(())
        });
        let engine = Engine::durable(catalog, floor.unwrap(), Box::new(data), Sync::Always);
        let orders = Some(directory.to_owned());
        Web::with(Config { orders, keeps_all: true, ..Config::default() }, Arc::new(engine))
    }

    fn with(config: Config, engine: Arc<Engine>) -> Web {
        Web::guarded(config, engine, Arc::default())
    }

    /// One whose clients this authority knows.
    fn guarded(config: Config, engine: Arc<Engine>, authority: Arc<Authority>) -> Web {
        let data_plane = Server::start(
            stockd_server::Config { workers: 1, authority, ..Default::default() },
            Arc::clone(&engine),
        )
        .unwrap();
        let mut config = config;
        config.http.insert(0, ([127, 0, 0, 1], 0).into());
        let server = WebServer::start(config, Arc::clone(&engine), data_plane.observer()).unwrap();
        Web { engine, server: Some(server), _data_plane: data_plane, _data_dir: None }
    }

    fn address(&self) -> String {
        self.server.as_ref().unwrap().endpoints()[0].1.to_string()
    }

    fn connect(&self) -> Http {
        Http::connect(&self.address())
    }

    /// Another access file has come into force.
    fn access_changed(&self) {
        self.server.as_ref().unwrap().access_changed();
    }

    /// Lists a stock, or sets its price.
    fn set(&self, symbol: &str, price: &str) {
        let fields = Fields { price: price.parse().unwrap(), ..Fields::default() };
        let request = Request::Set(symbol.parse().unwrap(), fields);
        self.engine.executor().batch(&Access::All).execute(&request);
    }

    /// Ends it, and says how many clients had not taken all.
    fn stop(mut self) -> usize {
        let until = Instant::now() + Duration::from_secs(4);
        self.server.take().unwrap().shutdown(until)
    }
}
