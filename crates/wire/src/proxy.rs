//! The header of the PROXY protocol, versions 1 and 2: whom a proxy's connection is made for.
//!
//! A proxy sends it once, before any byte of its client. A server reads it only where it was told to,
//! since a client could send one too, and be taken for another. Source of the format:
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>.
//!
//! Invariant: a header is taken whole or not at all, and nothing of the client's own bytes with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stockd_model::limits::PROXY_HEADER_BYTES_MAX;

/// What is said where a header comes and none was to be expected.
pub(crate) const UNEXPECTED_HEADER: &str =
    "a proxy's header came first; set proxy_protocol if every client comes through a proxy";

/// Bytes of the longest header of version 1, its line end included.
const V1_BYTES_MAX: usize = 107;

/// What a header of version 2 begins with.
pub(crate) const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a header of version 2 before its addresses: the signature, version and command, family, and
/// how many bytes follow.
const V2_HEAD_BYTES: usize = 16;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client that the proxy speaks for; `None` where it speaks for itself, as in its checks of
    /// health, or does not say.
    pub source: Option<SocketAddr>,
    /// Bytes of the header.
    pub bytes: usize,
}

/// What comes first is no header of the PROXY protocol. What follows it cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the connection does not begin with a header of the PROXY protocol; connect through the proxy, or take proxy_protocol out of the settings"
)]
pub struct NoProxyHeader;

/// The header at the front of the input. `None` asks for more bytes.
///
/// # Errors
///
/// [`NoProxyHeader`] at the first byte that is wrong.
pub fn decode(input: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    if input.starts_with(V2_SIGNATURE) {
        return decode_v2(input);
    }
    if input.starts_with(b"PROXY ") {
        return decode_v1(input);
    }
    match V2_SIGNATURE.starts_with(input) || b"PROXY ".starts_with(input) {
        true => Ok(None),
        false => Err(NoProxyHeader),
    }
}

/// A line: `PROXY TCP4 192.0.2.1 192.0.2.9 56324 7879`, or `PROXY UNKNOWN` and anything.
fn decode_v1(input: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    let possible = input.get(..V1_BYTES_MAX).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', possible) else {
        return if possible.len() < V1_BYTES_MAX { Ok(None) } else { Err(NoProxyHeader) };
    };
    let line = possible[..end].strip_suffix(b"\r").ok_or(NoProxyHeader)?;
    let line = std::str::from_utf8(line).map_err(|_| NoProxyHeader)?;
    let words: Vec<&str> = line.split(' ').collect();
    let source = match words[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family, source, destination, port, destination_port] => {
            let is_of_family = |address: &IpAddr| match family {
                "TCP4" => address.is_ipv4(),
                "TCP6" => address.is_ipv6(),
                _ => false,
            };
            let address = |text: &str| text.parse().ok().filter(is_of_family).ok_or(NoProxyHeader);
            let port_of = |text: &str| text.parse::<u16>().map_err(|_| NoProxyHeader);
            address(destination)?;
            port_of(destination_port)?;
            Some(SocketAddr::new(address(source)?, port_of(port)?))
        }
        _ => return Err(NoProxyHeader),
    };
    Ok(Some(ProxyHeader { source, bytes: end + 1 }))
}

