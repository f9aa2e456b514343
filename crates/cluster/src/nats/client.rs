//! A connection to NATS, and questions to its JetStream.
//!
//! Invariant: who watches a connection learns of each new one, and keeps no queue of what has happened to it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, RequestErrorKind};
use bytes::Bytes;
use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::api::{self, LogInfo, Stored, StreamInfo};
use crate::options::{ClusterError, ClusterName, ClusterOptions};

/// How long a connection and an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Different failures of one connection that are remembered, so as not to be told again.
const TOLD_MAX: usize = 16;

/// What asks JetStream of the servers themselves.
pub(crate) const API: &str = "$JS.API";

/// A connection, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    pub(crate) is_up: bool,
    /// How often it was made.
    pub(crate) made: u64,
}

/// Connects to one of the servers. What becomes of the connection is told from then on.
pub(crate) async fn connect(
    options: &ClusterOptions,
) -> Result<(Client, watch::Receiver<Presence>), ClusterError> {
    let (tell, presence) = watch::channel(Presence::default());
    let told = Mutex::new(Told::default());
    let addresses = addresses(options);
    let servers = addresses.join(",");
    let mut connect = ConnectOptions::new()
        .name(format!("stockd {}", options.name.as_str()))
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .ping_interval(Duration::from_secs(5))
        // Those that are named, in turn: a node goes elsewhere when one keeps the log from it.
        .ignore_discovered_servers()
        .retain_servers_order()
        .reconnect_delay_callback(|attempts| {
            jittered(Duration::from_millis(100 * (1 << attempts.min(5))))
        })
        .event_callback(move |event| {
            note(&event, &tell, &told);
            std::future::ready(())
        });
    connect = match options.servers.iter().find_map(|server| login(server).1) {
        Some(Login::User { name, password }) => connect.user_and_password(name, password),
        Some(Login::Token(token)) => connect.token(token),
        None => connect,
    };
    if let Some(file) = &options.credentials {
        connect = connect.credentials_file(file).await.map_err(|error| ClusterError::File {
            file: file.display().to_string(),
            why: error.to_string(),
        })?;
    }
    if let Some(file) = &options.authorities {
        connect = connect.add_root_certificates(file.clone()).require_tls(true);
    }
    let client = timeout(2 * PATIENCE, connect.connect(&addresses)).await;
    match client {
        Ok(Ok(client)) => Ok((client, presence)),
        Ok(Err(error)) => Err(match error.kind() {
            kind
            @ (ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication) => {
                ClusterError::NotAdmitted { servers, why: kind.to_string() }
            }
            _ => ClusterError::Unreachable { servers, why: error.to_string() },
        }),
        Err(_) => Err(ClusterError::Unreachable { servers, why: "no answer in time".to_owned() }),
    }
}

/// Where the servers are, without what stands there to log in with: for connections and for messages.
pub(crate) fn addresses(options: &ClusterOptions) -> Vec<String> {
    options.servers.iter().map(|server| login(server).0).collect()
}

/// What an address of NATS says to log in with.
#[derive(Debug, PartialEq, Eq)]
enum Login {
    User { name: String, password: String },
    Token(String),
}

/// An address, `nats://HOST:PORT`, and what stands before its host: `USER:PASSWORD@` or `TOKEN@`, percent-encoded.
fn login(server: &str) -> (String, Option<Login>) {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let parts = server.split_once("://");
    let parts = parts.and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)));
    let Some((scheme, (login, host))) = parts else { return (server.to_owned(), None) };
    let login = match login.split_once(':') {
        Some((name, password)) => Login::User { name: decoded(name), password: decoded(password) },
        None => Login::Token(decoded(login)),
    };
    (format!("{scheme}://{host}"), Some(login))
}

/// What was told since there was a connection. Servers that fail in different ways by turns are told once each.
#[derive(Debug, Default)]
struct Told(Vec<String>);

impl Told {
    /// Whether this is to be told.
    fn is_new(&mut self, failure: &str) -> bool {
        let is_new = !self.0.iter().any(|told| told == failure);
        if is_new {
            if self.0.len() == TOLD_MAX {
                self.0.remove(0);
            }
            self.0.push(failure.to_owned());
        }
        is_new
    }

    fn forget(&mut self) {
        self.0.clear();
    }
}

