//! Alpaca's stream of market data over a WebSocket.
//!
//! ```text
//! ◄ [{"T":"success","msg":"connected"}]
//! ► {"action":"auth","key":…,"secret":…}
//! ◄ [{"T":"success","msg":"authenticated"}]
//! ► {"action":"subscribe","trades":[…],"quotes":[…],"statuses":[…]}
//! ◄ [{"T":"subscription",…}], then events
//! ```
//!
//! Invariant: the keys are read from the environment, and are not logged.

use std::io::{self, ErrorKind};
use std::str::FromStr;
use std::time::Instant;

use serde_json::{Value, json};
use stockd_client::Stream;
use stockd_feeds::{AlpacaFeed, Decode};
use stockd_model::limits::FEED_PACKET_BYTES_MAX;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::gateway;
use super::live::{ENTRANCE_TIMEOUT, Incoming, Live, NotConnected, READ_TIMEOUT};
use super::symbols::Symbols;

/// The address of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamUrl {
    url: String,
    /// As the client library takes it.
    address: String,
}

/// A stream, and what is asked of it.
pub(super) struct Broker {
    pub(super) url: StreamUrl,
    pub(super) keys: Keys,
    pub(super) symbols: Symbols,
}

/// The keys of an account. They do not show themselves.
pub(super) struct Keys {
    id: String,
    secret: String,
}

impl FromStr for StreamUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<StreamUrl, String> {
        let (rest, prefix, port) = if let Some(rest) = url.strip_prefix("ws://") {
            (rest, "", 80)
        } else if let Some(rest) = url.strip_prefix("wss://") {
            (rest, "tls:", 443)
        } else {
            return Err(format!("'{url}' is no stream: write ws://HOST:PORT/PATH or wss://…"));
        };
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        if host.is_empty() || host.contains('@') {
            return Err(format!("'{url}' has no host, or something before it"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address =
            if has_port { format!("{prefix}{host}") } else { format!("{prefix}{host}:{port}") };
        Ok(StreamUrl { url: url.to_owned(), address })
    }
}

impl Keys {
    /// The keys in the environment.
    pub(super) fn from_environment() -> Result<Keys, String> {
        let key = |name: &str| {
            let key = std::env::var(name).ok().filter(|key| !key.is_empty());
            key.ok_or_else(|| format!("{name} has no key: set it to that of your account"))
        };
        Ok(Keys { id: key("APCA_API_KEY_ID")?, secret: key("APCA_API_SECRET_KEY")? })
    }
}

impl Live for Broker {
    fn connect(&mut self, _: Option<u64>) -> Result<Box<dyn Incoming>, NotConnected> {
        let stream = gateway::connect(&self.url.address)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(FEED_PACKET_BYTES_MAX))
            .max_frame_size(Some(FEED_PACKET_BYTES_MAX));
        let shaken = tungstenite::client::client_with_config(&self.url.url, stream, Some(config));
        let (mut socket, _) = shaken.map_err(|error| {
            NotConnected::Unreachable(match error {
                HandshakeError::Interrupted(_) => "the stream does not answer".to_owned(),
                HandshakeError::Failure(error) => error.to_string(),
            })
        })?;
        let until = Instant::now() + ENTRANCE_TIMEOUT;
        expect(&mut socket, "success", until)?;
        let Keys { id, secret } = &self.keys;
        say(&mut socket, &json!({ "action": "auth", "key": id, "secret": secret }))?;
        expect(&mut socket, "success", until)?;
        let names = self.symbols.names();
        say(
            &mut socket,
            &json!({ "action": "subscribe", "trades": names, "quotes": names, "statuses": names }),
        )?;
        expect(&mut socket, "subscription", until)?;
        socket.get_ref().set_read_timeout(READ_TIMEOUT)?;
        Ok(Box::new(Messages(socket)))
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(AlpacaFeed::new())
    }

    fn resumes(&self) -> bool {
        false
    }
}

fn say(socket: &mut WebSocket<Stream>, message: &Value) -> Result<(), NotConnected> {
    socket.send(Message::text(message.to_string())).map_err(|error| lost(&error))
}

/// Waits for an event of this kind. An error that comes instead refuses the feed.
fn expect(socket: &mut WebSocket<Stream>, kind: &str, until: Instant) -> Result<(), NotConnected> {
    while Instant::now() < until {
        let text = match socket.read().map_err(|error| lost(&error))? {
            Message::Text(text) => text,
            _ => continue,
        };
        let events: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        let Some(event) = events.first() else { continue };
        match event["T"].as_str() {
            Some("error") => {
                let why = event["msg"].as_str().unwrap_or("it does not say why");
                return Err(NotConnected::Refused(format!("the stream refuses the feed: {why}")));
            }
            Some(is) if is == kind => return Ok(()),
            _ => {}
        }
    }
    Err(NotConnected::Unreachable("the stream does not answer".to_owned()))
}

fn lost(error: &Error) -> NotConnected {
    NotConnected::Unreachable(error.to_string())
}

/// The messages of a stream, each a line.
struct Messages(WebSocket<Stream>);

impl Incoming for Messages {
    fn read(&mut self, room: &mut Vec<u8>) -> io::Result<usize> {
        match self.0.read() {
            Ok(Message::Text(text)) => {
                room.extend(text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
            }
            // A ping was answered: a sign of life.
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                return Ok(0);
            }
            Ok(_) => {
                return Err(io::Error::new(ErrorKind::InvalidData, "a message that is no text"));
            }
            Err(Error::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        }
        room.push(b'\n');
        Ok(room.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_an_address_of_a_websocket() {
        let address = |url: &str| url.parse::<StreamUrl>().map(|url| url.address);
        assert_eq!(address("ws://127.0.0.1:8000/v2/iex").unwrap(), "127.0.0.1:8000");
        assert_eq!(address("ws://localhost/v2/iex").unwrap(), "localhost:80");
        assert_eq!(address("wss://h.example/v2/sip").unwrap(), "tls:h.example:443");
        assert_eq!(address("wss://[::1]:8443/x").unwrap(), "tls:[::1]:8443");
        for url in ["", "http://h", "ws://", "ws://user@h/"] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}
