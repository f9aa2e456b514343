//! What an operation is known by when it is complete. The kernel carries it and does not look at it.
//!
//! Invariant: kind, index and slot come out as they went in; they share no bits.

/// Which operation a completion is of: kind, place of its bytes, socket.
#[derive(Clone, Copy)]
pub(crate) struct Tag(pub(crate) u64);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Receive,
    Look,
    OpenAgain,
    Send,
    LateSend,
    /// One of whose outcome nothing hangs.
    Plain,
    Watch,
}

impl Tag {
    /// Indices that a tag has room for.
    pub(crate) const INDICES: usize = 1 << 24;

    #[inline]
    pub(crate) fn new(kind: Kind, index: usize, slot: u32) -> Tag {
        debug_assert!(index < Tag::INDICES);
        Tag((kind as u64) << 56 | (index as u64) << 32 | u64::from(slot))
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        match self.0 >> 56 {
            0 => Kind::Receive,
            1 => Kind::Look,
            2 => Kind::OpenAgain,
            3 => Kind::Send,
            4 => Kind::LateSend,
            5 => Kind::Plain,
            _ => Kind::Watch,
        }
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        (self.0 >> 32) as usize & (Tag::INDICES - 1)
    }

    #[inline]
    pub(crate) fn slot(self) -> u32 {
        self.0 as u32
    }
}
