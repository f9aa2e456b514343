//! Subscribers by `SUBSCRIBE`: their request, and the messages of RESP.

use stockd_model::limits::SUBSCRIPTIONS_MAX;
use stockd_wire::resp::frame;

use crate::codec::{Foreign, Item, Protocol};
use crate::stocks::Texts;
use crate::subscribers::carrier::Event;

/// Where in the messages it is.
#[derive(Debug)]
pub(super) struct Channels {
    /// Confirmations that have not come yet.
    unconfirmed: usize,
    /// Items of the array that have come.
    items: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Message,
    Confirmation,
    Other,
}

/// The subscription to these names, as many as may be. Returns how many those are.
pub(super) fn subscribe(names: &Texts) -> (Vec<u8>, usize) {
    let count = names.len().min(SUBSCRIPTIONS_MAX);
    let mut request = Vec::new();
    frame::array(1 + count, &mut request);
    frame::bulk(b"SUBSCRIBE", &mut request);
    names.iter().take(count).for_each(|name| frame::bulk(name, &mut request));
    (request, count)
}

impl Channels {
    pub(super) fn new(names: usize) -> Channels {
        Channels { unconfirmed: names, items: 0, kind: Kind::Other }
    }

    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, Foreign> {
        let mut at = 0;
        while let Some((item, length)) = Protocol::Resp.decode(&bytes[at..])? {
            at += length;
            self.items = if matches!(item, Item::Array(_)) { 0 } else { self.items + 1 };
            match (self.items, item) {
                (_, Item::Error(_)) => return Err(Foreign::new(&bytes[at - length..at])),
                (1, Item::Value(kind)) => {
                    self.kind = match kind {
                        b"message" => Kind::Message,
                        b"subscribe" => Kind::Confirmation,
                        _ => Kind::Other,
                    };
                }
                (3, Item::Value(message)) if self.kind == Kind::Message => {
                    tell(Event::Message(message));
                }
                (3, _) if self.kind == Kind::Confirmation => {
                    self.unconfirmed = self.unconfirmed.saturating_sub(1);
                    if self.unconfirmed == 0 {
                        tell(Event::Subscribed);
                    }
                }
                _ => {}
            }
        }
        Ok(at)
    }
}
