//! How a cluster is reached, what its stream is called, and what can be wrong with it.
//!
//! Invariant: a name of a cluster is made of what every part of a subject may have.

use std::path::PathBuf;
use std::time::Duration;

use stockd_model::limits::CLUSTER_NAME_BYTES_MAX;

/// How the log of a cluster is reached.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Addresses of NATS servers: `nats://HOST:PORT` or `tls://HOST:PORT`. Before a host may stand what to log in with at
    /// all of them, `USER:PASSWORD@` or `TOKEN@`, percent-encoded; the first that has it counts.
    pub servers: Vec<String>,
    /// The name of the cluster.
    pub name: ClusterName,
    /// A file of credentials, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// Authorities of the servers' certificates, as PEM.
    pub authorities: Option<PathBuf>,
    /// Monitoring addresses of the NATS servers, `http://HOST:PORT`, to look whether they sync always.
    pub monitors: Vec<String>,
    /// How long a write waits for the log before it is answered as uncertain.
    pub write_timeout: Duration,
    /// How old what a node shows may be before it says that it is not ready.
    pub stale_after: Duration,
    /// How long joining goes on trying where NATS is not reached or cannot answer; `None` is for ever.
    pub join_patience: Option<Duration>,
    /// Whether the node only follows: it refuses writes, says nothing to the log, and may follow a mirror of it.
    pub only_follows: bool,
}

/// The name of a cluster: letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName(String);

/// Why a cluster cannot be joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// It cannot have this name.
    #[error(
        "'{0}' is no name of a cluster: write up to {CLUSTER_NAME_BYTES_MAX} letters, digits, - and _"
    )]
    BadName(String),
    /// A file cannot be used.
    #[error("cannot use {file}: {why}")]
    File {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// No server was reached.
    #[error("cannot reach NATS at {servers}: {why}")]
    Unreachable {
        /// Where it was looked for.
        servers: String,
        /// Why.
        why: String,
    },
    /// A server does not let this node in.
    #[error(
        "NATS at {servers} refuses the credentials: {why}; name a file of credentials that it knows with --cluster-creds"
    )]
    NotAdmitted {
        /// Where it was asked.
        servers: String,
        /// Why.
        why: String,
    },
    /// The server is too old to keep what it says that it has.
    #[error(
        "the NATS server is version {found}, and a cluster needs {VERSION_MIN} or later: earlier ones lose messages \
         or sync one at a time; update it"
    )]
    TooOld {
        /// Its version.
        found: String,
    },
    /// There is no such stream.
    #[error("there is no stream {stream}; make it with 'stockd cluster init'")]
    NoStream {
        /// Its name.
        stream: String,
    },
    /// The stream is not one for this.
    #[error(
        "stream {stream} has {field} {found}, and must have {expected}; make it with 'stockd cluster init'"
    )]
    WrongStream {
        /// Its name.
        stream: String,
        /// What is wrong.
        field: &'static str,
        /// What it has.
        found: String,
        /// What it must have.
        expected: String,
    },
    /// The stream is a copy.
    #[error(
        "stream {stream} is a mirror here, which takes no writes; start the node with --follow, or name the servers that \
         have the log itself"
    )]
    Mirror {
        /// Its name.
        stream: String,
    },
    /// The stream is another one than before.
    #[error("stream {stream} was made again while this node followed it; start the node again")]
    OtherEpoch {
        /// Its name.
        stream: String,
    },
    /// The stream does not have what the node needs any more, and there is no snapshot to begin with.
    #[error(
        "the log begins at message {first}, this node needs it from message {needed} on, and there is no whole snapshot of \
         what was before; see 'stockd cluster recover --help'"
    )]
    Purged {
        /// Its first message.
        first: u64,
        /// The message that is needed.
        needed: u64,
    },
    /// The data directory cannot be that of this node.
    #[error("the data directory '{path}' {why}")]
    Directory {
        /// The directory.
        path: String,
        /// What is wrong with it, and the remedy.
        why: String,
    },
    /// The log ends before what the node has applied.
    #[error(
        "this node has applied message {kept} of the log, and the log of stream {stream} ends at message {last}: it has \
         lost what was acknowledged; a new log begins from the most advanced data directory with 'stockd cluster recover'"
    )]
    WentBack {
        /// The stream.
        stream: String,
        /// The last message that the node has applied.
        kept: u64,
        /// The last message of the log.
        last: u64,
    },
    /// The mirror of the log has not come to where the node goes on.
    #[error(
        "the mirror {stream} ends at message {last}, and this node goes on from message {needed}: the mirror is behind, \
         and is waited for"
    )]
    Lagging {
        /// The stream.
        stream: String,
        /// The message that the node needs next.
        needed: u64,
        /// The last message of the mirror.
        last: u64,
    },
    /// A server does not sync what it acknowledges.
    #[error(
        "the NATS server at {monitor} does not sync always, so a failure of the power loses what was acknowledged; write \
         'sync_interval: always' into its jetstream block ('stockd cluster config') and start it again"
    )]
    NotSynced {
        /// Its monitoring address.
        monitor: String,
    },
    /// There is nothing to recover, or not from this.
    #[error("{0}")]
    NotRecovered(String),
    /// NATS answers with an error.
    #[error("NATS refuses: {0}")]
    Refused(String),
    /// NATS answers that it cannot do it now.
    #[error("NATS cannot do that now: {0}")]
    Unavailable(String),
    /// No JetStream answers.
    #[error(
        "no JetStream answers at the NATS servers that are named: they have none, or are only starting; name those that \
         have the log, or give the leaf node one and a mirror of the log with 'stockd cluster mirror'"
    )]
    NoJetStream,
    /// NATS does not answer.
    #[error("NATS does not answer; most of its servers may be down")]
    Silent,
    /// Somebody else gave up waiting.
    #[error("the server was stopped before it had joined the cluster")]
    Stopped,
}

/// The earliest version of a NATS server that keeps several messages with one sync.
pub(crate) const VERSION_MIN: &str = "2.15.1";

impl ClusterName {
    /// A name.
    ///
    /// # Errors
    ///
    /// [`ClusterError::BadName`].
    pub fn new(name: &str) -> Result<ClusterName, ClusterError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_name =
            (1..=CLUSTER_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed);
        match is_name {
            true => Ok(ClusterName(name.to_owned())),
            false => Err(ClusterError::BadName(name.to_owned())),
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stream that has the log.
    pub fn stream(&self) -> String {
        format!("STOCKD_{}_0", self.0)
    }

    /// The bucket of its snapshots.
    pub fn bucket(&self) -> String {
        format!("STOCKD_{}_SNAP", self.0)
    }

    /// The subject of its messages.
    pub fn subject(&self) -> String {
        format!("stockd.{}.0.log", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_part_of_a_subject() {
        let name = ClusterName::new("eu-1").unwrap();
        assert_eq!(
            (name.stream(), name.subject()),
            ("STOCKD_eu-1_0".into(), "stockd.eu-1.0.log".into())
        );
        for wrong in ["", "a.b", "a b", "*", ">", "ä", &"x".repeat(33)] {
            assert!(ClusterName::new(wrong).is_err(), "{wrong}");
        }
    }
}
