//! The threads of the service plane: from a configuration to a running server and its clean end.
//!
//! It owns the runtime, the listeners and their connections. What is answered it does not know.
//!
//! Invariant: when [`WebServer::shutdown`] returns, no thread of the plane is left that uses the engine.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use stockd_engine::Engine;
use stockd_model::limits::{
    ACCEPT_RETRY, HTTP_HEAD_BYTES_MAX, HTTP_HEAD_TIMEOUT, HTTP2_PING_INTERVAL, HTTP2_RESETS_MAX,
    HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX, SUBSCRIBER_UNSENT_BYTES, TLS_HANDSHAKE_TIMEOUT,
    WEB_THREADS_MAX,
};
use stockd_model::{Address, CertificateName};
use stockd_server::{Listening, Observer, listen_reason};
use stockd_tls::ServerTls;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::ServiceExt;

use crate::config::Config;
use crate::connection::{Connection, ConnectionInfo, Socket};
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
    /// An address of TLS, and no certificate.
    #[error("{0} needs a certificate, and there is none; name it with tls_cert and tls_key")]
    NoCertificate(Address),
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
    endpoints: Vec<Endpoint>,
}

/// Where a service plane listens. Prints as `http tls:127.0.0.1:7880`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What is spoken: `http` or `grpc`.
    pub protocol: &'static str,
    /// Whether its connections are encrypted.
    pub tls: bool,
    /// The address, whose port is never 0.
    pub address: Address,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.tls { "tls:" } else { "" };
        write!(f, "{} {prefix}{}", self.protocol, self.address)
    }
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
        let open = |setting, addresses: &[Address]| {
            let one = |address: &Address| {
                let tls = matches!(address, Address::Tls { .. });
                if tls && config.tls.is_none() {
                    return Err(StartError::NoCertificate(address.clone()));
                }
                match Listening::open(address) {
                    Ok(listening) => Ok((setting, tls, listening)),
                    Err(source) => {
                        Err(StartError::Listen { setting, address: address.clone(), source })
                    }
                }
            };
            addresses.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let mut listeners = open("http", &config.http)?;
        listeners.extend(open("grpc", &config.grpc)?);
        let endpoints = listeners.iter().map(|(setting, tls, it)| Endpoint {
            protocol: setting,
            tls: *tls,
            address: it.address.clone(),
        });
        let endpoints = endpoints.collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads)
            .thread_name("stockd-web")
            .enable_all()
            .build()
            .map_err(StartError::System)?;
        let plane = Plane::new(config, engine, observer);
        let _inside = runtime.enter();
        let routers = [("http", routes::http(&plane)), ("grpc", routes::grpc_alone(&plane))];
        for (setting, tls, listening) in listeners {
            let router = routers.iter().find(|(of, _)| *of == setting);
            let Some((_, router)) = router else { continue };
            let listener = Listener::new(listening, tls).map_err(StartError::System)?;
            runtime.spawn(accept(listener, Arc::clone(&plane), router.clone()));
        }
        let hub = Arc::clone(&plane.hub);
        runtime.spawn(async move { hub.pass_on().await });
        let shared = Arc::clone(&plane);
        runtime.spawn(async move { shared.door.pass_replies_on().await });
        Ok(WebServer { runtime, plane, endpoints })
    }

    /// Where it really listens.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
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
    /// Whether its connections are encrypted.
    tls: bool,
    listening: Listening,
}

enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(listening: Listening, tls: bool) -> io::Result<Listener> {
        listening.socket.set_nonblocking(true)?;
        let socket = listening.socket.try_clone()?;
        let socket = match listening.address {
            Address::Tcp(_) | Address::Tls { .. } => {
                ListeningSocket::Tcp(TcpListener::from_std(socket.into())?)
            }
            Address::Unix(_) => ListeningSocket::Unix(UnixListener::from_std(socket.into())?),
        };
        Ok(Listener { socket, tls, listening })
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
async fn accept(listener: Listener, plane: Arc<Plane>, router: Router) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = plane.stopped() => return,
        };
        match accepted {
            Ok((socket, peer)) => let_in(socket, peer, listener.tls, &plane, &router),
            Err(error) => {
                tracing::debug!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn let_in(socket: Socket, peer: Address, tls: bool, plane: &Arc<Plane>, router: &Router) {
    plane.counts.accepted.fetch_add(1, Ordering::Relaxed);
    let Ok(permit) = Arc::clone(&plane.connections).try_acquire_owned() else {
        plane.counts.refused_connections.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("{peer}: refused: {} connections are open", plane.config.connections_max);
        tokio::spawn(refuse(socket));
        return;
    };
    let local = match &socket {
        Socket::Tcp(socket) => socket.local_addr().ok(),
        Socket::Unix(_) | Socket::Tls(_) => None,
    };
    socket.keep_few_unsent();
    let (plane, router) = (Arc::clone(plane), router.clone());
    tokio::spawn(async move {
        let (socket, names) = match (socket, &plane.config.tls) {
            (Socket::Tcp(socket), Some(certificate)) if tls => {
                match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, shake_hands(socket, certificate))
                    .await
                {
                    Ok(Ok(shaken)) => {
                        plane.counts.handshakes.fetch_add(1, Ordering::Relaxed);
                        shaken
                    }
                    Ok(Err(error)) => return tracing::debug!("{peer}: no handshake: {error}"),
                    Err(_) => return tracing::debug!("{peer}: no handshake in time"),
                }
            }
            (socket, _) => (socket, Vec::new()),
        };
        let info = ConnectionInfo::new(peer, local, names, permit);
        let connection = Connection::new(socket, &plane.traffic);
        serve(connection, info, plane, router).await;
    });
}

/// The server's side of a handshake: the encrypted socket, and the names in the client's certificate.
async fn shake_hands(
    socket: TcpStream,
    certificate: &ServerTls,
) -> io::Result<(Socket, Vec<CertificateName>)> {
    let mut config = ServerConfig::clone(&certificate.config());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut stream = TlsAcceptor::from(Arc::new(config)).accept(socket).await?;
    let (_, session) = stream.get_mut();
    session.set_buffer_limit(Some(SUBSCRIBER_UNSENT_BYTES));
    let chain = session.peer_certificates().unwrap_or_default();
    let names = chain.first().map_or_else(Vec::new, stockd_tls::names_of);
    Ok((Socket::Tls(Box::new(stream)), names))
}

/// Says that there are too many connections. A fresh socket has room for that.
async fn refuse(socket: Socket) {
    const TEXT: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
        Content-Length: 0\r\nConnection: close\r\n\r\n";
    let mut connection = Connection::new(socket, &Arc::default());
    // Over TLS there is no handshake first: that would cost what is short.
    let _ = connection.write_all(TEXT).await;
    let _ = connection.shutdown().await;
}

/// Serves one connection to its end.
async fn serve(
    connection: Connection,
    info: Arc<ConnectionInfo>,
    plane: Arc<Plane>,
    router: Router,
) {
    let service = service_fn({
        let info = Arc::clone(&info);
        move |mut request: Request<Incoming>| {
            info.count_request();
            request.extensions_mut().insert(Arc::clone(&info));
            router.clone().oneshot(request.map(Body::new))
        }
    });
    let builder = bounded();
    let served = builder.serve_connection_with_upgrades(TokioIo::new(connection), service);
    tokio::pin!(served);
    let mut is_stopping = false;
    // Before its first byte the protocol is not known, and nothing else bounds the wait.
    let silence = tokio::time::sleep(HTTP_HEAD_TIMEOUT);
    tokio::pin!(silence);
    let mut watches_silence = true;
    let ended = loop {
        tokio::select! {
            ended = served.as_mut() => break ended,
            () = plane.stopped(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = silence.as_mut(), if watches_silence => {
                watches_silence = false;
                if info.requests.load(Ordering::Relaxed) == 0 {
                    return;
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!("{}: closed: {error}", info.peer);
    }
}

/// HTTP in both versions, with a bound on everything that a client can make it hold.
fn bounded() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEAD_TIMEOUT)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_INTERVAL)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .max_header_list_size(HTTP_HEAD_BYTES_MAX as u32)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX);
    builder
}
