//! From an address to a connection that speaks HTTP/1.1: names, sockets, TLS.
//!
//! It knows no requests. Invariant: an address is resolved each time that a connection is opened, so that a server which
//! has moved is found; and a connection that is dropped is closed.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use stockd_model::limits::SUBSCRIBER_UNREAD_BYTES;
use stockd_model::{Address, ToAddresses};
use stockd_tls::{ClientFiles, ClientTls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::error::Error;
use crate::{Credentials, Options};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Requests and their answers.
    Requests,
    /// Live quotes: what waits unread is old by the time it is read, so little does.
    Quotes,
}

/// Opens connections to a server.
pub(super) struct Connector {
    resolve: Resolve,
    pub(super) options: Options,
    /// What is shown with each request.
    pub(super) authorization: Option<HeaderValue>,
    /// Read from files when it is needed first.
    tls: OnceCell<TlsConnector>,
}

/// Looks an address up. It may wait for the network.
type Resolve = Arc<dyn Fn() -> io::Result<Vec<Address>> + Send + Sync>;

/// A connection, open until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: http1::SendRequest<Full<Bytes>>,
    pub(super) server: Address,
    /// The value of the header `Host`.
    pub(super) host: HeaderValue,
    driver: AbortHandle,
}

impl Connector {
    pub(super) fn new(
        address: impl ToAddresses + Send + Sync + 'static,
        options: Options,
    ) -> Connector {
        let authorization = options.credentials.as_ref().map(authorization);
        let resolve = Arc::new(move || address.to_addresses());
        Connector { resolve, options, authorization, tls: OnceCell::new() }
    }

    /// Opens a connection to the first address that takes it. The error is that of the last.
    pub(super) async fn open(&self, purpose: Purpose) -> Result<Connection, Error> {
        let resolve = Arc::clone(&self.resolve);
        let resolved = tokio::task::spawn_blocking(move || resolve()).await;
        let addresses = resolved
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
            .map_err(|cause| Error::AddressNotResolved { cause })?;
        let nothing = io::Error::other("it stands for no address");
        let mut last = Error::AddressNotResolved { cause: nothing };
        let patience = self.options.connect_timeout;
        for server in addresses {
            let cause = match tokio::time::timeout(patience, self.connect(&server, purpose)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(cause)) => cause,
                Err(_) => {
                    let late = format!("it took longer than {patience:?}");
                    io::Error::new(io::ErrorKind::TimedOut, late)
                }
            };
            last = Error::NotConnected { server, cause };
        }
        Err(last)
    }

    async fn connect(&self, server: &Address, purpose: Purpose) -> io::Result<Connection> {
        match server {
            Address::Tcp(address) => {
                let stream = connect_tcp(*address, purpose).await?;
                begin(stream, server, &address.to_string(), purpose).await
            }
            Address::Unix(path) => {
                begin(UnixStream::connect(&**path).await?, server, "localhost", purpose).await
            }
            Address::Tls { address, host } => {
                let name = ServerName::try_from(host.to_string()).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidInput, format!("{host}: {error}"))
                })?;
                let tls = self.tls.get_or_try_init(|| self.load_tls()).await?;
                let stream = connect_tcp(*address, purpose).await?;
                let stream = tls.connect(name, stream).await?;
                let port = address.port();
                let host = match host.parse::<Ipv6Addr>() {
                    Ok(address) => format!("[{address}]:{port}"),
                    Err(_) => format!("{host}:{port}"),
                };
                begin(stream, server, &host, purpose).await
            }
        }
    }

    async fn load_tls(&self) -> io::Result<TlsConnector> {
        let tls = match &self.options.tls {
            Some(tls) => tls.clone(),
            None => {
                let load = || ClientTls::load(&ClientFiles::default());
                let loaded = tokio::task::spawn_blocking(load).await;
                loaded.map_err(io::Error::other)?.map_err(io::Error::other)?
            }
        };
        let mut config = (*tls.config()).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("options", &self.options).finish_non_exhaustive()
    }
}

async fn connect_tcp(address: SocketAddr, purpose: Purpose) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if purpose == Purpose::Quotes {
        // Where the system has no such bound, more of the past is read, and nothing else is different.
        let _ = socket.set_recv_buffer_size(SUBSCRIBER_UNREAD_BYTES as u32);
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Begins HTTP over a socket.
async fn begin<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    server: &Address,
    host: &str,
    purpose: Purpose,
) -> io::Result<Connection> {
    let host = HeaderValue::from_str(host).map_err(io::Error::other)?;
    let mut builder = http1::Builder::new();
    if purpose == Purpose::Quotes {
        builder.max_buf_size(SUBSCRIBER_UNREAD_BYTES);
    }
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // What goes wrong is told to who waits for the answer.
    let driver = tokio::spawn(async move { _ = connection.await }).abort_handle();
    Ok(Connection { sender, server: server.clone(), host, driver })
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The value of the header `Authorization` that shows these credentials.
fn authorization(credentials: &Credentials) -> HeaderValue {
    let text = match credentials.user() {
        None => format!("Bearer {}", credentials.secret()),
        Some(user) => {
            let pair = format!("{user}:{}", credentials.secret());
            format!("Basic {}", BASE64.encode(pair.as_bytes()))
        }
    };
    // A token that no header can have is none; the server says so.
    let value = HeaderValue::from_str(&text);
    let mut value = value.unwrap_or(HeaderValue::from_static("Bearer impossible"));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_shown_as_a_bearer_or_as_the_password_of_a_user() {
        let alone = Credentials::token("stk_secret");
        assert_eq!(authorization(&alone), "Bearer stk_secret");
        let named = authorization(&alone.of_user("feed"));
        assert_eq!(named, "Basic ZmVlZDpzdGtfc2VjcmV0");
        assert!(!format!("{named:?}").contains("ZmVl"));
        assert_eq!(authorization(&Credentials::token("a\nb")), "Bearer impossible");
    }
}
