//! The thread that has a connection to NATS, and no other state that matters.
//!
//! ```text
//!   apply thread ──effects──▶ stockd-nats ──publish──▶ NATS
//!                ◀─deliveries─            ◀──consumer─
//! ```
//!
//! Both channels have a bound. When that of deliveries is full, the log waits, and flow control has the server wait; when
//! that of effects is full, an effect is dropped, as the network might drop it: what matters is sent again.
//!
//! A message is published only while there is a connection, so that none lies in a buffer and goes out long after its
//! writer has given it up; and if it does all the same, the rule of sessions makes it count for nothing.
//!
//! Invariant: messages of the log are handed over in the order in which they were delivered.

pub(crate) mod api;
pub(crate) mod client;
pub(crate) mod follower;
pub(crate) mod join;
pub(crate) mod objects;

use std::sync::mpsc::TrySendError;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use stockd_engine::Interrupter;
use stockd_model::limits::{CLUSTER_END_TIMEOUT, RESEND_INTERVAL};
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::api::{LogInfo, PublishAck, StreamInfo};
use self::client::{Presence, jittered};
use self::follower::Follower;
use self::objects::Objects;
use crate::deliveries::{Deliveries, Delivery};
use crate::options::{ClusterError, ClusterName};
use crate::origin::Outgoing;

/// What a node wants of its connection.
#[derive(Debug)]
pub(crate) enum Want {
    /// Send this message, once.
    Send(Outgoing),
    /// Deliver the log from there on, and nothing that was on its way before.
    Follow { from: u64, elsewhere: bool },
    /// Keep a snapshot; `None` where there is none after all.
    Put { sequence: u64, session: u64, chunks: Option<Vec<Bytes>> },
    /// Let go of the log and the snapshots before the last but one.
    Tidy,
}

/// A node, as its connection sees it.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) deliveries: Deliveries,
    pub(crate) interrupter: Interrupter,
    pub(crate) effects: Receiver<Want>,
    pub(crate) consumer: String,
}

/// Between two attempts to follow the log, about, where NATS does not answer or has not put the consumer at the leader.
const FOLLOW_PAUSE: Duration = Duration::from_millis(750);

/// How long the connection may take what is to be sent.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// How long what follows a message that could not be sent is held back. If it came first, that message would never take
/// effect; until then it is sent again.
const HOLD_BACK: Duration = RESEND_INTERVAL.saturating_mul(3);

/// A connection to the servers of a cluster.
pub(crate) struct Connection {
    client: Client,
    presence: watch::Receiver<Presence>,
    servers: Vec<String>,
    name: ClusterName,
    log: LogInfo,
    /// Servers that keep the log.
    replicas: usize,
}

/// A connection that serves a node.
struct Serving {
    connection: Connection,
    follower: Follower,
    deliveries: Deliveries,
    interrupter: Interrupter,
    /// Where the log says that it has a message: behind it stand session and number.
    acks_at: String,
    /// The consumer that is being made, and the number of the attempt.
    making: Option<JoinHandle<()>>,
    attempt: u64,
    /// The first message that it is to deliver.
    from: u64,
    /// Why the log could not be followed, as it was told last.
    told: Option<ClusterError>,
    made: mpsc::Sender<(u64, Result<Subscriber, ClusterError>)>,
    /// The last message that could not be sent: session, number, and when.
    unsent: Option<(u64, u64, Instant)>,
    objects: Objects,
    /// What lets go of the log, while it does.
    tidying: Option<JoinHandle<()>>,
    /// What became of snapshots that were to be kept.
    put: mpsc::Sender<(u64, bool)>,
}

