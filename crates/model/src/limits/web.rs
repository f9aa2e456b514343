//! Bounds of the service plane: HTTP, streams, gRPC and orders.

use std::time::Duration;

/// Bytes of the head of an HTTP/1.1 request: its first line and its headers. A longer one is answered
/// with 431. As many bytes of a response wait above the system for a client that does not read.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the path and query of a request. Longer ones are answered with 414.
pub const HTTP_URI_BYTES_MAX: usize = 8 * 1024;

/// Bytes of the body of a request. A larger one is answered with 413.
pub const HTTP_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the body of a request about one stock. A larger one is answered with 413.
pub const HTTP_QUOTE_BYTES_MAX: usize = 16 * 1024;

/// Bytes that the bodies of all requests hold together. A request whose body does not fit is answered with 503.
pub const HTTP_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long the head of a request may take, the time before it on an idle connection included. The
/// connection is closed then.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a worker that is asked whether it turns may leave that unanswered before the server is not live.
pub const LIVE_SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long the body of a request may take to come whole. It is answered with 408 then, and has done nothing.
pub const HTTP_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a write waits for the disk before it is answered as uncertain.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client of the service plane may take none of what is sent to it before it is closed.
pub const HTTP_STALLED_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests that are being answered at once, streams apart. A further one is answered with 503.
pub const HTTP_REQUESTS_MAX: usize = 1024;

/// Connections of the service plane beyond those that may be streams. A further one is answered with 503 and
/// closed.
pub const HTTP_CONNECTIONS_MAX: usize = 4096;

/// Requests and streams of one HTTP/2 connection at once. Further ones wait for their turn at the client.
pub const HTTP2_STREAMS_MAX: u32 = 256;

/// Streams of one HTTP/2 connection that its client has given up and that are not tidied up. With more the
/// connection is closed.
pub const HTTP2_RESETS_MAX: usize = 32;

/// How often the server asks whether the client of an HTTP/2 connection is still there, and how long it waits
/// for the answer before it closes.
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);

/// Bytes of a response that wait for one HTTP/2 stream.
pub const HTTP2_SEND_BYTES_MAX: usize = 16 * 1024;

/// Stocks that one request names in its address. A request with more is refused; `POST /v1/lookup` takes more.
pub const HTTP_QUERY_NAMES_MAX: usize = 1000;

/// Stocks that one `POST /v1/lookup` or `BatchLookup` names. A request with more is refused.
pub const HTTP_LOOKUP_NAMES_MAX: usize = 100_000;

/// Lines of one `POST /v1/updates`. A request with more is refused.
pub const HTTP_UPDATES_MAX: usize = 100_000;

/// Refused lines of one `POST /v1/updates` that are told one by one. The others are counted.
pub const HTTP_REFUSED_SHOWN_MAX: usize = 1000;

/// Stocks of one page of `GET /v1/stocks`, at most; a larger `limit` counts as this one.
pub const HTTP_PAGE_STOCKS_MAX: usize = 1000;

/// Rows of the catalog that one page of `GET /v1/stocks` reads, at most. Where they hold fewer stocks it
/// answers those, and where to go on.
pub const HTTP_PAGE_ROWS_MAX: usize = 65_536;

/// Writes of the service plane that are executed before others have their turn.
pub const HTTP_WRITES_TOGETHER: usize = 1024;

/// Connections that `GET /v1/clients` lists on one page.
pub const HTTP_CLIENTS_PAGE: usize = 1000;

/// Streams open at once, over all protocols of the service plane (*default*). A further one is refused.
pub const STREAMS_MAX: usize = 10_000;

/// Bytes of messages that a stream makes before it looks whether its client takes them.
pub const STREAM_BYTES_MAX: usize = 16 * 1024;

/// Messages of gRPC that a stream makes before it looks whether its client takes them.
pub const STREAM_MESSAGES_MAX: usize = 64;

/// How often a stream tells that it is there.
pub const STREAM_HEARTBEAT: Duration = Duration::from_secs(5);

/// How often a watch of the health of a node looks whether it is still ready.
pub const HEALTH_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// When the server stops: how long a stream over HTTP/1.1 or WebSocket may take to send what it has made and to say
/// goodbye, and the body of a request to come whole. The stream is cut off then, and the request refused.
pub const STREAM_GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest `interval` of a stream, and of `CLIENT INTERVAL`.
pub const STREAM_INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// Bytes of what the client of a stream calls itself. A stream with a longer name is refused.
pub const STREAM_NAME_BYTES_MAX: usize = 64;

/// Names in the request of a stream that can be no symbols, each of which is told as unlisted. With more of them it is refused.
pub const STREAM_IMPOSSIBLE_NAMES_MAX: usize = 1024;

/// By how much more than what changed since is told to a stream that resumes: writes may take this long
/// from the moment that a quote has as its update to the moment when it can be seen.
pub const STREAM_RESUME_OVERLAP: Duration = Duration::from_secs(60);

/// Bytes of a message that a WebSocket client sends. A longer one ends the stream.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that are read from a WebSocket client at once: as many are held for each as long as it is there.
pub const WEBSOCKET_READ_BYTES: usize = 2 * 1024;

/// How often a WebSocket client is asked whether it is still there.
pub const WEBSOCKET_PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long a WebSocket client may be silent, its pongs included, before it is closed.
pub const WEBSOCKET_SILENCE_MAX: Duration = Duration::from_secs(60);

/// Stocks of which a stream for clients of Alpaca remembers what it has told. Of others it tells price and quote with
/// each change.
pub const ALPACA_TOLD_MAX: usize = 16_384;

/// How deep the messages of clients of Alpaca may be nested. A deeper one is answered with an error.
pub const ALPACA_MESSAGE_DEPTH_MAX: usize = 16;

/// Orders that are kept with the data directory: the last ones.
pub const ORDERS_KEPT: u64 = 1_000_000;

/// Orders that are kept where nothing is kept on the disk: the last ones.
pub const ORDERS_KEPT_IN_MEMORY: usize = 10_000;

/// Orders that are kept and executed together. Further ones wait.
pub const ORDERS_TOGETHER_MAX: usize = 256;

/// Orders that wait to be executed. A further one is refused.
pub const ORDERS_WAITING_MAX: usize = 1024;

/// How often an order is tried because others have changed the count of orders at the same time. Then it is refused.
pub const ORDER_ATTEMPTS_MAX: usize = 8;
