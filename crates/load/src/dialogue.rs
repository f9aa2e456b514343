//! Blocking requests before a run: the names of a server, filling it, and its answers name by name.

use std::io::{ErrorKind, Read, Write};

use stockd_client::Stream;
use stockd_model::limits::{LOAD_READ_BYTES, LOAD_STOCKS_MAX, PIPELINE_NAMES_MAX, SCAN_COUNT_MAX};
use stockd_wire::resp::frame;

use crate::codec::{Item, Protocol, Requests, WriteWith};
use crate::error::LoadError;
use crate::opening::{self, Opened};
use crate::stocks::{Texts, price};
use crate::target::Target;

/// Names in the order that the server lists them.
///
/// # Errors
///
/// When the server cannot be reached, does not list its keys (`SCAN`), or has none.
pub fn names_of(target: &Target) -> Result<Texts, LoadError> {
    let remedy = "give --names FILE or --stocks N";
    let mut dialogue = Dialogue::open(target, Protocol::Resp, "asking for names", remedy)?;
    let mut names = Texts::default();
    let mut cursor = b"0".to_vec();
    let mut request = Vec::new();
    loop {
        request.clear();
        let count = SCAN_COUNT_MAX.to_string();
        frame::command(&[b"SCAN", &cursor, b"COUNT", count.as_bytes()], &mut request);
        dialogue.send(&request)?;
        dialogue.array()?;
        cursor = dialogue.value()?;
        for _ in 0..dialogue.array()? {
            let name = dialogue.value()?;
            if names.len() < LOAD_STOCKS_MAX {
                names.push(&name);
            }
        }
        if cursor == b"0" {
            return match names.is_empty() {
                true => Err(LoadError::Usage(format!(
                    "{target} lists no stocks; give --names FILE, or --stocks N with --fill"
                ))),
                false => Ok(names),
            };
        }
    }
}

/// Lists every name with the price of its number.
///
/// # Errors
///
/// When the server cannot be reached or refuses.
pub fn fill(
    target: &Target,
    protocol: Protocol,
    with: WriteWith,
    names: &Texts,
    mut progress: impl FnMut(usize),
) -> Result<(), LoadError> {
    let remedy = match with {
        WriteWith::Hset => "Redis and its like are filled with --fill-with set",
        WriteWith::Set => "stockd is filled with --fill-with hset",
    };
    let mut dialogue = Dialogue::open(target, protocol, "listing the stocks", remedy)?;
    let requests = prepared(target, protocol, with, names);
    let mut batch = Vec::new();
    for begin in (0..names.len()).step_by(PIPELINE_NAMES_MAX) {
        let end = names.len().min(begin + PIPELINE_NAMES_MAX);
        batch.clear();
        for number in begin as u32..end as u32 {
            requests.list(number, price(number, false).text().as_bytes(), &mut batch);
        }
        dialogue.send(&batch)?;
        for _ in begin..end {
            dialogue.done()?;
        }
        progress(end);
    }
    Ok(())
}

/// Asks for every name once and records the answers; an empty text for a name that is not found.
///
/// # Errors
///
/// When the server cannot be reached or refuses.
pub fn record(target: &Target, protocol: Protocol, names: &Texts) -> Result<Texts, LoadError> {
    let remedy = "leave --verify out, or fill it with --fill";
    // Streams say the same, on the same port.
    let protocol = if protocol.has_streams() { Protocol::Http } else { protocol };
    let mut dialogue = Dialogue::open(target, protocol, "recording what it answers", remedy)?;
    let requests = prepared(target, protocol, WriteWith::Hset, names);
    let mut found = Texts::default();
    let mut batch = Vec::new();
    for begin in (0..names.len()).step_by(PIPELINE_NAMES_MAX) {
        let end = names.len().min(begin + PIPELINE_NAMES_MAX);
        batch.clear();
        (begin as u32..end as u32).for_each(|number| requests.lookup(number, &mut batch));
        dialogue.send(&batch)?;
        for _ in begin..end {
            found.push(&dialogue.lookup()?);
        }
    }
    Ok(found)
}

