//! How long a client waits before it gives up, whom it believes, and what it shows.

use std::time::Duration;

use stockd_tls::ClientTls;

use crate::Credentials;

/// How long a client waits, each above zero, how it speaks TLS, and who it is.
///
/// ```no_run
/// use std::time::Duration;
/// use stockd_client::{Client, Options};
///
/// let options = Options { timeout: Duration::from_millis(200), ..Options::default() };
/// let mut client = Client::connect_with("127.0.0.1:7878", options)?;
/// # Ok::<(), stockd_client::ClientError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// For a connection, at each address of the server; 5 s unless set.
    pub connect_timeout: Duration,
    /// For a reply, and for the server to read requests; 5 s unless set.
    pub timeout: Duration,
    /// Whom to believe where the address says `tls:`, and what to show; those that the system trusts, and
    /// nothing, unless set.
    pub tls: Option<ClientTls>,
    /// What the client shows to be let in; nothing unless set.
    pub credentials: Option<Credentials>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            tls: None,
            credentials: None,
        }
    }
}
