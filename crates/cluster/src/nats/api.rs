//! What JetStream is asked, and what it answers: JSON, subjects and headers.
//!
//! Of each answer the parts are read that matter here. Pure: it knows no connection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stockd_model::batch::FORMAT;
use stockd_model::limits::CLUSTER_STOCKS_MAX;

use crate::options::{ClusterError, ClusterName, VERSION_MIN};

/// What a stream is, as JetStream tells it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: StreamConfig,
    pub(crate) state: StreamState,
    #[serde(default)]
    pub(crate) cluster: Option<Placement>,
}

/// How a stream is made.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
pub(crate) struct StreamConfig {
    pub(crate) name: String,
    pub(crate) subjects: Vec<String>,
    pub(crate) retention: String,
    pub(crate) storage: String,
    pub(crate) discard: String,
    pub(crate) num_replicas: usize,
    pub(crate) max_age: i64,
    pub(crate) max_msgs: i64,
    pub(crate) max_msgs_per_subject: i64,
    pub(crate) max_bytes: i64,
    pub(crate) max_msg_size: i64,
    pub(crate) duplicate_window: i64,
    pub(crate) deny_delete: bool,
    pub(crate) deny_purge: bool,
    /// What lets a message remove others, or itself after a time; and takes none, or says nothing of it.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) allow_rollup_hdrs: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) allow_msg_ttl: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) sealed: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) no_ack: bool,
    /// What it is a copy of, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mirror: Option<Mirror>,
    /// The sequence of the first message of a stream that is made.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) first_seq: u64,
    pub(crate) metadata: BTreeMap<String, String>,
}

fn is_default(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a stream is a copy of.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
pub(crate) struct Mirror {
    pub(crate) name: String,
    pub(crate) external: External,
}

/// Where the other JetStream is asked.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
pub(crate) struct External {
    pub(crate) api: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StreamState {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
}

/// Who keeps a stream or serves a consumer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Placement {
    pub(crate) leader: String,
    pub(crate) replicas: Vec<Replica>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) current: bool,
    pub(crate) offline: bool,
    pub(crate) lag: u64,
}

/// A consumer that was made.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ConsumerInfo {
    #[serde(default)]
    pub(crate) cluster: Option<Placement>,
}

/// What a publish is answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PublishAck {
    pub(crate) seq: u64,
    pub(crate) error: Option<Value>,
}

const METADATA_FORMAT: &str = "stockd-format";
const METADATA_EPOCH: &str = "stockd-epoch";
const METADATA_STOCKS_MAX: &str = "stockd-stocks-max";

/// Bytes of a message that the stream takes: a batch with its headers, twice.
const MESSAGE_BYTES_MAX: i64 = 512 * 1024;

/// What a cluster is, as its stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// A random number, drawn when the stream was made.
    pub epoch: u64,
    /// Stocks that may be listed at once.
    pub stocks_max: usize,
}

impl StreamConfig {
    /// The stream of a cluster.
    pub(crate) fn of(
        name: &ClusterName,
        replicas: usize,
        max_bytes: i64,
        log: LogInfo,
    ) -> StreamConfig {
        let metadata = [
            (METADATA_FORMAT, FORMAT.to_string()),
            (METADATA_EPOCH, format!("{:016x}", log.epoch)),
            (METADATA_STOCKS_MAX, log.stocks_max.to_string()),
        ];
        StreamConfig {
            name: name.stream(),
            subjects: vec![name.subject()],
            retention: "limits".into(),
            storage: "file".into(),
            // Full means refused, never a log without its beginning.
            discard: "new".into(),
            num_replicas: replicas,
            max_age: 0,
            max_msgs: -1,
            max_msgs_per_subject: -1,
            max_bytes,
            max_msg_size: MESSAGE_BYTES_MAX,
            duplicate_window: 120_000_000_000,
            deny_delete: true,
            metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into(),
            ..StreamConfig::default()
        }
    }

    /// A copy of this one, out of the JetStream of another domain. None shortens it, so it lets go of its beginning when it
    /// is full; who needs that begins with a snapshot.
    pub(crate) fn mirror_of(self, domain: &str, replicas: usize) -> StreamConfig {
        let external = External { api: format!("$JS.{domain}.API") };
        let mirror = Some(Mirror { name: self.name.clone(), external });
        StreamConfig {
            subjects: Vec::new(),
            discard: "old".into(),
            num_replicas: replicas,
            duplicate_window: 0,
            mirror,
            ..self
        }
    }

