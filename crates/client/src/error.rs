//! Why a request gave no answer, and what to do about it.
//!
//! Each message is one line and whole: it holds its cause, so the errors have no `source`.

use std::io;
use std::time::Duration;

use stockd_model::limits::{EXCERPT_BYTES_MAX, LINE_BYTES_MAX};
use stockd_model::{Address, escaped};

/// Why a request gave no answer.
///
/// After every error but [`NameNotSendable`](ClientError::NameNotSendable),
/// [`Refused`](ClientError::Refused) and [`SnapshotEnded`](ClientError::SnapshotEnded) the connection
/// is closed;
/// [`Client::reconnect`](crate::Client::reconnect) and
/// [`QuoteClient::reconnect`](crate::QuoteClient::reconnect) open a new one.
///
/// ```no_run
/// use stockd_client::{Client, ClientError};
///
/// let mut client = Client::connect("127.0.0.1:7878")?;
/// match client.lookup("AAPL") {
///     Ok(answer) => println!("{answer}"),
///     Err(ClientError::TimedOut { server, .. }) => {
///         eprintln!("{server} is slow");
///         client.reconnect()?;
///     }
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), ClientError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's address has no form that could be connected to, or the name is unknown.
    #[error("{}", not_resolved(.cause, "127.0.0.1:7878, or unix:PATH"))]
    AddressNotResolved {
        /// What the resolver said.
        cause: io::Error,
    },
    /// None of the server's addresses took the connection.
    #[error("{}", not_connected(.server, .cause))]
    NotConnected {
        /// The address tried last.
        server: Address,
        /// What the system said.
        cause: io::Error,
    },
    /// The name cannot travel as one line. Nothing was sent and the connection is usable.
    #[error("the name '{name}' cannot be sent: {cause}")]
    NameNotSendable {
        /// The name, escaped and shortened.
        name: String,
        /// What is wrong with it.
        cause: NameError,
    },
    /// The server did not do in time what was waited for.
    #[error(
        "{server} did not {awaited} within {timeout:?}; check that it is up and reachable, or allow a longer timeout"
    )]
    TimedOut {
        /// The server.
        server: Address,
        /// What it should have done: connect, read requests, answer a name.
        awaited: String,
        /// How long it had.
        timeout: Duration,
    },
    /// The server refuses to serve this connection, because too many are open for example.
    #[error("{server} refused the connection: {text}")]
    TurnedAway {
        /// The server.
        server: Address,
        /// Its reason, as it sent it.
        text: String,
    },
    /// The server closed the connection while a reply was owed.
    #[error("{server} closed the connection before it answered '{name}'; reconnect and ask again")]
    Closed {
        /// The server.
        server: Address,
        /// The first name without an answer, escaped and shortened.
        name: String,
    },
    /// The server closed the connection of a subscription.
    #[error("{server} closed the connection")]
    Ended {
        /// The server.
        server: Address,
    },
    /// The server refused the request, and nothing changed. The connection is usable.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The server has given up a snapshot before it was read to the end: it was not read for a while,
    /// or too much changed meanwhile. The connection is usable; begin again.
    #[error(transparent)]
    SnapshotEnded(Refused),
    /// What came is no reply of this protocol.
    #[error(
        "{server} sent '{reply}', which answers no request; check that it is a stockd {protocol} listener"
    )]
    NotAReply {
        /// The server.
        server: Address,
        /// What came, escaped and shortened.
        reply: String,
        /// What the client speaks: `line` or `resp`.
        protocol: &'static str,
    },
    /// The system could not move bytes, for a reason other than the above.
    #[error("the connection to {server} failed: {cause}; reconnect and ask again")]
    Failed {
        /// The server.
        server: Address,
        /// What the system said.
        cause: io::Error,
    },
    /// An earlier error has closed the connection: further replies could have been mismatched.
    #[error("the connection to {server} was closed after an earlier error; reconnect first")]
    NotUsable {
        /// The server.
        server: Address,
    },
}

/// The server's refusal of one request, in its own words. Nothing changed.
///
/// ```no_run
/// use stockd_client::{ClientError, QuoteClient};
///
/// let mut client = QuoteClient::connect("127.0.0.1:7879")?;
/// match client.trade("AAPL".parse()?, -5) {
///     Ok(left) => println!("{left} shares are left"),
///     Err(ClientError::Refused(refused)) => eprintln!("not traded: {refused}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// The reason, one line.
    pub text: String,
}

/// Why a name cannot travel as one line.
///
/// ```no_run
/// use stockd_client::{Client, ClientError, NameError};
///
/// let mut client = Client::connect("127.0.0.1:7878")?;
/// let error = client.lookup("AAPL\nIBM").unwrap_err();
/// assert!(matches!(
///     error,
///     ClientError::NameNotSendable { cause: NameError::LineFeed { at: 4 }, .. }
/// ));
/// # Ok::<(), ClientError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A line feed would end the request in the middle of the name.
    #[error(
        "it has a line feed at byte {at}; a request is one line, so look up each line by itself"
    )]
    LineFeed {
        /// Offset of the first line feed in bytes.
        at: usize,
    },
    /// The server closes a connection that sends a longer line.
    #[error(
        "it is {bytes} bytes long, the limit of a line is {LINE_BYTES_MAX}; no symbol is that long"
    )]
    TooLong {
        /// Length of the name in bytes.
        bytes: usize,
    },
}

impl Refused {
    /// Whether it was refused because this client may not do that.
    pub fn is_not_permitted(&self) -> bool {
        self.text.starts_with("NOPERM ")
    }

    /// The error that a server has sent. The code `ERR` says no more than that it is one.
    pub(crate) fn new(error: &[u8]) -> Refused {
        Refused { text: escaped(error.strip_prefix(b"ERR ").unwrap_or(error)).to_string() }
    }
}

/// That an address has no such form as these, or its name is unknown.
pub(crate) fn not_resolved(cause: &io::Error, forms: &str) -> String {
    format!("cannot resolve the server's address: {cause}; write HOST:PORT, like {forms}")
}

/// That a server took no connection.
pub(crate) fn not_connected(server: &Address, cause: &io::Error) -> String {
    format!("cannot connect to {server}: {cause}; check that the server runs and listens there")
}

/// A text that came from elsewhere, as an error message shows it.
pub(crate) fn excerpt(text: &(impl AsRef<[u8]> + ?Sized)) -> String {
    escaped(text).at_most(EXCERPT_BYTES_MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_shown_without_its_code_and_on_one_line() {
        assert_eq!(Refused::new(b"ERR no such\x1b stock").text, "no such\\u{1b} stock");
        assert_eq!(Refused::new(b"WRONGTYPE no").text, "WRONGTYPE no");
    }
}
