//! A server's addresses, and the connection to it while that is usable.
//!
//! Invariant: a connection that failed is never used again, since whatever the server still sent
//! on it could be taken for the answer to another request.

use std::net::SocketAddr;

use crate::command::Greet;
use crate::connection::Connection;
use crate::protocol::Replies;
use crate::resp;
use crate::{Address, ClientError, Options, ToAddresses};

/// What every client has: where it connects to, how long it waits, and its connection.
#[derive(Debug)]
pub(crate) struct Link<R> {
    addresses: Vec<Address>,
    options: Options,
    /// The server connected to last.
    server: Address,
    /// Taken out while it is at work and put back when it is done, so an error drops it.
    connection: Option<Connection<R>>,
}

impl<R: Replies> Link<R> {
    /// Connects to the first address that takes the connection.
    pub(crate) fn connect(
        address: impl ToAddresses,
        options: Options,
    ) -> Result<Link<R>, ClientError> {
        let addresses =
            address.to_addresses().map_err(|cause| ClientError::AddressNotResolved { cause })?;
        let connection = connect_any(&addresses, &options)?;
        Ok(Link {
            addresses,
            options,
            server: connection.server().clone(),
            connection: Some(connection),
        })
    }

    /// Closes the connection if it is still open and connects again, to the addresses that were
    /// resolved at first.
    pub(crate) fn reconnect(&mut self) -> Result<(), ClientError> {
        self.connection = None;
        let connection = connect_any(&self.addresses, &self.options)?;
        self.server = connection.server().clone();
        self.connection = Some(connection);
        Ok(())
    }

    /// Gives up the connection if it is open.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    pub(crate) fn server(&self) -> &Address {
        &self.server
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.connection.as_ref()?.local_address()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.connection.is_some()
    }

    /// Works with the connection, and gives it up if that fails.
    pub(crate) fn with_connection<T>(
        &mut self,
        work: impl FnOnce(&mut Connection<R>) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let connection = self.connection.take();
        let not_usable = || ClientError::NotUsable { server: self.server.clone() };
        let mut connection = connection.ok_or_else(not_usable)?;
        let done = work(&mut connection)?;
        self.connection = Some(connection);
        Ok(done)
    }
}

impl Link<resp::Replies> {
    /// Shows who the client is, if it is to, and asks whether the server serves it.
    pub(crate) fn greet(&mut self) -> Result<(), ClientError> {
        let credentials = self.options.credentials.clone();
        self.with_connection(|connection| connection.ask(&Greet(credentials.as_ref())))
    }
}

/// Connects to the first address that takes the connection. The error is that of the last.
fn connect_any<R: Replies>(
    addresses: &[Address],
    options: &Options,
) -> Result<Connection<R>, ClientError> {
    let mut last_error = ClientError::AddressNotResolved {
        cause: std::io::Error::other("it stands for no address"),
    };
    for address in addresses {
        match Connection::open(address, options) {
            Ok(connection) => return Ok(connection),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}
