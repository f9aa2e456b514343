//! A connection to NATS, and questions to its JetStream.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::api::{self, LogInfo, StreamInfo};
use crate::options::{ClusterError, ClusterName, ClusterOptions};

/// How long a connection and an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Connects to one of the servers. Events of the connection are told from then on.
pub(crate) async fn connect(
    options: &ClusterOptions,
    events: UnboundedSender<Event>,
) -> Result<Client, ClusterError> {
    let unreachable =
        |why: String| ClusterError::Unreachable { servers: options.servers.join(","), why };
    let mut connect = ConnectOptions::new()
        .name(format!("stockd {}", options.name.as_str()))
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .ping_interval(Duration::from_secs(5))
        // Those that are named, in turn: a node goes elsewhere when one keeps the log from it.
        .ignore_discovered_servers()
        .retain_servers_order()
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(50 * (1 << attempts.min(5)) + attempts as u64 % 7)
        })
        .event_callback(move |event| {
            let events = events.clone();
            async move {
                let _ = events.send(event);
            }
        });
    if let Some(file) = &options.credentials {
        connect = connect.credentials_file(file).await.map_err(|error| ClusterError::File {
            file: file.display().to_string(),
            why: error.to_string(),
        })?;
    }
    if let Some(file) = &options.authorities {
        connect = connect.add_root_certificates(file.clone()).require_tls(true);
    }
    let client = timeout(2 * PATIENCE, connect.connect(&options.servers)).await;
    match client {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable("no answer in time".to_owned())),
    }
}

/// Asks the API of JetStream.
pub(crate) async fn ask<T: for<'a> Deserialize<'a>>(
    client: &Client,
    what: &str,
    payload: &Value,
) -> Result<T, ClusterError> {
    ask_at(client, "$JS.API", what, payload).await
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
