//! Snapshots in an object store of NATS: its layout, as every client of NATS reads it, over what JetStream is asked.
//!
//! An object is messages with its chunks and behind them one message that says what it is; without that it is not there.
//! All is read from who leads the stream, since others may be behind.
//!
//! Invariant: an object that is listed was kept whole when it was listed; what was read is what was kept, by its digest.

use std::collections::BTreeMap;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stockd_model::limits::{SNAPSHOT_CHUNK_BYTES, SNAPSHOT_OBJECT_BYTES_MAX};
use tokio::time::timeout;

use super::api::{self, PublishAck, Stored, StoredMessage, is_missing};
use super::client::{API, PATIENCE, ask_at};
use crate::options::{ClusterError, ClusterName};

/// The snapshots of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    client: Client,
    /// What asks the JetStream that has them.
    api: String,
    bucket: String,
}

/// What an object is, as its last message says. Other clients write and read the same.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct ObjectInfo {
    name: String,
    bucket: String,
    nuid: String,
    size: u64,
    chunks: u64,
    digest: String,
    options: Value,
    #[serde(skip_serializing_if = "is_false")]
    deleted: bool,
}

fn is_false(deleted: &bool) -> bool {
    !deleted
}

/// A snapshot of one log that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// The last message in it.
    pub(crate) sequence: u64,
    info: ObjectInfo,
}

impl Listed {
    /// Bytes of the snapshot.
    pub(crate) fn bytes(&self) -> u64 {
        self.info.size
    }
}

/// The subjects of a stream.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Subjects {
    state: SubjectsState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SubjectsState {
    subjects: Option<BTreeMap<String, u64>>,
}

impl Objects {
    pub(crate) fn new(client: Client, cluster: &ClusterName) -> Objects {
        Objects::at(client, cluster, API)
    }

    /// Those of a JetStream that is asked otherwise, such as that of another domain.
    pub(crate) fn at(client: Client, cluster: &ClusterName, api: &str) -> Objects {
        Objects { client, api: api.to_owned(), bucket: cluster.bucket() }
    }

