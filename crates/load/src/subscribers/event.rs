//! What a subscriber hears, whatever carries it.

/// Something that a subscriber hears.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// It is subscribed to everything.
    Subscribed,
    /// A quote, or that a stock is not listed, as JSON.
    Message(&'a [u8]),
    /// The same of a protocol that has no JSON, and when the server took the change in Unix nanoseconds, where it says so.
    #[cfg_attr(not(feature = "web"), allow(dead_code))]
    Change(Option<u64>),
    /// These bytes are to be sent, so that the server sees that it is there.
    #[cfg_attr(not(feature = "web"), allow(dead_code))]
    Answer(&'a [u8]),
}
