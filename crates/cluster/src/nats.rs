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
mod follower;

use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, Event, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use stockd_engine::Interrupter;
use stockd_model::limits::LOG_RECOVERY_TIMEOUT;
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::api::{LogInfo, PublishAck};
use self::follower::Follower;
use crate::node::Effect;
use crate::options::{ClusterError, ClusterName, ClusterOptions};
use crate::origin::Outgoing;

/// What the network hands to a node.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A message of the log.
    Message { sequence: u64, message: Bytes },
    /// The log has a message.
    Acked { session: u64, number: u64, sequence: u64 },
    /// There is a connection.
    Connected,
    /// There is none.
    Disconnected,
    /// The log cannot be followed, whatever is tried.
    Failed(ClusterError),
}

/// A node, as its connection sees it.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) deliveries: SyncSender<Delivery>,
    pub(crate) interrupter: Interrupter,
    pub(crate) effects: Receiver<Effect>,
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
) -> Result<(Connection, LogInfo), ClusterError> {
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

async fn try_to_join(
    options: &ClusterOptions,
    kept: Option<Kept>,
) -> Result<(Connection, LogInfo), ClusterError> {
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
    if epoch == log.epoch && first > kept + 1 {
        return Err(ClusterError::Purged { first, needed: kept + 1 });
    }
    let (servers, name) = (options.servers.clone(), options.name.clone());
    Ok((Connection { client, events, servers, name, log }, log))
}

/// A connection to the servers of a cluster.
pub(crate) struct Connection {
    client: Client,
    events: UnboundedReceiver<Event>,
    servers: Vec<String>,
    name: ClusterName,
    log: LogInfo,
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
        };
        let mut log: Option<Subscriber> = None;
        let mut is_open = serving.hand_over(Delivery::Connected).await;
        while is_open {
            is_open = tokio::select! {
                effect = effects.recv() => match effect {
                    None => false,
                    Some(Effect::Send(outgoing)) => serving.send(outgoing).await,
                    Some(Effect::Follow { from, elsewhere }) => {
                        log = None;
                        serving.follow(from, elsewhere).await
                    }
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
                Some(event) = serving.connection.events.recv() => serving.changed(&event).await,
            };
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
