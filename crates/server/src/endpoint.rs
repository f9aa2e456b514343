//! Where a server listens, and how it serves the clients that connect there.

use std::fmt;

use stockd_model::Address;

use crate::Transport;

/// One place to listen: the address, what is spoken there, and how the bytes travel. What its clients may
/// do is said by the [authority](crate::Config::authority) for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address. Port 0 takes a free one;
    /// [`Server::endpoints`](crate::Server::endpoints) tells which. The file of a Unix socket is made
    /// at the start, in place of one that a server which is gone has left, and removed at the end.
    pub address: Address,
    /// The protocol of its connections.
    pub protocol: Protocol,
    /// How their bytes travel.
    pub transport: Transport,
    /// Whether every client comes through a proxy that says whom it speaks for, in a header of the PROXY
    /// protocol ([`stockd_wire::proxy`]). A connection without one is refused then.
    pub proxied: bool,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// A symbol a line in, a price a line out: [`stockd_wire::line`].
    Line,
    /// The commands of Redis: [`stockd_wire::resp`].
    Resp,
}

impl Endpoint {
    /// An endpoint without encryption.
    pub fn plain(protocol: Protocol, address: impl Into<Address>) -> Endpoint {
        let address = address.into();
        Endpoint { address, protocol, transport: Transport::Plain, proxied: false }
    }
}

impl Protocol {
    /// The name of the protocol, also that of its setting: `line` or `resp`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Line => "line",
            Protocol::Resp => "resp",
        }
    }
}

impl fmt::Display for Endpoint {
    /// As `line 127.0.0.1:7878`, or `resp tls:127.0.0.1:7879`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.transport.is_plain() { "" } else { "tls:" };
        write!(f, "{} {prefix}{}", self.protocol, self.address)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
