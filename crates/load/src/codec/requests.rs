//! The requests of a run: what they look like in each protocol.

use serde::{Deserialize, Serialize};
use stockd_wire::resp::frame;

use super::caller::Caller;
use super::memcached;
use super::protocol::Protocol;
#[cfg(feature = "web")]
use super::{grpc, http, websocket};

/// How a price is written over RESP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteWith {
    /// `HSET symbol price p`, as stockd lists and updates stocks.
    #[default]
    Hset,
    /// `SET symbol p`, as Redis and its like keep a value.
    Set,
}

/// The requests of a run, written beforehand: what is sent is copied together from these bytes.
#[derive(Debug)]
pub(crate) struct Requests {
    protocol: Protocol,
    lookup: Frame,
    /// Of many names at once, RESP alone.
    lookup_many: Frame,
    update: Frame,
    write_with: WriteWith,
    /// The names one after the other, each as it stands in a request.
    names: Vec<u8>,
    /// Where each name ends in `names`.
    ends: Vec<usize>,
}

/// What stands before and after the name in a request.
#[derive(Debug, Default)]
struct Frame {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Frame {
    /// What stands around the name in a RESP command of this number of parts, where those that
    /// follow the name are known; a price may come behind it.
    fn of_command(parts: usize, command: &[u8], behind_name: &[&[u8]]) -> Frame {
        let mut frame = Frame::default();
        frame::array(parts, &mut frame.head);
        frame::bulk(command, &mut frame.head);
        behind_name.iter().for_each(|part| frame::bulk(part, &mut frame.tail));
        frame
    }
}

impl Requests {
    /// Prepares requests. A lookup asks for `mget` names where that is above 1; over HTTP the caller makes it.
    pub(crate) fn new(
        protocol: Protocol,
        mget: usize,
        write_with: WriteWith,
        caller: &Caller,
    ) -> Requests {
        let plain = |head: &str, tail: &str| Frame { head: head.into(), tail: tail.into() };
        let (lookup, update) = match (protocol, write_with) {
            (Protocol::Line, _) => (plain("", "\n"), Frame::default()),
            (Protocol::Resp, WriteWith::Hset) => {
                (Frame::of_command(2, b"GET", &[]), Frame::of_command(4, b"HSET", &[b"price"]))
            }
            (Protocol::Resp, WriteWith::Set) => {
                (Frame::of_command(2, b"GET", &[]), Frame::of_command(3, b"SET", &[]))
            }
            (Protocol::Memcached, _) => (plain("get ", "\r\n"), plain("set ", " 0 0 ")),
            (Protocol::MemcachedMeta, _) => (plain("mg ", " v\r\n"), plain("ms ", " ")),
            #[cfg(feature = "web")]
            (Protocol::Http, _) => {
                let (head, tail) = http::lookup(caller);
                (Frame { head: head.into(), tail }, Frame::default())
            }
            // What stands around the name depends on it, or on the stream.
            _ => (Frame::default(), Frame::default()),
        };
        #[cfg(not(feature = "web"))]
        let _ = caller;
        let lookup_many = Frame::of_command(1 + mget, b"MGET", &[]);
        let (names, ends) = (Vec::new(), Vec::new());
        Requests { protocol, lookup, lookup_many, update, write_with, names, ends }
    }

    /// Adds a name; its number is how many were there before.
    pub(crate) fn add(&mut self, name: &[u8]) {
        match self.protocol {
            Protocol::Resp => frame::bulk(name, &mut self.names),
            #[cfg(feature = "web")]
            Protocol::Http | Protocol::Http2 => http::encode(name, &mut self.names),
            #[cfg(feature = "web")]
            Protocol::Websocket => websocket::lookup(name, &mut self.names),
            #[cfg(feature = "web")]
            Protocol::Grpc => grpc::lookup(name, &mut self.names),
            _ => self.names.extend_from_slice(name),
        }
        self.ends.push(self.names.len());
    }

    /// Appends the lookup of one name.
    #[inline]
    pub(crate) fn lookup(&self, name: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lookup.head);
        out.extend_from_slice(self.name(name));
        out.extend_from_slice(&self.lookup.tail);
    }

    /// Appends one lookup of these names, as many as [`new`](Requests::new) was told.
    #[inline]
    pub(crate) fn lookup_many(&self, names: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lookup_many.head);
        for name in names {
            out.extend_from_slice(self.name(name));
        }
    }

    /// Appends a write of a price. Only some protocols have one.
    pub(crate) fn update(&self, name: u32, price: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.update.head);
        out.extend_from_slice(self.name(name));
        out.extend_from_slice(&self.update.tail);
        match self.protocol {
            Protocol::Resp => frame::bulk(price, out),
            Protocol::Memcached | Protocol::MemcachedMeta => memcached::data(price, out),
            _ => {}
        }
    }

    /// Appends the write that lists a stock so that it can be found from then on.
    pub(crate) fn list(&self, name: u32, price: &[u8], out: &mut Vec<u8>) {
        match (self.protocol, self.write_with) {
            // With a volume: without one the stock answers `0`.
            (Protocol::Resp, WriteWith::Hset) => {
                frame::array(6, out);
                frame::bulk(b"HSET", out);
                out.extend_from_slice(self.name(name));
                for part in [b"price", price, b"volume", b"1000000"] {
                    frame::bulk(part, out);
                }
            }
            _ => self.update(name, price, out),
        }
    }

    /// A name as it stands in a request.
    #[inline]
    pub(crate) fn name(&self, name: u32) -> &[u8] {
        let at = name as usize;
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.names[begin..self.ends[at]]
    }
}