    /// What the cluster is, if this is a stream for one.
    pub(crate) fn check(&self, name: &ClusterName) -> Result<LogInfo, ClusterError> {
        let wrong = |field, found: String, expected: String| ClusterError::WrongStream {
            stream: name.stream(),
            field,
            found,
            expected,
        };
        let metadata = |key| self.metadata.get(key).map_or("", String::as_str);
        let epoch = u64::from_str_radix(metadata(METADATA_EPOCH), 16);
        let stocks_max = metadata(METADATA_STOCKS_MAX).parse::<usize>();
        let (Ok(epoch), Ok(stocks_max @ 1..=CLUSTER_STOCKS_MAX)) = (epoch, stocks_max) else {
            let found = format!("{:?}", self.metadata);
            return Err(wrong("metadata", found, "an epoch and a number of stocks".into()));
        };
        let log = LogInfo { epoch, stocks_max };
        let mut right = StreamConfig::of(name, self.num_replicas, self.max_bytes, log);
        if self.mirror.is_some() {
            // What its origin takes, it takes from there.
            right.subjects.clear();
            right.discard.clone_from(&self.discard);
        }
        if self.max_msg_size < 0 || self.max_msg_size >= MESSAGE_BYTES_MAX {
            right.max_msg_size = self.max_msg_size;
        }
        for (field, found, expected) in [
            ("subjects", self.subjects.join(" "), right.subjects.join(" ")),
            ("retention", self.retention.clone(), right.retention),
            ("storage", self.storage.clone(), right.storage),
            ("discard", self.discard.clone(), right.discard),
            ("max_age", self.max_age.to_string(), right.max_age.to_string()),
            ("max_msgs", self.max_msgs.to_string(), right.max_msgs.to_string()),
            (
                "max_msgs_per_subject",
                self.max_msgs_per_subject.to_string(),
                right.max_msgs_per_subject.to_string(),
            ),
            ("max_msg_size", self.max_msg_size.to_string(), right.max_msg_size.to_string()),
            ("deny_delete", self.deny_delete.to_string(), right.deny_delete.to_string()),
            ("allow_rollup_hdrs", self.allow_rollup_hdrs.to_string(), "false".into()),
            ("allow_msg_ttl", self.allow_msg_ttl.to_string(), "false".into()),
            ("sealed", self.sealed.to_string(), "false".into()),
            ("no_ack", self.no_ack.to_string(), "false".into()),
            (METADATA_FORMAT, metadata(METADATA_FORMAT).to_owned(), FORMAT.to_string()),
        ] {
            if found != expected {
                return Err(wrong(field, found, expected));
            }
        }
        Ok(log)
    }
}

/// A consumer that delivers the log from a sequence on, without acknowledgements. It is kept in memory, and for half
/// a minute after its node is gone.
pub(crate) fn consumer(stream: &str, name: &str, deliver: &str, from: u64) -> Value {
    json!({
        "stream_name": stream,
        "config": {
            "name": name,
            "deliver_subject": deliver,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": from,
            "ack_policy": "none",
            "replay_policy": "instant",
            "max_deliver": 1,
            "flow_control": true,
            "idle_heartbeat": 500_000_000,
            "inactive_threshold": 30_000_000_000_i64,
            "num_replicas": 1,
            "mem_storage": true,
        },
        "action": "create",
    })
}

/// A message of a stream that was asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Stored {
    pub(crate) message: StoredMessage,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StoredMessage {
    pub(crate) seq: u64,
    /// In base 64.
    #[serde(default)]
    pub(crate) data: String,
}

/// Of an answer of the API, what says that it is none.
#[derive(Deserialize)]
struct Failure {
    error: Option<Failed>,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    description: String,
}

/// What the code of an error is when it may be another answer in a moment: an election, a start.
const UNAVAILABLE: u64 = 503;

/// Reads an answer of the API.
pub(crate) fn answer<T: for<'a> Deserialize<'a>>(payload: &[u8]) -> Result<T, ClusterError> {
    let refused = |error: serde_json::Error| ClusterError::Refused(error.to_string());
    let Failure { error } = serde_json::from_slice(payload).map_err(refused)?;
    match error {
        Some(Failed { code: UNAVAILABLE, description }) => {
            Err(ClusterError::Unavailable(description))
        }
        Some(Failed { description, .. }) => Err(ClusterError::Refused(description)),
        None => serde_json::from_slice(payload).map_err(refused),
    }
}

