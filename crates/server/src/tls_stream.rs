//! One connection's side of TLS, without its socket: records come in and go out, plain bytes come out and
//! go in.
//!
//! It owns the state of the connection and the beginning of a record that has not come whole. It knows
//! no socket, no clock, and nothing of what the plain bytes mean.
//!
//! Invariant: it holds at most [`TLS_PARTIAL_BYTES_MAX`] bytes between two turns, and every byte that it makes for the
//! client is given out with the call that makes it.

use std::fmt;
use std::ops::Range;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use stockd_model::CertificateName;
use stockd_model::limits::{TLS_PARTIAL_BYTES_MAX, TLS_RECORD_BYTES_MAX};

/// Bytes that encryption adds to a record in most cases: its header, what TLS 1.2 puts before it or 1.3
/// behind it, and the authentication tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;

/// Bytes that a read may bring in any case.
const READ_BYTES_MIN: usize = 256;

/// Plain bytes in a record, at most (RFC 8446, 5.1).
const RECORD_PLAIN_BYTES: usize = 16 * 1024;

/// The state of one connection.
pub(crate) struct TlsStream {
    connection: Box<UnbufferedServerConnection>,
    /// The beginning of a record. Holds no memory while it is empty.
    partial: Vec<u8>,
    is_shaking_hands: bool,
    /// The client has broken the protocol.
    is_broken: bool,
    /// The client has said that it sends no more.
    is_closed_by_peer: bool,
}

/// What all TLS connections of a worker share in their turns. Holds no memory before the first one.
#[derive(Debug, Default)]
pub(crate) struct TlsBuffers {
    /// Where records are read and decrypted.
    incoming: Vec<u8>,
    /// Where records are made.
    pub(crate) outgoing: Vec<u8>,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TlsStream { partial, is_shaking_hands, is_broken, is_closed_by_peer, .. } = self;
        f.debug_struct("TlsStream")
            .field("partial_bytes", &partial.len())
            .field("is_shaking_hands", is_shaking_hands)
            .field("is_broken", is_broken)
            .field("is_closed_by_peer", is_closed_by_peer)
            .finish_non_exhaustive()
    }
}

