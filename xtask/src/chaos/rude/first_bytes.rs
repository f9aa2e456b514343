//! Clients that speak something else, or nothing whole.

use std::io;
use std::time::Duration;

use stockd_witness::Random;

use super::super::scene::{Rude, Visit};

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// Bytes of a random in a TLS hello, and of its session identifier.
const HELLO_RANDOM_BYTES: usize = 32;

/// A TLS ClientHello with a command on a line of its own in it: it was executed in 76 of 120 tries.
pub(super) struct TlsHello;

impl Rude for TlsHello {
    fn name(&self) -> &'static str {
        "tls-hello"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        while visit.goes_on() {
            let symbol = visit.never("TLS");
            let protocol = format!("\nHSET {symbol} price 1\n");
            let hello = client_hello(&mut visit.random, protocol.as_bytes());
            let mut client = visit.either()?;
            client.push(visit, &hello)?;
            visit.rest(PAUSE);
            // The server may have closed.
            let _ = client.drain();
        }
        Ok(())
    }
}

/// A ClientHello of TLS 1.2 that offers this application protocol (RFC 5246, RFC 7301).
fn client_hello(random: &mut Random, protocol: &[u8]) -> Vec<u8> {
    let with_len16 = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let with_len8 = |bytes: &[u8]| [&[bytes.len() as u8][..], bytes].concat();
    let protocols = with_len16(&with_len8(protocol));
    let alpn = [&[0, 16][..], &with_len16(&protocols)].concat();
    let hello = [
        &[3, 3][..],
        &random.bytes(HELLO_RANDOM_BYTES),
        &with_len8(&random.bytes(HELLO_RANDOM_BYTES)),
        // Two cipher suites, no compression.
        &with_len16(&[0x13, 0x01, 0xc0, 0x2f]),
        &with_len8(&[0]),
        &with_len16(&alpn),
    ]
    .concat();
    // A handshake message has a length of 24 bits.
    let handshake = [&[1, 0][..], &with_len16(&hello)].concat();
    [&[22, 3, 1][..], &with_len16(&handshake)].concat()
}

/// An HTTP request with its headers in any order and a command as its body: unless `Host` came
/// first it was executed.
pub(super) struct Http;

impl Rude for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        while visit.goes_on() {
            let body = format!("HSET {} price 1\r\n", visit.never("HTTP"));
            let mut headers = [
                "Host: 127.0.0.1".to_owned(),
                "User-Agent: page".to_owned(),
                "Accept: */*".to_owned(),
                "Origin: null".to_owned(),
                "Content-Type: text/plain".to_owned(),
                format!("Content-Length: {}", body.len()),
            ];
            visit.random.shuffle(&mut headers);
            // HTTP/1.0 needs none of them.
            let headers = &headers[..visit.random.between(0, headers.len())];
            let headers: String = headers.iter().map(|it| format!("{it}\r\n")).collect();
            let method = visit.random.pick(&["POST", "GET", "PUT", "OPTIONS", "post", "PRI"]);
            let request = format!("{method} / HTTP/1.1\r\n{headers}\r\n{body}");
            let mut client = visit.either()?;
            client.push(visit, request.as_bytes())?;
            visit.rest(PAUSE);
            let _ = client.drain();
        }
        Ok(())
    }
}

/// 200 clients whose line never ends, a byte at a time.
pub(super) struct HalfLine;

impl Rude for HalfLine {
    fn name(&self) -> &'static str {
        "half-line"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let count = visit.clients(200);
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(visit.either()?);
        }
        while visit.goes_on() && !clients.is_empty() {
            clients.retain_mut(|client| client.offer(b"A").is_ok());
            visit.rest(PAUSE);
        }
        Ok(())
    }
}

/// Any bytes at all.
pub(super) struct Noise;

impl Rude for Noise {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        while visit.goes_on() {
            let mut client = visit.either()?;
            for _ in 0..visit.random.between(1, 4) {
                let len = visit.random.between(1, 20_000);
                let bytes = visit.random.bytes(len);
                if client.exchange(visit, &bytes).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each length counts what is behind it.
    #[test]
    fn the_hello_is_whole() {
        let hello = client_hello(&mut Random::new(1), b"\nHSET A price 1\n");
        let len16 = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        assert_eq!(hello[..3], [22, 3, 1]);
        assert_eq!(len16(3), hello.len() - 5);
        assert_eq!(len16(7), hello.len() - 9);
        assert!(hello.ends_with(b"\nHSET A price 1\n"));
    }
}
