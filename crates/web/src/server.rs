//! The threads of the service plane: from a configuration to a running server and its clean end.
//!
//! It owns the runtime, the listeners and their connections. What is answered it does not know.
//!
//! Invariant: when [`WebServer::shutdown`] returns, no thread of the plane is left that uses the engine.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use stockd_access::Identity;
use stockd_engine::Engine;
use stockd_model::Address;
use stockd_model::limits::{ACCEPT_RETRY, LINGER_TIMEOUT, TLS_HANDSHAKE_TIMEOUT, WEB_THREADS_MAX};
use stockd_server::{Listening, Observer, listen_reason};
use stockd_tls::{ServerTls, names_of};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, rustls};

use crate::config::Config;
use crate::connection::{Connection, ConnectionInfo, Socket};
use crate::exchange::{self, Served};
use crate::plane::Plane;
use crate::routes;

/// Why the service plane did not start. Nothing is left running or listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A number of threads that it cannot have.
    #[error("{0} threads are not possible; choose 1 to {WEB_THREADS_MAX}")]
    Threads(usize),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", listen_reason(.source, .setting, .address))]
    Listen {
        /// The setting that has the address: `http` or `grpc`.
        setting: &'static str,
        /// The address as it was configured.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// An address with TLS and no certificate.
    #[error("an address with tls: needs a certificate; name it with tls_cert and tls_key")]
    NoCertificate,
    /// The system gave no thread.
    #[error("cannot start the threads of HTTP: {0}; raise the limits of threads and open files")]
    System(io::Error),
}

/// A running service plane.
///
/// Dropping it ends it without waiting for its clients.
#[derive(Debug)]
pub struct WebServer {
    runtime: Runtime,
    plane: Arc<Plane>,
    endpoints: Vec<(&'static str, Address)>,
}

impl WebServer {
    /// Binds every listener and starts the threads, beside a data plane over the same engine. When it
    /// returns, clients are served.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the configuration is impossible, an address cannot be listened on, or the system
    /// gives no threads.
    pub fn start(
        config: Config,
        engine: Arc<Engine>,
        observer: Observer,
    ) -> Result<WebServer, StartError> {
        if !(1..=WEB_THREADS_MAX).contains(&config.threads) {
            return Err(StartError::Threads(config.threads));
        }
        let mut addresses = config.http.iter().chain(&config.grpc);
        if config.tls.is_none() && addresses.any(|it| matches!(it, Address::Tls { .. })) {
            return Err(StartError::NoCertificate);
        }
        let open = |setting, addresses: &[Address]| {
            let one = |address: &Address| match Listening::open(address) {
                Ok(listening) => Ok((setting, listening, matches!(address, Address::Tls { .. }))),
                Err(source) => {
                    Err(StartError::Listen { setting, address: address.clone(), source })
                }
            };
            addresses.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let mut listeners = open("http", &config.http)?;
        listeners.extend(open("grpc", &config.grpc)?);
        let shown = |(setting, it, with_tls): &(&'static str, Listening, bool)| {
            let address = it.address.clone();
            (*setting, if *with_tls { address.with_tls() } else { address })
        };
        let endpoints = listeners.iter().map(shown).collect();
        let tls = config.tls.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads)
            .thread_name("stockd-web")
            .enable_all()
            .build()
            .map_err(StartError::System)?;
        let plane = Plane::new(config, engine, observer);
        let _inside = runtime.enter();
        let http = Served { router: routes::http(&plane), has_lookups: true };
        let grpc = Served { router: routes::grpc_alone(&plane), has_lookups: false };
        let services = [("http", http), ("grpc", grpc)];
        for (setting, listening, with_tls) in listeners {
            let served = services.iter().find(|(of, _)| *of == setting);
            let Some((_, served)) = served else { continue };
            let listener = Listener::new(listening, tls.clone().filter(|_| with_tls))
                .map_err(StartError::System)?;
            runtime.spawn(accept(listener, Arc::clone(&plane), served.clone()));
        }
        let hub = Arc::clone(&plane.hub);
        runtime.spawn(async move { hub.pass_on().await });
        let shared = Arc::clone(&plane);
        runtime.spawn(async move { shared.door.pass_replies_on().await });
        let shared = Arc::clone(&plane);
        runtime.spawn(async move { shared.ledger.run(&shared.door).await });
        Ok(WebServer { runtime, plane, endpoints })
    }

