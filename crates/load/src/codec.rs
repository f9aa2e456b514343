//! The protocols: how requests are written and replies are recognised.
//!
//! This module owns bytes and what they mean; `line`, `resp` and `memcached` are the dialects. It
//! knows no sockets, no clock and no names but those it was given.
//!
//! Invariant: a reply is recognised once it is whole, however the bytes before were cut, and bytes
//! that are no reply are an error, never a panic and never a wait for more.

mod line;
mod memcached;
mod resp;

use std::fmt;

use serde::{Deserialize, Serialize};
use stockd_model::limits::LOAD_EXCERPT_BYTES_MAX;

/// What a server is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// stockd's own: a symbol, a line feed.
    Line,
    /// That of Redis, version 2.
    Resp,
    /// The text protocol of memcached: `get`.
    Memcached,
    /// Its meta commands: `mg`.
    MemcachedMeta,
}

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

/// One piece of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// What was found.
    Value(&'a [u8]),
    /// Nothing was found.
    Missing,
    /// So many items follow, which together answer one request.
    Array(usize),
    /// A write was done.
    Done,
    /// The request was refused, and why.
    Error(&'a [u8]),
}

/// Bytes that are no reply of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The beginning of them, on one line.
    pub excerpt: String,
}

impl Protocol {
    /// The first item of `bytes` and how long it is; `None` while it is not whole.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be the beginning of a reply.
    #[inline]
    pub fn decode(self, bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Foreign> {
        match self {
            Protocol::Line => line::decode(bytes),
            Protocol::Resp => resp::decode(bytes),
            Protocol::Memcached | Protocol::MemcachedMeta => memcached::decode(bytes),
        }
    }

    /// Whether a name can be asked for in this protocol; if not, why.
    pub(crate) fn refuses(self, name: &[u8]) -> Option<&'static str> {
        match self {
            Protocol::Line if name.contains(&b'\n') => {
                Some("has a line feed, which ends a request")
            }
            Protocol::Memcached | Protocol::MemcachedMeta => memcached::refuses(name),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Line => "line",
            Protocol::Resp => "resp",
            Protocol::Memcached => "memcached",
            Protocol::MemcachedMeta => "memcached (meta)",
        })
    }
}

impl Foreign {
    fn new(bytes: &[u8]) -> Foreign {
        Foreign { excerpt: excerpt(bytes) }
    }
}

/// The beginning of a text from the network, fit for one line of a terminal.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(LOAD_EXCERPT_BYTES_MAX)];
    let text = String::from_utf8_lossy(cut.trim_ascii()).replace(char::is_control, " ");
    if cut.len() < bytes.len() { text + "…" } else { text }
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

impl Requests {
    /// Prepares requests; where `mget` is above 1 a lookup asks for so many names.
    pub(crate) fn new(protocol: Protocol, mget: usize, write_with: WriteWith) -> Requests {
        let frame = |head: &str, tail: &str| Frame { head: head.into(), tail: tail.into() };
        let (lookup, update) = match protocol {
            Protocol::Line => (frame("", "\n"), Frame::default()),
            Protocol::Resp => (frame("*2\r\n$3\r\nGET\r\n", ""), resp::update_frame(write_with)),
            Protocol::Memcached => (frame("get ", "\r\n"), frame("set ", " 0 0 ")),
            Protocol::MemcachedMeta => (frame("mg ", " v\r\n"), frame("ms ", " ")),
        };
        let lookup_many = frame(&format!("*{}\r\n$4\r\nMGET\r\n", mget + 1), "");
        let (names, ends) = (Vec::new(), Vec::new());
        Requests { protocol, lookup, lookup_many, update, write_with, names, ends }
    }

    /// Adds a name; its number is how many were there before.
    pub(crate) fn add(&mut self, name: &[u8]) {
        match self.protocol {
            Protocol::Resp => resp::part(name, &mut self.names),
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

    /// Appends one lookup of as many names as were said at first.
    #[inline]
    pub(crate) fn lookup_many(&self, names: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lookup_many.head);
        for name in names {
            out.extend_from_slice(self.name(name));
        }
    }

    /// Appends a write of a price. The line protocol has none.
    pub(crate) fn update(&self, name: u32, price: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.update.head);
        out.extend_from_slice(self.name(name));
        out.extend_from_slice(&self.update.tail);
        match self.protocol {
            Protocol::Line => {}
            Protocol::Resp => resp::part(price, out),
            Protocol::Memcached | Protocol::MemcachedMeta => memcached::data(price, out),
        }
    }

    /// Appends the write that lists a stock so that it can be found from then on.
    pub(crate) fn list(&self, name: u32, price: &[u8], out: &mut Vec<u8>) {
        match (self.protocol, self.write_with) {
            (Protocol::Resp, WriteWith::Hset) => resp::list(self.name(name), price, out),
            _ => self.update(name, price, out),
        }
    }

