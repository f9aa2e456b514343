//! A new log from what a node has kept, where the old one has lost messages or is gone.
//!
//! The quotes of the most advanced data directory become a snapshot of a log with another epoch, which begins above all
//! that the old one had. The directories stay as they are. Only then the old log goes, so that a crash at any point
//! leaves it, or leaves what it takes to do it again.
//!
//! Invariant: nothing is changed while the log has what the directory has.

use std::ops::ControlFlow;

use async_nats::Client;
use serde_json::Value;
use stockd_engine::Holdings;
use stockd_model::batch;
use stockd_store::DataDir;

use crate::cluster::{random, runtime};
use crate::joining::place_of;
use crate::log_state::LogState;
use crate::nats::api::{LogInfo, StreamConfig, StreamInfo};
use crate::nats::client::{ask, connect, message, stream};
use crate::nats::join::Kept;
use crate::nats::objects::Objects;
use crate::options::{ClusterError, ClusterOptions};
use crate::place::Place;
use crate::round::Round;
use crate::sessions::Sessions;
use crate::snapshot::SnapshotWriter;
use crate::stream::{StreamOptions, StreamReport, report};

/// What was recovered.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The new stream.
    pub stream: StreamReport,
    /// The directory that it was made from.
    pub directory: String,
    /// The last message of the old log that the directory has.
    pub applied: u64,
    /// Stocks that are listed.
    pub stocks: u64,
}

/// Makes a new log from the most advanced of these directories. With `discards` an old log that has lost messages is
/// removed; of an old log that is there the new one takes its replicas and limits.
///
/// # Errors
///
/// [`ClusterError::NotRecovered`] when the log has what the directories have, or they are of different logs; and
/// whatever keeps it from being done.
pub fn recover(
    options: &ClusterOptions,
    directories: &[DataDir],
    made_with: StreamOptions,
    discards: bool,
) -> Result<Recovery, ClusterError> {
    let (directory, place) = most_advanced(options, directories)?;
    let applied = place.log.seen().sequence;
    let path = directory.path().display().to_string();
    runtime()?.block_on(async {
        let (client, _) = connect(options).await?;
        let old = match stream(&client, &options.name).await {
            Err(ClusterError::NoStream { .. }) => None,
            found => Some(found?),
        };
        if let Some((log, info)) = &old {
            let why = may_not_go(&client, options, (&place, *log, info)).await?;
            if let Some(why) = why {
                return Err(ClusterError::NotRecovered(why));
            }
            if !discards {
                let why = format!(
                    "the stream {} is there and has lost messages that {path} has; remove it with --discard-log",
                    options.name.stream()
                );
                return Err(ClusterError::NotRecovered(why));
            }
        }
        let stocks_max = old.as_ref().map_or(made_with.stocks_max, |(log, _)| log.stocks_max);
        let replicas = old.as_ref().map_or(made_with.replicas, |(_, it)| it.config.num_replicas);
        let bytes_max = i64::try_from(made_with.bytes_max).unwrap_or(i64::MAX);
        let bytes_max = old.as_ref().map_or(bytes_max, |(_, info)| info.config.max_bytes);
        let log = LogInfo { epoch: random()?, stocks_max };
        let base = old.as_ref().map_or(0, |(_, info)| info.state.last_seq).max(applied);

        let place = above(&place, log.epoch, base);
        let chunks = snapshot(directory, &place)?;
        let objects = Objects::new(client.clone(), &options.name);
        objects.make(replicas).await?;
        objects.put((log.epoch, base), random()?, &chunks).await?;

        let name = options.name.stream();
        if old.is_some() {
            ask::<Value>(&client, &format!("STREAM.DELETE.{name}"), &Value::Null).await?;
        }
        let config = StreamConfig {
            first_seq: base + 1,
            ..StreamConfig::of(&options.name, replicas, bytes_max, log)
        };
        let config =
            serde_json::to_value(config).map_err(|it| ClusterError::Refused(it.to_string()))?;
        let _: StreamInfo = ask(&client, &format!("STREAM.CREATE.{name}"), &config).await?;
        let (log, info) = stream(&client, &options.name).await?;
        let stocks = place.holdings.stocks;
        Ok(Recovery { stream: report(options, log, &info), directory: path, applied, stocks })
    })
}

