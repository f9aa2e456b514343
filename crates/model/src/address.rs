//! Where a server listens, where a client connects to, and who a client is.
//!
//! This file owns which addresses are possible and how they are written: `IP:PORT`, `tls:IP:PORT` where
//! TLS is spoken, or `unix:PATH` for the file of a Unix socket. It knows nothing of sockets; what a name stands for is looked up
//! by the system, and only where somebody asks for it with [`ToAddresses`].
//!
//! Invariant: the path of a [`SocketPath`] fits into the system's address of a socket.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::SOCKET_PATH_BYTES_MAX;

/// What the address of a Unix socket begins with.
const UNIX: &str = "unix:";

/// What an address begins with where TLS is spoken.
const TLS: &str = "tls:";

/// One end of a connection, or where it can be had. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// IP address and port.
    Tcp(SocketAddr),
    /// IP address and port, where TLS is spoken.
    Tls {
        /// Where it is.
        address: SocketAddr,
        /// The host as it was named: its certificate has to be for this name or IP address.
        host: Arc<str>,
    },
    /// The file of a Unix socket.
    Unix(SocketPath),
}

/// The path of a Unix socket: 1 to [`SOCKET_PATH_BYTES_MAX`] bytes, none of them 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SocketPath(Arc<Path>);

/// Why a text is no address: the end of a sentence, with what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has neither form.
    #[error(
        "write IP:PORT such as 127.0.0.1:7878 or [::1]:7878, tls:IP:PORT where TLS is spoken, or unix:PATH"
    )]
    NoAddress,
    /// Nothing follows `unix:`.
    #[error("no path follows unix:, write unix:PATH such as unix:/run/stockd/line.sock")]
    NoPath,
    /// The path is longer than the system takes.
    #[error(
        "the path of a socket has at most {SOCKET_PATH_BYTES_MAX} bytes and this one has {bytes}; choose a shorter one"
    )]
    PathTooLong {
        /// Length of the path.
        bytes: usize,
    },
    /// The path has a byte that ends it for the system.
    #[error("the path has a byte 0, which no path of the system has; choose another")]
    PathWithZero,
}

impl Address {
    /// The IP address and port; `None` for a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) | Address::Tls { address, .. } => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// The address with TLS, known by its IP address; of a Unix socket it is the same.
    #[must_use]
    pub fn with_tls(self) -> Address {
        match self {
            Address::Tcp(address) => {
                Address::Tls { address, host: address.ip().to_string().into() }
            }
            address => address,
        }
    }

    /// The address without TLS, and whether it had it.
    pub fn without_tls(self) -> (Address, bool) {
        match self {
            Address::Tls { address, .. } => (Address::Tcp(address), true),
            address => (address, false),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `IP:PORT`, `tls:IP:PORT` or `unix:PATH`.
    fn from_str(text: &str) -> Result<Address, AddressError> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return Ok(Address::Unix(SocketPath::new(path)?));
        }
        let tcp = |text: &str| text.parse::<SocketAddr>().map_err(|_| AddressError::NoAddress);
        match text.strip_prefix(TLS) {
            None => tcp(text).map(Address::Tcp),
            Some(text) => tcp(text).map(|address| Address::Tcp(address).with_tls()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Tls { address, .. } => write!(f, "{TLS}{address}"),
            Address::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl<A: Into<SocketAddr>> From<A> for Address {
    fn from(address: A) -> Address {
        Address::Tcp(address.into())
    }
}

impl SocketPath {
    /// Checks a path. Whether something is there is not looked at.
    ///
    /// # Errors
    ///
    /// [`AddressError`] when no socket can have it.
    pub fn new(path: impl Into<PathBuf>) -> Result<SocketPath, AddressError> {
        let path = path.into();
        let bytes = path.as_os_str().as_encoded_bytes();
        match bytes.len() {
            0 => Err(AddressError::NoPath),
            bytes if bytes > SOCKET_PATH_BYTES_MAX => Err(AddressError::PathTooLong { bytes }),
            _ if bytes.contains(&0) => Err(AddressError::PathWithZero),
            _ => Ok(SocketPath(path.into())),
        }
    }
}

impl Deref for SocketPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

/// What stands for addresses: an [`Address`], a [`SocketAddr`], or a text, `HOST:PORT`,
/// `tls:HOST:PORT` or `unix:PATH`, where a host may have several.
pub trait ToAddresses {
    /// The addresses, in the order in which they should be tried.
    ///
    /// # Errors
    ///
    /// When the text has none of these forms, or the system does not know the host.
    fn to_addresses(&self) -> io::Result<Vec<Address>>;
}

impl ToAddresses for str {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        if self.starts_with(UNIX) {
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
            return self.parse().map(|address| vec![address]).map_err(invalid);
        }
        let Some(text) = self.strip_prefix(TLS) else {
            return Ok(self.to_socket_addrs()?.map(Address::Tcp).collect());
        };
        let addresses = text.to_socket_addrs()?;
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let host: Arc<str> = host.trim_start_matches('[').trim_end_matches(']').into();
        Ok(addresses.map(|address| Address::Tls { address, host: Arc::clone(&host) }).collect())
    }
}

impl ToAddresses for String {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        self.as_str().to_addresses()
    }
}

impl ToAddresses for Address {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        Ok(vec![self.clone()])
    }
}

impl ToAddresses for SocketAddr {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        Ok(vec![Address::Tcp(*self)])
    }
}

