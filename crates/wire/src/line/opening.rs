//! What the first bytes of a connection are, where they are no name.
//!
//! Programs send something before their first name without being asked: a text writer its byte order
//! mark, a telnet client the options that it offers. That is passed over. Others came to the wrong port:
//! they get an error in their own protocol, so that they say what is wrong instead of waiting, and nothing
//! behind it is read.
//!
//! This module knows these openings by their bytes, and nothing of names, sockets and clocks.
//!
//! Invariant: what can be the beginning of the first line of a client that speaks the line protocol is
//! [`Opening::Name`], as soon as its bytes differ from every other opening.

use crate::proxy::V2_SIGNATURE;

/// What the input of a new connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Bytes to be passed over, at least one.
    Preamble { bytes: usize },
    /// What may become one of the others.
    Unclear,
    /// Another protocol.
    Foreign(Foreign),
    /// The first name.
    Name,
}

/// A protocol that is not spoken on this port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// That of Redis: `*2`, CR, LF.
    Resp,
    /// A request line, `GET /AAPL HTTP/1.1`.
    Http,
    /// A client's hello.
    Tls,
    /// The header of a proxy, version 1 or 2.
    Proxy,
}

/// The mark that text writers put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the header of a proxy begins with in version 1, by what the connection is.
const PROXY_V1: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"];

/// Methods of HTTP, each with the beginning of its target.
const HTTP: [&[u8]; 8] =
    [b"GET /", b"POST /", b"PUT /", b"HEAD /", b"DELETE /", b"PATCH /", b"OPTIONS ", b"CONNECT "];

/// Bytes that an opening has at most, so that little is looked at again when more bytes come.
const OPENING_BYTES_MAX: usize = 256;

/// Telnet's bytes: interpret as command, and the commands that are followed by more.
const IAC: u8 = 255;
const SUBNEGOTIATION: u8 = 250;
const SUBNEGOTIATION_END: u8 = 240;
const WILL: u8 = 251;
const DONT: u8 = 254;

impl Opening {
    /// Looks at the bytes of a connection that has not asked for anything yet.
    pub(super) fn of(input: &[u8]) -> Opening {
        let begins = |whole: &[u8]| begins(input, whole);
        match input {
            [] => Opening::Unclear,
            [b'*', digits @ ..] => resp(digits),
            [0x16, ..] => match input {
                [_, 3, 0..=4, ..] => Opening::Foreign(Foreign::Tls),
                [_] | [_, 3] => Opening::Unclear,
                _ => Opening::Name,
            },
            [IAC, command @ ..] => telnet(command),
            [0xef, ..] => match begins(BYTE_ORDER_MARK) {
                Begins::Whole => Opening::Preamble { bytes: BYTE_ORDER_MARK.len() },
                Begins::InPart => Opening::Unclear,
                Begins::Otherwise => Opening::Name,
            },
            [b'\r', ..] => foreign(begins(V2_SIGNATURE), Foreign::Proxy),
            [b'P', b'R', b'O', ..] => {
                let versions = PROXY_V1.map(begins);
                foreign(versions.into_iter().max().unwrap_or(Begins::Otherwise), Foreign::Proxy)
            }
            _ => http(input),
        }
    }
}

/// How much of something the input begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Begins {
    Otherwise,
    InPart,
    Whole,
}

fn begins(input: &[u8], whole: &[u8]) -> Begins {
    if input.starts_with(whole) {
        Begins::Whole
    } else if whole.starts_with(input) {
        Begins::InPart
    } else {
        Begins::Otherwise
    }
}

fn foreign(begins: Begins, foreign: Foreign) -> Opening {
    match begins {
        Begins::Whole => Opening::Foreign(foreign),
        Begins::InPart => Opening::Unclear,
        Begins::Otherwise => Opening::Name,
    }
}

