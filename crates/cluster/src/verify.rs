//! Whether all nodes of a cluster hold the same, and whether its stream is as it must be.
//!
//! It asks through the log what every node holds after one message, and reads what they say. It holds no quotes itself.
//! Nodes that only follow say nothing to the log, so they are not among those that are compared.
//!
//! Invariant: what is compared are the digests of one and the same message.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use stockd_engine::now_ns;
use stockd_model::batch::{self, Body, Head, Kind, Seen};
use tokio::time::timeout;

use crate::cluster::{random, runtime};
use crate::monitor::{Syncing, look_at_syncing};
use crate::nats::api::{self, PublishAck};
use crate::nats::client::{PATIENCE, connect, stream};
use crate::nats::follower::Follower;
use crate::options::{ClusterError, ClusterOptions};
use crate::stream::{StreamReport, report};

/// What a look at a cluster has shown.
#[derive(Clone, Debug)]
pub struct Verification {
    /// How its stream is.
    pub stream: StreamReport,
    /// The message after which nodes were compared.
    pub sequence: u64,
    /// The session of each node that has said something lately, and what it holds; `None` where it has not said it.
    pub nodes: Vec<(u64, Option<u64>)>,
    /// When the servers sync, of those whose monitoring address is known.
    pub syncing: Vec<(String, Syncing)>,
}

/// How long nodes are listened to, to know which there are: each says something four times a second.
const LISTEN: Duration = Duration::from_secs(2);

/// How long nodes may take to say what they hold.
const COMPARE: Duration = Duration::from_secs(10);

impl Verification {
    /// Whether all nodes hold the same, as far as they have said it.
    pub fn is_same(&self) -> bool {
        let mut digests = self.nodes.iter().filter_map(|(_, digest)| *digest);
        let first = digests.next();
        digests.all(|digest| Some(digest) == first)
    }

    /// Whether every node has said what it holds.
    pub fn is_complete(&self) -> bool {
        self.nodes.iter().all(|(_, digest)| digest.is_some())
    }
}

/// Compares what the nodes of a cluster hold, and looks at its stream and its servers.
///
/// # Errors
///
/// When there is no such stream, it is not as it must be, or NATS does not answer.
pub fn verify(options: &ClusterOptions) -> Result<Verification, ClusterError> {
    let syncing = look_at_syncing(options)?;
    runtime()?.block_on(async {
        let (client, _) = connect(options).await?;
        let (log, info) = stream(&client, &options.name).await?;
        let consumer = format!("verify-{:016x}", random()?);
        let name = options.name.clone();
        let follower = Follower { client: client.clone(), name, consumer, log };
        let subscriber = follower.follow(info.state.last_seq.max(1)).await?;
        let mut listener = Listener {
            follower,
            subscriber,
            last_said: BTreeMap::new(),
            digests: BTreeMap::new(),
            seen: Seen::default(),
            from: info.state.last_seq,
        };
        let compared = listener.compare(&client, options).await;
        listener.follower.leave().await;
        let (sequence, nodes) = compared?;
        Ok(Verification { stream: report(options, log, &info), sequence, nodes, syncing })
    })
}

/// Reads what is said in the log.
struct Listener {
    follower: Follower,
    subscriber: Subscriber,
    /// The sequence of the last message of each session.
    last_said: BTreeMap<u64, u64>,
    /// What each session holds after which message.
    digests: BTreeMap<(u64, u64), u64>,
    /// What a sender had seen last.
    seen: Seen,
    /// What was in the log before is of those who may be gone.
    from: u64,
}

impl Listener {
    async fn compare(
        &mut self,
        client: &Client,
        options: &ClusterOptions,
    ) -> Result<(u64, Vec<(u64, Option<u64>)>), ClusterError> {
        self.listen(LISTEN, |_| false).await;
        let own = random()?;
        let mut sequence = 0;
        for (number, kind) in [(0, Kind::Hello), (1, Kind::Compare)] {
            let head =
                Head { kind, count: 0, session: own, number, time_ns: now_ns(), seen: self.seen };
            let message = Bytes::from(batch::plain(&head, &Body::Nothing));
            let sent = timeout(PATIENCE, client.request(options.name.subject(), message)).await;
            let Ok(Ok(answer)) = sent else { return Err(ClusterError::Silent) };
            sequence = api::answer::<PublishAck>(&answer.payload)?.seq;
        }
        let sessions: Vec<u64> = self.last_said.keys().copied().filter(|it| *it != own).collect();
        let all = sessions.clone();
        let is_told = move |listener: &Listener| {
            all.iter().all(|session| listener.digests.contains_key(&(*session, sequence)))
        };
        self.listen(COMPARE, is_told).await;
        let digest = |session: u64| self.digests.get(&(session, sequence)).copied();
        Ok((sequence, sessions.into_iter().map(|session| (session, digest(session))).collect()))
    }

    /// Reads for some time, or until it is enough.
    async fn listen(&mut self, long: Duration, is_enough: impl Fn(&Listener) -> bool) {
        let until = Instant::now() + long;
        while !is_enough(self) {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(Some(message)) = timeout(left, self.subscriber.next()).await else { return };
            let Some((sequence, message)) = self.follower.delivered(message).await else {
                continue;
            };
            let Ok((head, body)) = batch::decode(&message) else { continue };
            if sequence <= self.from {
                continue;
            }
            self.last_said.insert(head.session, sequence);
            if head.seen.sequence >= self.seen.sequence {
                self.seen = head.seen;
            }
            if let Body::Digest { sequence, digest } = body {
                self.digests.insert((head.session, sequence), digest);
            }
        }
    }
}
