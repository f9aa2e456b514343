//! Why a request over HTTP gave no answer, and what to do about it.
//!
//! Each message is one line and whole: it holds its cause, so the errors have no `source`. Invariant: what the server
//! itself refused is [`Error::Refused`], with the server's reason, and nothing else is.

use std::io;
use std::time::Duration;

use serde_json::{Map, Value};
use stockd_model::{Address, Problem};

use crate::error::{not_connected, not_resolved};

/// Why a request gave no answer.
///
/// The client is usable after every error: it connects again by itself.
///
/// ```no_run
/// # async fn trade(client: stockd_client::http::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use stockd_client::Problem;
/// use stockd_client::http::{Condition, Error};
///
/// match client.trade("AAPL".parse()?, -5, Condition::Always).await {
///     Ok(after) => println!("{:?} shares are left", after.quote.volume),
///     Err(Error::Refused(why)) if why.problem == Some(Problem::VolumeTooLow) => {
///         println!("too late: {} shares are left", why.values["volume"]);
///     }
///     Err(error) if error.is_uncertain() => eprintln!("traded or not, look again: {error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's address has no form that could be connected to, or the name is unknown.
    #[error("{}", not_resolved(.cause, "127.0.0.1:7880, tls:HOST:PORT or unix:PATH"))]
    AddressNotResolved {
        /// What the resolver said.
        cause: io::Error,
    },
    /// None of the server's addresses took the connection.
    #[error("{}", not_connected(.server, .cause))]
    NotConnected {
        /// The address tried last.
        server: Address,
        /// What the system, or TLS, said.
        cause: io::Error,
    },
    /// The answer did not come in time. A write may have taken effect.
    #[error(
        "no {awaited} came within {deadline:?}; check that the server is up and reachable, or allow a longer deadline"
    )]
    DeadlineExceeded {
        /// What was waited for.
        awaited: String,
        /// How long.
        deadline: Duration,
    },
    /// The server refused the request.
    #[error(transparent)]
    Refused(#[from] Box<Refused>),
    /// The connection ended while something was owed. A write may have taken effect.
    #[error("the connection to {server} was lost: {cause}")]
    Lost {
        /// The server.
        server: Address,
        /// What happened.
        cause: String,
    },
    /// What came is no answer of a stockd server.
    #[error(
        "{server} answered with status {status} and '{reply}', which is no answer of stockd; check that it is a stockd HTTP listener"
    )]
    NotAReply {
        /// The server.
        server: Address,
        /// The status of HTTP.
        status: u16,
        /// What came, escaped and shortened.
        reply: String,
    },
}

/// The server's refusal of one request. Nothing changed, unless the problem is [`Problem::Uncertain`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// What kind of problem it is; `None` of one that this version of the library does not know.
    pub problem: Option<Problem>,
    /// The status of HTTP.
    pub status: u16,
    /// This case, one sentence.
    pub detail: String,
    /// What the sentence says, by name: `symbol`, `volume`, `version` and others.
    pub values: Map<String, Value>,
    /// How long to wait before the next attempt, where the server says so.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// The kind of problem, where the server has refused the request for one that is known.
    pub fn problem(&self) -> Option<Problem> {
        match self {
            Error::Refused(refused) => refused.problem,
            _ => None,
        }
    }

    /// Whether a write that ended so may have taken effect all the same. One with
    /// [`Condition::Unchanged`](super::Condition::Unchanged) is safe to repeat.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Error::AddressNotResolved { .. } | Error::NotConnected { .. } => false,
            Error::Refused(refused) => {
                matches!(refused.problem, Some(Problem::Uncertain | Problem::NotKept))
            }
            Error::DeadlineExceeded { .. } | Error::Lost { .. } | Error::NotAReply { .. } => true,
        }
    }
}
