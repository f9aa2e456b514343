//! The chain of hashes over the log, and the latest of its links.
//!
//! The link of a message is the XXH3 of its bytes, seeded with the link before it; so two nodes with the same link
//! have had the same messages, in the same order. Pure: it knows no messages' meaning.
//!
//! Invariant: the last link that is remembered is that of [`Chain::sequence`].

use std::collections::VecDeque;

use stockd_model::batch::Seen;
use stockd_model::limits::CHAIN_REMEMBERED;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The links of the log up to a message.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    sequence: u64,
    /// The link of `sequence` at the back, and those before it; never empty.
    links: VecDeque<u64>,
}

impl Chain {
    /// The chain up to a message of which no more is known. That before the first message has 0 and 0.
    pub(crate) fn from(Seen { sequence, chain }: Seen) -> Chain {
        Chain { sequence, links: VecDeque::from([chain]) }
    }

    /// The chain up to a message, with the links of those before it, the latest last.
    pub(crate) fn with_links(sequence: u64, links: Vec<u64>) -> Chain {
        Chain { sequence, links: links.into() }
    }

    /// The latest links, that of the last message last.
    pub(crate) fn latest(&self, most: usize) -> impl ExactSizeIterator<Item = u64> {
        self.links.range(self.links.len().saturating_sub(most)..).copied()
    }

    /// The last message in it.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Up to where it goes.
    pub(crate) fn seen(&self) -> Seen {
        Seen { sequence: self.sequence, chain: self.links.back().copied().unwrap_or_default() }
    }

    /// The link of a message; `None` where it is not remembered, or has not come yet.
    pub(crate) fn link(&self, sequence: u64) -> Option<u64> {
        let back = self.sequence.checked_sub(sequence)?;
        let at = (self.links.len() as u64).checked_sub(back + 1)?;
        self.links.get(usize::try_from(at).ok()?).copied()
    }

    /// Appends the next message.
    pub(crate) fn append(&mut self, message: &[u8]) {
        let link = xxh3_64_with_seed(message, self.seen().chain);
        self.links.push_back(link);
        if self.links.len() > CHAIN_REMEMBERED {
            self.links.pop_front();
        }
        self.sequence += 1;
    }

    /// Whether this message has come before at this sequence; `None` where that is not remembered.
    pub(crate) fn has(&self, sequence: u64, message: &[u8]) -> Option<bool> {
        let before = self.link(sequence.checked_sub(1)?)?;
        Some(xxh3_64_with_seed(message, before) == self.link(sequence)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stands_for_all_messages_before_it() {
        let mut chains = [Chain::from(Seen::default()), Chain::from(Seen::default())];
        for message in [b"a", b"b", b"c"] {
            chains.iter_mut().for_each(|chain| chain.append(message));
        }
        let [mut one, mut other] = chains;
        assert_eq!(one.seen(), other.seen());
        assert_eq!([0, 1, 3].map(|at| one.link(at).is_some()), [true; 3]);
        assert_eq!(one.link(4), None);
        assert_eq!(
            [one.has(2, b"b"), one.has(2, b"x"), one.has(4, b"d")],
            [Some(true), Some(false), None]
        );
        one.append(b"d");
        other.append(b"x");
        one.append(b"e");
        other.append(b"e");
        assert_ne!(one.seen().chain, other.seen().chain);
    }

    #[test]
    fn the_latest_links_are_remembered() {
        let mut chain = Chain::from(Seen { sequence: 100, chain: 7 });
        assert_eq!([chain.link(99), chain.link(100)], [None, Some(7)]);
        (0..CHAIN_REMEMBERED as u64 + 5).for_each(|_| chain.append(b"m"));
        assert_eq!(chain.link(105), None);
        assert!(chain.link(106).is_some() && chain.link(chain.sequence()).is_some());
    }
}
