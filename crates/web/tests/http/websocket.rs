//! WebSocket by hand, so that a test can send what no client would.

use std::io::{BufReader, Read, Write};

use serde_json::Value;

/// A connection after its upgrade, over any kind of socket.
pub(crate) struct WebSocket<S> {
    stream: BufReader<S>,
    /// Why the server has closed it, if it has said so.
    pub(crate) reason: String,
}

/// What the server has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// With its code, if it has one.
    Close(Option<u16>),
    /// The connection is closed without a word.
    Gone,
}

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;

impl<S: Read + Write> WebSocket<S> {
    /// Asks for the upgrade, which must be granted.
    pub(crate) fn open(stream: S, path: &str) -> WebSocket<S> {
        let mut stream = BufReader::new(stream);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: stockd.v1\r\n\r\n"
        );
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        // Of the key that the standard gives as its example.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        WebSocket { stream, reason: String::new() }
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(TEXT, true, text.as_bytes());
    }

    pub(crate) fn send(&mut self, opcode: u8, is_last: bool, payload: &[u8]) {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = vec![if is_last { 0x80 | opcode } else { opcode }];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        frame.extend(masked);
        self.send_raw(&frame);
    }

    /// Sends bytes as they are. The server may be gone already.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        let mut head = [0; 2];
        if self.stream.read_exact(&mut head).is_err() {
            return Frame::Gone;
        }
        assert_eq!(head[0] & 0xf0, 0x80, "whole messages alone, without extensions");
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length).unwrap();
                u64::from_be_bytes(length) as usize
            }
            short => short.into(),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        match head[0] & 0x0f {
            TEXT => Frame::Text(String::from_utf8(payload).unwrap()),
            BINARY => Frame::Binary(payload),
            CLOSE => {
                let said = payload.split_first_chunk();
                self.reason = said.map_or_else(String::new, |(_, reason)| {
                    String::from_utf8(reason.to_vec()).unwrap()
                });
                Frame::Close(said.map(|(code, _)| u16::from_be_bytes(*code)))
            }
            PING => Frame::Ping(payload),
            10 => Frame::Pong(payload),
            opcode => panic!("opcode {opcode}"),
        }
    }

    /// The next message, as JSON. Pings are answered.
    pub(crate) fn message(&mut self) -> Value {
        loop {
            match self.frame() {
                Frame::Text(text) => return serde_json::from_str(&text).unwrap(),
                Frame::Ping(payload) => self.send(10, true, &payload),
                frame => panic!("{frame:?}"),
            }
        }
    }

    /// The next message of this type, what is told meanwhile passed over.
    pub(crate) fn of_type(&mut self, kind: &str) -> Value {
        loop {
            let message = self.message();
            if message.get("type").is_some_and(|it| it == kind) {
                return message;
            }
        }
    }
}
