//! How many bytes wait for the client of a stream: those that the plane has made and the system has not taken, and those
//! that the system has and has not sent, since the client has no room for them.
//!
//! The first are counted by the frames themselves: [`held`] makes bytes that are counted until the transport drops them.
//! The second are what the ioctl SIOCOUTQNSD says of a socket. The system says the same over netlink (sock_diag(7)), where
//! a socket is named by its two ends and no file descriptor is needed. What is on its way and not acknowledged does
//! not count: any client that is far away has some of that.
//!
//! ```text
//!    request:    │ header 16 │ family protocol wanted 0 │ states 4 │ socket 48 │
//!    answer:     │ header 16 │ 72 of which nothing is read │ attributes …
//!    header:     │ length 4 │ type 2 │ flags 2 │ sequence 4 │ process 4 │
//!    socket:     │ local port 2 │ peer port 2 │ local address 16 │ peer address 16 │ interface 4 │ cookie 8 │
//!    attribute:  │ length 2 │ type 2 │ value, filled up to a multiple of 4 │
//!    tcp_info:   │ 144 of which nothing is read │ unsent 4 │ …
//! ```
//!
//! Ports and addresses have the byte order of the network, all else that of the machine. Invariant: what is counted once
//! is taken away once.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use socket2::{Domain, Protocol, Socket, Type};

use crate::stream::hub::StreamInfo;

/// Bytes that are counted as unsent until they are dropped.
struct Held<B: AsRef<[u8]>> {
    bytes: B,
    info: Arc<StreamInfo>,
}

/// Bytes of a stream that count as unsent until the transport is done with them.
pub(crate) fn held<B: AsRef<[u8]> + Send + 'static>(bytes: B, info: &Arc<StreamInfo>) -> Bytes {
    info.unsent.fetch_add(bytes.as_ref().len() as u64, Relaxed);
    Bytes::from_owner(Held { bytes, info: Arc::clone(info) })
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl<B: AsRef<[u8]>> Drop for Held<B> {
    fn drop(&mut self) {
        self.info.unsent.fetch_sub(self.bytes.as_ref().len() as u64, Relaxed);
    }
}

/// Counts the bytes of a response that carries a stream, which is noted in its extensions.
pub(crate) async fn count(response: Response) -> Response {
    let Some(info) = response.extensions().get::<Arc<StreamInfo>>().cloned() else {
        return response;
    };
    let counted = move |bytes: Bytes| held(bytes, &info);
    response.map(|body| Body::new(body.map_frame(move |frame| frame.map_data(&counted))))
}

/// Where the system is asked what it has not sent.
#[derive(Debug)]
pub(crate) struct Queues(Option<Socket>);

/// Of the protocol between netlink and the system.
const NETLINK_FAMILY: i32 = 16;
const SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const REQUEST_BYTES: usize = 72;
/// The attribute tcp_info, as it is asked for and as it is answered.
const TCP_INFO: u16 = 2;
const ATTRIBUTES_AT: usize = 88;
/// Where the unsent bytes stand in tcp_info.
const UNSENT_AT: usize = 144;

impl Queues {
    /// Opens the way to the system. Where there is none, nothing is known of what it has.
    pub(crate) fn open() -> Queues {
        if !cfg!(target_os = "linux") {
            return Queues(None);
        }
        let (family, protocol) = (Domain::from(NETLINK_FAMILY), Protocol::from(SOCK_DIAG));
        let socket = Socket::new(family, Type::DGRAM, Some(protocol));
        // The system answers at once or never.
        Queues(socket.and_then(|it| it.set_nonblocking(true).map(|()| it)).ok())
    }

    /// Bytes of a TCP connection that are not sent. `None` where the system does not say.
    pub(crate) fn unsent(&self, local: SocketAddr, peer: SocketAddr) -> Option<u32> {
        let socket = self.0.as_ref()?;
        socket.send(&request(local, peer)).ok()?;
        let mut answer = [0; 1024];
        let bytes = std::io::Read::read(&mut &*socket, &mut answer).ok()?;
        parse(answer.get(..bytes)?)
    }
}

