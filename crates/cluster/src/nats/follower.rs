//! Follows the log: a push consumer of our own making.
//!
//! The consumer has to be served by the leader of the stream. Another server may be minutes behind after it was cut
//! off, and would deliver what it has, and then heartbeats, as if that were all. So the consumer is made again until
//! chance puts it there. It always has the name of its node, so none is left behind.
//!
//! Heartbeats prove nothing and are not looked at. Each request for flow control is answered, in a heartbeat that says
//! that the consumer is stalled too; without that one lost answer would stall it for ever.

use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use serde_json::Value;

use super::api::{self, ConsumerInfo, LogInfo};
use super::client::{ask, stream};
use crate::options::{ClusterError, ClusterName};

/// How often a consumer is made until it is at the leader.
const ATTEMPTS: usize = 10;

/// What a heartbeat says when the consumer waits for an answer.
const STALLED: &str = "Nats-Consumer-Stalled";

/// Who follows what.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) client: Client,
    pub(crate) name: ClusterName,
    /// The name of the consumer.
    pub(crate) consumer: String,
    /// What the log was when the node joined.
    pub(crate) log: LogInfo,
}

impl Follower {
    /// Has the log delivered from a sequence on.
    pub(crate) async fn follow(&self, from: u64) -> Result<Subscriber, ClusterError> {
        let name = self.name.stream();
        for _ in 0..ATTEMPTS {
            self.leave().await;
            let (log, info) = stream(&self.client, &self.name).await?;
            if log != self.log {
                return Err(ClusterError::OtherEpoch { stream: name });
            }
            // The node has had the message `from`, or it is the first of all.
            if info.state.first_seq > from + 1 {
                let (first, needed) = (info.state.first_seq, from + 1);
                return Err(ClusterError::Purged { first, needed });
            }
            let deliver = self.client.new_inbox();
            let subscriber = self.client.subscribe(deliver.clone()).await;
            let subscriber =
                subscriber.map_err(|error| ClusterError::Refused(error.to_string()))?;
            let create = format!("CONSUMER.CREATE.{name}.{}", self.consumer);
            let consumer = api::consumer(&name, &self.consumer, &deliver, from);
            let made: ConsumerInfo = ask(&self.client, &create, &consumer).await?;
            let leader = |placement: Option<api::Placement>| placement.map(|it| it.leader);
            // A server alone says nothing of the consumer's.
            if made.cluster.is_none() || leader(made.cluster) == leader(info.cluster) {
                return Ok(subscriber);
            }
        }
        Err(ClusterError::Refused(format!("no consumer at the leader in {ATTEMPTS} attempts")))
    }

    /// Removes the consumer, if there is one.
    pub(crate) async fn leave(&self) {
        let delete = format!("CONSUMER.DELETE.{}.{}", self.name.stream(), self.consumer);
        let _: Result<Value, _> = ask(&self.client, &delete, &Value::Null).await;
    }

    /// The message of the log that was delivered, if it is one. What asks for flow control is answered.
    pub(crate) async fn delivered(&self, message: Message) -> Option<(u64, Bytes)> {
        if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
            let stalled = |headers: &HeaderMap| headers.get(STALLED).map(ToString::to_string);
            let answer = message.headers.as_ref().and_then(stalled);
            for subject in message.reply.map(|reply| reply.to_string()).into_iter().chain(answer) {
                let _ = self.client.publish(subject, Bytes::new()).await;
            }
            return None;
        }
        let sequence = api::sequence_of(&message.reply?)?;
        Some((sequence, message.payload))
    }
}