    /// Makes the bucket where there is none.
    pub(crate) async fn make(&self, replicas: usize) -> Result<(), ClusterError> {
        let Objects { bucket, .. } = self;
        let config = json!({
            "name": self.stream(),
            "description": "snapshots of a cluster of stockd",
            "subjects": [format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "num_replicas": replicas,
            "allow_rollup_hdrs": true,
            "allow_direct": true,
        });
        let info: Result<Value, _> = self.ask("STREAM.INFO", &Value::Null).await;
        match info {
            Err(ClusterError::Refused(why)) if is_missing(&why) => {
                self.ask::<Value>("STREAM.CREATE", &config).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    /// The whole snapshots of this log, the latest first.
    pub(crate) async fn list(&self, epoch: u64) -> Result<Vec<Listed>, ClusterError> {
        let mut listed = Vec::new();
        for subject in self.subjects("M").await?.into_keys() {
            let last = json!({ "last_by_subj": subject });
            let stored: Stored = match self.ask("STREAM.MSG.GET", &last).await {
                // It was removed meanwhile.
                Err(ClusterError::Refused(why)) if is_missing(&why) => continue,
                stored => stored?,
            };
            let info = BASE64.decode(stored.message.data.as_bytes()).ok();
            let info = info.and_then(|it| serde_json::from_slice::<ObjectInfo>(&it).ok());
            if let Some(info) = info.filter(|info| !info.deleted)
                && let Some((of, sequence)) = numbers(&info.name)
                && of == epoch
            {
                listed.push(Listed { sequence, info });
            }
        }
        listed.sort_unstable_by_key(|it| std::cmp::Reverse(it.sequence));
        Ok(listed)
    }

    /// Keeps a snapshot. If it fails, there is none.
    pub(crate) async fn put(
        &self,
        (epoch, sequence): (u64, u64),
        writer: u64,
        chunks: &[Bytes],
    ) -> Result<(), ClusterError> {
        let name = format!("shard0.{epoch:016x}.{sequence:020}");
        let nuid = format!("{epoch:016x}-{sequence:020}-{writer:016x}");
        let mut digest = Sha256::new();
        let mut size = 0;
        for chunk in chunks {
            digest.update(chunk);
            size += chunk.len() as u64;
            let subject = format!("$O.{}.C.{nuid}", self.bucket);
            self.publish(subject, HeaderMap::new(), chunk.clone()).await?;
        }
        let info = ObjectInfo {
            name: name.clone(),
            bucket: self.bucket.clone(),
            nuid,
            size,
            chunks: chunks.len() as u64,
            digest: format!("SHA-256={}", BASE64URL.encode(&digest.finalize())),
            options: json!({ "max_chunk_size": SNAPSHOT_CHUNK_BYTES }),
            deleted: false,
        };
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        let info =
            serde_json::to_vec(&info).map_err(|error| ClusterError::Refused(error.to_string()))?;
        let subject = self.meta_subject(&name);
        self.publish(subject, headers, info.into()).await
    }

    /// Reads a snapshot. `None` where it is not what was kept.
    pub(crate) async fn get(&self, listed: &Listed) -> Result<Option<Vec<Bytes>>, ClusterError> {
        let info = &listed.info;
        if info.size > SNAPSHOT_OBJECT_BYTES_MAX {
            return Ok(None);
        }
        let subject = format!("$O.{}.C.{}", self.bucket, info.nuid);
        let (mut chunks, mut digest) = (Vec::new(), Sha256::new());
        let (mut next, mut size) = (1, 0);
        while size < info.size {
            let wanted = json!({ "seq": next, "next_by_subj": subject });
            let stored: Stored = match self.ask("STREAM.MSG.GET", &wanted).await {
                Err(ClusterError::Refused(why)) if is_missing(&why) => return Ok(None),
                stored => stored?,
            };
            let StoredMessage { seq, data } = stored.message;
            let Ok(chunk) = BASE64.decode(data.as_bytes()) else { return Ok(None) };
            if chunk.is_empty() {
                return Ok(None);
            }
            digest.update(&chunk);
            size += chunk.len() as u64;
            chunks.push(chunk.into());
            next = seq + 1;
        }
        let digest = format!("SHA-256={}", BASE64URL.encode(&digest.finalize()));
        let is_whole = (size, &digest) == (info.size, &info.digest);
        Ok(is_whole.then_some(chunks))
    }

    /// Removes the snapshots of this log that are older than this, and what is left of those that were never whole.
    pub(crate) async fn remove_before(
        &self,
        epoch: u64,
        sequence: u64,
    ) -> Result<(), ClusterError> {
        for old in self.list(epoch).await?.into_iter().filter(|it| it.sequence < sequence) {
            // First what says that it is there.
            self.purge(&self.meta_subject(&old.info.name)).await?;
        }
        let prefix = format!("$O.{}.C.", self.bucket);
        for subject in self.subjects("C").await?.into_keys() {
            let nuid = subject.strip_prefix(&prefix).unwrap_or_default();
            let mut parts = nuid.split('-');
            let of = parts.next().and_then(|it| u64::from_str_radix(it, 16).ok());
            let at = parts.next().and_then(|it| it.parse::<u64>().ok());
            if of == Some(epoch) && at.is_some_and(|at| at < sequence) {
                self.purge(&subject).await?;
            }
        }
        Ok(())
    }

    async fn purge(&self, subject: &str) -> Result<(), ClusterError> {
        self.ask::<Value>("STREAM.PURGE", &json!({ "filter": subject })).await.map(drop)
    }

    /// The subjects of chunks, or of what says what objects are.
    async fn subjects(&self, kind: &str) -> Result<BTreeMap<String, u64>, ClusterError> {
        let filter = json!({ "subjects_filter": format!("$O.{}.{kind}.>", self.bucket) });
        match self.ask::<Subjects>("STREAM.INFO", &filter).await {
            Err(ClusterError::Refused(why)) if is_missing(&why) => Ok(BTreeMap::new()),
            info => Ok(info?.state.subjects.unwrap_or_default()),
        }
    }

    async fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        what: &str,
        payload: &Value,
    ) -> Result<T, ClusterError> {
        ask_at(&self.client, &self.api, &format!("{what}.{}", self.stream()), payload).await
    }

    async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), ClusterError> {
        let sent = self.client.request_with_headers(subject, headers, payload);
        let Ok(Ok(answer)) = timeout(PATIENCE, sent).await else {
            return Err(ClusterError::Silent);
        };
        let ack: PublishAck = api::answer(&answer.payload)?;
        if ack.seq > 0 { Ok(()) } else { Err(ClusterError::Silent) }
    }

    fn stream(&self) -> String {
        format!("OBJ_{}", self.bucket)
    }

    fn meta_subject(&self, name: &str) -> String {
        format!("$O.{}.M.{}", self.bucket, BASE64URL.encode(name.as_bytes()))
    }
}

/// The epoch and the sequence in the name of a snapshot.
fn numbers(name: &str) -> Option<(u64, u64)> {
    let (epoch, sequence) = name.strip_prefix("shard0.")?.split_once('.')?;
    Some((u64::from_str_radix(epoch, 16).ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_of_which_log_and_up_to_where() {
        let name = "shard0.0102030405060708.00000000000000004711";
        assert_eq!(numbers(name), Some((0x0102_0304_0506_0708, 4711)));
        for other in ["", "shard0.", "shard0.zz.1", "shard1.01.1", "shard0.01.x"] {
            assert_eq!(numbers(other), None, "{other}");
        }
    }
}
