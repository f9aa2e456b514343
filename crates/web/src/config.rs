use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stockd_model::Address;
use stockd_model::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_HEAD_TIMEOUT, HTTP_REQUEST_TIMEOUT, HTTP_STALLED_TIMEOUT,
    HTTP_WRITE_TIMEOUT, STREAMS_MAX, WEBSOCKET_PING_INTERVAL, WEBSOCKET_SILENCE_MAX,
};
use stockd_tls::ServerTls;

/// What the service plane listens on and how much it takes on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where HTTP is spoken, with gRPC and streams on the same port.
    pub http: Vec<Address>,
    /// Where gRPC is spoken alone.
    pub grpc: Vec<Address>,
    /// The certificate for addresses with TLS.
    pub tls: Option<Arc<ServerTls>>,
    /// Threads, 1 to [`WEB_THREADS_MAX`](stockd_model::limits::WEB_THREADS_MAX).
    pub threads: usize,
    /// Names that clients may call this server, beside `localhost` and the addresses of the loopback; `*` is
    /// any. A page of such a host may use the server, too.
    pub allowed_hosts: Vec<String>,
    /// Origins, as `https://example.com`, whose pages may use the server and read its answers (CORS); `*` is any.
    pub cors_origins: Vec<String>,
    /// Whether the routes and the stream of Alpaca's market data are there.
    pub alpaca: bool,
    /// Whether the stocks and orders of the course CS677 are there.
    pub cs677: bool,
    /// The directory of the quotes, where orders are kept as well; none keeps a few in memory.
    pub orders: Option<PathBuf>,
    /// Streams open at once.
    pub streams_max: usize,
    /// Connections open at once. A further client is answered with 503 and closed.
    pub connections_max: usize,
    /// Whether every write that was answered is there after a restart.
    pub keeps_all: bool,
    /// How long clients that say nothing, and a disk that does not answer, are waited for.
    pub patience: Patience,
}

/// How long clients that say nothing, and a disk that does not answer, are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until the head of a request is there, or the token that a client of WebSocket has to show.
    pub head: Duration,
    /// Until the body of a request has come whole.
    pub body: Duration,
    /// Until a client takes something of what is sent to it.
    pub stalled: Duration,
    /// Until the disk has kept a write.
    pub write: Duration,
    /// How often a client of WebSocket is asked whether it is still there.
    pub ping_interval: Duration,
    /// Until a client of WebSocket says something, a pong for instance.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            head: HTTP_HEAD_TIMEOUT,
            body: HTTP_REQUEST_TIMEOUT,
            stalled: HTTP_STALLED_TIMEOUT,
            write: HTTP_WRITE_TIMEOUT,
            ping_interval: WEBSOCKET_PING_INTERVAL,
            silence: WEBSOCKET_SILENCE_MAX,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            http: Vec::new(),
            grpc: Vec::new(),
            tls: None,
            threads: 1,
            allowed_hosts: Vec::new(),
            cors_origins: Vec::new(),
            alpaca: true,
            cs677: true,
            orders: None,
            streams_max: STREAMS_MAX,
            connections_max: STREAMS_MAX + HTTP_CONNECTIONS_MAX,
            keeps_all: false,
            patience: Patience::default(),
        }
    }
}
