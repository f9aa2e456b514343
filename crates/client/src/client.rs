//! The client: addresses, options, and the connection while it is usable.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::connection::Connection;
use crate::line::check_name;
use crate::{Answer, ClientError};

/// A connection to a server, for lookups.
///
/// A client blocks while it waits and serves one caller at a time; threads that look up at the
/// same time have a client each.
#[derive(Debug)]
pub struct Client {
    addresses: Vec<SocketAddr>,
    options: Options,
    /// The server connected to last.
    server: SocketAddr,
    /// Taken out while it is at work and put back when it is done, so an error drops it.
    connection: Option<Connection>,
}

/// How long a [`Client`] waits. Each is above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// For a connection, at each address of the server; 5 s unless set.
    pub connect_timeout: Duration,
    /// For a reply, and for the server to read requests; 5 s unless set.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { connect_timeout: Duration::from_secs(5), timeout: Duration::from_secs(5) }
    }
}

impl Client {
    /// Connects to a server, `"127.0.0.1:7878"` for example. Where the address stands for
    /// several, each is tried in turn.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when the address cannot be resolved, or no connection comes about within
    /// [`Options::connect_timeout`]. A server that is full says so at the first lookup.
    pub fn connect(address: impl ToSocketAddrs) -> Result<Client, ClientError> {
        Client::connect_with(address, Options::default())
    }

    /// Connects as [`connect`](Client::connect) does, with timeouts of one's own.
    ///
    /// # Errors
    ///
    /// As [`connect`](Client::connect); a timeout of zero is an error too.
    pub fn connect_with(
        address: impl ToSocketAddrs,
        options: Options,
    ) -> Result<Client, ClientError> {
        let addresses: Vec<_> = address
            .to_socket_addrs()
            .map_err(|cause| ClientError::AddressNotResolved { cause })?
            .collect();
        let connection = connect_any(&addresses, &options)?;
        Ok(Client { addresses, options, server: connection.server(), connection: Some(connection) })
    }

    /// Closes the connection if it is still open and connects anew, to the addresses that were
    /// resolved at first.
    ///
    /// # Errors
    ///
    /// As [`connect`](Client::connect); the client can then try again.
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        self.connection = None;
        let connection = connect_any(&self.addresses, &self.options)?;
        self.server = connection.server();
        self.connection = Some(connection);
        Ok(())
    }

    /// The address of the server connected to last.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Asks for the price of one stock and waits for the answer. White space around the name is
    /// ignored by the server; a name that is no possible symbol is [`Answer::NotFound`].
    ///
    /// # Errors
    ///
    /// [`ClientError::NameNotSendable`] when the name has a line feed or is longer than 64 KiB;
    /// nothing is sent then. After any other error the connection is closed, and lookups fail
    /// until [`reconnect`](Client::reconnect).
    pub fn lookup(&mut self, name: &str) -> Result<Answer, ClientError> {
        check_name(name)?;
        self.with_connection(|connection| connection.lookup(name))
    }

    /// Asks for the prices of many stocks and waits for all answers, which come in the order of
    /// the names. Requests are sent ahead of their replies, hundreds at a time, so many names
    /// cost few round trips.
    ///
    /// ```no_run
    /// # let mut client = stockd_client::Client::connect("127.0.0.1:7878")?;
    /// let names = ["AAPL", "BRK/A", "牛来USDT"];
    /// for (name, answer) in names.iter().zip(client.lookup_all(names)?) {
    ///     println!("{name} {answer}");
    /// }
    /// # Ok::<(), stockd_client::ClientError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`lookup`](Client::lookup). One name that cannot be sent is the error of all, before
    /// anything is sent; after any other error the answers received so far are lost.
    pub fn lookup_all<N: AsRef<str>>(
        &mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Answer>, ClientError> {
        let names: Vec<N> = names.into_iter().collect();
        for name in &names {
            check_name(name.as_ref())?;
        }
        self.with_connection(|connection| connection.lookup_all(&names))
    }

    /// Works with the connection, and gives it up if that fails: whatever the server still sent
    /// on it could be taken for the answer to another name.
    fn with_connection<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let server = self.server;
        let connection = self.connection.take();
        let mut connection = connection.ok_or(ClientError::NotUsable { server })?;
        let done = work(&mut connection)?;
        self.connection = Some(connection);
        Ok(done)
    }
}

/// Connects to the first address that takes the connection. The error is that of the last.
fn connect_any(addresses: &[SocketAddr], options: &Options) -> Result<Connection, ClientError> {
    let mut last_error = ClientError::AddressNotResolved {
        cause: std::io::Error::other("it stands for no address"),
    };
    for &address in addresses {
        match Connection::open(address, options) {
            Ok(connection) => return Ok(connection),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}