impl TlsStream {
    pub(crate) fn new(connection: UnbufferedServerConnection) -> TlsStream {
        TlsStream {
            connection: Box::new(connection),
            partial: Vec::new(),
            is_shaking_hands: true,
            is_broken: false,
            is_closed_by_peer: false,
        }
    }

    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.is_shaking_hands
    }

    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.is_closed_by_peer
    }

    /// Bytes of memory that it holds for what has not come whole.
    pub(crate) fn held_bytes(&self) -> usize {
        self.partial.capacity()
    }

    /// Whether a record has begun to come.
    pub(crate) fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// The names in the client's certificate; none if it has shown none.
    pub(crate) fn peer_names(&self) -> Vec<CertificateName> {
        let chain = self.connection.peer_certificates().unwrap_or_default();
        chain.first().map_or_else(Vec::new, stockd_tls::names_of)
    }

    /// Where the next bytes of records are to be read to: at most `bytes_max` of them, and no more than the
    /// rest of one record, so that the plain bytes of all have room where those of one have.
    pub(crate) fn room<'a>(&self, buffers: &'a mut TlsBuffers, bytes_max: usize) -> &'a mut [u8] {
        if buffers.incoming.is_empty() {
            buffers.incoming.resize(TLS_PARTIAL_BYTES_MAX + TLS_RECORD_BYTES_MAX, 0);
        }
        let begin = self.partial.len();
        buffers.incoming[..begin].copy_from_slice(&self.partial);
        // Parts of a message of the handshake may be longer than a record together.
        let room = TLS_RECORD_BYTES_MAX.saturating_sub(begin).max(READ_BYTES_MIN);
        &mut buffers.incoming[begin..begin + bytes_max.min(room)]
    }

    /// Takes the bytes that were read to its [room](TlsStream::room). The plain ones of them come to the
    /// front of `plain`, which has room for those of a record, and are counted; what the client has to be
    /// told is in `outgoing`.
    ///
    /// # Errors
    ///
    /// When the client breaks the protocol. The alert that tells it so is in `outgoing`.
    pub(crate) fn open(
        &mut self,
        read: usize,
        buffers: &mut TlsBuffers,
        plain: &mut [u8],
    ) -> Result<usize, rustls::Error> {
        let TlsBuffers { incoming, outgoing } = buffers;
        outgoing.clear();
        let mut records = 0..self.partial.len() + read;
        let opened = self.open_records(incoming, &mut records, outgoing, plain);
        if opened.is_err() {
            self.is_broken = true;
            self.take_alert(&mut incoming[records.clone()], outgoing);
        }
        let plain = opened?;
        self.keep(&incoming[records])?;
        Ok(plain)
    }

    /// Goes on until it needs more bytes. Returns how many plain bytes there are; the records that are
    /// left are not whole.
    fn open_records(
        &mut self,
        incoming: &mut [u8],
        records: &mut Range<usize>,
        outgoing: &mut Vec<u8>,
        plain: &mut [u8],
    ) -> Result<usize, rustls::Error> {
        let mut filled = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut incoming[records.clone()]);
            let mut is_done = false;
            let result = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut result = Ok(());
                    while let Some(record) = traffic.next_record() {
                        result = result.and(record.and_then(|record| {
                            discard += record.discard;
                            put(record.payload, plain, &mut filled)
                        }));
                    }
                    result
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append_message(outgoing, &mut data);
                    Ok(())
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(())
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.is_shaking_hands = false;
                    is_done = true;
                    Ok(())
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_closed_by_peer = true;
                    Ok(())
                }
                // Early data is not asked for; others are to come with other versions.
                Ok(_) => {
                    is_done = true;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            records.start += discard;
            result?;
            if is_done {
                return Ok(filled);
            }
        }
    }

    /// After an error: takes what the client has to be told of it, and nothing else, since a connection
    /// that has failed must not look at records again.
    fn take_alert(&mut self, records: &mut [u8], outgoing: &mut Vec<u8>) {
        while self.connection.wants_write() {
            match self.connection.process_tls_records(records).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append_message(outgoing, &mut data);
                }
                _ => return,
            }
        }
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), rustls::Error> {
        if rest.is_empty() {
            self.partial = Vec::new();
            return Ok(());
        }
        if rest.len() > TLS_PARTIAL_BYTES_MAX {
            return Err(rustls::Error::General("a message in too many parts".to_owned()));
        }
        self.partial.clear();
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Makes records of plain bytes, in `outgoing`. Nothing comes of them before the handshake has ended,
    /// or when the connection cannot encrypt any more: it is about to be closed then.
    pub(crate) fn seal(&mut self, plain: &[u8], outgoing: &mut Vec<u8>) {
        outgoing.clear();
        for plain in plain.chunks(RECORD_PLAIN_BYTES) {
            self.encrypt(Some(plain), outgoing);
        }
    }

    /// Makes the record that tells the client that nothing more comes, in `outgoing`.
    pub(crate) fn seal_end(&mut self, outgoing: &mut Vec<u8>) {
        outgoing.clear();
        self.encrypt(None, outgoing);
    }

    /// Encrypts plain bytes, or the end, once the connection is ready for it.
    fn encrypt(&mut self, plain: Option<&[u8]>, outgoing: &mut Vec<u8>) {
        while !self.is_broken {
            // The connection knows places in what is kept, so it has to see it each time.
            match self.connection.process_tls_records(&mut self.partial).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let hint = plain.map_or(0, <[u8]>::len) + RECORD_OVERHEAD;
                    return append(outgoing, hint, |room| {
                        let encrypted = match plain {
                            Some(plain) => traffic.encrypt(plain, room),
                            None => traffic.queue_close_notify(room),
                        };
                        encrypted.map_err(|error| match error {
                            EncryptError::InsufficientSize(size) => Some(size.required_size),
                            EncryptError::EncryptExhausted => None,
                        })
                    });
                }
                // A new key that the client has asked for.
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append_message(outgoing, &mut data);
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_closed_by_peer = true,
                _ => return,
            }
        }
    }
}

/// Puts plain bytes behind those that are filled. There is room: they are fewer than those of their record.
fn put(payload: &[u8], plain: &mut [u8], filled: &mut usize) -> Result<(), rustls::Error> {
    let end = *filled + payload.len();
    let room = plain.get_mut(*filled..end);
    room.ok_or_else(|| rustls::Error::General("more bytes than were sent".to_owned()))?
        .copy_from_slice(payload);
    *filled = end;
    Ok(())
}

/// Has something write its bytes behind those in `outgoing`, with as much room as it says it needs,
/// beginning with `hint`. Where it says nothing, nothing is written.
fn append(
    outgoing: &mut Vec<u8>,
    hint: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) {
    let begin = outgoing.len();
    let mut room = hint;
    let written = loop {
        outgoing.resize(begin + room, 0);
        match write(&mut outgoing[begin..]) {
            Ok(written) => break written,
            Err(Some(required)) if required > room => room = required,
            Err(_) => break 0,
        }
    };
    outgoing.truncate(begin + written);
}

/// Writes a message of the protocol behind what is in `outgoing`.
fn append_message<Data>(outgoing: &mut Vec<u8>, message: &mut EncodeTlsData<'_, Data>) {
    append(outgoing, 0, |room| {
        message.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => Some(size.required_size),
            EncodeError::AlreadyEncoded => None,
        })
    });
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::ClientConnection;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use stockd_tls::{ClientTls, ServerTls, development};

    use super::*;

    /// A client and a server that share nothing but the bytes between them.
    struct Pair {
        client: ClientConnection,
        server: TlsStream,
        buffers: TlsBuffers,
        plain: Vec<u8>,
        /// All that the server has opened.
        received: Vec<u8>,
    }

    fn configurations() -> (ServerTls, ClientTls) {
        development::pair(tempfile::tempdir().unwrap().path()).unwrap()
    }

    impl Pair {
        fn new() -> Pair {
            let (server, client) = configurations();
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
}