/// What follows a `*`: a count and a carriage return, or a name.
fn resp(behind: &[u8]) -> Opening {
    let digits =
        behind.iter().take(OPENING_BYTES_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    match behind.get(digits) {
        Some(b'\r') if digits > 0 => Opening::Foreign(Foreign::Resp),
        None => Opening::Unclear,
        Some(_) => Opening::Name,
    }
}

/// What follows telnet's escape byte. No name holds it, since it is not UTF-8.
fn telnet(command: &[u8]) -> Opening {
    match command {
        [] | [WILL..=DONT] => Opening::Unclear,
        [WILL..=DONT, _, ..] => Opening::Preamble { bytes: 3 },
        [SUBNEGOTIATION, rest @ ..] => {
            let end = rest
                .windows(2)
                .take(OPENING_BYTES_MAX)
                .position(|pair| pair == [IAC, SUBNEGOTIATION_END]);
            match end {
                Some(at) => Opening::Preamble { bytes: 2 + at + 2 },
                None if rest.len() > OPENING_BYTES_MAX => Opening::Name,
                None => Opening::Unclear,
            }
        }
        [_, ..] => Opening::Preamble { bytes: 2 },
    }
}

/// A request line is whole when its line is; one that goes on and on is no name.
fn http(input: &[u8]) -> Opening {
    if !HTTP.iter().any(|method| input.starts_with(method)) {
        return Opening::Name;
    }
    let line = input.get(..OPENING_BYTES_MAX).unwrap_or(input);
    match memchr::memchr(b'\n', line) {
        Some(end) if is_request_line(&line[..end]) => Opening::Foreign(Foreign::Http),
        None if line.len() == OPENING_BYTES_MAX => Opening::Foreign(Foreign::Http),
        _ => Opening::Name,
    }
}

fn is_request_line(line: &[u8]) -> bool {
    let version = line.trim_ascii_end().rsplit(|&byte| byte == b' ').next();
    version.is_some_and(|word| word.starts_with(b"HTTP/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opening_is_known_when_its_last_byte_has_come_and_not_before() {
        let foreign = |it| Opening::Foreign(it);
        let skipped = |bytes| Opening::Preamble { bytes };
        for (bytes, opening) in [
            (b"*2\r".as_slice(), foreign(Foreign::Resp)),
            (b"*1024\r", foreign(Foreign::Resp)),
            (b"\x16\x03\x01", foreign(Foreign::Tls)),
            (b"PROXY TCP4 ", foreign(Foreign::Proxy)),
            (b"PROXY UNKNOWN", foreign(Foreign::Proxy)),
            (V2_SIGNATURE, foreign(Foreign::Proxy)),
            (b"\xef\xbb\xbf", skipped(3)),
            (b"\xff\xfb\x1f", skipped(3)),
            (b"\xff\xfa\x1f\0\x50\0\x18\xff\xf0", skipped(9)),
            (b"\xff\xf1", skipped(2)),
        ] {
            assert_eq!(Opening::of(bytes), opening, "{}", bytes.escape_ascii());
            let before = Opening::of(&bytes[..bytes.len() - 1]);
            assert_eq!(before, Opening::Unclear, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_request_of_http_is_one_line_or_a_very_long_one() {
        let http = Opening::Foreign(Foreign::Http);
        assert_eq!(Opening::of(b"GET /AAPL HTTP/1.1\r\nHost: x\r\n\r\n"), http);
        assert_eq!(Opening::of(b"POST / HTTP/1.0\n"), http);
        assert_eq!(Opening::of(&[b"GET /".as_slice(), &[b'a'; 300]].concat()), http);
        assert_eq!(Opening::of(b"GET /AAPL HTTP/1.1"), Opening::Name);
        assert_eq!(Opening::of(b"GET /AAPL\n"), Opening::Name);
    }

    #[test]
    fn names_are_names() {
        for name in ["AAPL\n", "*\n", "*2\n", "*2A", "PROXY\n", "PROP", "GET\n", "\x16\n", "牛"] {
            assert_eq!(Opening::of(name.as_bytes()), Opening::Name, "{name:?}");
        }
        for name in [b"\xef\xbb\xbe\n".as_slice(), b"\r\nA\n", b"\r\n\r\nAAPL\n"] {
            assert_eq!(Opening::of(name), Opening::Name, "{}", name.escape_ascii());
        }
    }
}