impl Connection {
    /// Serves a node until it is gone.
    pub(crate) async fn serve(self, wiring: Wiring) {
        let Wiring { deliveries, interrupter, mut effects, consumer } = wiring;
        let acks_at = self.client.new_inbox();
        let Ok(mut acks) = self.client.subscribe(format!("{acks_at}.*.*")).await else { return };
        let client = self.client.clone();
        let follower = Follower { client, name: self.name.clone(), consumer, log: self.log };
        let (made, mut consumers) = mpsc::channel(4);
        let (put, mut puts) = mpsc::channel(4);
        let objects = Objects::new(self.client.clone(), &self.name);
        let mut serving = Serving {
            connection: self,
            follower,
            deliveries,
            interrupter,
            acks_at,
            making: None,
            attempt: 0,
            from: 1,
            told: None,
            made,
            unsent: None,
            objects,
            tidying: None,
            put,
        };
        let mut log: Option<Subscriber> = None;
        let mut is_open = serving.changed().await;
        while is_open {
            is_open = tokio::select! {
                effect = effects.recv() => match effect {
                    None => false,
                    Some(Want::Send(outgoing)) => serving.send(outgoing).await,
                    Some(Want::Follow { from, elsewhere }) => {
                        log = None;
                        serving.follow(from, elsewhere).await
                    }
                    Some(Want::Put { sequence, session, chunks }) => {
                        serving.put(sequence, session, chunks).await
                    }
                    Some(Want::Tidy) => serving.tidy(),
                },
                Some((attempt, made)) = consumers.recv() => match made {
                    Ok(subscriber) if attempt == serving.attempt => {
                        log = Some(subscriber);
                        serving.told = None;
                        true
                    }
                    Err(error) if attempt == serving.attempt => serving.could_not_follow(error).await,
                    _ => true,
                },
                Some(message) = next(&mut log) => serving.delivered(message).await,
                Some(ack) = acks.next() => serving.acked(&ack).await,
                Some((sequence, is_kept)) = puts.recv() => {
                    serving.hand_over(Delivery::Kept { sequence, is_kept }).await
                }
                Ok(()) = serving.connection.presence.changed() => serving.changed().await,
            };
        }
        if let Some(tidying) = serving.tidying.take() {
            let _ = timeout(CLUSTER_END_TIMEOUT, tidying).await;
        }
        serving.follower.leave().await;
    }
}

/// The next message; never, while nothing is followed.
async fn next(log: &mut Option<Subscriber>) -> Option<Message> {
    match log {
        Some(subscriber) => subscriber.next().await,
        None => std::future::pending().await,
    }
}