fn note(event: &Event, tell: &watch::Sender<Presence>, told: &Mutex<Told>) {
    // What it may lose is told once more.
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        Event::Connected => {
            told.forget();
            tell.send_modify(|it| *it = Presence { is_up: true, made: it.made + 1 });
        }
        Event::Disconnected | Event::Closed => tell.send_modify(|it| it.is_up = false),
        // What was dropped leaves a gap, and is asked for again.
        Event::SlowConsumer(_) | Event::LameDuckMode | Event::Draining => {}
        event => {
            let text = event.to_string();
            if told.is_new(&text) {
                tracing::warn!("NATS: {text}");
            }
        }
    }
}

/// Half of a pause and some of the other half, by chance: nodes that have lost the same server do not come back at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    half + half * (getrandom::u32().unwrap_or(0) % 1024) / 1024
}

/// Asks the API of JetStream.
pub(crate) async fn ask<T: for<'a> Deserialize<'a>>(
    client: &Client,
    what: &str,
    payload: &Value,
) -> Result<T, ClusterError> {
    ask_at(client, API, what, payload).await
}

/// Asks the API of a JetStream of any domain.
pub(crate) async fn ask_at<T: for<'a> Deserialize<'a>>(
    client: &Client,
    api: &str,
    what: &str,
    payload: &Value,
) -> Result<T, ClusterError> {
    let payload = if payload.is_null() { Bytes::new() } else { payload.to_string().into() };
    let asked = client.request(format!("{api}.{what}"), payload);
    match timeout(PATIENCE, asked).await {
        Ok(Ok(message)) => api::answer(&message.payload),
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
            Err(ClusterError::NoJetStream)
        }
        Ok(Err(_)) | Err(_) => Err(ClusterError::Silent),
    }
}

/// The stream of a cluster, if it is one, and the server new enough.
pub(crate) async fn stream(
    client: &Client,
    name: &ClusterName,
) -> Result<(LogInfo, StreamInfo), ClusterError> {
    if let Some(info) = client.try_server_info() {
        api::check_version(&info.version)?;
    }
    let stream = name.stream();
    let info = ask::<StreamInfo>(client, &format!("STREAM.INFO.{stream}"), &Value::Null).await;
    let info = match info {
        Err(ClusterError::Refused(why)) if why.contains("stream not found") => {
            return Err(ClusterError::NoStream { stream });
        }
        info => info?,
    };
    Ok((info.config.check(name)?, info))
}

/// The message of the log at this sequence; `None` where it has none there.
pub(crate) async fn message(
    client: &Client,
    name: &ClusterName,
    sequence: u64,
) -> Result<Option<Vec<u8>>, ClusterError> {
    let get = format!("STREAM.MSG.GET.{}", name.stream());
    match ask::<Stored>(client, &get, &json!({ "seq": sequence })).await {
        Err(ClusterError::Refused(why)) if api::is_missing(&why) => Ok(None),
        Ok(stored) if stored.message.seq == sequence => {
            Ok(BASE64.decode(stored.message.data.as_bytes()).ok())
        }
        stored => stored.map(|_| None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_logs_in() {
        let user = |name: &str, password: &str| {
            Some(Login::User { name: name.to_owned(), password: password.to_owned() })
        };
        for (server, address, logs_in) in [
            ("nats://a:4222", "nats://a:4222", None),
            ("nats://node:n@a:4222", "nats://a:4222", user("node", "n")),
            ("tls://no%40de:p%3A%2F@[::1]:4222", "tls://[::1]:4222", user("no@de", "p:/")),
            ("nats://s3cret@a", "nats://a", Some(Login::Token("s3cret".to_owned()))),
            ("nats://u:@a", "nats://a", user("u", "")),
            ("a:4222", "a:4222", None),
        ] {
            assert_eq!(login(server), (address.to_owned(), logs_in), "{server}");
        }
    }

    #[test]
    fn a_failure_is_told_once_for_as_long_as_there_is_no_connection() {
        let mut told = Told::default();
        let by_turns = ["refused", "timed out", "refused", "timed out"];
        assert_eq!(by_turns.map(|failure| told.is_new(failure)), [true, true, false, false]);
        told.forget();
        assert!(told.is_new("refused"), "there was a connection since");
        // What it remembers has a bound.
        (0..2 * TOLD_MAX).for_each(|at| assert!(told.is_new(&at.to_string())));
        assert_eq!(told.0.len(), TOLD_MAX);
    }
}