/// The directory that has come the furthest in the log.
fn most_advanced<'a>(
    options: &ClusterOptions,
    directories: &'a [DataDir],
) -> Result<(&'a DataDir, Place), ClusterError> {
    let mut best: Option<(&DataDir, Place)> = None;
    for directory in directories {
        let place = place_of(directory, &options.name)?.ok_or_else(|| {
            let path = directory.path().display();
            ClusterError::NotRecovered(format!("{path} has nothing of a cluster"))
        })?;
        if let Some((other, of_other)) = &best
            && of_other.epoch != place.epoch
        {
            let (one, other) = (directory.path().display(), other.path().display());
            let why = format!(
                "{other} is of the log with epoch {:016x}, and {one} of that with {:016x}; name those of one log",
                of_other.epoch, place.epoch
            );
            return Err(ClusterError::NotRecovered(why));
        }
        let sequence = |place: &Place| place.log.seen().sequence;
        if best.as_ref().is_none_or(|(_, best)| sequence(best) < sequence(&place)) {
            best = Some((directory, place));
        }
    }
    best.ok_or_else(|| ClusterError::NotRecovered("name a data directory".to_owned()))
}

/// Why the log that is there may not go.
async fn may_not_go(
    client: &Client,
    options: &ClusterOptions,
    (place, log, info): (&Place, LogInfo, &StreamInfo),
) -> Result<Option<String>, ClusterError> {
    let name = options.name.stream();
    if log.epoch != place.epoch {
        return Ok(Some(format!(
            "the stream {name} is another log already, with epoch {:016x}: the nodes begin with it when their data \
             directories, of epoch {:016x}, are moved away; if it is not to be, remove it with the means of NATS",
            log.epoch, place.epoch
        )));
    }
    let at = place.log.seen().sequence;
    if info.state.last_seq < at {
        return Ok(None);
    }
    let has_it = match info.state.first_seq <= at {
        true => {
            let found = message(client, &options.name, at).await?;
            // Where it cannot be compared nothing is removed.
            found.is_some_and(|it| Kept::at(place).is_of(&it).unwrap_or(true))
        }
        false => true,
    };
    Ok(has_it.then(|| {
        format!(
            "the stream {name} has message {at}, the last that the directory has, and goes on to {}: nothing was lost; \
             start the nodes",
            info.state.last_seq
        )
    }))
}

/// The same place in a new log, above all that the old one had.
fn above(place: &Place, epoch: u64, base: u64) -> Place {
    let time_ns = place.log.open_sessions().time_ns();
    let round = Round { sequence: base, began_ns: time_ns, due_ns: 0, bytes: 0 };
    let sessions = Sessions::restored(time_ns, base, []);
    let log = LogState::restored((base, vec![place.log.seen().chain]), sessions, round);
    Place { cluster: place.cluster.clone(), epoch, holdings: place.holdings, log }
}

/// A snapshot of what the directory holds.
fn snapshot(directory: &DataDir, place: &Place) -> Result<Vec<bytes::Bytes>, ClusterError> {
    let damaged =
        |why: String| ClusterError::Directory { path: directory.path().display().to_string(), why };
    let mut encoded = Vec::new();
    place.encode(&mut encoded);
    let mut writer = SnapshotWriter::new(&encoded);
    let (mut sum, mut stocks, mut room) = (0_u64, 0, Vec::new());
    let read = directory.load(|quote| {
        room.clear();
        batch::write_quote(&mut room, &quote);
        sum = sum.wrapping_add(crate::hash(&room));
        stocks += 1;
        writer.push(&quote);
        ControlFlow::Continue(())
    });
    read.map_err(|error| damaged(format!("cannot be read: {error}")))?;
    let held = Holdings { quotes: sum, stocks, ..place.holdings };
    if held != place.holdings {
        let why = "holds other quotes than the node kept there: something has changed it; take another one";
        return Err(damaged(why.to_owned()));
    }
    Ok(writer.finish())
}
