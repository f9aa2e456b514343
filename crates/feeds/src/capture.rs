//! Captures of packets, pcap and pcapng: MoldUDP64 with ITCH, and IEX-TP with TOPS, are seen by themselves.
//!
//! Owns the blocks of both formats. Sources: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Both orders of
//! bytes, both resolutions of time; of pcapng sections, interfaces and packets, all else is passed over. A codec
//! of our own, since it takes bytes as they come and tells where a capture is cut, in fewer lines than it takes to
//! fit another one in.
//!
//! Invariant: a block or packet has at most [`FEED_PACKET_BYTES_MAX`] bytes, or the capture is damaged.

use std::collections::HashMap;

use stockd_model::limits::{FEED_INTERFACES_MAX, FEED_PACKET_BYTES_MAX, FEED_SESSIONS_MAX};

use crate::decode::{Decode, FeedError, Step};
use crate::iex_tp::IexTp;
use crate::mold::Mold;
use crate::pending::Pending;
use crate::{Cause, ItchFeed, Market, TopsFeed, datagram};

/// What the messages in a capture are.
#[derive(Debug)]
enum Feed {
    Itch { feed: ItchFeed, sessions: HashMap<[u8; 10], Mold> },
    Tops { feed: TopsFeed, sessions: HashMap<u32, IexTp> },
}

/// A capture of packets.
#[derive(Debug)]
pub struct Capture {
    pending: Pending,
    feed: Feed,
    form: Form,
    /// The link layers of the interfaces.
    links: Vec<u32>,
    is_little: bool,
    /// Whether a message had a length that its type does not have.
    wrong: Option<FeedError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The first bytes will say it.
    Unknown,
    Pcap,
    PcapNg,
}

const PCAP_HEADER_BYTES: usize = 24;
const PACKET_HEADER_BYTES: usize = 16;
const BLOCK_BYTES_MIN: usize = 12;
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

impl Capture {
    /// A capture of MoldUDP64 with ITCH, of the day that began at this Unix time in nanoseconds, if that is known.
    pub fn of_itch(midnight_ns: Option<u64>) -> Capture {
        Capture::new(Feed::Itch { feed: ItchFeed::new(midnight_ns), sessions: HashMap::new() })
    }

    /// A capture of IEX-TP with TOPS.
    pub fn of_tops() -> Capture {
        Capture::new(Feed::Tops { feed: TopsFeed::default(), sessions: HashMap::new() })
    }

    /// Whether a file that begins like this is a capture.
    pub fn fits(start: &[u8]) -> bool {
        let start = start.first_chunk().copied().map(u32::from_le_bytes);
        start.is_some_and(|magic| order_of(magic).is_some() || magic == SECTION)
    }

    fn new(feed: Feed) -> Capture {
        Capture {
            pending: Pending::default(),
            feed,
            form: Form::Unknown,
            links: Vec::new(),
            is_little: true,
            wrong: None,
        }
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let number = crate::read::array(bytes, at)?;
        Some(if self.is_little { u32::from_le_bytes(number) } else { u32::from_be_bytes(number) })
    }

    fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let number = crate::read::array(bytes, at)?;
        Some(if self.is_little { u16::from_le_bytes(number) } else { u16::from_be_bytes(number) })
    }

    fn begin(&mut self) -> Result<Step, FeedError> {
        let bytes = self.pending.bytes();
        let Some(magic) = crate::read::le32(bytes, 0) else {
            return Ok(Step::NeedsMore);
        };
        if magic == SECTION {
            self.form = Form::PcapNg;
            return Ok(Step::Took(None));
        }
        let Some(is_little) = order_of(magic) else {
            return Err(FeedError::new(
                0,
                "it is no capture: neither pcap nor pcapng begins like this",
            ));
        };
        self.is_little = is_little;
        if bytes.len() < PCAP_HEADER_BYTES {
            return Ok(Step::NeedsMore);
        }
        // The upper bits say whether frames end with a checksum.
        let link = self.u32(bytes, 20).unwrap_or_default() & 0x03ff_ffff;
        self.links.push(link);
        self.form = Form::Pcap;
        self.pending.take(PCAP_HEADER_BYTES);
        Ok(Step::Took(None))
    }

    fn pcap(&mut self, market: &mut Market) -> Result<Step, FeedError> {
        let bytes = self.pending.bytes();
        let Some(captured) = self.u32(bytes, 8).filter(|_| bytes.len() >= PACKET_HEADER_BYTES)
        else {
            return Ok(Step::NeedsMore);
        };
        let len = self.checked(captured)?;
        let end = PACKET_HEADER_BYTES + len;
        if bytes.len() < end {
            return Ok(Step::NeedsMore);
        }
        let link = self.links.first().copied().unwrap_or_default();
        self.packet(link, PACKET_HEADER_BYTES..end, end, market)
    }

    fn block(&mut self, market: &mut Market) -> Result<Step, FeedError> {
        let bytes = self.pending.bytes();
        if bytes.len() < BLOCK_BYTES_MIN {
            return Ok(Step::NeedsMore);
        }
        if crate::read::le32(bytes, 0) == Some(SECTION) {
            self.is_little = match crate::read::le32(bytes, 8) {
                Some(0x1a2b_3c4d) => true,
                Some(0x4d3c_2b1a) => false,
                _ => {
                    return Err(FeedError::new(
                        self.pending.offset(),
                        "a section without its byte order",
                    ));
                }
            };
            self.links.clear();
        }
        let (kind, len) =
            (self.u32(bytes, 0).unwrap_or_default(), self.u32(bytes, 4).unwrap_or_default());
        let len = self.checked(len)?;
        if len < BLOCK_BYTES_MIN || !len.is_multiple_of(4) {
            let why = format!("a block of {len} bytes");
            return Err(FeedError::new(self.pending.offset(), why));
        }
        if bytes.len() < len {
            return Ok(Step::NeedsMore);
        }
        let body_end = len - 4;
        match kind {
            INTERFACE if self.links.len() < FEED_INTERFACES_MAX => {
                let link = self.u16(bytes, 8).unwrap_or_default();
                self.links.push(link.into());
            }
            ENHANCED_PACKET => {
                let interface = self.u32(bytes, 8).unwrap_or_default() as usize;
                let captured = self.checked(self.u32(bytes, 20).unwrap_or_default())?;
                let link = self.links.get(interface).copied().unwrap_or_default();
                let end = (28 + captured).min(body_end);
                return self.packet(link, 28.min(end)..end, len, market);
            }
            SIMPLE_PACKET => {
                let original = self.u32(bytes, 8).unwrap_or_default() as usize;
                let link = self.links.first().copied().unwrap_or_default();
                let end = original.saturating_add(12).min(body_end);
                return self.packet(link, 12.min(end)..end, len, market);
            }
            _ => {}
        }
        self.pending.take(len);
        Ok(Step::Took(None))
    }

    /// A length, if it is possible.
    fn checked(&self, len: u32) -> Result<usize, FeedError> {
        let len = len as usize;
        if len <= FEED_PACKET_BYTES_MAX {
            return Ok(len);
        }
        let why = format!("a packet of {len} bytes; the limit is {FEED_PACKET_BYTES_MAX}");
        Err(FeedError::new(self.pending.offset(), why))
    }

    /// Applies the packet that stands in this range of what is pending, and takes this number of bytes.
    fn packet(
        &mut self,
        link: u32,
        frame: std::ops::Range<usize>,
        bytes: usize,
        market: &mut Market,
    ) -> Result<Step, FeedError> {
        let offset = self.pending.offset();
        let frame = self.pending.bytes().get(frame).unwrap_or_default();
        let mut time_ns = None;
        let mut wrong = None;
        match (&mut self.feed, datagram::payload(link, frame)) {
            (Feed::Itch { feed, sessions }, Some(payload)) if Mold::fits(payload) => {
                let session = crate::read::array(payload, 0).unwrap_or_default();
                if let Some(session) = bounded(sessions, session, market) {
                    session.packet(payload, market, |message, market| {
                        match feed.apply(message, market) {
                            Ok(time) => time_ns = time.or(time_ns),
                            Err(kind) => wrong = Some(kind),
                        }
                    });
                }
            }
            (Feed::Tops { feed, sessions }, Some(payload)) if IexTp::fits(payload) => {
                let session = crate::read::le32(payload, 4).unwrap_or_default();
                if let Some(session) = bounded(sessions, session, market) {
                    session.segment(payload, market, |message, market| {
                        match feed.apply(message, market) {
                            Ok(time) => time_ns = time.or(time_ns),
                            Err(()) => wrong = message.first().copied(),
                        }
                    });
                }
            }
            _ => market.skip(Cause::OtherPacket, || format!("the packet at byte {offset}")),
        }
        if let Some(kind) = wrong {
            let why = format!(
                "a message of type {:?} has a length that its type does not have",
                char::from(kind)
            );
            return Err(FeedError::new(offset, why));
        }
        self.pending.take(bytes);
        Ok(Step::Took(time_ns))
    }
}

/// The session of this name, which may be new; `None` where there are too many, which is counted.
fn bounded<'a, K: std::hash::Hash + Eq, S: Default>(
    sessions: &'a mut HashMap<K, S>,
    name: K,
    market: &mut Market,
) -> Option<&'a mut S> {
    if sessions.len() >= FEED_SESSIONS_MAX && !sessions.contains_key(&name) {
        market.skip(Cause::TooManySessions, || format!("a session beyond {FEED_SESSIONS_MAX}"));
        return None;
    }
    Some(sessions.entry(name).or_default())
}

/// Whether pcap that begins with this number, read as little endian, is; `None` where it is no pcap.
fn order_of(magic: u32) -> Option<bool> {
    match magic {
        0xa1b2_c3d4 | 0xa1b2_3c4d => Some(true),
        0xd4c3_b2a1 | 0x4d3c_b2a1 => Some(false),
        _ => None,
    }
}

impl Decode for Capture {
    fn fill(&mut self, bytes: &[u8]) {
        self.pending.fill(bytes);
    }

    fn step(&mut self, market: &mut Market) -> Result<Step, FeedError> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        let step = match self.form {
            Form::Unknown => self.begin(),
            Form::Pcap => self.pcap(market),
            Form::PcapNg => self.block(market),
        };
        if let Err(wrong) = &step {
            self.wrong = Some(wrong.clone());
        }
        step
    }

    fn end(&mut self) -> Result<(), FeedError> {
        match self.pending.bytes().len() {
            0 => Ok(()),
            bytes => Err(FeedError::cut(self.pending.offset(), bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;

    #[test]
    fn packets_of_sessions_beyond_the_limit_are_counted() {
        let (mut sessions, mut market) = (HashMap::<_, u8>::new(), Market::new(Rules::default()));
        for name in (0..=FEED_SESSIONS_MAX).chain(0..3) {
            let session = bounded(&mut sessions, name, &mut market);
            assert_eq!(session.is_some(), name < FEED_SESSIONS_MAX, "{name}");
        }
        assert_eq!(market.counts().skipped_for(Cause::TooManySessions), 1);
    }
}