/// Whether NATS says that it has no such thing.
pub(crate) fn is_missing(why: &str) -> bool {
    ["stream not found", "no message found"].iter().any(|it| why.contains(it))
}

/// The sequence of a delivered message, from where it would be acknowledged:
/// `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.…`, or with a domain and an account before the stream.
pub(crate) fn sequence_of(reply: &str) -> Option<u64> {
    let parts: Vec<&str> = reply.split('.').collect();
    let at = match (parts.first(), parts.get(1), parts.len()) {
        (Some(&"$JS"), Some(&"ACK"), 9) => 5,
        (Some(&"$JS"), Some(&"ACK"), 11..) => 7,
        _ => return None,
    };
    parts.get(at)?.parse().ok()
}

/// Whether a server is new enough.
pub(crate) fn check_version(found: &str) -> Result<(), ClusterError> {
    let parts = |text: &str| {
        let mut numbers = text.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
        [0; 3].map(|_| numbers.next().unwrap_or(0))
    };
    match parts(found) >= parts(VERSION_MIN) {
        true => Ok(()),
        false => Err(ClusterError::TooOld { found: found.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_group_commit_are_refused() {
        for good in ["2.15.1", "2.15.2", "2.16.0-dev", "3.0.0", "2.15.10"] {
            assert_eq!(check_version(good), Ok(()), "{good}");
        }
        for old in ["2.15.0", "2.14.6", "2.9.99", "1.0", ""] {
            assert!(check_version(old).is_err(), "{old}");
        }
    }

    #[test]
    fn a_sequence_is_where_the_server_puts_it() {
        assert_eq!(sequence_of("$JS.ACK.STOCKD_main_0.node.1.4711.9.1790000000.0"), Some(4711));
        assert_eq!(sequence_of("$JS.ACK._.hash.STOCKD_main_0.node.1.4711.9.1790.0.x"), Some(4711));
        for other in ["", "_INBOX.a.b", "$JS.FC.a.b.c", "$JS.ACK.a.b.c.x.e.f.g", "$JS.ACK.1.2"] {
            assert_eq!(sequence_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_stream_that_could_lose_or_age_messages_is_refused() {
        let name = ClusterName::new("main").unwrap();
        let log = LogInfo { epoch: 7, stocks_max: 1000 };
        let right = StreamConfig::of(&name, 3, 1 << 30, log);
        assert_eq!(right.check(&name), Ok(log));
        assert_eq!(right.clone().mirror_of("hub", 1).check(&name), Ok(log));
        let text = serde_json::to_string(&right).unwrap();
        assert_eq!(serde_json::from_str::<StreamConfig>(&text).unwrap(), right);
        for wrong in [
            StreamConfig { discard: "old".into(), ..right.clone() },
            StreamConfig { max_age: 1, ..right.clone() },
            StreamConfig { storage: "memory".into(), ..right.clone() },
            StreamConfig { max_msgs_per_subject: 1, ..right.clone() },
            StreamConfig { subjects: vec!["a".into()], ..right.clone() },
            StreamConfig { metadata: BTreeMap::new(), ..right.clone() },
            StreamConfig { deny_delete: false, ..right.clone() },
            StreamConfig { allow_rollup_hdrs: true, ..right.clone() },
            StreamConfig { allow_msg_ttl: true, ..right.clone() },
            StreamConfig { sealed: true, ..right.clone() },
            StreamConfig { no_ack: true, ..right.clone() },
            StreamConfig { max_msg_size: 1000, ..right.clone() },
            // One that takes messages of its own, beside those that it copies.
            StreamConfig { subjects: right.subjects.clone(), ..right.mirror_of("hub", 1) },
        ] {
            assert!(
                matches!(wrong.check(&name), Err(ClusterError::WrongStream { .. })),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn an_error_of_the_api_is_told() {
        let error = br#"{"type":"x","error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        let refused = Err(ClusterError::Refused("stream not found".into()));
        assert_eq!(answer::<Value>(error), refused);
        assert!(answer::<Value>(b"{").is_err());
        let later =
            br#"{"error":{"code":503,"description":"JetStream system temporarily unavailable"}}"#;
        let unavailable = "JetStream system temporarily unavailable".into();
        assert_eq!(answer::<Value>(later), Err(ClusterError::Unavailable(unavailable)));
        let ack = br#"{"stream":"S","seq":7}"#;
        assert_eq!(answer::<PublishAck>(ack).unwrap().seq, 7);
    }
}
