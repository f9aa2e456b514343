//! The bytes of one write, or of one quote, made on the stack: what a batch is put together from.
//!
//! Writes are encoded once at a node, and quotes are hashed for each change at every node, so it appends by words of a
//! fixed length and allocates nothing. It knows no batch and no head.
//!
//! Invariant: it never has more than [`PIECE_BYTES_MAX`] bytes, since nothing that it is made of is longer.

use super::codes::{
    CLEAR, CONDITION_SHIFT, HALTED, IF_LISTED, IF_UNLISTED, IF_VERSION, KEEP, OP_CLEAR, OP_DELIST,
    OP_SET, OP_TRADE, OP_UPDATE, SET, STATUS_SHIFT, TAKES, TRADING,
};
use crate::limits::SYMBOL_BYTES_MAX;
use crate::{Condition, Edit, Fields, Price, Quote, Request, Shares, Status, Symbol, Volume};

/// The longest: a command, a symbol with its length, a version, a time, the edits, six decimals and one more time.
const PIECE_BYTES_MAX: usize = 1 + 1 + SYMBOL_BYTES_MAX + 8 + 8 + 2 + 6 * 9 + 8;

/// One write or quote, encoded.
pub(super) struct Piece {
    bytes: [u8; PIECE_BYTES_MAX],
    len: usize,
}

impl Piece {
    #[inline]
    pub(super) fn new() -> Piece {
        Piece { bytes: [0; PIECE_BYTES_MAX], len: 0 }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// A command or what stands in its place, the symbol it is about, and the condition.
    #[inline]
    pub(super) fn symbol(&mut self, op: u8, condition: Condition, symbol: &Symbol) {
        let (condition, version) = match condition {
            Condition::Always => (0, None),
            Condition::Listed => (IF_LISTED, None),
            Condition::Unlisted => (IF_UNLISTED, None),
            Condition::Version(version) => (IF_VERSION, Some(version)),
        };
        let len = symbol.as_bytes().len();
        self.put([op | condition << CONDITION_SHIFT, len as u8]);
        // All its words, for a fixed length is quicker; what follows is put over those that it does not need.
        let begin = self.len;
        symbol.words().into_iter().for_each(|word| self.word(word));
        self.len = begin + len;
        if let Some(version) = version {
            self.word(version);
        }
    }

    /// A write. Of a lookup there is nothing.
    #[inline]
    pub(super) fn request(&mut self, condition: Condition, request: &Request) {
        let (op, symbol) = match request {
            Request::Lookup(_) => return,
            Request::Set(symbol, _) => (OP_SET, symbol),
            Request::Update(symbol, _) => (OP_UPDATE, symbol),
            Request::Clear(symbol, _) => (OP_CLEAR, symbol),
            Request::Trade(symbol, _) => (OP_TRADE, symbol),
            Request::Delist(symbol) => (OP_DELIST, symbol),
        };
        self.symbol(op, condition, symbol);
        match request {
            Request::Set(_, fields) | Request::Update(_, fields) | Request::Clear(_, fields) => {
                self.fields(fields);
            }
            Request::Trade(_, shares) => {
                let (takes, volume) = match *shares {
                    Shares::Add(volume) => (0, volume),
                    Shares::Take(volume) => (TAKES, volume),
                };
                self.put([volume.places() | takes]);
                self.word(volume.coefficient());
            }
            Request::Lookup(_) | Request::Delist(_) => {}
        }
    }

    /// A whole quote: a set on condition of its version, with the time of its last change before the fields.
    #[inline]
    pub(super) fn quote(&mut self, quote: &Quote) {
        self.symbol(OP_SET, Condition::Version(quote.version), &quote.symbol);
        self.word(quote.updated_ns);
        let mut fields = self.begin_fields(Some(quote.status));
        fields.price(quote.price.into());
        fields.volume(quote.volume.into());
        fields.price(quote.bid.into());
        fields.price(quote.ask.into());
        fields.volume(quote.bid_size.into());
        fields.volume(quote.ask_size.into());
        fields.time(quote.time_ns.map_or(Edit::Keep, Edit::Set));
        fields.end();
    }

    #[inline]
    fn fields(&mut self, given: &Fields) {
        let mut fields = self.begin_fields(given.status);
        fields.price(given.price);
        fields.volume(given.volume);
        fields.price(given.bid);
        fields.price(given.ask);
        fields.volume(given.bid_size);
        fields.volume(given.ask_size);
        fields.time(given.time_ns);
        fields.end();
    }

    #[inline]
    fn begin_fields(&mut self, status: Option<Status>) -> FieldsPiece<'_> {
        let status = match status {
            None => 0,
            Some(Status::Trading) => TRADING,
            Some(Status::Halted) => HALTED,
        };
        let at = self.len;
        self.put([0, 0]);
        FieldsPiece { piece: self, at, edits: status << STATUS_SHIFT, shift: 0 }
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.put(word.to_le_bytes());
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.len..self.len + N].copy_from_slice(&bytes);
        self.len += N;
    }
}

/// Fields that are being appended, in the order of their bits.
struct FieldsPiece<'a> {
    piece: &'a mut Piece,
    /// Where the edits stand.
    at: usize,
    edits: u16,
    shift: u32,
}

impl FieldsPiece<'_> {
    #[inline]
    fn price(&mut self, edit: Edit<Price>) {
        self.edit(edit, |piece, price| {
            piece.put([price.places()]);
            piece.put(price.coefficient().to_le_bytes());
        });
    }

    #[inline]
    fn volume(&mut self, edit: Edit<Volume>) {
        self.edit(edit, |piece, volume| {
            piece.put([volume.places()]);
            piece.word(volume.coefficient());
        });
    }

    #[inline]
    fn time(&mut self, edit: Edit<u64>) {
        self.edit(edit, Piece::word);
    }

    #[inline]
    fn edit<T>(&mut self, edit: Edit<T>, put: impl FnOnce(&mut Piece, T)) {
        let bits = match edit {
            Edit::Keep => KEEP,
            Edit::Clear => CLEAR,
            Edit::Set(value) => {
                put(self.piece, value);
                SET
            }
        };
        self.edits |= bits << self.shift;
        self.shift += 2;
    }

    #[inline]
    fn end(self) {
        self.piece.bytes[self.at..self.at + 2].copy_from_slice(&self.edits.to_le_bytes());
    }
}
