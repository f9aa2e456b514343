//! The service plane beside the server, where the build has one and the settings give it an address.
//!
//! It owns nothing but the choice. Invariant: a build without it does as one whose addresses are all off.

#[cfg(any(feature = "web", feature = "demo"))]
use std::net::SocketAddr;
#[cfg(feature = "web")]
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use stockd_engine::Engine;
use stockd_model::Address;
#[cfg(feature = "web")]
use stockd_model::limits::{FILES_RESERVED, HTTP_CONNECTIONS_MAX};
use stockd_server::Server;
use stockd_tls::ServerTls;

#[cfg(feature = "web")]
use crate::data_dir;
use crate::settings::Settings;

/// A running service plane, or none.
#[derive(Debug)]
pub(crate) struct Web {
    #[cfg(feature = "web")]
    server: Option<stockd_web::WebServer>,
}

#[cfg(feature = "web")]
impl Web {
    /// Connections that it may have, none where every address is off. It gets half of the files at most, and all where no
    /// other protocol has an address.
    pub(crate) fn connections_max(settings: &Settings, file_limit: usize) -> usize {
        if settings.http.is_empty() && settings.grpc.is_empty() {
            return 0;
        }
        let wanted = settings.streams_max.saturating_add(HTTP_CONNECTIONS_MAX);
        share(wanted, file_limit, settings.line.is_empty() && settings.resp.is_empty())
    }

    /// Starts it, unless every address is off.
    pub(crate) fn start(
        settings: &Settings,
        connections_max: usize,
        engine: &Arc<Engine>,
        server: &Server,
        tls: Option<&Arc<ServerTls>>,
    ) -> anyhow::Result<Web> {
        if settings.http.is_empty() && settings.grpc.is_empty() {
            return Ok(Web { server: None });
        }
        let config = stockd_web::Config {
            http: settings.http.clone(),
            grpc: settings.grpc.clone(),
            tls: tls.cloned(),
            threads: settings.web_threads,
            allowed_hosts: settings.allowed_hosts.clone(),
            cors_origins: settings.cors_origins.clone(),
            alpaca: settings.alpaca,
            cs677: settings.cs677,
            orders: data_dir::path(settings)?,
            streams_max: settings.streams_max,
            connections_max,
            keeps_all: settings.sync == crate::settings::Sync::Always && !settings.ephemeral,
            patience: stockd_web::Patience::default(),
        };
        let started = stockd_web::WebServer::start(config, Arc::clone(engine), server.observer());
        // The error says the cause itself; its source would say it again.
        Ok(Web { server: Some(started.map_err(|error| anyhow::anyhow!("{error}"))?) })
    }

    /// Starts HTTP alone, at this address, in plain.
    #[cfg(feature = "demo")]
    pub(crate) fn start_plain(
        address: SocketAddr,
        engine: &Arc<Engine>,
        server: &Server,
    ) -> anyhow::Result<Web> {
        let config = stockd_web::Config { http: vec![address.into()], ..Default::default() };
        let started = stockd_web::WebServer::start(config, Arc::clone(engine), server.observer());
        Ok(Web { server: Some(started.map_err(|error| anyhow::anyhow!("{error}"))?) })
    }

    /// Where a browser finds the dashboard, if there is an address that one can use.
    pub(crate) fn dashboard(&self) -> Option<String> {
        let http = self.endpoints().filter(|(protocol, _)| *protocol == "http");
        http.filter_map(|(_, address)| dashboard_at(address)).next()
    }

    /// Where it listens, and what is spoken there.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&'static str, &Address)> {
        let endpoints = self.server.iter().flat_map(stockd_web::WebServer::endpoints);
        endpoints.map(|(protocol, address)| (*protocol, address))
    }

    /// Another access file has come into force.
    pub(crate) fn access_changed(&self) {
        if let Some(server) = &self.server {
            server.access_changed();
        }
    }

    /// From now on nothing new is begun.
    pub(crate) fn stop(&self) {
        if let Some(server) = &self.server {
            server.stop();
        }
    }

    /// Ends it, by this moment at the latest.
    pub(crate) fn end(self, until: Instant) {
        let Some(server) = self.server else { return };
        let clients = server.shutdown(until);
        if clients > 0 {
            tracing::warn!(clients, "some clients of HTTP did not take all in time");
        }
    }
}

/// The page that a browser opens for a server at this address.
#[cfg(feature = "web")]
fn dashboard_at(address: &Address) -> Option<String> {
    let reachable = |address: &SocketAddr| {
        let mut address = *address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        address
    };
    match address {
        Address::Tcp(address) => Some(format!("http://{}/", reachable(address))),
        Address::Tls { address, .. } => Some(format!("https://{}/", reachable(address))),
        Address::Unix(_) => None,
    }
}

#[cfg(not(feature = "web"))]
impl Web {
    /// There is none.
    #[cfg(feature = "demo")]
    pub(crate) fn start_plain(_: SocketAddr, _: &Arc<Engine>, _: &Server) -> anyhow::Result<Web> {
        Ok(Web {})
    }

    /// There is none.
    pub(crate) fn dashboard(&self) -> Option<String> {
        None
    }

    /// None.
    pub(crate) fn connections_max(_: &Settings, _: usize) -> usize {
        0
    }

    /// There is none.
    pub(crate) fn start(
        _: &Settings,
        _: usize,
        _: &Arc<Engine>,
        _: &Server,
        _: Option<&Arc<ServerTls>>,
    ) -> anyhow::Result<Web> {
        Ok(Web {})
    }

    /// None.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&'static str, &Address)> {
        std::iter::empty()
    }

    /// Nothing.
    pub(crate) fn access_changed(&self) {}

    /// Nothing.
    pub(crate) fn stop(&self) {}

    /// Nothing.
    pub(crate) fn end(self, _: Instant) {}
}

/// As many connections as are wanted and its part of the files allows.
#[cfg(feature = "web")]
fn share(wanted: usize, file_limit: usize, is_alone: bool) -> usize {
    let files = file_limit.saturating_sub(FILES_RESERVED);
    wanted.min(if is_alone { files } else { files / 2 }).max(1)
}

#[cfg(all(test, feature = "web"))]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_where_it_can_go() {
        let page = |address: &str| dashboard_at(&address.parse().unwrap());
        assert_eq!(page("127.0.0.1:7880").as_deref(), Some("http://127.0.0.1:7880/"));
        assert_eq!(page("0.0.0.0:80").as_deref(), Some("http://127.0.0.1:80/"));
        assert_eq!(page("[::]:7880").as_deref(), Some("http://[::1]:7880/"));
        assert_eq!(page("tls:127.0.0.1:443").as_deref(), Some("https://127.0.0.1:443/"));
        assert_eq!(page("unix:/run/http.sock"), None);
    }

    #[test]
    fn files_are_shared_with_the_other_protocols_if_these_listen() {
        assert_eq!(share(24_096, 20_000, false), (20_000 - FILES_RESERVED) / 2);
        assert_eq!(share(24_096, 20_000, true), 20_000 - FILES_RESERVED);
        assert_eq!(share(100, 20_000, true), 100);
        assert_eq!(share(100, 10, false), 1, "it serves somebody");
    }
}
