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
mod tests;
