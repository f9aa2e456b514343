//! The client for lookups: over the line protocol, or over RESP where a token is to be shown, since lines
//! have no place for one.

use std::net::SocketAddr;

use crate::command::GetPrice;
use crate::line::{self, Lookup, check_name};
use crate::link::Link;
use crate::resp;
use crate::{Address, Answer, ClientError, Options, ToAddresses};

/// A connection to a server, for lookups.
///
/// A client blocks while it waits and serves one caller at a time; threads that look up at the
/// same time have a client each.
#[derive(Debug)]
pub struct Client {
    way: Way,
}

/// What is spoken.
#[derive(Debug)]
enum Way {
    Line(Link<line::Replies>),
    Resp(Link<resp::Replies>),
}

impl Client {
    /// Connects to a server, `"127.0.0.1:7878"` or `"unix:/run/stockd/line.sock"` for example.
    /// Where the address stands for several, each is tried in turn.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when the address cannot be resolved, or no connection comes about within
    /// [`Options::connect_timeout`]. A server that is full says so at the first lookup.
    pub fn connect(address: impl ToAddresses) -> Result<Client, ClientError> {
        Client::connect_with(address, Options::default())
    }

    /// Connects as [`connect`](Client::connect) does, with timeouts of one's own. With
    /// [credentials](Options::credentials) the address is that of the server's RESP listener.
    ///
    /// # Errors
    ///
    /// As [`connect`](Client::connect); a timeout of zero is an error too.
    pub fn connect_with(
        address: impl ToAddresses,
        options: Options,
    ) -> Result<Client, ClientError> {
        if options.credentials.is_none() {
            return Ok(Client { way: Way::Line(Link::connect(address, options)?) });
        }
        let mut link = Link::connect(address, options)?;
        link.greet()?;
        Ok(Client { way: Way::Resp(link) })
    }

    /// Closes the connection if it is still open and connects again, to the addresses that were
    /// resolved at first.
    ///
    /// # Errors
    ///
    /// As [`connect`](Client::connect); the client can then try again.
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        match &mut self.way {
            Way::Line(link) => link.reconnect(),
            Way::Resp(link) => {
                link.reconnect()?;
                link.greet()
            }
        }
    }

    /// The address of the server connected to last.
    pub fn server(&self) -> &Address {
        match &self.way {
            Way::Line(link) => link.server(),
            Way::Resp(link) => link.server(),
        }
    }

    /// The address of this end of the connection, by which the server knows it; `None` over a Unix socket,
    /// and of a connection that is closed.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.way {
            Way::Line(link) => link.local_address(),
            Way::Resp(link) => link.local_address(),
        }
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
        match &mut self.way {
            Way::Line(link) => link.with_connection(|connection| connection.ask(&Lookup(name))),
            Way::Resp(link) => {
                Ok(link.with_connection(|connection| connection.ask(&GetPrice(name)))??)
            }
        }
    }

    /// Asks for the prices of many stocks and waits for all answers, which come in the order of
    /// the names. Requests are sent ahead of their replies, hundreds at a time, so that many names
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
        names.iter().try_for_each(|name| check_name(name.as_ref()))?;
        match &mut self.way {
            Way::Line(link) => {
                let lookups: Vec<Lookup<N>> = names.into_iter().map(Lookup).collect();
                link.with_connection(|connection| connection.ask_all(&lookups))
            }
            Way::Resp(link) => {
                let lookups: Vec<GetPrice<N>> = names.into_iter().map(GetPrice).collect();
                let answers = link.with_connection(|connection| connection.ask_all(&lookups))?;
                Ok(answers.into_iter().collect::<Result<_, _>>()?)
            }
        }
    }
}