fn prepared(target: &Target, protocol: Protocol, with: WriteWith, names: &Texts) -> Requests {
    let mut requests = Requests::new(protocol, 1, with, &target.caller());
    names.iter().for_each(|name| requests.add(name));
    requests
}

/// A connection on which every request is answered before the next.
struct Dialogue {
    stream: Stream,
    target: String,
    protocol: Protocol,
    doing: &'static str,
    /// What to do when the server refuses.
    remedy: &'static str,
    received: Vec<u8>,
    /// Where in `received` the next item begins.
    at: usize,
}

impl Dialogue {
    fn open(
        target: &Target,
        protocol: Protocol,
        doing: &'static str,
        remedy: &'static str,
    ) -> Result<Dialogue, LoadError> {
        let opened = opening::open(target, protocol).map_err(|why| LoadError::Connect {
            target: target.to_string(),
            number: 1,
            of: 1,
            why,
            remedy: "start the server, or name another",
        })?;
        let Opened { stream, received } = opened;
        Ok(Dialogue {
            stream,
            target: target.to_string(),
            protocol,
            doing,
            remedy,
            received,
            at: 0,
        })
    }

    fn send(&mut self, requests: &[u8]) -> Result<(), LoadError> {
        let sent = self.stream.write_all(requests);
        sent.map_err(|why| self.failed(why))
    }

    fn failed(&self, why: std::io::Error) -> LoadError {
        LoadError::Preparing { target: self.target.clone(), doing: self.doing, why }
    }

    /// Reads the next item and takes from it what is wanted; `None` is the wrong kind of item.
    fn item<T>(&mut self, take: impl Fn(Item<'_>) -> Option<T>) -> Result<T, LoadError> {
        loop {
            let decoded = self.protocol.decode(&self.received[self.at..]);
            let decoded = decoded.map_err(|foreign| LoadError::Foreign {
                target: self.target.clone(),
                protocol: self.protocol,
                excerpt: foreign.excerpt,
            })?;
            if let Some((Item::Aside | Item::Ping(_), length)) = decoded {
                // It does not take as long as a server waits for the answer to a ping.
                self.at += length;
                continue;
            }
            if let Some((item, length)) = decoded {
                let taken = match (take(item), item) {
                    (Some(taken), _) => Ok(taken),
                    (None, Item::Error(why)) => Err(LoadError::Refused {
                        target: self.target.clone(),
                        doing: self.doing,
                        why: crate::codec::excerpt(why),
                        remedy: self.remedy,
                    }),
                    (None, item) => Err(LoadError::Unasked {
                        target: self.target.clone(),
                        excerpt: item.to_string(),
                    }),
                };
                self.at += length;
                return taken;
            }
            self.received.drain(..self.at);
            self.at = 0;
            let kept = self.received.len();
            self.received.resize(kept + LOAD_READ_BYTES, 0);
            let read = match self.stream.read(&mut self.received[kept..]) {
                Ok(0) => Err(self.failed(ErrorKind::UnexpectedEof.into())),
                Ok(read) => Ok(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
                Err(error) => Err(self.failed(error)),
            }?;
            self.received.truncate(kept + read);
        }
    }

    fn array(&mut self) -> Result<usize, LoadError> {
        self.item(|item| match item {
            Item::Array(items) => Some(items),
            _ => None,
        })
    }

    fn value(&mut self) -> Result<Vec<u8>, LoadError> {
        self.item(|item| match item {
            Item::Value(value) => Some(value.to_vec()),
            _ => None,
        })
    }

    fn lookup(&mut self) -> Result<Vec<u8>, LoadError> {
        self.item(|item| match item {
            Item::Value(value) => Some(value.to_vec()),
            Item::Missing => Some(Vec::new()),
            _ => None,
        })
    }

    fn done(&mut self) -> Result<(), LoadError> {
        self.item(|item| (item == Item::Done).then_some(()))
    }
}
