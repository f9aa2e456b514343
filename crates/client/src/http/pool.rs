//! Requests over connections that are kept: who may send one when, and what may be sent again.
//!
//! ```text
//!   ask ── waits for one of HTTP_CLIENT_CONNECTIONS_MAX places
//!        ── an idle connection, or a new one (connector.rs)
//!        ── the answer, and its body to the end ── the connection is idle again
//! ```
//!
//! It knows no meaning of answers. Invariant: a connection carries one request at a time, and is used again only after
//! the whole answer was read. A request that may have arrived is sent again only if it changes nothing.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use stockd_model::Address;
use stockd_model::limits::{
    HTTP_CLIENT_CONNECTIONS_MAX, HTTP_CLIENT_IDLE_MAX, HTTP_CLIENT_REPLY_BYTES_MAX,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::connector::{Connection, Connector, Purpose};
use super::error::Error;

pub(super) const JSON: &str = "application/json";

/// A request before it is known which connection carries it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// Whether it changes nothing.
    repeatable: bool,
}

/// The connections to a server.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) connector: Arc<Connector>,
    idle: Mutex<Vec<Idle>>,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) server: Address,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    lease: Lease,
}

/// A connection that is in use.
#[derive(Debug)]
struct Lease {
    pool: Arc<Pool>,
    connection: Connection,
    _place: OwnedSemaphorePermit,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) server: Address,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    fn new(method: Method, path: String) -> Asked {
        let repeatable = method == Method::GET;
        Asked { method, path, headers: HeaderMap::new(), body: Bytes::new(), repeatable }
    }

    pub(super) fn get(path: String) -> Asked {
        Asked::new(Method::GET, path)
    }

    pub(super) fn delete(path: String) -> Asked {
        Asked::new(Method::DELETE, path)
    }

    /// With a body of this media type.
    pub(super) fn with_body(
        method: Method,
        path: String,
        kind: &'static str,
        body: Vec<u8>,
    ) -> Asked {
        let asked = Asked { body: body.into(), ..Asked::new(method, path) };
        asked.header(CONTENT_TYPE, HeaderValue::from_static(kind))
    }

    pub(super) fn accept(self, kind: &'static str) -> Asked {
        self.header(ACCEPT, HeaderValue::from_static(kind))
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Asked {
        self.headers.insert(name, value);
        self
    }

    /// It changes nothing, whatever its method says.
    pub(super) fn repeatable(self) -> Asked {
        Asked { repeatable: true, ..self }
    }

    /// The request for this connection.
    pub(super) fn request(
        &self,
        connection: &Connection,
        authorization: Option<&HeaderValue>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        // What is in a path is encoded, so it is one.
        *request.uri_mut() = self.path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        headers.insert(HOST, connection.host.clone());
        let agent = concat!("stockd-client/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(shown) = authorization {
            headers.insert(AUTHORIZATION, shown.clone());
        }
        request
    }
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Arc<Pool> {
        let places = Arc::new(Semaphore::new(HTTP_CLIENT_CONNECTIONS_MAX));
        Arc::new(Pool { connector: Arc::new(connector), idle: Mutex::default(), places })
    }

    /// Asks, and reads the whole answer.
    pub(super) async fn ask(self: &Arc<Self>, asked: &Asked) -> Result<Reply, Error> {
        self.begin(asked).await?.whole().await
    }

    /// Asks, and waits for the head of the answer.
    pub(super) async fn begin(self: &Arc<Self>, asked: &Asked) -> Result<Begun, Error> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.unwrap_or_else(|_| unreachable!("the places are never closed"));
        loop {
            let idle = self.take_idle().await;
            let was_idle = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connector.open(Purpose::Requests).await?,
            };
            let request = asked.request(&connection, self.connector.authorization.as_ref());
            match connection.sender.try_send_request(request).await {
                Ok(response) => {
                    let lease = Lease { pool: Arc::clone(self), connection, _place: place };
                    return Ok(Begun::new(response, lease));
                }
                Err(mut error) => {
                    let was_sent = error.take_message().is_none();
                    // The server had closed a connection that was idle for a while.
                    if was_idle && (asked.repeatable || !was_sent) {
                        continue;
                    }
                    let cause = shown(&error.into_error());
                    return Err(Error::Lost { server: connection.server.clone(), cause });
                }
            }
        }
    }

    /// The connection that was used last, if it is still good.
    async fn take_idle(&self) -> Option<Connection> {
        loop {
            let Idle { mut connection, since } = self.idle().pop()?;
            if since.elapsed() < HTTP_CLIENT_IDLE_MAX && connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun {
    fn new(response: Response<Incoming>, lease: Lease) -> Begun {
        let (parts, body) = response.into_parts();
        let server = lease.connection.server.clone();
        Begun { server, status: parts.status, headers: parts.headers, body, lease }
    }

    /// Reads the whole body, and gives the connection back.
    pub(super) async fn whole(self) -> Result<Reply, Error> {
        let Begun { server, status, headers, body, lease } = self;
        match Limited::new(body, HTTP_CLIENT_REPLY_BYTES_MAX).collect().await {
            Ok(body) => {
                lease.give_back();
                Ok(Reply { server, status, headers, body: body.to_bytes() })
            }
            Err(error) if error.is::<LengthLimitError>() => {
                let reply = format!("more than {HTTP_CLIENT_REPLY_BYTES_MAX} bytes");
                Err(Error::NotAReply { server, status: status.as_u16(), reply })
            }
            Err(error) => Err(Error::Lost { server, cause: error.to_string() }),
        }
    }

    /// The body was read to its end: gives the connection back.
    pub(super) fn give_back(self) {
        self.lease.give_back();
    }
}

impl Lease {
    fn give_back(self) {
        let Lease { pool, connection, _place } = self;
        if !connection.sender.is_closed() {
            pool.idle().push(Idle { connection, since: Instant::now() });
        }
    }
}

/// Waits for this, and no longer than the deadline.
pub(super) async fn within<T>(
    deadline: Duration,
    awaited: impl Fn() -> String,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(deadline, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::DeadlineExceeded { awaited: awaited(), deadline }),
    }
}

/// What went wrong, and why.
pub(super) fn shown(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
