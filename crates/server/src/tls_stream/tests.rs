//! A client and a server that share nothing but the bytes between them.

mod mutations;

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use rustls::ClientConnection;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use stockd_tls::{ClientTls, ServerTls, development};

use super::*;

/// Both ends of a connection.
struct Pair {
    client: ClientConnection,
    server: TlsStream,
    buffers: TlsBuffers,
    plain: Vec<u8>,
    /// All that the server has opened.
    received: Vec<u8>,
}

static CONFIGURATIONS: LazyLock<(ServerTls, ClientTls)> =
    LazyLock::new(|| development::pair(tempfile::tempdir().unwrap().path()).unwrap());

impl Pair {
    fn new() -> Pair {
        let (server, client) = &*CONFIGURATIONS;
        let name = "localhost".try_into().unwrap();
        let server = UnbufferedServerConnection::new(server.config()).unwrap();
        Pair {
            client: ClientConnection::new(client.config(), name).unwrap(),
            server: TlsStream::new(server),
            buffers: TlsBuffers::default(),
            plain: vec![0; TLS_RECORD_BYTES_MAX],
            received: Vec::new(),
        }
    }

    /// Gives the server these bytes, at most `cut` at a time, and the client what comes back.
    fn give(&mut self, mut bytes: &[u8], cut: usize) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            let room = self.server.room(&mut self.buffers, cut);
            let part = room.len().min(bytes.len());
            room[..part].copy_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            let opened = self.server.open(part, &mut self.buffers, &mut self.plain);
            self.take_outgoing();
            self.received.extend_from_slice(&self.plain[..opened?]);
            assert!(self.server.held_bytes() <= 2 * TLS_PARTIAL_BYTES_MAX);
        }
        Ok(())
    }

    fn take_outgoing(&mut self) {
        let mut outgoing = self.buffers.outgoing.as_slice();
        while !outgoing.is_empty() {
            self.client.read_tls(&mut outgoing).unwrap();
            let _ = self.client.process_new_packets();
        }
    }

    /// What the client has to send by now.
    fn flight(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn shake_hands(&mut self, cut: usize) {
        while self.client.is_handshaking() || self.client.wants_write() {
            let flight = self.flight();
            self.give(&flight, cut).unwrap();
        }
        assert!(!self.server.is_shaking_hands());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bytes_come_whole_and_in_order_however_they_are_cut(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 1..4),
        cut in prop::sample::select(vec![1_usize, 7, 300, 2048, 16_384]),
    ) {
        let mut pair = Pair::new();
        pair.shake_hands(cut);
        for message in &messages {
            pair.received.clear();
            let mut sent = 0;
            while sent < message.len() {
                sent += pair.client.writer().write(&message[sent..]).unwrap();
                let flight = pair.flight();
                pair.give(&flight, cut).unwrap();
            }
            prop_assert_eq!(&pair.received, message);
            prop_assert!(!pair.server.has_partial());
            prop_assert_eq!(pair.server.held_bytes(), 0);

            pair.server.seal(message, &mut pair.buffers.outgoing);
            let mut outgoing = pair.buffers.outgoing.as_slice();
            let mut back = Vec::new();
            while !outgoing.is_empty() {
                pair.client.read_tls(&mut outgoing).unwrap();
                pair.client.process_new_packets().unwrap();
                let _ = pair.client.reader().read_to_end(&mut back);
            }
            prop_assert_eq!(&back, message);
        }
    }

    #[test]
    fn rubbish_is_an_error_with_an_alert_or_waits_and_never_panics(
        rubbish in prop::collection::vec(any::<u8>(), 1..2000),
        at in any::<prop::sample::Index>(),
        flips in 1_u8..=255,
        cut in 1_usize..3000,
    ) {
        let mut pair = Pair::new();
        let is_broken = pair.give(&rubbish, cut).is_err();
        pair.server.seal_end(&mut pair.buffers.outgoing);
        prop_assert!(!is_broken || pair.buffers.outgoing.is_empty());
        // A hello in which one byte is another, and what follows it.
        let mut pair = Pair::new();
        let mut hello = pair.flight();
        let at = at.index(hello.len());
        hello[at] ^= flips;
        if pair.give(&hello, cut).is_ok() {
            let flight = pair.flight();
            let _ = pair.give(&flight, cut);
        }
        pair.server.seal(b"172.5", &mut pair.buffers.outgoing);
        pair.server.seal_end(&mut pair.buffers.outgoing);
        // Records in which one byte is another bring nothing.
        let mut pair = Pair::new();
        pair.shake_hands(4096);
        pair.client.writer().write_all(b"GET AAPL\r\n").unwrap();
        let mut record = pair.flight();
        let last = record.len() - 1;
        record[5 + at % (last - 5)] ^= flips;
        prop_assert!(pair.give(&record, cut).is_err());
        prop_assert!(pair.received.is_empty());
    }
}

