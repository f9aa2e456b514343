//! The protocols: how requests are written and replies are recognised.
//!
//! The codecs of stockd's line protocol and of RESP are those of `stockd_wire`, that of memcached is
//! here, and those of HTTP, WebSocket and gRPC are made of crates of others. This module reduces
//! replies to what a run counts, and writes requests beforehand so that a run copies bytes. It knows
//! no sockets, no clock and no names but those it was given.
//!
//! Invariant: a reply is recognised once it is whole, however the bytes before were cut, and bytes
//! that are no reply are an error, never a panic and never a wait for more. No reply is copied.

mod caller;
#[cfg(feature = "web")]
pub(crate) mod grpc;
#[cfg(feature = "web")]
pub(crate) mod http;
mod item;
pub(crate) mod json;
mod memcached;
mod protocol;
mod requests;
#[cfg(feature = "web")]
pub(crate) mod websocket;

pub use caller::Caller;
pub(crate) use item::{Foreign, Item, excerpt};
pub use protocol::Protocol;
pub(crate) use requests::Requests;
pub use requests::WriteWith;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Protocol; 8] = [
        Protocol::Line,
        Protocol::Resp,
        Protocol::Memcached,
        Protocol::MemcachedMeta,
        Protocol::Http,
        Protocol::Http2,
        Protocol::Websocket,
        Protocol::Grpc,
    ];

    fn caller() -> Caller {
        Caller { host: "localhost:7880".into(), authorization: Some("Bearer stk_x".into()) }
    }

    /// What a protocol sends for a lookup, for one of two names, and for an update.
    fn sent(protocol: Protocol, write_with: WriteWith) -> [String; 3] {
        let mut requests = Requests::new(protocol, 2, write_with, &caller());
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
                    Item::Aside => "aside".into(),
                    Item::Ping(payload) => format!("ping: {}", text(payload)),
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
                &["172.5", "missing", "0", "error: too many", "743500"],
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

    #[cfg(feature = "web")]
    #[test]
    fn requests_of_the_service_plane_are_as_its_protocols_say() {
        let [get, ..] = sent(Protocol::Http, WriteWith::Hset);
        assert_eq!(
            get,
            "GET /v1/stocks/%E7%89%9B%E6%9D%A5USDT HTTP/1.1\r\nHost: localhost:7880\r\n\
             Authorization: Bearer stk_x\r\nAccept: application/json\r\n\r\n"
        );
        assert!(!format!("{:?}", caller()).contains("stk_x"));
        let mut requests = Requests::new(Protocol::Websocket, 1, WriteWith::Hset, &caller());
        requests.add("牛来USDT".as_bytes());
        let text = "{\"action\":\"lookup\",\"symbols\":[\"牛来USDT\"]}";
        // A text, the last of its message; masked, its length; a key of zeros.
        let head = [0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        assert_eq!(requests.name(0), [&head[..], text.as_bytes()].concat());
        let mut requests = Requests::new(Protocol::Grpc, 1, WriteWith::Hset, &caller());
        requests.add(b"AAPL");
        assert_eq!(requests.name(0), b"\0\0\0\0\x06\x0a\x04AAPL");
    }

    #[cfg(feature = "web")]
    #[test]
    fn replies_of_the_service_plane_are_the_same_wherever_they_are_cut() {
        let quote = r#"{"symbol":"A","price":"172.5","status":"trading","version":3}"#;
        let lookup =
            format!(r#"{{"type":"lookup","id":null,"quotes":{{"A":{quote}}},"missing":[]}}"#);
        let missing = r#"{"type":"lookup","id":null,"quotes":{},"missing":["B"]}"#;
        let hello = r#"{"type":"hello","server":"stockd"}"#;
        let error = r#"{"type":"error","id":null,"problem":{}}"#;
        let frame = |opcode: u8, text: &str| {
            let mut frame = vec![0x80 | opcode, text.len().min(126) as u8];
            if text.len() >= 126 {
                frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
            }
            frame.extend_from_slice(text.as_bytes());
            frame
        };
        let close = frame(8, "\u{3}\u{8}bye");
        let frames = [
            frame(1, hello),
            frame(1, &lookup),
            frame(9, "here?"),
            frame(1, missing),
            frame(1, "[{}]"),
            frame(1, error),
            close,
        ];
        let length = quote.len();
        let responses = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{quote}HTTP/1.1 404 Not Found\r\n\
             content-length: 2\r\n\r\n{{}}HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n\
             HTTP/1.1 500 Broken\r\ncontent-length: 3\r\n\r\nwhy"
        );
        let closed = "error: bye";
        let refused = format!("error: {error}");
        let cases = [
            (
                Protocol::Http,
                responses.into_bytes(),
                vec!["172.5", "missing", "error: HTTP/1.1 503 Busy", "error: why"],
            ),
            (
                Protocol::Websocket,
                frames.concat(),
                vec!["aside", "172.5", "ping: here?", "missing", "aside", &refused, closed],
            ),
        ];
        for (protocol, stream, expected) in cases {
            for cut in 0..=stream.len() {
                let items = items(protocol, &stream, cut).unwrap();
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
        assert_eq!(excerpt(Protocol::Memcached, b"-ERR\x1b[31m\r\n"), "-ERR\\u{1b}[31m");
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
