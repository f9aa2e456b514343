//! From the addresses of a cluster to a connection, and to what a node begins with.
//!
//! It looks at what the log is and where it begins and ends, and at the snapshots, and compares that with what the node has
//! kept. It changes nothing.
//!
//! Invariant: what a node begins with and the log behind it have no gap between them.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use async_nats::Client;
use stockd_model::limits::LOG_RECOVERY_TIMEOUT;
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Connection;
use super::api::{LogInfo, StreamInfo};
use super::client::{self, API, jittered};
use super::objects::{Listed, Objects};
use crate::options::{ClusterError, ClusterName, ClusterOptions};
use crate::place::Place;
use crate::snapshot::Snapshot;

/// What joining has found.
pub(crate) struct Joined {
    pub(crate) connection: Connection,
    pub(crate) log: LogInfo,
    /// The last message of the log.
    pub(crate) last: u64,
    /// What the node has to begin with, in place of what it has kept.
    pub(crate) snapshot: Option<Snapshot>,
}

/// Where in which log a node has come, as it has kept it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    epoch: u64,
    sequence: u64,
    /// The link of the chain before the last message and that of it, where both are kept.
    links: Option<[u64; 2]>,
}

/// Between two attempts to join, about.
const JOIN_PAUSE: Duration = Duration::from_millis(750);

/// How many times as long as a snapshot the log up to it has to be, that a node which could read that begins with the
/// snapshot instead.
const SHORTER: u64 = 2;

impl Kept {
    /// That of a place.
    pub(crate) fn at(place: &Place) -> Kept {
        let links: Vec<u64> = place.log.links(2).collect();
        let (epoch, sequence) = (place.epoch, place.log.seen().sequence);
        Kept { epoch, sequence, links: links.try_into().ok() }
    }

    /// Whether this is the last message that was applied.
    pub(crate) fn is_of(&self, message: &[u8]) -> Option<bool> {
        self.links.map(|[before, link]| xxh3_64_with_seed(message, before) == link)
    }
}

/// Connects, and finds out what the log is, and whether it goes on behind what the node has kept. One of another epoch is
/// not looked at further. Errors that time does not heal end it, and the others do after
/// [`join_patience`](ClusterOptions::join_patience).
pub(crate) async fn join(
    options: &ClusterOptions,
    kept: Option<Kept>,
) -> Result<Joined, ClusterError> {
    let (mut told, mut went_back) = (None, None);
    let began = Instant::now();
    loop {
        let error = match try_to_join(options, kept).await {
            Ok(joined) => return Ok(joined),
            Err(
                error @ (ClusterError::Unreachable { .. }
                | ClusterError::Unavailable(_)
                | ClusterError::NoJetStream
                | ClusterError::Lagging { .. }
                | ClusterError::Silent),
            ) => error,
            Err(error @ ClusterError::WentBack { .. }) => {
                if went_back.get_or_insert_with(Instant::now).elapsed() > LOG_RECOVERY_TIMEOUT {
                    return Err(error);
                }
                error
            }
            Err(error) => return Err(error),
        };
        if options.join_patience.is_some_and(|patience| began.elapsed() >= patience) {
            return Err(error);
        }
        if told.as_ref() != Some(&error) {
            tracing::warn!("{error}; trying again");
            told = Some(error);
        }
        sleep(jittered(JOIN_PAUSE)).await;
    }
}

async fn try_to_join(options: &ClusterOptions, kept: Option<Kept>) -> Result<Joined, ClusterError> {
    let (client, presence) = client::connect(options).await?;
    let (log, info) = client::stream(&client, &options.name).await?;
    if info.config.mirror.is_some() && !options.only_follows {
        return Err(ClusterError::Mirror { stream: options.name.stream() });
    }
    let snapshot = match kept {
        Some(kept) if kept.epoch != log.epoch => None,
        kept => {
            let cluster = Cluster { client: &client, name: &options.name, log, info: &info };
            cluster.beginning(kept).await?
        }
    };
    let (servers, name) = (client::addresses(options), options.name.clone());
    let replicas = info.config.num_replicas;
    let connection = Connection { client, presence, servers, name, log, replicas };
    Ok(Joined { connection, log, last: info.state.last_seq, snapshot })
}