impl Serving {
    /// Hands something to the node. Waits while it has much to do; `false` when it is gone.
    async fn hand_over(&self, delivery: Delivery) -> bool {
        let mut waiting = delivery;
        loop {
            match self.deliveries.try_send(waiting) {
                Ok(()) => {
                    self.interrupter.interrupt();
                    return true;
                }
                Err(TrySendError::Full(delivery)) => waiting = delivery,
                Err(TrySendError::Disconnected(_)) => return false,
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn send(&mut self, outgoing: Outgoing) -> bool {
        let (session, number) = (outgoing.session, outgoing.number);
        let overtakes = |&(of, before, at): &(u64, u64, Instant)| {
            of == session && before < number && at.elapsed() < HOLD_BACK
        };
        if !self.unsent.as_ref().is_some_and(overtakes) {
            let is_sent = self.publish(outgoing).await;
            self.unsent = (!is_sent).then(|| (session, number, Instant::now()));
        }
        true
    }

    /// Whether it is on its way.
    async fn publish(&self, outgoing: Outgoing) -> bool {
        let client = &self.connection.client;
        if client.connection_state() != State::Connected {
            return false;
        }
        let Outgoing { session, number, bytes } = outgoing;
        let mut headers = HeaderMap::new();
        // Saves the log a message that was sent twice. Nothing rests on it.
        headers.insert("Nats-Msg-Id", format!("{session:x}.{number:x}"));
        let acks_at = format!("{}.{session:x}.{number:x}", self.acks_at);
        let subject = self.connection.name.subject();
        let publish = client.publish_with_reply_and_headers(subject, acks_at, headers, bytes);
        matches!(timeout(SEND_PATIENCE, publish).await, Ok(Ok(())))
    }

    /// Has the log delivered from a message on, in place of what was delivered before.
    async fn follow(&mut self, from: u64, elsewhere: bool) -> bool {
        if let Some(making) = self.making.take() {
            making.abort();
        }
        self.attempt += 1;
        self.from = from;
        if elsewhere && self.connection.servers.len() > 1 {
            // The connection ends, and its next one follows.
            return self.go_elsewhere().await;
        }
        self.make_consumer(Duration::ZERO);
        true
    }

    fn make_consumer(&mut self, pause: Duration) {
        let (follower, made, attempt) = (self.follower.clone(), self.made.clone(), self.attempt);
        let from = self.from;
        self.making = Some(tokio::spawn(async move {
            sleep(pause).await;
            let subscriber = follower.follow(from).await;
            let _ = made.send((attempt, subscriber)).await;
        }));
    }

    /// Keeps a snapshot beside all else.
    async fn put(&self, sequence: u64, session: u64, chunks: Option<Vec<Bytes>>) -> bool {
        let Some(chunks) = chunks else {
            return self.hand_over(Delivery::Kept { sequence, is_kept: false }).await;
        };
        let (objects, put) = (self.objects.clone(), self.put.clone());
        let Connection { log, replicas, .. } = self.connection;
        tokio::spawn(async move {
            let keep = async {
                objects.make(replicas).await?;
                objects.put((log.epoch, sequence), session, &chunks).await
            };
            let kept = keep.await;
            match &kept {
                Ok(()) => {
                    let bytes: usize = chunks.iter().map(Bytes::len).sum();
                    tracing::info!(sequence, bytes, "a snapshot of the cluster is kept");
                }
                Err(error) => tracing::warn!("a snapshot of the cluster is not kept: {error}"),
            }
            let _ = put.send((sequence, kept.is_ok())).await;
        });
        true
    }

    /// Lets go of the log and the snapshots before the last but one, beside all else.
    fn tidy(&mut self) -> bool {
        let objects = self.objects.clone();
        let Connection { client, log, name, .. } = &self.connection;
        let (client, epoch, name) = (client.clone(), log.epoch, name.clone());
        self.tidying = Some(tokio::spawn(async move {
            let tidied = async {
                let listed = objects.list(epoch).await?;
                let [_, before, ..] = listed.as_slice() else { return Ok(()) };
                // The message itself stays, to be compared by who begins with the snapshot.
                let up_to = serde_json::json!({ "seq": before.sequence });
                let purge = format!("STREAM.PURGE.{}", name.stream());
                client::ask::<serde_json::Value>(&client, &purge, &up_to).await?;
                objects.remove_before(epoch, before.sequence).await?;
                let (_, info) = client::stream(&client, &name).await?;
                warn_of_fullness(&info);
                Ok::<(), ClusterError>(())
            };
            if let Err(error) = tidied.await {
                tracing::warn!("the log was not shortened: {error}; the next snapshot does it");
            }
        }));
        true
    }

    async fn go_elsewhere(&mut self) -> bool {
        let Connection { client, servers, .. } = &mut self.connection;
        servers.rotate_left(1);
        tracing::warn!(
            server = servers[0],
            "nothing comes back through the log; trying another server"
        );
        let go = async {
            let _ = client.set_server_pool(servers.as_slice()).await;
            let _ = client.force_reconnect().await;
        };
        let _ = timeout(SEND_PATIENCE, go).await;
        true
    }

    async fn could_not_follow(&mut self, error: ClusterError) -> bool {
        match error {
            // Until the node wants something else.
            ClusterError::Silent
            | ClusterError::Refused(_)
            | ClusterError::Unavailable(_)
            | ClusterError::NoJetStream
            | ClusterError::Unreachable { .. }
            | ClusterError::NoStream { .. } => {
                if self.told.as_ref() != Some(&error) {
                    tracing::warn!("cannot follow the log: {error}; trying again");
                    self.told = Some(error);
                }
                self.make_consumer(jittered(FOLLOW_PAUSE));
                true
            }
            error => self.hand_over(Delivery::Failed(error)).await,
        }
    }

    async fn delivered(&self, message: Message) -> bool {
        match self.follower.delivered(message).await {
            Some((sequence, message)) => {
                self.hand_over(Delivery::Message { sequence, message }).await
            }
            None => true,
        }
    }

    async fn acked(&self, ack: &Message) -> bool {
        let Some((session, number)) = numbers(&ack.subject, &self.acks_at) else { return true };
        match serde_json::from_slice::<PublishAck>(&ack.payload) {
            Ok(PublishAck { seq, error: None }) if seq > 0 => {
                self.hand_over(Delivery::Acked { session, number, sequence: seq }).await
            }
            // It has come before, and the log has not decided about it yet.
            Ok(PublishAck { error: Some(error), .. }) if is_in_process(&error) => true,
            Ok(PublishAck { error: Some(error), .. }) => {
                tracing::warn!("the log does not take a message: {error}");
                true
            }
            _ => true,
        }
    }

    /// There is another connection, or none.
    async fn changed(&mut self) -> bool {
        let Presence { is_up, .. } = *self.connection.presence.borrow_and_update();
        self.hand_over(if is_up { Delivery::Connected } else { Delivery::Disconnected }).await
    }
}

/// Says that a log fills. Snapshots shorten it, so there is something wrong with those, or it is small.
fn warn_of_fullness(info: &StreamInfo) {
    let most = u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX);
    let bytes = info.state.bytes;
    if bytes > most / 2 {
        tracing::warn!(
            bytes,
            most,
            "the log of the cluster is more than half full, though a snapshot is kept; writes are refused when it is full"
        );
    }
}

/// Whether the log refuses a message only because the same one is on its way into it.
fn is_in_process(error: &serde_json::Value) -> bool {
    error.get("err_code").and_then(serde_json::Value::as_u64) == Some(10_158)
}

/// The session and the number behind the subject of acknowledgements.
fn numbers(subject: &str, acks_at: &str) -> Option<(u64, u64)> {
    let rest = subject.strip_prefix(acks_at)?.strip_prefix('.')?;
    let (session, number) = rest.split_once('.')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some((hex(session)?, hex(number)?))
}
