//! The server that is asked, and connections to it.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::str::FromStr;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use stockd_client::{ClientTls, Credentials, Stream};
use stockd_model::limits::LOAD_PATIENCE;
use stockd_model::{Address, AddressError, ToAddresses};

use crate::codec::Caller;

/// Where a server listens, as it was given: `HOST:PORT` or `tls:HOST:PORT`, which may have several
/// meanings, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    tls: Option<ClientTls>,
    credentials: Option<Credentials>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let is_named = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
        let target = Target { text: text.to_owned(), tls: None, credentials: None };
        match text.parse::<Address>() {
            Ok(_) => Ok(target),
            Err(AddressError::NoAddress) if text.rsplit_once(':').is_some_and(is_named) => {
                Ok(target)
            }
            Err(AddressError::NoAddress) => {
                Err(format!("'{text}' is no address; write HOST:PORT, tls:HOST:PORT or unix:PATH"))
            }
            Err(error) => Err(format!("'{text}' is no address: {error}")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Target {
    /// Whom to believe where the address says `tls:`, and what to show.
    #[must_use]
    pub fn with_tls(self, tls: Option<ClientTls>) -> Target {
        Target { tls, ..self }
    }

    /// What is shown to the server.
    #[must_use]
    pub fn with_credentials(self, credentials: Option<Credentials>) -> Target {
        Target { credentials, ..self }
    }

    /// What is shown to the server, if anything is.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Who asks it over HTTP.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let plain = self.text.strip_prefix("tls:").unwrap_or(&self.text);
        let host = if plain.starts_with("unix:") { "localhost" } else { plain };
        Caller::new(host, self.credentials.as_ref())
    }

    /// A connection whose reads and writes wait for at most [`LOAD_PATIENCE`], to the first address
    /// that takes it.
    pub(crate) fn connect(&self) -> io::Result<Stream> {
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in self.text.to_addresses()? {
            match Stream::connect_with(&address, LOAD_PATIENCE, self.tls.as_ref()) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// Tells a readiness loop of everything that happens on a connection.
pub(crate) fn register(stream: &Stream, registry: &Registry, token: Token) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut SourceFd(&stream.as_raw_fd()), token, interest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_sockets_and_from_neither() {
        let parse = |text: &str| text.parse::<Target>();
        for right in
            ["127.0.0.1:7878", "[::1]:7878", "localhost:7878", "tls:localhost:7", "unix:/run/s"]
        {
            assert_eq!(parse(right).unwrap().to_string(), right);
        }
        for (text, host) in [
            ("127.0.0.1:7880", "127.0.0.1:7880"),
            ("tls:localhost:7880", "localhost:7880"),
            ("unix:/run/stockd", "localhost"),
        ] {
            assert_eq!(parse(text).unwrap().caller().host, host);
        }
        for wrong in ["", "7878", ":7878", "localhost", "host:99999", "unix:"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
