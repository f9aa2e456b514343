//! Whether NATS servers sync what they acknowledge. Only their monitoring port says it.
//!
//! Invariant: a server is said to sync always only where it says so itself.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::runtime;
use crate::options::{ClusterError, ClusterOptions};

/// When a server syncs what it has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Syncing {
    /// Before it acknowledges it.
    Always,
    /// Some time later.
    Later,
    /// It does not say: why.
    Unknown(String),
}

/// How long a server may take to say it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of what it says, at most.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Asks the monitoring address of each server.
///
/// # Errors
///
/// When the system has no means to ask.
pub fn look_at_syncing(options: &ClusterOptions) -> Result<Vec<(String, Syncing)>, ClusterError> {
    let runtime = runtime()?;
    let look = |monitor: &String| {
        let answer = runtime.block_on(async { timeout(PATIENCE, ask(monitor)).await });
        let syncing = match answer {
            Ok(Ok(answer)) => read(&answer),
            Ok(Err(error)) => Syncing::Unknown(error.to_string()),
            Err(_) => Syncing::Unknown(format!("no answer in {} s", PATIENCE.as_secs())),
        };
        (monitor.clone(), syncing)
    };
    Ok(options.monitors.iter().map(look).collect())
}

async fn ask(monitor: &str) -> std::io::Result<Vec<u8>> {
    let address = monitor.strip_prefix("http://").unwrap_or(monitor);
    let address = address.split('/').next().unwrap_or(address);
    let with_port =
        if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
    let mut stream = TcpStream::connect(with_port).await?;
    let request =
        format!("GET /varz HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn read(answer: &[u8]) -> Syncing {
    let body = answer.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4);
    let varz = body.and_then(|at| serde_json::from_slice::<Value>(answer.get(at..)?).ok());
    let Some(varz) = varz else {
        return Syncing::Unknown("it is no monitoring address of a NATS server".to_owned());
    };
    let config = varz.get("jetstream").and_then(|it| it.get("config"));
    match config.filter(|it| it.get("store_dir").is_some()) {
        None => Syncing::Unknown("the server has no JetStream".to_owned()),
        Some(config) => match config.get("sync_always").and_then(Value::as_bool) {
            Some(true) => Syncing::Always,
            _ => Syncing::Later,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_whether_it_syncs_always() {
        let said = |body: &str| read(format!("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{body}").as_bytes());
        let config =
            |more: &str| format!(r#"{{"jetstream":{{"config":{{"store_dir":"/x"{more}}}}}}}"#);
        assert_eq!(
            said(&config(r#","sync_interval":120000000000,"sync_always":true"#)),
            Syncing::Always
        );
        assert_eq!(said(&config(r#","sync_interval":120000000000"#)), Syncing::Later);
        assert_eq!(said(&config(r#","sync_always":false"#)), Syncing::Later);
        for other in ["", "{}", r#"{"jetstream":{}}"#, "<html>"] {
            assert!(matches!(said(other), Syncing::Unknown(_)), "{other}");
        }
        assert!(matches!(read(b""), Syncing::Unknown(_)));
    }
}