/// A cluster, as a node finds it.
struct Cluster<'a> {
    client: &'a Client,
    name: &'a ClusterName,
    log: LogInfo,
    info: &'a StreamInfo,
}

impl Cluster<'_> {
    /// The snapshot to begin with; `None` where the node goes on from what it has kept, or reads the log from its
    /// beginning.
    async fn beginning(&self, kept: Option<Kept>) -> Result<Option<Snapshot>, ClusterError> {
        let (first, last) = (self.info.state.first_seq, self.info.state.last_seq);
        let sequence = kept.map_or(0, |kept| kept.sequence);
        let mirror = self.info.config.mirror.as_ref();
        let lagging = |needed| ClusterError::Lagging { stream: self.name.stream(), needed, last };
        // Of one that is empty it is not known where it begins.
        if mirror.is_some() && (sequence > last || last == 0) {
            return Err(lagging(sequence + 1));
        }
        if sequence > last {
            let stream = self.name.stream();
            return Err(ClusterError::WentBack { stream, kept: sequence, last });
        }
        let must = first > sequence + 1;
        // A mirror has the log, and those who keep that have the snapshots.
        let api = mirror.map(|mirror| mirror.external.api.as_str());
        let api = api.filter(|api| !api.is_empty()).unwrap_or(API);
        let objects = Objects::at(self.client.clone(), self.name, api);
        let listed = match self.worth_it(&objects, kept, first.saturating_sub(1)..=last).await {
            // The way there may be cut.
            Err(_) if !must && (mirror.is_some() || sequence > 0) => return Ok(None),
            listed => listed?,
        };
        let snapshot = newest_whole(&objects, listed).await?;
        match (snapshot, must, mirror) {
            (None, true, Some(_)) => Err(lagging(sequence + 1)),
            (None, true, None) => Err(ClusterError::Purged { first, needed: sequence + 1 }),
            (snapshot, ..) => Ok(snapshot),
        }
    }

    /// The snapshots that the log goes on behind, if they are shorter than the log up to them.
    async fn worth_it(
        &self,
        objects: &Objects,
        kept: Option<Kept>,
        sequences: RangeInclusive<u64>,
    ) -> Result<Vec<Listed>, ClusterError> {
        let mut listed = objects.list(self.log.epoch).await?;
        listed.retain(|it| sequences.contains(&it.sequence));
        let Some(kept) = kept.filter(|kept| 0 < kept.sequence) else { return Ok(listed) };
        if self.info.state.first_seq > kept.sequence + 1 {
            return Ok(listed);
        }
        let each = self.info.state.bytes / self.info.state.messages.max(1);
        let log = |it: &Listed| it.sequence.saturating_sub(kept.sequence).saturating_mul(each);
        listed.retain(|it| log(it) / SHORTER > it.bytes());
        // Where the log is another one than the node has read, it finds that out by following it.
        let message = match listed.is_empty() {
            true => None,
            false => client::message(self.client, self.name, kept.sequence).await.ok().flatten(),
        };
        let is_known = message.and_then(|message| kept.is_of(&message)).unwrap_or(false);
        Ok(if is_known { listed } else { Vec::new() })
    }
}

/// The newest snapshot that is whole. Of one that is not, the one before is taken.
async fn newest_whole(
    objects: &Objects,
    listed: Vec<Listed>,
) -> Result<Option<Snapshot>, ClusterError> {
    for listed in listed {
        let sequence = listed.sequence;
        let why = match objects.get(&listed).await? {
            None => "it is not what was kept".to_owned(),
            Some(chunks) => match Snapshot::read(&chunks) {
                Ok(snapshot) if snapshot.place.log.seen().sequence == sequence => {
                    return Ok(Some(snapshot));
                }
                Ok(_) => "it is of another place in the log".to_owned(),
                Err(error) => error.to_string(),
            },
        };
        tracing::warn!(sequence, "a snapshot of the cluster is passed over: {why}");
    }
    Ok(None)
}
