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
pub(crate) mod objects;

use std::ops::RangeInclusive;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, Event, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use stockd_engine::Interrupter;
use stockd_model::limits::{CLUSTER_END_TIMEOUT, LOG_RECOVERY_TIMEOUT};
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::api::{LogInfo, PublishAck};
use self::follower::Follower;
use self::objects::Objects;
use crate::options::{ClusterError, ClusterName, ClusterOptions};
use crate::origin::Outgoing;
use crate::snapshot::Snapshot;

/// What the network hands to a node.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A message of the log.
    Message { sequence: u64, message: Bytes },
    /// The log has a message.
    Acked { session: u64, number: u64, sequence: u64 },
    /// A snapshot is kept, or is not.
    Kept { sequence: u64, is_kept: bool },
    /// There is a connection.
    Connected,
    /// There is none.
    Disconnected,
    /// The log cannot be followed, whatever is tried.
    Failed(ClusterError),
}

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
    pub(crate) deliveries: SyncSender<Delivery>,
    pub(crate) interrupter: Interrupter,
    pub(crate) effects: Receiver<Want>,
    pub(crate) consumer: String,
}

/// Between two attempts to join.
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// Between two attempts to follow the log, where NATS does not answer or has not put the consumer at the leader.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// How long the connection may take what is to be sent.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// What a node has kept: the epoch of the log, and the last message.
pub(crate) type Kept = (u64, u64);

/// Connects, and finds out what the log is, however long that takes, and whether it goes on behind what the node has
/// kept. One of another epoch is not looked at further. Errors that time does not heal end it.
pub(crate) async fn join(
    options: &ClusterOptions,
    kept: Option<Kept>,
) -> Result<Joined, ClusterError> {
    let (mut told, mut went_back) = (None, None);
    loop {
        let error = match try_to_join(options, kept).await {
            Ok(joined) => return Ok(joined),
            Err(error @ (ClusterError::Unreachable { .. } | ClusterError::Silent)) => error,
            Err(error @ ClusterError::WentBack { .. }) => {
                if went_back.get_or_insert_with(Instant::now).elapsed() > LOG_RECOVERY_TIMEOUT {
                    return Err(error);
                }
                error
            }
            Err(error) => return Err(error),
        };
        if told.as_ref() != Some(&error) {
            tracing::warn!("{error}; trying again");
            told = Some(error);
        }
        sleep(JOIN_PAUSE).await;
    }
}

/// The newest snapshot that is whole, of those that the log goes on behind. Of one that is not, the one before is taken.
async fn newest_whole(
    objects: &Objects,
    epoch: u64,
    sequences: RangeInclusive<u64>,
) -> Result<Option<Snapshot>, ClusterError> {
    for listed in objects.list(epoch).await? {
        let sequence = listed.sequence;
        if !sequences.contains(&sequence) {
            continue;
        }
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

async fn try_to_join(options: &ClusterOptions, kept: Option<Kept>) -> Result<Joined, ClusterError> {
    let (tell, events) = mpsc::unbounded_channel();
    let client = client::connect(options, tell).await?;
    let (log, info) = client::stream(&client, &options.name).await?;
    if info.config.mirror.is_some() && !options.only_follows {
        return Err(ClusterError::Mirror { stream: options.name.stream() });
    }
    let (epoch, kept) = kept.unwrap_or((log.epoch, 0));
    let (first, last) = (info.state.first_seq, info.state.last_seq);
    if epoch == log.epoch && kept > last {
        let stream = options.name.stream();
        return Err(ClusterError::WentBack { stream, kept, last });
    }
    let is_behind = first > kept + 1;
    let mut snapshot = None;
    if epoch == log.epoch && (kept == 0 || is_behind) {
        let objects = Objects::new(client.clone(), &options.name);
        snapshot = newest_whole(&objects, log.epoch, first.saturating_sub(1)..=last).await?;
        if snapshot.is_none() && is_behind {
            return Err(ClusterError::Purged { first, needed: kept + 1 });
        }
    }
    let (servers, name) = (options.servers.clone(), options.name.clone());
    let replicas = info.config.num_replicas;
    let connection = Connection { client, events, servers, name, log, replicas };
    Ok(Joined { connection, log, snapshot })
}

/// What joining has found.
pub(crate) struct Joined {
    pub(crate) connection: Connection,
    pub(crate) log: LogInfo,
    /// What the node has to begin with, in place of what it has kept.
    pub(crate) snapshot: Option<Snapshot>,
}

/// A connection to the servers of a cluster.
pub(crate) struct Connection {
    client: Client,
    events: UnboundedReceiver<Event>,
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
    deliveries: SyncSender<Delivery>,
    interrupter: Interrupter,
    /// Where the log says that it has a message: behind it stand session and number.
    acks_at: String,
    /// The consumer that is being made, and the number of the attempt.
    making: Option<JoinHandle<()>>,
    attempt: u64,
    /// The first message that it is to deliver.
    from: u64,
    made: mpsc::Sender<(u64, Result<Subscriber, ClusterError>)>,
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
            made,
            objects,
            tidying: None,
            put,
        };
        let mut log: Option<Subscriber> = None;
        let mut is_open = serving.hand_over(Delivery::Connected).await;
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
                Some(event) = serving.connection.events.recv() => serving.changed(&event).await,
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

    async fn send(&self, outgoing: Outgoing) -> bool {
        let client = &self.connection.client;
        if client.connection_state() != State::Connected {
            return true;
        }
        let Outgoing { session, number, bytes } = outgoing;
        let mut headers = HeaderMap::new();
        // Saves the log a message that was sent twice. Nothing rests on it.
        headers.insert("Nats-Msg-Id", format!("{session:x}.{number:x}"));
        let acks_at = format!("{}.{session:x}.{number:x}", self.acks_at);
        let (subject, message) = (self.connection.name.subject(), Bytes::copy_from_slice(&bytes));
        let publish = client.publish_with_reply_and_headers(subject, acks_at, headers, message);
        let _ = timeout(SEND_PATIENCE, publish).await;
        true
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
        let (client, epoch, stream) = (client.clone(), log.epoch, name.stream());
        self.tidying = Some(tokio::spawn(async move {
            let tidied = async {
                let listed = objects.list(epoch).await?;
                let [_, before, ..] = listed.as_slice() else { return Ok(()) };
                // The message itself stays, to be compared by who begins with the snapshot.
                let up_to = serde_json::json!({ "seq": before.sequence });
                let purge = format!("STREAM.PURGE.{stream}");
                client::ask::<serde_json::Value>(&client, &purge, &up_to).await?;
                objects.remove_before(epoch, before.sequence).await
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
            | ClusterError::Unreachable { .. }
            | ClusterError::NoStream { .. } => {
                tracing::warn!("cannot follow the log: {error}; trying again");
                self.make_consumer(FOLLOW_PAUSE);
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

    async fn changed(&self, event: &Event) -> bool {
        match event {
            Event::Connected => self.hand_over(Delivery::Connected).await,
            Event::Disconnected | Event::Closed => self.hand_over(Delivery::Disconnected).await,
            Event::LameDuckMode | Event::Draining => true,
            event => {
                tracing::warn!("NATS: {event}");
                true
            }
        }
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