impl ToAddresses for (&str, u16) {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        Ok(self.to_socket_addrs()?.map(Address::Tcp).collect())
    }
}

impl<T: ToAddresses> ToAddresses for [T] {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        let each = self.iter().map(ToAddresses::to_addresses).collect::<io::Result<Vec<_>>>()?;
        Ok(each.concat())
    }
}

impl<T: ToAddresses + ?Sized> ToAddresses for &T {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        (**self).to_addresses()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read_and_written_the_same() {
        for text in [
            "127.0.0.1:7878",
            "[::1]:0",
            "tls:[::1]:7879",
            "unix:/run/s.sock",
            "unix:s",
            "unix:/a b/牛",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let tcp = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(Address::from(tcp).tcp(), Some(tcp));
        assert_eq!("unix:s".parse::<Address>().unwrap().tcp(), None);
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        let why = |text: &str| text.parse::<Address>().unwrap_err();
        for text in ["", "7878", "localhost:7878", "tls:", "tls:unix:s", "/run/s.sock", "UNIX:/s"] {
            assert_eq!(why(text), AddressError::NoAddress, "{text}");
        }
        assert_eq!(why("unix:"), AddressError::NoPath);
        assert_eq!(why("unix:/a\0b"), AddressError::PathWithZero);
        let longest = "x".repeat(SOCKET_PATH_BYTES_MAX);
        assert!(SocketPath::new(&longest).is_ok());
        let bytes = SOCKET_PATH_BYTES_MAX + 1;
        assert_eq!(why(&format!("unix:{longest}x")), AddressError::PathTooLong { bytes });
    }

    #[test]
    fn a_text_stands_for_the_addresses_of_its_host_or_for_a_socket() {
        let tcp = SocketAddr::from(([127, 0, 0, 1], 7878));
        assert_eq!("127.0.0.1:7878".to_addresses().unwrap(), [Address::Tcp(tcp)]);
        assert_eq!("unix:/s".to_addresses().unwrap(), ["unix:/s".parse().unwrap()]);
        let tls = |text: &str| text.to_addresses().unwrap().pop().unwrap();
        for (text, name) in [("tls:127.0.0.1:1", "127.0.0.1"), ("tls:[::1]:1", "::1")] {
            assert_eq!(tls(text), text.parse().unwrap());
            assert!(matches!(tls(text), Address::Tls { host, .. } if *host == *name));
        }
        assert!(
            matches!(tls("tls:localhost:1"), Address::Tls { host, .. } if *host == *"localhost")
        );
        assert_eq!(tls("tls:127.0.0.1:7878").without_tls(), (Address::Tcp(tcp), true));
        assert_eq!([tcp, tcp][..].to_addresses().unwrap().len(), 2);
        for text in ["", "7878", "unix:"] {
            assert!(text.to_addresses().is_err(), "{text}");
        }
    }
}