    /// Where it really listens: the setting, `http` or `grpc`, and the address.
    pub fn endpoints(&self) -> &[(&'static str, Address)] {
        &self.endpoints
    }

    /// Another access file has come into force: streams end what it does not allow any more. What is asked is
    /// decided by the new file already.
    pub fn access_changed(&self) {
        self.plane.hub.wake_all();
    }

    /// From now on no connection is accepted, streams say goodbye, and connections end when what was asked
    /// is answered. Returns at once.
    pub fn stop(&self) {
        self.plane.stop();
    }

    /// Ends it: as [`stop`](WebServer::stop), and waits for the connections to end, until `until` at most.
    /// Returns how many clients had not taken all by then.
    pub fn shutdown(self, until: Instant) -> usize {
        self.stop();
        let plane = Arc::clone(&self.plane);
        let all = u32::try_from(plane.config.connections_max).unwrap_or(u32::MAX);
        let ended = async {
            let patience = until.saturating_duration_since(Instant::now());
            let _ = tokio::time::timeout(patience, plane.connections.acquire_many(all)).await;
        };
        self.runtime.block_on(ended);
        let left = plane.open();
        self.runtime.shutdown_timeout(Duration::from_millis(100));
        left
    }
}

/// A listening socket, and what goes when it ends.
struct Listener {
    socket: ListeningSocket,
    listening: Listening,
    /// Where TLS is spoken.
    tls: Option<Arc<ServerTls>>,
}

enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(listening: Listening, tls: Option<Arc<ServerTls>>) -> io::Result<Listener> {
        listening.socket.set_nonblocking(true)?;
        let socket = listening.socket.try_clone()?;
        let socket = match listening.address {
            Address::Tcp(_) | Address::Tls { .. } => {
                ListeningSocket::Tcp(TcpListener::from_std(socket.into())?)
            }
            Address::Unix(_) => ListeningSocket::Unix(UnixListener::from_std(socket.into())?),
        };
        Ok(Listener { socket, listening, tls })
    }

    async fn accept(&self) -> io::Result<(Socket, Address)> {
        match &self.socket {
            ListeningSocket::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                Ok((Socket::Tcp(socket), peer.into()))
            }
            ListeningSocket::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                Ok((Socket::Unix(socket), self.listening.address.clone()))
            }
        }
    }
}

/// Accepts connections until the plane stops.
async fn accept(listener: Listener, plane: Arc<Plane>, served: Served) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = plane.stopped() => return,
        };
        match accepted {
            Ok((socket, peer)) => let_in(socket, peer, &listener, &plane, &served),
            Err(error) => {
                tracing::debug!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn let_in(socket: Socket, peer: Address, listener: &Listener, plane: &Arc<Plane>, served: &Served) {
    plane.counts.accepted.fetch_add(1, Ordering::Relaxed);
    let Ok(permit) = Arc::clone(&plane.connections).try_acquire_owned() else {
        plane.counts.refused_connections.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("{peer}: refused: {} connections are open", plane.config.connections_max);
        if listener.tls.is_none() {
            tokio::spawn(refuse(socket));
        }
        return;
    };
    let (plane, served) = (Arc::clone(plane), served.clone());
    let tls = listener.tls.as_ref().map(|tls| tls.http_config());
    tokio::spawn(async move {
        let local = match &socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) | Socket::Tls(_) => None,
        };
        let is_encrypted = tls.is_some();
        let begun = tokio::select! {
            begun = shake_hands(socket, tls, &plane) => begun,
            () = plane.stopped() => return,
        };
        let (socket, identity) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                plane.counts.failed_handshakes.fetch_add(1, Ordering::Relaxed);
                return tracing::debug!("{peer}: closed: TLS: {error}");
            }
        };
        let info = ConnectionInfo::new(peer, local, identity, is_encrypted, permit);
        let connection = Connection::new(socket, &plane.traffic, plane.config.patience.stalled);
        exchange::serve(connection, info, plane, served).await;
    });
}

/// Begins TLS, where it is spoken. Returns who the client is by its certificate, or by having none.
async fn shake_hands(
    socket: Socket,
    tls: Option<Arc<rustls::ServerConfig>>,
    plane: &Plane,
) -> io::Result<(Socket, Identity)> {
    let authority = plane.observer.authority();
    let (config, socket) = match (tls, socket) {
        (Some(config), Socket::Tcp(socket)) => (config, socket),
        (_, socket) => return Ok((socket, authority.anonymous())),
    };
    let accepted = TlsAcceptor::from(config).accept(socket);
    let timeout = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, accepted).await;
    let stream = timeout.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let identity = match shown {
        None => authority.anonymous(),
        Some(certificate) => authority.by_certificate(names_of(certificate)),
    };
    Ok((Socket::Tls(Box::new(stream)), identity))
}

/// Says that there are too many connections. A fresh socket has room for that.
async fn refuse(socket: Socket) {
    const TEXT: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
        Content-Length: 0\r\nConnection: close\r\n\r\n";
    let mut connection = Connection::new(socket, &Arc::default(), LINGER_TIMEOUT);
    let _ = connection.write_all(TEXT).await;
    let _ = connection.shutdown().await;
}
