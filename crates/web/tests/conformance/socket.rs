//! WebSocket, by hand. It looks up and tells; writes go to the engine, and what is told of them is compared with what
//! lookups find.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use stockd_model::Shares;

use crate::plane::Plane;
use crate::rest::fields_of;
use crate::ways::{Given, Home, Outcome, WayIn};
use crate::websocket::WebSocket;

pub(crate) struct Socket {
    socket: WebSocket<TcpStream>,
    plane: Plane,
}

impl Socket {
    pub(crate) fn new(home: Home) -> Socket {
        let plane = Plane::new(home);
        let stream = TcpStream::connect(plane.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
        let mut socket = WebSocket::open(stream, "/v1/stream");
        socket.of_type("synced");
        Socket { socket, plane }
    }

    /// The quote of a name, if it is listed.
    fn quote(&mut self, name: &str) -> Option<Value> {
        self.socket.send_text(&json!({"action": "lookup", "symbols": [name]}).to_string());
        let answer = self.socket.of_type("lookup");
        let found = answer["quotes"].get(name).cloned();
        assert_eq!(found.is_none(), answer["missing"] == json!([name]), "{answer}");
        // A stream begins with the same.
        self.socket.send_text(&json!({"action": "subscribe", "symbols": [name]}).to_string());
        let mut told = None;
        loop {
            let message = self.socket.message();
            match message.as_array() {
                Some(quotes) => told = quotes.last().cloned(),
                None if message["type"] == "subscribed" && message["refused"] != json!([]) => {
                    assert!(found.is_none(), "{message}");
                    return None;
                }
                None if message["type"] == "synced" => break,
                None => {}
            }
        }
        let told = told.expect("it begins with something");
        match &found {
            Some(quote) => assert_eq!(&told, quote),
            None => assert_eq!(told["status"], "unlisted"),
        }
        self.socket.send_text(&json!({"action": "unsubscribe", "symbols": [name]}).to_string());
        self.socket.of_type("unsubscribed");
        found
    }
}

/// The answer of a lookup: the price, unless it cannot be traded.
fn answer(quote: &Value) -> String {
    let price = quote.get("price").and_then(Value::as_str);
    let is_exhausted = quote.get("volume").is_some_and(|volume| volume == "0");
    match price {
        Some(price) if quote["status"] == "trading" && !is_exhausted => match price {
            "0" | "-1" => format!("{price}.0"),
            price => price.to_owned(),
        },
        _ => "0".to_owned(),
    }
}

impl WayIn for Socket {
    fn lookup(&mut self, name: &[u8]) -> String {
        // Text is UTF-8, so what is not cannot be asked for.
        let Ok(name) = std::str::from_utf8(name) else { return "-1".to_owned() };
        self.quote(name).map_or_else(|| "-1".to_owned(), |quote| answer(&quote))
    }

    fn fields(&mut self, name: &str) -> Given {
        fields_of(&self.quote(name).expect("it is listed"))
    }

    fn set(&mut self, symbol: &str, fields: &[(&str, &str)]) -> Outcome {
        self.plane.engine.set(symbol, fields)
    }

    fn trade(&mut self, symbol: &str, shares: Shares) -> Outcome {
        self.plane.engine.trade(symbol, shares)
    }

    fn trade_both(&mut self, trades: [(&str, i64); 2]) -> Outcome {
        self.plane.engine.trade_both(trades)
    }

    fn delist(&mut self, symbol: &str) -> Outcome {
        self.plane.engine.delist(symbol)
    }
}
