//! A service plane over an engine of its own, for the ways that are of it.

use std::sync::Arc;

use stockd_engine::Engine;
use stockd_server::{Config, Server};
use stockd_web::WebServer;

use crate::ways::{Embedded, Home};

pub(crate) struct Plane {
    pub(crate) engine: Embedded,
    web: WebServer,
    _server: Server,
}

impl Plane {
    pub(crate) fn new(home: Home) -> Plane {
        let engine = Embedded::new(home);
        let shared: Arc<Engine> = engine.engine();
        let config = Config { workers: 1, ..Config::default() };
        let server = Server::start(config, Arc::clone(&shared)).unwrap();
        let config =
            stockd_web::Config { http: vec![([127, 0, 0, 1], 0).into()], ..Default::default() };
        let web = WebServer::start(config, shared, server.observer()).unwrap();
        Plane { engine, web, _server: server }
    }

    pub(crate) fn address(&self) -> String {
        self.web.endpoints()[0].1.to_string()
    }
}