/// ```text
///  12 bytes      1            1            2, big-endian   as many
/// +-----------+------------+------------+---------------+------------------------------------+
/// | signature | version 2, | family,    | bytes         | source, destination, their ports,  |
/// |           | command    | transport  | that follow   | and more                           |
/// +-----------+------------+------------+---------------+------------------------------------+
/// ```
fn decode_v2(input: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    let Some((head, behind)) = input.split_first_chunk::<V2_HEAD_BYTES>() else { return Ok(None) };
    let (command, family) = (head[12], head[13]);
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if command >> 4 != 2 || V2_HEAD_BYTES + length > PROXY_HEADER_BYTES_MAX {
        return Err(NoProxyHeader);
    }
    let Some(addresses) = behind.get(..length) else { return Ok(None) };
    let source = match (command & 0xf, family) {
        (0, _) => None,
        (1, 0x11) => {
            let addresses: &[u8; 12] = addresses.first_chunk().ok_or(NoProxyHeader)?;
            let [a, b, c, d, .., high, low, _, _] = *addresses;
            Some((IpAddr::from(Ipv4Addr::new(a, b, c, d)), u16::from_be_bytes([high, low])))
        }
        (1, 0x21) => {
            let addresses: &[u8; 36] = addresses.first_chunk().ok_or(NoProxyHeader)?;
            let mut source = [0; 16];
            source.copy_from_slice(&addresses[..16]);
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            Some((IpAddr::from(Ipv6Addr::from(source)), port))
        }
        // Of another family: the connection is served, and who is behind it is not said.
        (1, _) => None,
        _ => return Err(NoProxyHeader),
    };
    Ok(Some(ProxyHeader { source: source.map(SocketAddr::from), bytes: V2_HEAD_BYTES + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2 with this command, family and what follows.
    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = (addresses.len() as u16).to_be_bytes();
        [V2_SIGNATURE.as_slice(), &[command, family], &length, addresses].concat()
    }

    fn source(header: &[u8]) -> Option<SocketAddr> {
        let decoded = decode(header).unwrap().unwrap();
        assert_eq!(decoded.bytes, header.len());
        decoded.source
    }

    #[test]
    fn the_source_is_that_of_the_header() {
        let v4 = Some("192.0.2.1:56324".parse().unwrap());
        let v6 = Some("[2001:db8::1]:56324".parse().unwrap());
        assert_eq!(source(b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 7879\r\n"), v4);
        assert_eq!(source(b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 7879\r\n"), v6);
        assert_eq!(source(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(source(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), None);
        let tcp4 = [192, 0, 2, 1, 192, 0, 2, 9, 0xdc, 0x04, 0x1e, 0xc7];
        assert_eq!(source(&v2(0x21, 0x11, &tcp4)), v4);
        assert_eq!(source(&v2(0x21, 0x11, &[&tcp4[..], b"\x04\0\x01x"].concat())), v4);
        let mut tcp6 = [0; 36];
        tcp6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        tcp6[15] = 1;
        tcp6[32..34].copy_from_slice(&[0xdc, 0x04]);
        assert_eq!(source(&v2(0x21, 0x21, &tcp6)), v6);
        assert_eq!(source(&v2(0x20, 0x00, &[])), None);
        assert_eq!(source(&v2(0x21, 0x31, &[0; 216])), None);
    }

    #[test]
    fn a_header_is_taken_when_all_of_it_is_there_and_no_more_than_that() {
        for header in
            [b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 7879\r\n".to_vec(), v2(0x21, 0x11, &[0; 12])]
        {
            for end in 0..header.len() {
                assert_eq!(decode(&header[..end]), Ok(None), "{end}");
            }
            let decoded = decode(&[&header, b"AAPL\n".as_slice()].concat()).unwrap().unwrap();
            assert_eq!(decoded.bytes, header.len());
        }
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        let long = [b"PROXY UNKNOWN".as_slice(), &[b'x'; V1_BYTES_MAX]].concat();
        for input in [
            b"AAPL\n".to_vec(),
            b"PROXYTCP4".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 7879\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.9 65536 7879\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.9 1\r\n".to_vec(),
            long,
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x11, &[0; PROXY_HEADER_BYTES_MAX]),
        ] {
            assert_eq!(decode(&input), Err(NoProxyHeader), "{}", input.escape_ascii());
        }
    }

    /// A fuzzer too, under cargo-bolero.
    #[test]
    fn rubbish_never_panics_and_more_bytes_change_no_header() {
        bolero::check!().for_each(|input: &[u8]| {
            for start in [b"".as_slice(), b"PROXY ", V2_SIGNATURE] {
                let input = [start, input].concat();
                if let Ok(Some(header)) = decode(&input) {
                    assert!(header.bytes <= input.len());
                    assert_eq!(decode(&input[..header.bytes]), Ok(Some(header)));
                }
            }
        });
    }
}