#[test]
fn plain_text_gets_an_alert() {
    let mut pair = Pair::new();
    let room = pair.server.room(&mut pair.buffers, 100);
    room[..6].copy_from_slice(b"PING\r\n");
    pair.server.open(6, &mut pair.buffers, &mut pair.plain).unwrap_err();
    // A record of kind 21.
    assert_eq!(pair.buffers.outgoing.first(), Some(&21), "{:?}", pair.buffers.outgoing);
}

#[test]
fn the_end_is_said_both_ways_and_nothing_is_said_before_hands_were_shaken() {
    let mut pair = Pair::new();
    pair.server.seal(b"172.5", &mut pair.buffers.outgoing);
    assert!(pair.buffers.outgoing.is_empty());
    pair.shake_hands(4096);
    pair.client.send_close_notify();
    let flight = pair.flight();
    pair.give(&flight, 4096).unwrap();
    assert!(pair.server.is_closed_by_peer());
    pair.server.seal_end(&mut pair.buffers.outgoing);
    let mut outgoing = pair.buffers.outgoing.as_slice();
    pair.client.read_tls(&mut outgoing).unwrap();
    assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
}

/// Half a message of the handshake, in several records, and then the server has something to say.
#[test]
fn the_end_may_be_said_in_the_middle_of_a_message() {
    for parts in 1..8 {
        let mut pair = Pair::new();
        let hello = pair.flight();
        let records = hello[5..5 + parts].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]);
        pair.give(&records.collect::<Vec<u8>>(), 4).unwrap();
        assert!(pair.server.has_partial());
        pair.server.seal(b"172.5", &mut pair.buffers.outgoing);
        pair.server.seal_end(&mut pair.buffers.outgoing);
        assert!(pair.buffers.outgoing.is_empty());
        // The rest of it.
        let rest = &hello[5 + parts..];
        let length = (rest.len() as u16).to_be_bytes();
        pair.give(&[&[22, 3, 1], &length[..], rest].concat(), 100).unwrap();
        pair.shake_hands(100);
    }
}

/// A message of the handshake in as many records as it has bytes is kept up to a bound.
#[test]
fn a_message_in_too_many_parts_ends_the_connection() {
    let mut pair = Pair::new();
    // A hello of 60,000 bytes, each in a record of its own.
    let hello = [&[1, 0, 0xea, 0x60][..], &vec![0; 60_000]].concat();
    let records: Vec<u8> = hello.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    pair.give(&records, 16_384).unwrap_err();
}

#[test]
fn a_client_of_tls_1_2_is_served_too() {
    let mut pair = Pair::new();
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = development::pair(directory.path()).unwrap();
    let root = CertificateDer::from_pem_file(directory.path().join("ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    pair.client = ClientConnection::new(Arc::new(old), name).unwrap();
    let server = UnbufferedServerConnection::new(server.config()).unwrap();
    pair.server = TlsStream::new(server);
    pair.shake_hands(100);
    pair.client.writer().write_all(b"GET AAPL\r\n").unwrap();
    let flight = pair.flight();
    pair.give(&flight, 100).unwrap();
    assert_eq!(pair.received, b"GET AAPL\r\n");
    assert_eq!(pair.client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
}