fn request(local: SocketAddr, peer: SocketAddr) -> [u8; REQUEST_BYTES] {
    const FAMILY_4: u8 = 2;
    const FAMILY_6: u8 = 10;
    const TCP: u8 = 6;
    let family = if local.is_ipv4() { FAMILY_4 } else { FAMILY_6 };
    let mut out = [0; REQUEST_BYTES];
    out[..4].copy_from_slice(&(REQUEST_BYTES as u32).to_ne_bytes());
    out[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    out[16..19].copy_from_slice(&[family, TCP, 1 << (TCP_INFO - 1)]);
    // Whatever its state.
    out[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    out[24..26].copy_from_slice(&local.port().to_be_bytes());
    out[26..28].copy_from_slice(&peer.port().to_be_bytes());
    out[28..44].copy_from_slice(&octets(local.ip()));
    out[44..60].copy_from_slice(&octets(peer.ip()));
    // Whatever its cookie.
    out[64..].copy_from_slice(&u64::MAX.to_ne_bytes());
    out
}

fn octets(ip: IpAddr) -> [u8; 16] {
    let mut octets = [0; 16];
    match ip {
        IpAddr::V4(ip) => octets[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => octets = ip.octets(),
    }
    octets
}

fn parse(answer: &[u8]) -> Option<u32> {
    let two = |bytes: &[u8], at: usize| Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    if two(answer, 4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut attributes = answer.get(ATTRIBUTES_AT..)?;
    loop {
        let (length, kind) = (usize::from(two(attributes, 0)?), two(attributes, 2)?);
        if kind == TCP_INFO {
            let info = attributes.get(4..length)?;
            return Some(u32::from_ne_bytes(*info.get(UNSENT_AT..)?.first_chunk()?));
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_system_says_what_a_client_has_not_taken() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(loopback) else { continue };
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut socket, peer) = listener.accept().unwrap();
            let local = socket.local_addr().unwrap();
            let queues = Queues::open();
            let Some(unsent) = queues.unsent(local, peer) else {
                eprintln!("skipped: the system does not say what is unsent");
                return;
            };
            assert_eq!(unsent, 0);
            socket.set_nonblocking(true).unwrap();
            let mut written = 0;
            while let Ok(bytes) = socket.write(&[0; 65_536]) {
                written += bytes;
            }
            let unsent = queues.unsent(local, peer).unwrap() as usize;
            assert!(unsent > 0 && unsent <= written, "{unsent} of {written}");
            client.read_exact(&mut vec![0; written]).unwrap();
            while queues.unsent(local, peer) != Some(0) {
                std::thread::yield_now();
            }
            drop((socket, client));
            assert_eq!(queues.unsent(peer, "127.0.0.1:1".parse().unwrap()), None, "there is none");
        }
    }

    #[test]
    fn half_an_answer_says_nothing() {
        let attribute = |kind: u16, length: u16, value: &[u8]| {
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
        };
        let mut info = [0; UNSENT_AT + 4];
        info[UNSENT_AT..].copy_from_slice(&7_u32.to_ne_bytes());
        let mut whole = vec![0; ATTRIBUTES_AT];
        whole[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        whole.extend(attribute(8, 5, &[0; 4]));
        whole.extend(attribute(TCP_INFO, 4 + info.len() as u16, &info));
        assert_eq!(parse(&whole), Some(7));
        (0..whole.len()).for_each(|bytes| assert_eq!(parse(&whole[..bytes]), None, "{bytes}"));
        let mut error = whole.clone();
        error[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(parse(&error), None);
        // An attribute that says that it has no bytes is passed over all the same.
        whole[ATTRIBUTES_AT..ATTRIBUTES_AT + 8].fill(0);
        assert_eq!(parse(&whole), Some(7));
    }
}
