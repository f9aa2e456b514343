//! A client of NATS that shares nothing with that of the product: it publishes any bytes, and reads a stream as it lies
//! there.
//!
//! One connection, one answer at a time, with a bound on each wait.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::{Value, json};

/// How long something may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its sequence.
    pub sequence: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub struct Nats {
    stream: BufReader<TcpStream>,
    /// Subscriptions so far.
    subscriptions: u64,
    /// Where answers come.
    inbox: String,
}

/// Something that was delivered.
struct Delivered {
    reply: String,
    payload: Vec<u8>,
}

impl Nats {
    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// When there is none, or it wants to know who this is.
    pub fn connect(address: impl ToSocketAddrs) -> io::Result<Nats> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let inbox = format!("_INBOX.witness.{}", stream.local_addr()?.port());
        let mut nats = Nats { stream: BufReader::new(stream), subscriptions: 0, inbox };
        nats.line()?;
        nats.send(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nPING\r\n")?;
        while nats.line()? != "PONG" {}
        Ok(nats)
    }

    /// Publishes these bytes to a stream: the sequence that they have there.
    ///
    /// # Errors
    ///
    /// When no stream takes them.
    pub fn publish(&mut self, subject: &str, bytes: &[u8]) -> io::Result<u64> {
        let ack = self.ask(subject, bytes)?;
        ack["seq"].as_u64().ok_or_else(|| other(format!("not taken: {ack}")))
    }

    /// Asks the API of JetStream.
    ///
    /// # Errors
    ///
    /// When it answers with an error, or not at all.
    pub fn api(&mut self, what: &str, payload: &Value) -> io::Result<Value> {
        let payload = if payload.is_null() { String::new() } else { payload.to_string() };
        let answer = self.ask(&format!("$JS.API.{what}"), payload.as_bytes())?;
        match answer.get("error") {
            Some(error) => Err(other(format!("{what}: {error}"))),
            None => Ok(answer),
        }
    }

    /// The last sequence of a stream.
    ///
    /// # Errors
    ///
    /// When there is no such stream.
    pub fn last_sequence(&mut self, stream: &str) -> io::Result<u64> {
        let info = self.api(&format!("STREAM.INFO.{stream}"), &Value::Null)?;
        Ok(info["state"]["last_seq"].as_u64().unwrap_or_default())
    }

    /// All messages of a stream, from its first to the last that there is now.
    ///
    /// # Errors
    ///
    /// When they do not all come.
    pub fn messages(&mut self, stream: &str) -> io::Result<Vec<Message>> {
        let last = self.last_sequence(stream)?;
        let (subscription, inbox) = self.subscribe()?;
        let config = json!({
            "stream_name": stream,
            "config": {
                "deliver_subject": inbox, "deliver_policy": "all", "ack_policy": "none",
                "replay_policy": "instant", "max_deliver": 1, "mem_storage": true, "num_replicas": 1,
                "inactive_threshold": 10_000_000_000_i64,
            },
        });
        // Messages may come before the answer.
        let mut messages = Vec::new();
        let mut keep = |delivered: Delivered| {
            if let Some(sequence) = sequence_of(&delivered.reply) {
                messages.push(Message { sequence, bytes: delivered.payload });
            }
            messages.last().is_some_and(|message| message.sequence >= last)
        };
        let (answers, answers_at) = self.subscribe()?;
        self.send_message(
            &format!("$JS.API.CONSUMER.CREATE.{stream}"),
            &answers_at,
            config.to_string().as_bytes(),
        )?;
        let mut is_over = last == 0;
        while !is_over {
            let (number, delivered) = self.delivered()?;
            if number == subscription {
                is_over = keep(delivered);
            } else if number == answers {
                let answer: Value = serde_json::from_slice(&delivered.payload)?;
                if let Some(error) = answer.get("error") {
                    return Err(other(error.to_string()));
                }
            }
        }
        self.send(format!("UNSUB {subscription}\r\nUNSUB {answers}\r\n").as_bytes())?;
        Ok(messages)
    }

    fn ask(&mut self, subject: &str, payload: &[u8]) -> io::Result<Value> {
        let (subscription, inbox) = self.subscribe()?;
        self.send_message(subject, &inbox, payload)?;
        loop {
            let (number, delivered) = self.delivered()?;
            if number == subscription {
                self.send(format!("UNSUB {subscription}\r\n").as_bytes())?;
                return Ok(serde_json::from_slice(&delivered.payload)?);
            }
        }
    }

    fn subscribe(&mut self) -> io::Result<(u64, String)> {
        self.subscriptions += 1;
        let (number, inbox) =
            (self.subscriptions, format!("{}.{}", self.inbox, self.subscriptions));
        self.send(format!("SUB {inbox} {number}\r\n").as_bytes())?;
        Ok((number, inbox))
    }

    fn send_message(&mut self, subject: &str, reply: &str, payload: &[u8]) -> io::Result<()> {
        let head = format!("PUB {subject} {reply} {}\r\n", payload.len());
        self.send(&[head.as_bytes(), payload, b"\r\n"].concat())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// The next message, of any subscription: its number, and the message.
    fn delivered(&mut self) -> io::Result<(u64, Delivered)> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split(' ').collect();
            let (subscription, reply, head_len, len) = match words.as_slice() {
                ["PING"] => {
                    self.send(b"PONG\r\n")?;
                    continue;
                }
                ["MSG", _, number, len] => (number, "", "0", len),
                ["MSG", _, number, reply, len] => (number, *reply, "0", len),
                ["HMSG", _, number, head, len] => (number, "", *head, len),
                ["HMSG", _, number, reply, head, len] => (number, *reply, *head, len),
                ["-ERR", ..] => return Err(other(line)),
                _ => continue,
            };
            let number = |text: &str| text.parse::<usize>().map_err(|_| other(line.clone()));
            let (subscription, head_len, len) =
                (number(subscription)?, number(head_len)?, number(len)?);
            let mut payload = vec![0; len + 2];
            self.stream.read_exact(&mut payload)?;
            payload.truncate(len);
            let payload = payload.split_off(head_len.min(len));
            return Ok((subscription as u64, Delivered { reply: reply.to_owned(), payload }));
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// Where a message would be acknowledged says what it is: `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.…`, with domain and
/// account before the stream in the long form.
fn sequence_of(reply: &str) -> Option<u64> {
    let words: Vec<&str> = reply.split('.').collect();
    let at = if words.len() > 9 { 7 } else { 5 };
    words.get(at)?.parse().ok()
}

fn other(why: String) -> io::Error {
    io::Error::other(why)
}