    #[inline]
    fn name(&self, name: u32) -> &[u8] {
        let at = name as usize;
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.names[begin..self.ends[at]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Protocol; 4] =
        [Protocol::Line, Protocol::Resp, Protocol::Memcached, Protocol::MemcachedMeta];

    /// What a protocol sends for a lookup of `BRK/A`, of two names, and for an update.
    fn sent(protocol: Protocol, write_with: WriteWith) -> [String; 3] {
        let mut requests = Requests::new(protocol, 2, write_with);
        requests.add(b"AAPL");
        requests.add("牛来USDT".as_bytes());
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        [
            text(&|out| requests.lookup(1, out)),
            text(&|out| requests.lookup_many([0, 1].into_iter(), out)),
            text(&|out| requests.update(0, b"172.5", out)),
        ]
    }

    #[test]
    fn requests_are_as_the_protocols_say() {
        assert_eq!(sent(Protocol::Line, WriteWith::Hset)[0], "牛来USDT\n");
        let [get, mget, hset] = sent(Protocol::Resp, WriteWith::Hset);
        assert_eq!(get, "*2\r\n$3\r\nGET\r\n$10\r\n牛来USDT\r\n");
        assert_eq!(mget, "*3\r\n$4\r\nMGET\r\n$4\r\nAAPL\r\n$10\r\n牛来USDT\r\n");
        assert_eq!(hset, "*4\r\n$4\r\nHSET\r\n$4\r\nAAPL\r\n$5\r\nprice\r\n$5\r\n172.5\r\n");
        let [.., set] = sent(Protocol::Resp, WriteWith::Set);
        assert_eq!(set, "*3\r\n$3\r\nSET\r\n$4\r\nAAPL\r\n$5\r\n172.5\r\n");
        let [get, _, set] = sent(Protocol::Memcached, WriteWith::Hset);
        assert_eq!((&*get, &*set), ("get 牛来USDT\r\n", "set AAPL 0 0 5\r\n172.5\r\n"));
        let [get, _, set] = sent(Protocol::MemcachedMeta, WriteWith::Hset);
        assert_eq!((&*get, &*set), ("mg 牛来USDT v\r\n", "ms AAPL 5\r\n172.5\r\n"));
    }

    /// All items of a stream that is cut at one place, decoded as it comes.
    fn items(protocol: Protocol, stream: &[u8], cut: usize) -> Result<Vec<String>, Foreign> {
        let mut items = Vec::new();
        let mut begin = 0;
        for end in [cut, stream.len()] {
            while let Some((item, bytes)) = protocol.decode(&stream[begin..end])? {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                items.push(match item {
                    Item::Value(value) => text(value),
                    Item::Missing => "missing".into(),
                    Item::Array(items) => format!("array of {items}"),
                    Item::Done => "done".into(),
                    Item::Error(why) => format!("error: {}", text(why)),
                });
                begin += bytes;
            }
        }
        assert_eq!(begin, stream.len(), "the stream ends with a whole reply");
        Ok(items)
    }

    #[test]
    fn replies_are_the_same_wherever_they_are_cut() {
        let streams: [(Protocol, &str, &[&str]); 4] = [
            (
                Protocol::Line,
                "172.5\n-1\n0\r\nERR too many\n743500\n",
                &["172.5", "missing", "0", "error: ERR too many", "743500"],
            ),
            (
                Protocol::Resp,
                "$5\r\n172.5\r\n$-1\r\n_\r\n*2\r\n$1\r\n0\r\n$-1\r\n+OK\r\n:12\r\n-ERR no\r\n$4\r\n1\r\n2\r\n",
                &[
                    "172.5",
                    "missing",
                    "missing",
                    "array of 2",
                    "0",
                    "missing",
                    "done",
                    "done",
                    "error: ERR no",
                    "1\r\n2",
                ],
            ),
            (
                Protocol::Memcached,
                "VALUE AAPL 0 5\r\n172.5\r\nEND\r\nEND\r\nSTORED\r\nERROR\r\nSERVER_ERROR out of memory\r\n",
                &["172.5", "missing", "done", "error: ERROR", "error: SERVER_ERROR out of memory"],
            ),
            (
                Protocol::MemcachedMeta,
                "VA 5\r\n172.5\r\nEN\r\nVA 1 s1\r\n0\r\nHD\r\nCLIENT_ERROR bad\r\n",
                &["172.5", "missing", "0", "done", "error: CLIENT_ERROR bad"],
            ),
        ];
        for (protocol, stream, expected) in streams {
            for cut in 0..=stream.len() {
                let items = items(protocol, stream.as_bytes(), cut).unwrap();
                assert_eq!(items, expected, "{protocol} cut at {cut}");
            }
        }
    }

    #[test]
    fn another_protocol_is_foreign() {
        let excerpt =
            |protocol: Protocol, bytes: &[u8]| protocol.decode(bytes).unwrap_err().excerpt;
        assert_eq!(
            excerpt(Protocol::Line, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "HTTP/1.1 400 Bad Request"
        );
        assert_eq!(
            excerpt(Protocol::Line, b"-ERR unknown command 'A'\r\n"),
            "-ERR unknown command 'A'"
        );
        assert_eq!(excerpt(Protocol::Resp, b"172.5\n"), "172.5");
        assert_eq!(excerpt(Protocol::Memcached, b"-ERR\x1b[31m\r\n"), "-ERR [31m");
        for protocol in ALL {
            assert!(protocol.decode(&[b'x'; 100_000]).is_err(), "{protocol} waits for ever");
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(&b"$*-+:_0159\r\nVAEND "[..])],
                0..200,
            )
        ) {
            for protocol in ALL {
                let mut rest = &bytes[..];
                while let Ok(Some((_, length))) = protocol.decode(rest) {
                    prop_assert!(length > 0 && length <= rest.len());
                    rest = &rest[length..];
                }
            }
        }
    }
}
